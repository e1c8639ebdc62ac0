package tenant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// Update is a change of a deployment's manifests, before anything is sent.
type Update struct {
	Dseq uint64 `json:"dseq"`
	// Changed names the groups whose manifest differs from the present one, or cannot be compared with it.
	Changed []string `json:"changed"`
	// Fee is the transaction's; none when nothing changed.
	Fee sdk.Coins `json:"fee"`

	state *State
}

// PrepareUpdate compares a new plan with a deployment. What the chain reserves cannot change: a plan with other groups
// is a KindUsage failure that lists the differences. Groups that stay as they are keep their salts. It sends and
// writes nothing.
func (m *Machine) PrepareUpdate(ctx context.Context, dseq uint64, plan *sdl.Plan, document string) (*Update, error) {
	u, err := m.prepareUpdate(ctx, dseq, plan, document)
	if err == nil {
		return u, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f = Failure{Kind: KindInterrupted, Dseq: dseq, Err: interruption{"while comparing the document; nothing was sent", ctx.Err()}}
	}
	return nil, &f
}

func (m *Machine) prepareUpdate(ctx context.Context, dseq uint64, plan *sdl.Plan, document string) (*Update, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	d, err := m.activeDeployment(ctx, id)
	if err != nil {
		return nil, err
	}
	onChain := make([]deploymenttypes.GroupSpec, len(d.Groups))
	for i, g := range d.Groups {
		onChain[i] = g.Spec
	}
	keepPrices(plan, onChain)
	specs := chainspec.Groups(plan)
	if diff := specDifferences(onChain, specs); len(diff) > 0 {
		return nil, failf(KindUsage, []Hint{HintDeploy, HintClose}, "the document changes what deployment %d has reserved on chain, which an update cannot:\n  %s\ndeploy it as a new deployment and close this one", dseq, strings.Join(diff, "\n  "))
	}
	s, err := m.stateFor(ctx, id, d, specs)
	if err != nil {
		return nil, err
	}
	return m.sealUpdate(ctx, s, d, specs, plan, document)
}

func (m *Machine) activeDeployment(ctx context.Context, id deploymenttypes.DeploymentID) (deploymenttypes.QueryDeploymentResponse, error) {
	d, err := m.Chain.Deployment(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return d, failf(KindUsage, []Hint{HintList}, "%s has no deployment %d", id.Owner, id.Dseq)
	}
	if err == nil && d.Deployment.State != deploymenttypes.DEPLOYMENT_STATE_ACTIVE {
		err = failf(KindUsage, []Hint{HintDeploy, HintList}, "deployment %d is closed", id.Dseq)
	}
	return d, err
}

// stateFor is this machine's state of a deployment, or one made from the chain.
func (m *Machine) stateFor(ctx context.Context, id deploymenttypes.DeploymentID, d deploymenttypes.QueryDeploymentResponse, specs []deploymenttypes.GroupSpec) (*State, error) {
	s, err := m.Store.Load(id.Dseq)
	switch {
	case err == nil && s.Owner == id.Owner:
		return s, nil
	case err != nil && !errors.Is(err, ErrNoState):
		m.tell(Warned{fmt.Sprintf("%s; going by the chain instead", err)})
	}
	head, err := m.Chain.Head(ctx)
	if err != nil {
		return nil, err
	}
	escrow, err := m.Chain.Escrow(ctx, id)
	if err != nil {
		return nil, err
	}
	s = &State{
		Version: stateVersion, Network: m.Network, ChainID: head.ChainID, Owner: id.Owner, Dseq: id.Dseq,
		Deposit: sdk.NewCoin(escrow.Account.Denom, escrow.Account.Deposited), CreatedAt: m.Clock.Now().UTC(),
		Auction: AuctionState{Lowest: d.Deployment.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST, Window: d.Deployment.Auction.Window},
	}
	return s, s.setSealed(specs, d.Deployment.ManifestHash, make([]manifesttypes.Envelope, len(specs)))
}

