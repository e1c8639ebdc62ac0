package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer returns the query service over k.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Order returns an order with the number of its open bids, or the gRPC code NotFound.
func (q queryServer) Order(ctx context.Context, r *types.QueryOrderRequest) (*types.QueryOrderResponse, error) {
	if err := r.Id.Validate(); err != nil {
		return nil, invalid(err)
	}
	o, err := q.k.Order(ctx, r.Id)
	if err != nil {
		return nil, absent(err)
	}
	o, err = q.counted(ctx, o)
	return &types.QueryOrderResponse{Order: o}, err
}

func (q queryServer) counted(ctx context.Context, o types.Order) (types.Order, error) {
	if o.State != types.ORDER_STATE_OPEN {
		return o, nil
	}
	key, err := o.Id.Key()
	if err != nil {
		return o, err
	}
	o.OpenBids, err = q.k.CountOpenBids(ctx, key)
	return o, err
}

// Orders returns a page. Open orders of all owners come from an index, those of one owner from its keys; other states
// of all owners are filtered from all orders.
func (q queryServer) Orders(ctx context.Context, r *types.QueryOrdersRequest) (*types.QueryOrdersResponse, error) {
	f, err := readFilter(r.GetOwner(), r.GetDseq(), "")
	if err != nil {
		return nil, invalid(err)
	}
	var os []types.Order
	var page *query.PageResponse
	if f.owner == nil && r.State == types.ORDER_STATE_OPEN {
		os, page, err = query.CollectionPaginate(ctx, q.k.openOrders, r.Pagination,
			func(key types.OrderKey, _ collections.NoValue) (types.Order, error) {
				o, err := q.k.orders.Get(ctx, key)
				if err != nil {
					return o, err
				}
				return q.counted(ctx, o)
			})
	} else {
		os, page, err = query.CollectionFilteredPaginate(ctx, q.k.orders, r.Pagination,
			keepOrders(r.State),
			func(_ types.OrderKey, o types.Order) (types.Order, error) { return q.counted(ctx, o) },
			f.orderPrefix()...)
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryOrdersResponse{Orders: os, Pagination: page}, nil
}

// Bid returns a bid, or the gRPC code NotFound.
func (q queryServer) Bid(ctx context.Context, r *types.QueryBidRequest) (*types.QueryBidResponse, error) {
	if err := r.Id.Validate(); err != nil {
		return nil, invalid(err)
	}
	b, err := q.k.Bid(ctx, r.Id)
	if err != nil {
		return nil, absent(err)
	}
	return &types.QueryBidResponse{Bid: b}, nil
}

// Lease returns a lease with its payment, or the gRPC code NotFound.
func (q queryServer) Lease(ctx context.Context, r *types.QueryLeaseRequest) (*types.QueryLeaseResponse, error) {
	if err := r.Id.Validate(); err != nil {
		return nil, invalid(err)
	}
	l, err := q.k.Lease(ctx, r.Id)
	if err != nil {
		return nil, absent(err)
	}
	res, err := q.withPayment(ctx, l)
	return &res, err
}

// Leases returns a page of leases with their payments. With an owner they come from its keys, else with a provider from
// the index by provider and state; a state alone is filtered from all leases.
func (q queryServer) Leases(ctx context.Context, r *types.QueryLeasesRequest) (*types.QueryLeasesResponse, error) {
	f, err := readFilter(r.GetOwner(), r.GetDseq(), r.GetProvider())
	if err != nil {
		return nil, invalid(err)
	}
	var ls []types.QueryLeaseResponse
	var page *query.PageResponse
	if f.byProvider() {
		ls, page, err = query.CollectionPaginate(ctx, q.k.providerLeases, r.Pagination,
			func(key types.ProviderLeaseKey, _ collections.NoValue) (types.QueryLeaseResponse, error) {
				l, err := q.k.leases.Get(ctx, key.K3())
				if err != nil {
					return types.QueryLeaseResponse{}, err
				}
				return q.withPayment(ctx, l)
			}, f.leasePrefix(r.State))
	} else {
		ls, page, err = query.CollectionFilteredPaginate(ctx, q.k.leases, r.Pagination,
			keep(f, r.State, leaseState),
			func(_ types.BidKey, l types.Lease) (types.QueryLeaseResponse, error) { return q.withPayment(ctx, l) },
			f.bidPrefix()...)
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryLeasesResponse{Leases: ls, Pagination: page}, nil
}

func (q queryServer) withPayment(ctx context.Context, l types.Lease) (types.QueryLeaseResponse, error) {
	p, err := q.k.escrow.Payment(ctx, l.Id.PaymentID())
	return types.QueryLeaseResponse{Lease: l, Payment: p}, err
}

// ProviderRecord returns the counters of a provider; zeros for one that had no lease.
func (q queryServer) ProviderRecord(ctx context.Context, r *types.QueryProviderRecordRequest) (*types.QueryProviderRecordResponse, error) {
	provider, err := providertypes.ParseAddress("provider", r.GetProvider())
	if err != nil {
		return nil, invalid(err)
	}
	rec, err := q.k.Record(ctx, provider)
	return &types.QueryProviderRecordResponse{Record: rec}, err
}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := q.k.Params(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func invalid(err error) error { return status.Error(codes.InvalidArgument, err.Error()) }

func absent(err error) error {
	for _, e := range []error{types.ErrOrderNotFound, types.ErrBidNotFound, types.ErrLeaseNotFound} {
		if errors.Is(err, e) {
			return status.Error(codes.NotFound, err.Error())
		}
	}
	return err
}

// filter is what a list is narrowed to; nil and 0 mean all.
type filter struct {
	owner    sdk.AccAddress
	dseq     uint64
	provider sdk.AccAddress
}

func readFilter(owner string, dseq uint64, provider string) (filter, error) {
	f := filter{dseq: dseq}
	var err error
	if owner != "" {
		if f.owner, err = providertypes.ParseAddress("owner", owner); err != nil {
			return filter{}, err
		}
	}
	if provider != "" {
		if f.provider, err = providertypes.ParseAddress("provider", provider); err != nil {
			return filter{}, err
		}
	}
	if f.owner == nil && dseq != 0 {
		return filter{}, types.ErrInvalidID.Wrap("a dseq needs an owner: each owner chooses its own")
	}
	return f, nil
}

// byProvider says whether the index by provider is the way to read.
func (f filter) byProvider() bool { return f.owner == nil && f.provider != nil }

func (f filter) orderPrefix() []func(*query.CollectionsPaginateOptions[types.OrderKey]) {
	var p types.OrderKey
	switch {
	case f.owner == nil:
		return nil
	case f.dseq == 0:
		p = collections.TriplePrefix[sdk.AccAddress, uint64, uint64](f.owner)
	default:
		p = collections.TripleSuperPrefix[sdk.AccAddress, uint64, uint64](f.owner, f.dseq)
	}
	return []func(*query.CollectionsPaginateOptions[types.OrderKey]){prefixed(p)}
}

func (f filter) bidPrefix() []func(*query.CollectionsPaginateOptions[types.BidKey]) {
	var p types.BidKey
	switch {
	case f.owner == nil:
		return nil
	case f.dseq == 0:
		p = collections.QuadPrefix[sdk.AccAddress, uint64, uint64, sdk.AccAddress](f.owner)
	default:
		p = collections.QuadSuperPrefix[sdk.AccAddress, uint64, uint64, sdk.AccAddress](f.owner, f.dseq)
	}
	return []func(*query.CollectionsPaginateOptions[types.BidKey]){prefixed(p)}
}

func (f filter) leasePrefix(state types.LeaseState) func(*query.CollectionsPaginateOptions[types.ProviderLeaseKey]) {
	if state == types.LEASE_STATE_UNSPECIFIED {
		return prefixed(collections.TriplePrefix[sdk.AccAddress, int32, types.BidKey](f.provider))
	}
	return prefixed(collections.TripleSuperPrefix[sdk.AccAddress, int32, types.BidKey](f.provider, int32(state)))
}

func prefixed[K any](p K) func(*query.CollectionsPaginateOptions[K]) {
	return func(o *query.CollectionsPaginateOptions[K]) { o.Prefix = &p }
}

// keep narrows bids or leases to a provider and a state; nil lets all through.
func keep[V any, S ~int32](f filter, state S, of func(V) S) func(types.BidKey, V) (bool, error) {
	if f.provider == nil && state == 0 {
		return nil
	}
	return func(k types.BidKey, v V) (bool, error) {
		return (f.provider == nil || f.provider.Equals(k.K4())) && (state == 0 || of(v) == state), nil
	}
}

func bidState(b types.Bid) types.BidState { return b.State }

func leaseState(l types.Lease) types.LeaseState { return l.State }

func keepOrders(state types.OrderState) func(types.OrderKey, types.Order) (bool, error) {
	if state == types.ORDER_STATE_UNSPECIFIED {
		return nil
	}
	return func(_ types.OrderKey, o types.Order) (bool, error) { return o.State == state, nil }
}
