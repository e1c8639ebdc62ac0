package tenant

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	manifesttypes "berth.dev/berth/manifest/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Step is what a deployment does next.
type Step string

// The steps, in their order.
const (
	StepCreate   Step = "create"   // send the create transaction
	StepBids     Step = "bids"     // wait for bids and choose among them
	StepLease    Step = "lease"    // turn the chosen bids into leases
	StepUpdate   Step = "update"   // send the new manifest hash of an update
	StepManifest Step = "manifest" // send each provider its manifest
	StepRollout  Step = "rollout"  // wait until all services are ready
	StepDone     Step = "done"     // nothing is left to do
	StepClosed   Step = "closed"   // the deployment was closed
)

// Final reports whether a deployment has nothing left to do.
func (s Step) Final() bool { return s == StepDone || s == StepClosed }

// stateVersion is the version of the state file's format.
const stateVersion = 1

// State is what is known of a deployment on this machine. It holds secrets (the manifests), so its file is private.
type State struct {
	Version int    `json:"version"`
	Network string `json:"network"`
	ChainID string `json:"chain_id"`
	Owner   string `json:"owner"`
	Dseq    uint64 `json:"dseq"`
	Step    Step   `json:"step"`
	// Document is the path of the document as it was given.
	Document string       `json:"document,omitempty"`
	Deposit  sdk.Coin     `json:"deposit"`
	Auction  AuctionState `json:"auction"`
	// Granters are accounts whose grants pay the deposit, in their order, before the account's own balance does.
	Granters []string `json:"granters,omitempty"`
	// Reclaim is the notice that providers must give before they take a lease back, in seconds.
	Reclaim      uint32       `json:"reclaim_window_seconds,omitempty"`
	ManifestHash string       `json:"manifest_hash"`
	Groups       []GroupState `json:"groups"`
	// RolledOut is the hash of the last manifest with which all services ran.
	RolledOut string `json:"rolled_out,omitempty"`
	// Revisions are the manifests before this one, the latest last.
	Revisions []Revision `json:"revisions,omitempty"`
	// Transactions are the hashes by what they did, in their order.
	Transactions []TxState `json:"transactions,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// AuctionState is how the orders are matched.
type AuctionState struct {
	// Lowest leaves the choice to the chain.
	Lowest bool   `json:"lowest,omitempty"`
	Window uint32 `json:"window,omitempty"`
}

// TxState is a transaction that was included.
type TxState struct {
	Action string `json:"action"`
	Hash   string `json:"hash"`
	Height int64  `json:"height"`
}

// GroupState is one group: group i of a State has gseq i+1.
type GroupState struct {
	Name string `json:"name"`
	// Spec is the protobuf encoding of the GroupSpec on chain.
	Spec []byte `json:"spec"`
	// Envelope is the protobuf encoding of the Envelope for the group's provider.
	Envelope []byte `json:"envelope"`
	// Choice is the bid that was chosen; nil before.
	Choice *Choice `json:"choice,omitempty"`
	// Leased is true once Choice is a lease.
	Leased bool `json:"leased,omitempty"`
}

// Choice names a bid of a group.
type Choice struct {
	Oseq     uint32 `json:"oseq"`
	Provider string `json:"provider"`
}

// ID is the deployment's id on chain.
func (s *State) ID() deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: s.Owner, Dseq: s.Dseq}
}

// Hash is the manifest hash as bytes.
func (s *State) Hash() []byte {
	b, _ := hex.DecodeString(s.ManifestHash) // validated when the state was read
	return b
}

// BidID is the bid, or lease, of group i; zero when none was chosen.
func (s *State) BidID(i int) markettypes.BidID {
	c := s.Groups[i].Choice
	if c == nil {
		return markettypes.BidID{}
	}
	return markettypes.BidID{Owner: s.Owner, Dseq: s.Dseq, Gseq: uint32(i + 1), Oseq: c.Oseq, Provider: c.Provider}
}

// Specs are the groups as the chain has them.
func (s *State) Specs() ([]deploymenttypes.GroupSpec, error) {
	specs := make([]deploymenttypes.GroupSpec, len(s.Groups))
	for i, g := range s.Groups {
		if err := proto.Unmarshal(g.Spec, &specs[i]); err != nil {
			return nil, fmt.Errorf("read group %q of the state: %w", g.Name, err)
		}
	}
	return specs, nil
}

func (g GroupState) envelope() (manifesttypes.Envelope, error) {
	var e manifesttypes.Envelope
	if err := proto.Unmarshal(g.Envelope, &e); err != nil {
		return e, fmt.Errorf("read the manifest of group %q of the state: %w", g.Name, err)
	}
	return e, nil
}

// setSealed stores groups with the envelopes that their manifests were sealed in.
func (s *State) setSealed(specs []deploymenttypes.GroupSpec, root []byte, envelopes []manifesttypes.Envelope) error {
	if len(specs) != len(envelopes) {
		return fmt.Errorf("%d groups have %d manifests", len(specs), len(envelopes))
	}
	groups := make([]GroupState, len(specs))
	for i := range specs {
		spec, err := proto.Marshal(&specs[i])
		if err != nil {
			return fmt.Errorf("encode group %q: %w", specs[i].Name, err)
		}
		env, err := proto.Marshal(&envelopes[i])
		if err != nil {
			return fmt.Errorf("encode the manifest of group %q: %w", specs[i].Name, err)
		}
		groups[i] = GroupState{Name: specs[i].Name, Spec: spec, Envelope: env}
		if i < len(s.Groups) {
			groups[i].Choice, groups[i].Leased = s.Groups[i].Choice, s.Groups[i].Leased
		}
	}
	s.Groups, s.ManifestHash = groups, hex.EncodeToString(root)
	return nil
}

// allLeased reports whether each group has its lease.
func (s *State) allLeased() bool {
	for _, g := range s.Groups {
		if !g.Leased {
			return false
		}
	}
	return true
}

// validate refuses a state that was not written by this package.
func (s *State) validate() error {
	hash, err := hex.DecodeString(s.ManifestHash)
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("format version %d is not %d", s.Version, stateVersion)
	case s.Owner == "" || s.Dseq == 0:
		return errors.New("owner or dseq is missing")
	case err != nil || len(hash) != 32:
		return errors.New("manifest_hash is not 32 bytes of hex")
	case steps[s.Step] == nil && !s.Step.Final():
		return fmt.Errorf("unknown step %q", s.Step)
	case len(s.Groups) == 0:
		return errors.New("no groups")
	}
	for _, g := range s.Groups {
		if g.Leased && g.Choice == nil {
			return fmt.Errorf("group %q has a lease without a bid", g.Name)
		}
	}
	return nil
}
