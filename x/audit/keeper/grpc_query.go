package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer returns the query service over k.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Record returns what one auditor vouches for of one provider, or the gRPC code NotFound.
func (q queryServer) Record(ctx context.Context, r *types.QueryRecordRequest) (*types.QueryRecordResponse, error) {
	provider, auditor, err := parties(r.GetProvider(), r.GetAuditor())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	rec, err := q.k.Record(ctx, provider, auditor)
	if errors.Is(err, types.ErrRecordNotFound) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryRecordResponse{Record: rec}, nil
}

// Records returns a page of records: those on a provider in the order of auditors, those of an auditor in the order of
// providers, the one of both, or all in the order of provider and auditor.
func (q queryServer) Records(ctx context.Context, r *types.QueryRecordsRequest) (*types.QueryRecordsResponse, error) {
	provider, err := optional("provider", r.GetProvider())
	if err != nil {
		return nil, err
	}
	auditor, err := optional("auditor", r.GetAuditor())
	if err != nil {
		return nil, err
	}
	switch {
	case provider != nil && auditor != nil:
		return q.one(ctx, provider, auditor)
	case auditor != nil:
		return q.ofAuditor(ctx, auditor, r.GetPagination())
	}
	return q.ofProvider(ctx, provider, r.GetPagination())
}

func (q queryServer) one(ctx context.Context, provider, auditor sdk.AccAddress) (*types.QueryRecordsResponse, error) {
	res := &types.QueryRecordsResponse{Pagination: &query.PageResponse{}}
	rec, err := q.k.Record(ctx, provider, auditor)
	if errors.Is(err, types.ErrRecordNotFound) {
		return res, nil
	}
	res.Records = []types.SignedAttributes{rec}
	return res, err
}

// ofProvider reads by prefix; no provider means all records.
func (q queryServer) ofProvider(ctx context.Context, provider sdk.AccAddress, page *query.PageRequest) (*types.QueryRecordsResponse, error) {
	var opts []func(*query.CollectionsPaginateOptions[types.RecordKey])
	if provider != nil {
		opts = append(opts, query.WithCollectionPaginationPairPrefix[sdk.AccAddress, sdk.AccAddress](provider))
	}
	recs, next, err := query.CollectionPaginate(ctx, q.k.records, page,
		func(_ types.RecordKey, rec types.SignedAttributes) (types.SignedAttributes, error) { return rec, nil }, opts...)
	if err != nil {
		return nil, err
	}
	return &types.QueryRecordsResponse{Records: recs, Pagination: next}, nil
}

// ofAuditor reads by the index.
func (q queryServer) ofAuditor(ctx context.Context, auditor sdk.AccAddress, page *query.PageRequest) (*types.QueryRecordsResponse, error) {
	recs, next, err := query.CollectionPaginate(ctx, q.k.auditors, page,
		func(key types.RecordKey, _ collections.NoValue) (types.SignedAttributes, error) {
			return q.k.Record(ctx, key.K2(), key.K1())
		}, query.WithCollectionPaginationPairPrefix[sdk.AccAddress, sdk.AccAddress](auditor))
	if err != nil {
		return nil, err
	}
	return &types.QueryRecordsResponse{Records: recs, Pagination: next}, nil
}

// optional reads an address that may be left out.
func optional(field, s string) (sdk.AccAddress, error) {
	if s == "" {
		return nil, nil
	}
	addr, err := providertypes.ParseAddress(field, s)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return addr, nil
}
