package tenant

import (
	"context"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// maxSample is how many leases are looked at to find a price.
const maxSample = pageSize

// marketReader is a chain that tells what is leased.
type marketReader interface {
	// ActiveLeases are active leases of anybody with the orders that they are of, at most maxSample.
	ActiveLeases(ctx context.Context) ([]markettypes.Lease, []markettypes.Order, error)
}

// ActiveLeases implements marketReader.
func (c *ClientChain) ActiveLeases(ctx context.Context) ([]markettypes.Lease, []markettypes.Order, error) {
	page := &query.PageRequest{Limit: maxSample}
	leases, err := c.market.Leases(ctx, &markettypes.QueryLeasesRequest{State: markettypes.LEASE_STATE_ACTIVE, Pagination: page})
	if err != nil {
		return nil, nil, asked("what is leased", err)
	}
	orders, err := c.market.Orders(ctx, &markettypes.QueryOrdersRequest{State: markettypes.ORDER_STATE_ACTIVE, Pagination: page})
	if err != nil {
		return nil, nil, asked("what is leased", err)
	}
	out := make([]markettypes.Lease, len(leases.Leases))
	for i, l := range leases.Leases {
		out[i] = l.Lease
	}
	return out, orders.Orders, nil
}

// FillPrices finds the prices that a plan leaves open: from its budget, or else from what leases cost on the network. It
// asks nothing if none is open. Its error is a *Failure.
func (m *Machine) FillPrices(ctx context.Context, plan *sdl.Plan) error {
	if !plan.OpenPrices() {
		return nil
	}
	block := m.blockTime(ctx).Nanoseconds()
	app.Spread(plan, block)
	if !plan.OpenPrices() {
		return nil
	}
	if plan.Extras != nil && plan.Extras.Budget != nil {
		return failf(KindUsage, nil, "nothing is left of the budget of %s %s per month for what has no price: raise it, or lower the prices",
			sdl.FormatPrice(plan.Extras.Budget.PerMonth), plan.Extras.Budget.Denom)
	}
	var leased []app.Leased
	if market, ok := m.Chain.(marketReader); ok {
		leases, orders, err := market.ActiveLeases(ctx)
		if err != nil {
			return asFailure(err)
		}
		leased = leasedOf(plan, leases, orders)
	}
	app.FillPrices(plan, leased, block)
	if plan.OpenPrices() {
		return failf(KindUsage, nil, "a price per block cannot be proposed, as the time between this network's blocks is not known yet: try again in a moment, or give --max-price")
	}
	return nil
}

// leasedOf are the leases in the denomination of the plan's open prices, with what they take.
func leasedOf(plan *sdl.Plan, leases []markettypes.Lease, orders []markettypes.Order) []app.Leased {
	denom := sdl.Denom
	for _, g := range plan.Groups {
		for _, r := range g.Resources {
			if r.Open() {
				denom = r.Denom
			}
		}
	}
	weights := map[string]math.LegacyDec{}
	for _, o := range orders {
		weights[o.Id.String()] = weightOf(o.Spec)
	}
	var out []app.Leased
	for _, l := range leases {
		if w, known := weights[l.Id.OrderID().String()]; known && l.Price.Denom == denom {
			out = append(out, app.Leased{Weight: w, Price: l.Price.Amount})
		}
	}
	return out
}

// weightOf is what all instances of a group take. What holds devices is not compared.
func weightOf(spec deploymenttypes.GroupSpec) math.LegacyDec {
	sum := math.LegacyZeroDec()
	for _, u := range spec.Units {
		if u.Gpu.Count > 0 {
			return math.LegacyZeroDec()
		}
		r := sdl.Resource{CPUMilli: u.CpuMilli, MemoryBytes: u.MemoryBytes, Endpoints: make([]sdl.EndpointKind, len(u.Endpoints))}
		for _, v := range u.Storage {
			r.Storage = append(r.Storage, sdl.Volume{Bytes: v.Bytes})
		}
		sum = sum.Add(app.Weight(r).MulInt64(int64(u.Count)))
	}
	return sum
}

// keepPrices gives the open prices of a plan those that its deployment has on chain.
func keepPrices(plan *sdl.Plan, onChain []deploymenttypes.GroupSpec) {
	for i, g := range plan.Groups {
		for _, spec := range onChain {
			if spec.Name != g.Name || len(spec.Units) != len(g.Resources) {
				continue
			}
			for j := range g.Resources {
				if r := &plan.Groups[i].Resources[j]; r.Open() {
					r.Price, r.Denom = spec.Units[j].Price.Amount, spec.Units[j].Price.Denom
				}
			}
		}
	}
}
