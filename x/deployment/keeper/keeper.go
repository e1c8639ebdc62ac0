// Package keeper stores deployments and their groups.
package keeper

import (
	"context"
	"errors"

	errorsmod "cosmossdk.io/errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

// Keeper reads and writes deployments. It is told by the escrow of accounts that run dry (it implements the escrow's
// hooks) and tells the market (see types.DeploymentHooks).
type Keeper struct {
	schema    collections.Schema
	escrow    types.EscrowKeeper
	hooks     types.DeploymentHooks
	authority string

	params      collections.Item[types.Params]
	deployments collections.Map[types.DeploymentKey, types.Deployment]
	groups      collections.Map[types.GroupKey, types.Group]
	// pruneQueue holds the closed deployments by the height from which they may be removed.
	pruneQueue collections.KeySet[types.PruneKey]
	// floors holds the highest dseq of each owner that was pruned.
	floors collections.Map[sdk.AccAddress, uint64]
}

// NewKeeper returns a keeper over the module's store; authority is the address that may change parameters. It panics
// if the schema is inconsistent, which is a mistake in this package.
func NewKeeper(cdc codec.BinaryCodec, ss store.KVStoreService, escrow types.EscrowKeeper, authority string) *Keeper {
	sb := collections.NewSchemaBuilder(ss)
	k := &Keeper{
		escrow:    escrow,
		authority: authority,
		params:    collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		deployments: collections.NewMap(sb, types.DeploymentsPrefix, "deployments",
			collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key), codec.CollValue[types.Deployment](cdc)),
		groups: collections.NewMap(sb, types.GroupsPrefix, "groups",
			collections.TripleKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint32Key), codec.CollValue[types.Group](cdc)),
		pruneQueue: collections.NewKeySet(sb, types.PruneQueuePrefix, "prune_queue",
			collections.TripleKeyCodec(collections.Int64Key, sdk.AccAddressKey, collections.Uint64Key)),
		floors: collections.NewMap(sb, types.FloorsPrefix, "floors", sdk.AccAddressKey, collections.Uint64Value),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(errorsmod.Wrap(err, "build the deployment schema"))
	}
	k.schema = schema
	return k
}

// SetHooks names who is told of changes. The app calls it once; without it nobody is told.
func (k *Keeper) SetHooks(h types.DeploymentHooks) { k.hooks = h }

// Params returns the parameters.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) {
	p, err := k.params.Get(ctx)
	if err != nil {
		return types.Params{}, errorsmod.Wrap(err, "read the deployment parameters")
	}
	return p, nil
}

// Deployment returns a deployment, or ErrDeploymentNotFound.
func (k *Keeper) Deployment(ctx context.Context, id types.DeploymentID) (types.Deployment, error) {
	key, err := id.Key()
	if err != nil {
		return types.Deployment{}, types.ErrInvalidID.Wrap(err.Error())
	}
	d, err := k.deployments.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Deployment{}, types.ErrDeploymentNotFound.Wrap(id.String())
	}
	if err != nil {
		return types.Deployment{}, errorsmod.Wrapf(err, "read deployment %s", id)
	}
	return d, nil
}

// Group returns a group, or ErrGroupNotFound.
func (k *Keeper) Group(ctx context.Context, id types.GroupID) (types.Group, error) {
	key, err := id.Key()
	if err != nil {
		return types.Group{}, types.ErrInvalidID.Wrap(err.Error())
	}
	g, err := k.groups.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Group{}, types.ErrGroupNotFound.Wrap(id.String())
	}
	if err != nil {
		return types.Group{}, errorsmod.Wrapf(err, "read group %s", id)
	}
	return g, nil
}

// Groups returns the groups of a deployment in the order of gseq; none if it is unknown.
func (k *Keeper) Groups(ctx context.Context, id types.DeploymentID) ([]types.Group, error) {
	key, err := id.Key()
	if err != nil {
		return nil, types.ErrInvalidID.Wrap(err.Error())
	}
	var gs []types.Group
	rng := collections.NewSuperPrefixedTripleRange[sdk.AccAddress, uint64, uint32](key.K1(), key.K2())
	err = k.groups.Walk(ctx, rng, func(_ types.GroupKey, g types.Group) (bool, error) {
		gs = append(gs, g)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrapf(err, "read the groups of %s", id)
	}
	return gs, nil
}

func (k *Keeper) setDeployment(ctx context.Context, d types.Deployment) error {
	key, err := d.Id.Key()
	if err != nil {
		return err
	}
	if err := k.deployments.Set(ctx, key, d); err != nil {
		return errorsmod.Wrapf(err, "store deployment %s", d.Id)
	}
	return nil
}

func (k *Keeper) setGroup(ctx context.Context, g types.Group) error {
	key, err := g.Id.Key()
	if err != nil {
		return err
	}
	if err := k.groups.Set(ctx, key, g); err != nil {
		return errorsmod.Wrapf(err, "store group %s", g.Id)
	}
	return nil
}
