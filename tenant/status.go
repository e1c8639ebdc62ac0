package tenant

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Status is all that is known of a deployment: the chain's view and the providers'.
type Status struct {
	Owner   string `json:"owner"`
	Dseq    uint64 `json:"dseq"`
	Network string `json:"network"`
	// State is active or closed; Step what this machine would do next, empty without a state file.
	State        string `json:"state"`
	Step         Step   `json:"step,omitempty"`
	Document     string `json:"document,omitempty"`
	ManifestHash string `json:"manifest_hash"`
	// Height is the block that the chain's view is of.
	Height    int64  `json:"height"`
	CreatedAt int64  `json:"created_at"`
	ClosedAt  int64  `json:"closed_at,omitempty"`
	Escrow    Escrow `json:"escrow"`
	// PricePerBlock is what all leases cost together.
	PricePerBlock Price   `json:"price_per_block"`
	PricePerMonth *Price  `json:"price_per_month"`
	FundedUntil   *Moment `json:"funded_until"`
	// SuspendedUntil is when the leases end that are suspended, unless a deposit resumes them; nil if none is.
	SuspendedUntil *Moment `json:"suspended_until,omitempty"`
	// Ready is true when each group has a lease and all its services run the present manifest.
	Ready  bool          `json:"ready"`
	URLs   []string      `json:"urls"`
	Groups []GroupStatus `json:"groups"`
}

// Escrow is the money of a deployment.
type Escrow struct {
	// State is open, suspended or closed.
	State     string   `json:"state"`
	Deposited sdk.Coin `json:"deposited"`
	// Spendable is what is left for the leases, exactly.
	Spendable Price `json:"spendable"`
	// Accrued is what the providers have earned, Paid what of it they were paid.
	Accrued Price    `json:"accrued"`
	Paid    sdk.Coin `json:"paid"`
	// Refunded is what came back at the close.
	Refunded sdk.Coin `json:"refunded"`
}

// GroupStatus is one group with its lease.
type GroupStatus struct {
	Gseq  uint32 `json:"gseq"`
	Name  string `json:"name"`
	State string `json:"state"`
	// OpenBids counts the bids that wait for a choice.
	OpenBids int          `json:"open_bids"`
	Lease    *LeaseStatus `json:"lease"`
	// Ended are the group's earlier leases.
	Ended []EndedLease `json:"ended"`
}

// LeaseStatus is a lease with what its provider runs.
type LeaseStatus struct {
	ID       string `json:"id"`
	Oseq     uint32 `json:"oseq"`
	Provider string `json:"provider"`
	Host     string `json:"host"`
	Region   string `json:"region"`
	// State is active or suspended.
	State         string `json:"state"`
	Since         int64  `json:"since"`
	PricePerBlock Price  `json:"price_per_block"`
	PricePerMonth *Price `json:"price_per_month"`
	Earned        Price  `json:"earned"`
	// Reclaim is the provider's announcement that it takes the lease back; nil without one.
	Reclaim *Reclaim `json:"reclaim,omitempty"`
	// Current is true when the provider runs the manifest whose hash is on chain.
	Current  bool            `json:"current"`
	Services []ServiceStatus `json:"services"`
	// Volumes are its persistent volumes; VolumesKnown says that these are all of them.
	Volumes      []Volume `json:"volumes,omitempty"`
	VolumesKnown bool     `json:"volumes_known,omitempty"`
	// Refused says why the provider did not take the manifest that was sent last; empty if it did.
	Refused string `json:"refused,omitempty"`
	// Unknown says why the provider could not be asked; the services are unknown then, not absent.
	Unknown string `json:"unknown,omitempty"`

	id      markettypes.LeaseID
	unknown error // what Unknown says
}

// Reclaim is a provider's announcement that it takes a lease back.
type Reclaim struct {
	// From is the time from which the provider may end the lease.
	From   time.Time `json:"from"`
	Reason string    `json:"reason"`
}

// EndedLease is a lease that is over.
type EndedLease struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	ClosedAt int64  `json:"closed_at"`
	Reason   string `json:"reason"`
}

// Status reads a deployment from the chain, and what its providers run.
func (m *Machine) Status(ctx context.Context, id deploymenttypes.DeploymentID) (*Status, error) {
	st, err := m.chainStatus(ctx, id)
	if err != nil {
		return nil, asFailure(err)
	}
	m.askProviders(ctx, st)
	st.conclude()
	if s, err := m.Store.Load(id.Dseq); err == nil && s.Owner == id.Owner {
		st.Step, st.Document = s.Step, s.Document
	}
	return st, nil
}