// sealUpdate puts the plan's manifests into the state.
func (m *Machine) sealUpdate(ctx context.Context, s *State, d deploymenttypes.QueryDeploymentResponse, specs []deploymenttypes.GroupSpec, plan *sdl.Plan, document string) (*Update, error) {
	if _, err := m.syncLeases(ctx, s); err != nil {
		return nil, err
	}
	salts, err := m.salts(len(plan.Manifests))
	if err != nil {
		return nil, err
	}
	u := &Update{Dseq: s.Dseq, Changed: []string{}, Fee: sdk.NewCoins(), state: s}
	for i, g := range plan.Manifests {
		if old, ok := m.presentManifest(ctx, s, i, d.Deployment.ManifestHash); ok && sameManifest(old, g) {
			salts[i] = old.Salt
			continue
		}
		u.Changed = append(u.Changed, g.Name)
	}
	root, envelopes, err := manifest.Seal(plan.Manifests, salts)
	if err != nil {
		return nil, failf(KindUsage, nil, "seal the manifests: %w", err)
	}
	if !bytes.Equal(root[:], s.Hash()) {
		s.keep(m.Clock.Now())
	}
	if err := s.setSealed(specs, root[:], envelopes); err != nil {
		return nil, err
	}
	s.Document, s.Step = document, StepUpdate
	if bytes.Equal(root[:], d.Deployment.ManifestHash) {
		u.Changed = []string{}
		if s.Step = StepBids; s.allLeased() {
			s.Step = StepManifest
		}
		return u, nil
	}
	fee, err := m.Chain.Estimate(ctx, s.updateMsg())
	if errors.Is(err, client.ErrNoAccount) {
		return nil, failf(KindFunds, []Hint{HintFund}, "account %s has no funds to pay the fee", s.Owner)
	}
	if err != nil {
		return nil, fmt.Errorf("the chain would refuse the update: %w", err)
	}
	u.Fee = fee.Amount
	return u, nil
}

// presentManifest is the manifest of group i that the chain's hash stands for: this machine's, or the provider's. It
// is missing when neither has it.
func (m *Machine) presentManifest(ctx context.Context, s *State, i int, root []byte) (manifesttypes.Group, bool) {
	if env, err := s.Groups[i].envelope(); err == nil {
		if g, err := manifest.Open(env, root); err == nil {
			return g, true
		}
	}
	if !s.Groups[i].Leased {
		return manifesttypes.Group{}, false
	}
	lease := s.BidID(i)
	var env manifesttypes.Envelope
	err := m.call(ctx, lease.Provider, m.Timing.Call, func(ctx context.Context, gw Gateway) (err error) {
		env, err = gw.Manifest(ctx, lease)
		return err
	})
	if err != nil {
		return manifesttypes.Group{}, false
	}
	g, err := manifest.Open(env, root)
	return g, err == nil
}

// sameManifest compares all but the salts.
func sameManifest(a, b manifesttypes.Group) bool {
	a.Salt, b.Salt = nil, nil
	x, errX := proto.Marshal(&a)
	y, errY := proto.Marshal(&b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// Update writes the prepared update down, sends it and waits until it is rolled out. Its error is a *Failure; a failed
// update can be resumed like a deployment.
func (m *Machine) Update(ctx context.Context, u *Update) (*State, error) {
	if err := m.save(u.state); err != nil {
		return nil, &Failure{Kind: KindOther, Dseq: u.Dseq, Err: err}
	}
	return u.state, m.Run(ctx, u.state)
}

func (s *State) updateMsg() *deploymenttypes.MsgUpdateDeployment {
	return &deploymenttypes.MsgUpdateDeployment{Id: s.ID(), ManifestHash: s.Hash()}
}

// sendUpdate puts the new manifest hash on chain, unless it is there.
func sendUpdate(ctx context.Context, m *Machine, s *State) (Step, error) {
	there, err := m.hasHash(ctx, s)
	if err != nil {
		return "", err
	}
	if there {
		return afterUpdate(ctx, m, s)
	}
	res, err := m.Chain.Send(ctx, s.updateMsg())
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		if there, qerr := m.hasHash(ctx, s); qerr != nil || !there {
			return "", &Failure{Kind: asFailure(err).Kind, Err: fmt.Errorf("update deployment %d: %w", s.Dseq, err), Hints: []Hint{HintResume, HintStatus}}
		}
		return afterUpdate(ctx, m, s)
	}
	s.Transactions = append(s.Transactions, TxState{Action: "update", Hash: res.Hash, Height: res.Height})
	m.tell(Sent{Dseq: s.Dseq, Action: "update", Hash: res.Hash, Height: res.Height})
	return afterUpdate(ctx, m, s)
}

func (m *Machine) hasHash(ctx context.Context, s *State) (bool, error) {
	d, err := m.activeDeployment(ctx, s.ID())
	return err == nil && bytes.Equal(d.Deployment.ManifestHash, s.Hash()), err
}

// afterUpdate goes on to the providers, or first completes the leases.
func afterUpdate(ctx context.Context, m *Machine, s *State) (Step, error) {
	if _, err := m.syncLeases(ctx, s); err != nil {
		return "", err
	}
	if s.allLeased() {
		return StepManifest, nil
	}
	return StepBids, nil
}
