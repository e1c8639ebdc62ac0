package keeper

import (
	"context"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/market/types"
)

// Bids returns a page. Open and active bids come from the live ones, lost and closed ones from those that have ended;
// without a state both are listed, live ones first. Of a provider without an owner only live bids can be listed, as only
// they have an index.
func (q queryServer) Bids(ctx context.Context, r *types.QueryBidsRequest) (*types.QueryBidsResponse, error) {
	f, err := readFilter(r.GetOwner(), r.GetDseq(), r.GetProvider())
	if err != nil {
		return nil, invalid(err)
	}
	state := r.GetState()
	var bs []types.Bid
	var page *query.PageResponse
	switch {
	case f.byProvider() && (types.LiveBid(state) || state == types.BID_STATE_UNSPECIFIED):
		bs, page, err = q.providerBids(ctx, f.provider, state, r.Pagination)
	case f.byProvider():
		return nil, invalid(types.ErrInvalidID.Wrap("lost and closed bids are kept by owner: name one"))
	case state == types.BID_STATE_UNSPECIFIED:
		bs, page, err = q.allBids(ctx, f, r.Pagination)
	case types.LiveBid(state):
		bs, page, err = listBids(ctx, q.k.liveBids, f, state, r.Pagination)
	default:
		bs, page, err = listBids(ctx, q.k.endedBids, f, state, r.Pagination)
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryBidsResponse{Bids: bs, Pagination: page}, nil
}

// providerBids reads the index of live bids by provider.
func (q queryServer) providerBids(ctx context.Context, provider sdk.AccAddress, state types.BidState, page *query.PageRequest) ([]types.Bid, *query.PageResponse, error) {
	read := func(key types.ProviderBidKey, _ collections.NoValue) (types.Bid, error) {
		return q.k.liveBids.Get(ctx, types.BidKeyOf(key.K2(), key.K1()))
	}
	var only func(types.ProviderBidKey, collections.NoValue) (bool, error)
	if state != types.BID_STATE_UNSPECIFIED {
		only = func(key types.ProviderBidKey, none collections.NoValue) (bool, error) {
			b, err := read(key, none)
			return b.State == state, err
		}
	}
	return query.CollectionFilteredPaginate(ctx, q.k.providerBids, page, only, read,
		prefixed(collections.PairPrefix[sdk.AccAddress, types.OrderKey](provider)))
}

// listBids reads one of the two maps of bids.
func listBids(ctx context.Context, bids collections.Map[types.BidKey, types.Bid], f filter, state types.BidState, page *query.PageRequest) ([]types.Bid, *query.PageResponse, error) {
	return query.CollectionFilteredPaginate(ctx, bids, page, keep(f, state, bidState),
		func(_ types.BidKey, b types.Bid) (types.Bid, error) { return b, nil }, f.bidPrefix()...)
}

// allBids reads both maps as one list. The first byte of its page keys says in which of them the page begins. It does not
// count the whole.
func (q queryServer) allBids(ctx context.Context, f filter, page *query.PageRequest) ([]types.Bid, *query.PageResponse, error) {
	req := query.PageRequest{}
	if page != nil {
		req = *page
	}
	if req.Limit == 0 {
		req.Limit = query.DefaultLimit
	}
	maps := []collections.Map[types.BidKey, types.Bid]{q.k.liveBids, q.k.endedBids}
	at := 0
	if len(req.Key) > 0 {
		if at = int(req.Key[0]); at >= len(maps) {
			return nil, nil, invalid(types.ErrInvalidID.Wrap("the page key is not one of this query"))
		}
		req.Key = req.Key[1:]
	}
	var all []types.Bid
	res := &query.PageResponse{}
	for ; at < len(maps) && res.NextKey == nil; at++ {
		if req.Limit == 0 {
			res.NextKey = []byte{byte(at)}
			break
		}
		part := req
		part.CountTotal = req.Offset > 0
		bs, r, err := listBids(ctx, maps[at], f, types.BID_STATE_UNSPECIFIED, &part)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, bs...)
		if len(r.NextKey) > 0 {
			res.NextKey = append([]byte{byte(at)}, r.NextKey...)
		}
		req.Key, req.Limit, req.Offset = nil, req.Limit-uint64(len(bs)), req.Offset-min(req.Offset, r.Total)
	}
	return all, res, nil
}