// chainView is all that the chain has of one deployment.
type chainView struct {
	deployment deploymenttypes.QueryDeploymentResponse
	escrow     escrowtypes.QueryAccountResponse
	leases     []markettypes.QueryLeaseResponse
	bids       []markettypes.Bid
	providers  map[string]providertypes.Provider
	now        time.Time
	height     int64
	blockTime  time.Duration
}

func (m *Machine) chainStatus(ctx context.Context, id deploymenttypes.DeploymentID) (*Status, error) {
	v, err := m.view(ctx, id)
	if err != nil {
		return nil, err
	}
	return newStatus(m.Network, id, v), nil
}

// view reads all that the chain has of a deployment.
func (m *Machine) view(ctx context.Context, id deploymenttypes.DeploymentID) (chainView, error) {
	d, err := m.Chain.Deployment(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return chainView{}, m.missing(ctx, id)
	}
	if err != nil {
		return chainView{}, err
	}
	v := chainView{deployment: d, providers: map[string]providertypes.Provider{}}
	return v, m.fillView(ctx, id, &v)
}

// missing says why the chain does not hold a deployment: it may have pruned it, or never had it.
func (m *Machine) missing(ctx context.Context, id deploymenttypes.DeploymentID) error {
	if floor, err := m.Chain.PruneFloor(ctx, id.Owner); err == nil && id.Dseq <= floor {
		return failf(KindUsage, []Hint{HintList}, "%s has no deployment %d any more: one that has closed is removed after a while", id.Owner, id.Dseq)
	}
	if s, err := m.Store.Load(id.Dseq); err == nil && s.Step == StepCreate && s.Owner == id.Owner {
		return &Failure{Kind: KindUsage, Dseq: id.Dseq, Hints: []Hint{HintResume, HintList},
			Err: fmt.Errorf("deployment %d has not reached the chain: nothing of it was paid, and nothing runs", id.Dseq)}
	}
	return failf(KindUsage, []Hint{HintList}, "%s has no deployment %d", id.Owner, id.Dseq)
}

