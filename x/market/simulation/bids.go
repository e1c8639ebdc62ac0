package simulation

import (
	"context"
	"math/rand"
	"slices"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/simstate"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// maxItems is the most items of a simulated batch.
const maxItems = 6

// MsgCreateBidsFactory bids for a random provider on several orders, most of which it can serve.
func (m Module) MsgCreateBidsFactory() simsx.SimMsgFactoryFn[*types.MsgCreateBids] {
	return forProvider(m, m.bids)
}

// MsgCloseBidsFactory withdraws open bids of a random provider.
func (m Module) MsgCloseBidsFactory() simsx.SimMsgFactoryFn[*types.MsgCloseBids] {
	return forProvider(m, m.closing)
}

// forProvider makes a factory of what makes a message for one provider.
func forProvider[T any, M interface {
	*T
	sdk.Msg
}](m Module, make func(context.Context, *rand.Rand, string) M) simsx.SimMsgFactoryFn[M] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, M) {
		r := data.Rand().Rand
		all := m.providers.Providers(ctx)
		if len(all) == 0 {
			reporter.Skip("no provider")
			return nil, nil
		}
		start := r.Intn(len(all))
		for i := range all {
			provider := all[(start+i)%len(all)].Owner
			msg := make(ctx, r, provider)
			if msg == nil {
				continue
			}
			account := data.GetAccount(reporter, provider)
			if reporter.IsSkipped() {
				return nil, nil
			}
			return []simsx.SimAccount{account}, msg
		}
		reporter.Skip("nothing to do for any provider")
		return nil, nil
	}
}

// bids are a provider's on open orders that it has not bid on; nil if there is none.
func (m Module) bids(ctx context.Context, r *rand.Rand, provider string) *types.MsgCreateBids {
	p, ok := m.providers.Provider(ctx, provider)
	if !ok {
		return nil
	}
	msg := &types.MsgCreateBids{Provider: provider}
	orders := m.state.Get(ctx).Orders
	want := int(simstate.Between(r, 1, maxItems))
	start := r.Intn(len(orders) + 1)
	for i := range orders {
		o := orders[(start+i)%len(orders)]
		if len(msg.Bids) == want {
			break
		}
		if o.State != types.ORDER_STATE_OPEN || !m.serves(ctx, o, p) && !simstate.Chance(r, 2) {
			continue
		}
		if m.taken.Take(ctx, r, "bid/"+o.Id.BidID(provider).String()) {
			msg.Bids = append(msg.Bids, m.bid(ctx, r, o))
		}
	}
	if len(msg.Bids) == 0 {
		return nil
	}
	return msg
}

// serves says whether the chain would take a bid of the provider, as far as its records tell.
func (m Module) serves(ctx context.Context, o types.Order, p providertypes.Provider) bool {
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if o.Id.Owner == p.Owner || o.Excluded == p.Owner && height < o.ExcludedUntil {
		return false
	}
	req := o.Spec.Requirements
	if !providertypes.MatchAttributes(req.Attributes, p.Attributes) {
		return false
	}
	if ended(o, height) && m.waiting.Get(ctx)[o.Id] > 0 {
		return false
	}
	auditors := m.audits.Auditors(ctx, p.Owner)
	if any := req.SignedBy.AnyOf; len(any) > 0 && !slices.ContainsFunc(any, func(a string) bool { return slices.Contains(auditors, a) }) {
		return false
	}
	for _, a := range req.SignedBy.AllOf {
		if !slices.Contains(auditors, a) {
			return false
		}
	}
	return !slices.ContainsFunc(m.openBids(ctx, p.Owner), func(b types.Bid) bool { return b.Id.OrderID() == o.Id })
}

// ended says whether the window of an auction has ended.
func ended(o types.Order, height int64) bool {
	return o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST && height >= o.CreatedAt+int64(o.Auction.Window)
}

// bid is one on an order: somewhere below its price, often for ever, with the notice that the order asks for.
func (m Module) bid(ctx context.Context, r *rand.Rand, o types.Order) types.BidItem {
	limit := o.Spec.Price()
	item := types.BidItem{
		OrderId: o.Id,
		Price:   sdk.NewDecCoinFromDec(limit.Denom, math.LegacyMaxDec(limit.Amount.MulInt64(simstate.Between(r, 20, 100)).QuoInt64(100), math.LegacySmallestDec())),
		Deposit: sdk.NewInt64Coin(simstate.Denoms()[r.Intn(2)], simstate.Between(r, minBidDeposit, 2*minBidDeposit)),
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if simstate.Chance(r, 30) {
		item.ValidUntil = height + simstate.Between(r, 2, 30)
		if o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST {
			item.ValidUntil = max(item.ValidUntil, o.CreatedAt+int64(o.Auction.Window))
		}
	}
	if simstate.Chance(r, 30) {
		for _, u := range o.Spec.Units {
			item.Offer = append(item.Offer, types.ResourceOffer{Unit: u})
		}
	}
	low, high := m.Notice(ctx)
	if asked := o.Reclamation.MinWindowSeconds; asked > 0 || simstate.Chance(r, 30) {
		low = max(low, asked)
		item.ReclaimWindowSeconds = uint32(simstate.Between(r, int64(low), int64(max(low, high))))
	}
	return item
}

// closing withdraws open bids of a provider; nil if there is none.
func (m Module) closing(ctx context.Context, r *rand.Rand, provider string) *types.MsgCloseBids {
	msg := &types.MsgCloseBids{Provider: provider}
	want := int(simstate.Between(r, 1, maxItems))
	for _, b := range m.openBids(ctx, provider) {
		o := m.byOrder.Get(ctx)[b.Id.OrderID()]
		// An auction's bids stand until it is decided.
		stands := o.State == types.ORDER_STATE_OPEN && o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST
		if len(msg.OrderIds) < want && simstate.Chance(r, 40) && (!stands || simstate.Chance(r, 3)) && m.taken.Take(ctx, r, "bid/"+b.Id.String()) {
			msg.OrderIds = append(msg.OrderIds, b.Id.OrderID())
		}
	}
	if len(msg.OrderIds) == 0 {
		return nil
	}
	return msg
}

// openBids are a provider's.
func (m Module) openBids(ctx context.Context, provider string) []types.Bid {
	return m.bidsOf.Get(ctx)[provider]
}
