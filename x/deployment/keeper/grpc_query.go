package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer returns the query service over k.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Deployment returns a deployment with its groups, or the gRPC code NotFound.
func (q queryServer) Deployment(ctx context.Context, r *types.QueryDeploymentRequest) (*types.QueryDeploymentResponse, error) {
	id := types.DeploymentID{Owner: r.GetOwner(), Dseq: r.GetDseq()}
	if err := id.Validate(); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	d, err := q.k.Deployment(ctx, id)
	if errors.Is(err, types.ErrDeploymentNotFound) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	res, err := q.withGroups(ctx, d)
	return &res, err
}

// Deployments returns a page in the order of owner and dseq. With an owner only that owner's are read; a state alone
// is filtered from all.
func (q queryServer) Deployments(ctx context.Context, r *types.QueryDeploymentsRequest) (*types.QueryDeploymentsResponse, error) {
	var opts []func(*query.CollectionsPaginateOptions[types.DeploymentKey])
	if r.GetOwner() != "" {
		owner, err := providertypes.ParseAddress("owner", r.GetOwner())
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		opts = append(opts, query.WithCollectionPaginationPairPrefix[sdk.AccAddress, uint64](owner))
	}
	var keep func(types.DeploymentKey, types.Deployment) (bool, error)
	if s := r.GetState(); s != types.DEPLOYMENT_STATE_UNSPECIFIED {
		keep = func(_ types.DeploymentKey, d types.Deployment) (bool, error) { return d.State == s, nil }
	}
	ds, page, err := query.CollectionFilteredPaginate(ctx, q.k.deployments, r.GetPagination(), keep,
		func(_ types.DeploymentKey, d types.Deployment) (types.QueryDeploymentResponse, error) {
			return q.withGroups(ctx, d)
		}, opts...)
	if err != nil {
		return nil, err
	}
	return &types.QueryDeploymentsResponse{Deployments: ds, Pagination: page}, nil
}

// Params returns the parameters.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := q.k.Params(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (q queryServer) withGroups(ctx context.Context, d types.Deployment) (types.QueryDeploymentResponse, error) {
	gs, err := q.k.Groups(ctx, d.Id)
	return types.QueryDeploymentResponse{Deployment: d, Groups: gs}, err
}

// PruneFloor returns an owner's prune floor; 0 when nothing of it was pruned.
func (q queryServer) PruneFloor(ctx context.Context, r *types.QueryPruneFloorRequest) (*types.QueryPruneFloorResponse, error) {
	owner, err := providertypes.ParseAddress("owner", r.GetOwner())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	floor, err := q.k.PruneFloor(ctx, owner)
	return &types.QueryPruneFloorResponse{Dseq: floor}, err
}
