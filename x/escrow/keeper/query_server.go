package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/escrow/types"
)

// maxPage is the most records that one page of a query returns.
const maxPage = 500

type queryServer struct{ keeper *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Account returns an account with all its payments, settled up to the height of the query.
func (q queryServer) Account(ctx context.Context, req *types.QueryAccountRequest) (*types.QueryAccountResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	id := types.AccountID{Scope: req.Scope, Xid: req.Xid}
	s, err := q.keeper.load(ctx, id)
	if err != nil {
		return nil, asStatus(err)
	}
	s.settle(height(ctx))
	payments, err := q.paymentsOf(ctx, s)
	if err != nil {
		return nil, asStatus(err)
	}
	s.schedule()
	book := s.book()
	left := book.Left()
	if s.account.State == types.ACCOUNT_STATE_CLOSED {
		left = left.Sub(s.account.Refunded.ToLegacyDec())
	}
	fundedUntil, _ := book.DryHeight()
	return &types.QueryAccountResponse{
		Account:     s.account,
		Payments:    payments,
		Spendable:   sdk.NewDecCoinFromDec(s.account.Denom, left),
		FundedUntil: fundedUntil,
		Height:      height(ctx),
	}, nil
}

// paymentsOf lists the payments of a settled sheet: the live ones as settled, the closed ones as stored.
func (q queryServer) paymentsOf(ctx context.Context, s *sheet) ([]types.Payment, error) {
	var payments []types.Payment
	prefix := collections.NewSuperPrefixedTripleRange[string, string, string](s.account.Id.Scope, s.account.Id.Xid)
	err := q.keeper.payments.Walk(ctx, prefix, func(key paymentKey, p types.Payment) (bool, error) {
		if i := s.find(key.K3()); i >= 0 {
			p = s.live[i]
		}
		payments = append(payments, p)
		return false, nil
	})
	return payments, err
}

// Accounts lists accounts as they are stored: those that nothing has touched lately show an earlier settled height.
func (q queryServer) Accounts(ctx context.Context, req *types.QueryAccountsRequest) (*types.QueryAccountsResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	accounts, page, err := query.CollectionFilteredPaginate(ctx, q.keeper.accounts, limitPage(req.Pagination),
		func(_ accountKey, a types.Account) (bool, error) {
			return req.State == types.ACCOUNT_STATE_UNSPECIFIED || a.State == req.State, nil
		},
		func(_ accountKey, a types.Account) (types.Account, error) { return a, nil },
	)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &types.QueryAccountsResponse{Accounts: accounts, Pagination: page}, nil
}

// Payments lists payments as they are stored, those of one account if both parts of its id are given.
func (q queryServer) Payments(ctx context.Context, req *types.QueryPaymentsRequest) (*types.QueryPaymentsResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	if (req.Scope == "") != (req.Xid == "") {
		return nil, status.Error(codes.InvalidArgument, "scope and xid name an account together: give both or neither")
	}
	payments, page, err := query.CollectionFilteredPaginate(ctx, q.keeper.payments, limitPage(req.Pagination),
		func(_ paymentKey, p types.Payment) (bool, error) {
			return req.State == types.PAYMENT_STATE_UNSPECIFIED || p.State == req.State, nil
		},
		func(_ paymentKey, p types.Payment) (types.Payment, error) { return p, nil },
		func(o *query.CollectionsPaginateOptions[paymentKey]) {
			if req.Xid == "" {
				return
			}
			prefix := collections.TripleSuperPrefix[string, string, string](req.Scope, req.Xid)
			o.Prefix = &prefix
		},
	)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &types.QueryPaymentsResponse{Payments: payments, Pagination: page}, nil
}

// Invariants checks the invariants of the escrow, and of the whole chain where the app has added them.
func (q queryServer) Invariants(ctx context.Context, _ *types.QueryInvariantsRequest) (*types.QueryInvariantsResponse, error) {
	if q.keeper.invariants != nil {
		return &types.QueryInvariantsResponse{Broken: q.keeper.invariants(ctx)}, nil
	}
	return &types.QueryInvariantsResponse{Broken: q.keeper.Invariants(ctx)}, nil
}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	params, err := q.keeper.GetParams(ctx)
	if err != nil {
		return nil, asStatus(err)
	}
	return &types.QueryParamsResponse{Params: params}, nil
}

var errEmptyRequest = status.Error(codes.InvalidArgument, "empty request")

// asStatus gives an error the gRPC code that tells "there is none" from "it could not be read".
func asStatus(err error) error {
	if errors.Is(err, types.ErrAccountNotFound) {
		return status.Error(codes.NotFound, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// limitPage bounds the page that was asked for.
func limitPage(req *query.PageRequest) *query.PageRequest {
	if req == nil {
		return nil
	}
	limited := *req
	limited.Limit = min(limited.Limit, maxPage)
	return &limited
}
