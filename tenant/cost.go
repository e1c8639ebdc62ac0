package tenant

import (
	"context"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Cost is the money of a deployment: what it costs from now on, and what it has cost.
type Cost struct {
	Dseq  uint64 `json:"dseq"`
	State string `json:"state"`
	// Height is the block that the amounts are of.
	Height int64 `json:"height"`
	// Now is what all leases cost together.
	Now Rate `json:"now"`
	// Spent is what the providers have earned so far, those whose leases have ended included.
	Spent       Price       `json:"spent"`
	Escrow      Escrow      `json:"escrow"`
	FundedUntil *Moment     `json:"funded_until"`
	Leases      []LeaseCost `json:"leases"`
}

// Rate is a price over several times; all but that per block rest on the mean time between blocks, and are missing
// while it is unknown.
type Rate struct {
	PerBlock Price  `json:"per_block"`
	PerHour  *Price `json:"per_hour"`
	PerDay   *Price `json:"per_day"`
	PerMonth *Price `json:"per_month"`
}

func newRate(p Price, block time.Duration) Rate {
	return Rate{PerBlock: p, PerHour: p.Over(time.Hour, block), PerDay: p.Over(24*time.Hour, block), PerMonth: p.Over(Month, block)}
}

// LeaseCost is what one lease costs or has cost.
type LeaseCost struct {
	Group    string `json:"group"`
	Lease    string `json:"lease"`
	Provider string `json:"provider"`
	// State is active, suspended, reclaiming or closed.
	State string `json:"state"`
	// Since and Until are heights; Until is 0 for a lease that stands.
	Since int64 `json:"since"`
	Until int64 `json:"until,omitempty"`
	Rate  Rate  `json:"rate"`
	// Earned is what its provider has earned by it.
	Earned Price `json:"earned"`
}

// Cost reads the money of a deployment from the chain; no provider is asked.
func (m *Machine) Cost(ctx context.Context, id deploymenttypes.DeploymentID) (*Cost, error) {
	v, err := m.view(ctx, id)
	if err != nil {
		return nil, asFailure(err)
	}
	st := newStatus(m.Network, id, v)
	out := &Cost{
		Dseq: id.Dseq, State: st.State, Height: v.height, Now: newRate(st.PricePerBlock, v.blockTime), Spent: st.Escrow.Accrued,
		Escrow: st.Escrow, FundedUntil: st.FundedUntil, Leases: []LeaseCost{},
	}
	names := map[uint32]string{}
	for _, g := range v.deployment.Groups {
		names[g.Id.Gseq] = g.Spec.Name
	}
	for _, l := range v.leases {
		out.Leases = append(out.Leases, newLeaseCost(names[l.Lease.Id.Gseq], l, v.blockTime))
	}
	return out, nil
}

func newLeaseCost(group string, l markettypes.QueryLeaseResponse, block time.Duration) LeaseCost {
	return LeaseCost{
		Group: group, Lease: leaseText(l.Lease.Id), Provider: l.Lease.Id.Provider, State: enumText(l.Lease.State.String(), "LEASE_STATE_"),
		Since: l.Lease.CreatedAt, Until: l.Lease.ClosedAt, Rate: newRate(Price{l.Lease.Price}, block),
		Earned: Price{sdk.DecCoin{Denom: l.Lease.Price.Denom, Amount: l.Payment.Accrued}},
	}
}
