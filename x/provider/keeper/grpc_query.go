package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/provider/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer returns the query service over k.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Provider returns one record, or the gRPC code NotFound.
func (q queryServer) Provider(ctx context.Context, r *types.QueryProviderRequest) (*types.QueryProviderResponse, error) {
	owner, err := types.ParseAddress("owner", r.GetOwner())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p, err := q.k.Provider(ctx, owner)
	if errors.Is(err, types.ErrProviderNotFound) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryProviderResponse{Provider: p}, nil
}

// Providers returns a page of records in the order of their owners' addresses.
func (q queryServer) Providers(ctx context.Context, r *types.QueryProvidersRequest) (*types.QueryProvidersResponse, error) {
	ps, page, err := query.CollectionPaginate(ctx, q.k.providers, r.GetPagination(),
		func(_ sdk.AccAddress, p types.Provider) (types.Provider, error) { return p, nil })
	if err != nil {
		return nil, err
	}
	return &types.QueryProvidersResponse{Providers: ps, Pagination: page}, nil
}

// GatewayKey returns the gateway key of an owner, or the gRPC code NotFound.
func (q queryServer) GatewayKey(ctx context.Context, r *types.QueryGatewayKeyRequest) (*types.QueryGatewayKeyResponse, error) {
	owner, err := types.ParseAddress("owner", r.GetOwner())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	key, err := q.k.GatewayKey(ctx, owner)
	if errors.Is(err, types.ErrNoGatewayKey) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	return &types.QueryGatewayKeyResponse{GatewayKey: key}, nil
}
