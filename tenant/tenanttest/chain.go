package tenanttest

import (
	"context"
	"fmt"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// chain is the owner's view of a world.
type chain struct{ w *World }

// Chain is the chain with the owner's key.
func (w *World) Chain() tenant.Chain { return chain{w} }

// enter locks the world for one question; the caller calls the returned function when done.
func (c chain) enter(ctx context.Context) (leave func(), err error) {
	c.w.mu.Lock()
	if err := ctx.Err(); err != nil {
		c.w.mu.Unlock()
		return nil, err
	}
	if c.w.Offline {
		c.w.mu.Unlock()
		return nil, fmt.Errorf("ask the world: %w", tenant.ErrUnreachable)
	}
	return c.w.mu.Unlock, nil
}

func (c chain) Address() string { return c.w.Owner }

func (c chain) Head(ctx context.Context) (client.Head, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return client.Head{}, err
	}
	defer leave()
	return client.Head{ChainID: ChainID, Height: c.w.height, Time: Epoch.Add(time.Duration(c.w.height-FirstHeight) * BlockTime)}, nil
}

func (c chain) BlockTime(context.Context) (time.Duration, error) { return BlockTime, nil }

func (c chain) Balance(ctx context.Context, address, denom string) (math.Int, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return math.Int{}, err
	}
	defer leave()
	if address != c.w.Owner || denom != units.BaseDenom {
		return math.ZeroInt(), nil
	}
	return c.w.Funds, nil
}

func (c chain) EscrowParams(ctx context.Context) (escrowtypes.Params, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return escrowtypes.Params{}, err
	}
	defer leave()
	return escrowtypes.Params{MinDeposits: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, MinDeposit))}, nil
}

func (c chain) Deployment(ctx context.Context, id deploymenttypes.DeploymentID) (deploymenttypes.QueryDeploymentResponse, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return deploymenttypes.QueryDeploymentResponse{}, err
	}
	defer leave()
	d := c.w.findDeployment(id)
	if d == nil {
		return deploymenttypes.QueryDeploymentResponse{}, fmt.Errorf("deployment %s: %w", id, tenant.ErrNotFound)
	}
	return *d, nil
}

func (c chain) PruneFloor(ctx context.Context, owner string) (uint64, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if owner != c.w.Owner {
		return 0, nil
	}
	return c.w.Floor, nil
}

func (c chain) Deployments(ctx context.Context, owner string, state deploymenttypes.DeploymentState) ([]deploymenttypes.QueryDeploymentResponse, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []deploymenttypes.QueryDeploymentResponse
	for _, d := range c.w.deployments {
		if d.Deployment.Id.Owner == owner && (state == deploymenttypes.DEPLOYMENT_STATE_UNSPECIFIED || state == d.Deployment.State) {
			out = append(out, *d)
		}
	}
	return out, nil
}

func (c chain) Bids(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Bid, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []markettypes.Bid
	for _, b := range c.w.bids {
		if b.Id.DeploymentID() == id {
			out = append(out, *b)
		}
	}
	return out, nil
}

func (c chain) Leases(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.QueryLeaseResponse, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []markettypes.QueryLeaseResponse
	for _, l := range c.w.leases {
		if l.Id.DeploymentID() == id {
			end := c.w.height
			if l.ClosedAt > 0 {
				end = l.ClosedAt
			}
			p := escrowtypes.Payment{Rate: l.Price, Payee: l.Id.Provider, Accrued: l.Price.Amount.MulInt64(end - l.CreatedAt), Withdrawn: math.ZeroInt()}
			out = append(out, markettypes.QueryLeaseResponse{Lease: *l, Payment: p})
		}
	}
	return out, nil
}

func (c chain) Orders(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Order, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []markettypes.Order
	for _, o := range c.w.orders {
		if o.Id.DeploymentID() == id {
			out = append(out, *o)
		}
	}
	return out, nil
}

func (c chain) Escrow(ctx context.Context, id deploymenttypes.DeploymentID) (escrowtypes.QueryAccountResponse, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return escrowtypes.QueryAccountResponse{}, err
	}
	defer leave()
	a, ok := c.w.accounts[id.String()]
	if !ok {
		return escrowtypes.QueryAccountResponse{}, fmt.Errorf("escrow of %s: %w", id, tenant.ErrNotFound)
	}
	out := *a
	for _, l := range c.w.leases {
		if l.Id.DeploymentID() == id && l.State != markettypes.LEASE_STATE_CLOSED {
			out.Accrued = out.Accrued.Add(l.Price.Amount.MulInt64(c.w.height - l.CreatedAt))
		}
	}
	left := math.LegacyNewDecFromInt(out.Deposited).Sub(out.Accrued).Sub(math.LegacyNewDecFromInt(out.Refunded))
	if out.State == escrowtypes.ACCOUNT_STATE_CLOSED {
		left = math.LegacyZeroDec()
	}
	res := escrowtypes.QueryAccountResponse{Account: out, Spendable: sdk.NewDecCoinFromDec(out.Denom, left), Height: c.w.height}
	if out.Rate.IsPositive() {
		res.FundedUntil = c.w.height + left.Quo(out.Rate).TruncateInt64()
	}
	return res, nil
}

func (c chain) Provider(ctx context.Context, address string) (providertypes.Provider, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return providertypes.Provider{}, err
	}
	defer leave()
	for _, b := range c.w.Bidders {
		if b.Record.Owner == address {
			return b.Record, nil
		}
	}
	return providertypes.Provider{}, fmt.Errorf("provider %s: %w", address, tenant.ErrNotFound)
}

func (c chain) Providers(ctx context.Context) ([]providertypes.Provider, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []providertypes.Provider
	for _, b := range c.w.Bidders {
		out = append(out, b.Record)
	}
	return out, nil
}

func (c chain) Record(ctx context.Context, provider string) (markettypes.ProviderRecord, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return markettypes.ProviderRecord{}, err
	}
	defer leave()
	r := markettypes.ProviderRecord{Provider: provider}
	closed := map[markettypes.CloseReason]uint64{}
	for _, l := range c.w.leases {
		if l.Id.Provider != provider {
			continue
		}
		r.Leases++
		if l.State == markettypes.LEASE_STATE_CLOSED {
			closed[l.Reason]++
		} else {
			r.Active++
		}
	}
	for reason := markettypes.CLOSE_REASON_UNSPECIFIED; reason <= markettypes.CLOSE_REASON_INSUFFICIENT_FUNDS; reason++ {
		if n := closed[reason]; n > 0 {
			r.Closed = append(r.Closed, markettypes.ReasonCount{Reason: reason, Count: n})
		}
	}
	return r, nil
}

func (c chain) Auditors(ctx context.Context, provider string) ([]string, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.w.Audits[provider], nil
}

func (c chain) Estimate(ctx context.Context, _ ...sdk.Msg) (client.Fee, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return client.Fee{}, err
	}
	defer leave()
	return client.Fee{Gas: 180_000, Amount: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, Fee))}, nil
}

func (c chain) Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	if c.w.BeforeSend != nil {
		if err := c.w.BeforeSend(msgs); err != nil {
			return nil, err
		}
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	c.w.nextBlock()
	for _, msg := range msgs {
		if err := c.w.apply(msg); err != nil {
			return nil, err
		}
	}
	c.w.Funds = c.w.Funds.SubRaw(Fee)
	if c.w.AfterSend != nil {
		if err := c.w.AfterSend(msgs); err != nil {
			return nil, err
		}
	}
	return &client.Result{Hash: fmt.Sprintf("%064X", c.w.height), Height: c.w.height, GasUsed: 150_000}, nil
}