func (m *Machine) fillView(ctx context.Context, id deploymenttypes.DeploymentID, v *chainView) error {
	all, allCtx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { v.escrow, err = m.Chain.Escrow(allCtx, id); return err })
	all.Go(func() (err error) { v.leases, err = m.Chain.Leases(allCtx, id); return err })
	all.Go(func() (err error) { v.bids, err = m.Chain.Bids(allCtx, id); return err })
	all.Go(func() error {
		head, err := m.Chain.Head(allCtx)
		v.now, v.height, v.blockTime = head.Time, head.Height, m.blockTime(allCtx)
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	for _, l := range v.leases {
		p := l.Lease.Id.Provider
		if _, ok := v.providers[p]; ok || l.Lease.State == markettypes.LEASE_STATE_CLOSED {
			continue
		}
		record, err := m.Chain.Provider(ctx, p)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		v.providers[p] = record
	}
	return nil
}

// newStatus puts together what the chain says; the providers' part is still unknown.
func newStatus(network string, id deploymenttypes.DeploymentID, v chainView) *Status {
	d := v.deployment.Deployment
	st := &Status{
		Owner: id.Owner, Dseq: id.Dseq, Network: network, State: enumText(d.State.String(), "DEPLOYMENT_STATE_"),
		ManifestHash: hex.EncodeToString(d.ManifestHash), Height: v.height, CreatedAt: d.CreatedAt, ClosedAt: d.ClosedAt,
		Escrow: newEscrow(v.escrow), URLs: []string{}, Groups: []GroupStatus{},
	}
	st.PricePerBlock = Price{sdk.DecCoin{Denom: v.escrow.Account.Denom, Amount: v.escrow.Account.Rate}}
	st.PricePerMonth = st.PricePerBlock.Over(Month, v.blockTime)
	if v.escrow.FundedUntil > 0 && v.escrow.Account.State == escrowtypes.ACCOUNT_STATE_OPEN {
		st.FundedUntil = momentAt(v.escrow.FundedUntil, v.height, v.now, v.blockTime)
	}
	if a := v.escrow.Account; a.State == escrowtypes.ACCOUNT_STATE_SUSPENDED && a.DueAt > 0 {
		st.SuspendedUntil = momentAt(a.DueAt, v.height, v.now, v.blockTime)
	}
	for _, g := range v.deployment.Groups {
		st.Groups = append(st.Groups, newGroupStatus(g, v))
	}
	return st
}

func newGroupStatus(g deploymenttypes.Group, v chainView) GroupStatus {
	out := GroupStatus{Gseq: g.Id.Gseq, Name: g.Spec.Name, State: enumText(g.State.String(), "GROUP_STATE_"), Ended: []EndedLease{}}
	for _, b := range v.bids {
		if b.Id.Gseq == g.Id.Gseq && b.State == markettypes.BID_STATE_OPEN {
			out.OpenBids++
		}
	}
	for _, l := range v.leases {
		if l.Lease.Id.Gseq != g.Id.Gseq {
			continue
		}
		if l.Lease.State == markettypes.LEASE_STATE_CLOSED {
			out.Ended = append(out.Ended, EndedLease{
				ID: leaseText(l.Lease.Id), Provider: l.Lease.Id.Provider, ClosedAt: l.Lease.ClosedAt, Reason: ReasonText(l.Lease.Reason),
			})
			continue
		}
		out.Lease = newLeaseStatus(l, v)
	}
	return out
}

func newLeaseStatus(l markettypes.QueryLeaseResponse, v chainView) *LeaseStatus {
	p := v.providers[l.Lease.Id.Provider]
	out := &LeaseStatus{
		ID: leaseText(l.Lease.Id), Oseq: l.Lease.Id.Oseq, Provider: l.Lease.Id.Provider, Host: p.HostUri, Region: attributeMap(p.Attributes)["region"],
		State: enumText(l.Lease.State.String(), "LEASE_STATE_"), Since: l.Lease.CreatedAt, PricePerBlock: Price{l.Lease.Price},
		Earned: Price{sdk.DecCoin{Denom: l.Lease.Price.Denom, Amount: l.Payment.Accrued}}, Services: []ServiceStatus{}, id: l.Lease.Id,
	}
	out.PricePerMonth = out.PricePerBlock.Over(Month, v.blockTime)
	if l.Lease.ReclaimDeadline > 0 {
		out.Reclaim = &Reclaim{From: time.Unix(l.Lease.ReclaimDeadline, 0).UTC(), Reason: ReasonText(l.Lease.ReclaimReason)}
	}
	return out
}

func newEscrow(e escrowtypes.QueryAccountResponse) Escrow {
	a := e.Account
	return Escrow{
		State:     enumText(a.State.String(), "ACCOUNT_STATE_"),
		Deposited: sdk.Coin{Denom: a.Denom, Amount: a.Deposited}, Spendable: Price{e.Spendable},
		Accrued: Price{sdk.DecCoin{Denom: a.Denom, Amount: a.Accrued}},
		Paid:    sdk.Coin{Denom: a.Denom, Amount: a.Paid}, Refunded: sdk.Coin{Denom: a.Denom, Amount: a.Refunded},
	}
}

// askProviders fills in what each provider runs, all at once.
func (m *Machine) askProviders(ctx context.Context, st *Status) {
	ctx, cancel := context.WithTimeout(ctx, m.Timing.Look)
	defer cancel()
	var all errgroup.Group
	for i := range st.Groups {
		l := st.Groups[i].Lease
		if l == nil {
			continue
		}
		all.Go(func() error {
			err := m.call(ctx, l.Provider, m.Timing.Look, func(ctx context.Context, g Gateway) error {
				res, err := g.LeaseStatus(ctx, l.id)
				l.Services, l.Current = newServices(res.Services), hex.EncodeToString(res.ManifestHash) == st.ManifestHash
				l.Volumes, l.VolumesKnown = newVolumes(res.Volumes), res.VolumesKnown
				if res.Refused != nil {
					l.Refused = res.Refused.Reason
				}
				return err
			})
			if err != nil {
				l.Unknown, l.unknown = err.Error(), err
			}
			return nil
		})
	}
	_ = all.Wait() // never fails
}

// conclude sums up the groups.
func (s *Status) conclude() {
	s.Ready = len(s.Groups) > 0
	for _, g := range s.Groups {
		if g.Lease == nil || g.Lease.Unknown != "" || !g.Lease.Current || len(g.Lease.Services) == 0 {
			s.Ready = false
			continue
		}
		for _, svc := range g.Lease.Services {
			s.Ready = s.Ready && svc.Complete()
			s.URLs = append(s.URLs, svc.URLs...)
		}
	}
}
