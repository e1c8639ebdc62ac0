// Package types holds the deployment module's records, messages, limits and errors.
package types

import (
	errorsmod "cosmossdk.io/errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	escrowtypes "berth.dev/berth/x/escrow/types"
)

const (
	// ModuleName names the module in routes, genesis and errors.
	ModuleName = "deployment"
	// StoreKey names the module's store.
	StoreKey = ModuleName
	// EscrowScope is the scope of the deployments' escrow accounts.
	EscrowScope = "deployment"
)

// The prefixes of the module's keys.
var (
	// ParamsPrefix holds Params.
	ParamsPrefix = collections.NewPrefix(1)
	// DeploymentsPrefix: (owner, dseq) -> Deployment.
	DeploymentsPrefix = collections.NewPrefix(2)
	// GroupsPrefix: (owner, dseq, gseq) -> Group.
	GroupsPrefix = collections.NewPrefix(3)
	// PruneQueuePrefix: (prune_at, owner, dseq), the closed deployments in the order in which they leave the state.
	PruneQueuePrefix = collections.NewPrefix(4)
	// FloorsPrefix: owner -> the highest dseq of the owner that was pruned.
	FloorsPrefix = collections.NewPrefix(5)
)

type (
	// DeploymentKey is the stored form of a DeploymentID.
	DeploymentKey = collections.Pair[sdk.AccAddress, uint64]
	// GroupKey is the stored form of a GroupID.
	GroupKey = collections.Triple[sdk.AccAddress, uint64, uint32]
	// PruneKey is an entry of the prune queue: prune_at, owner, dseq.
	PruneKey = collections.Triple[int64, sdk.AccAddress, uint64]
)

// Key is the stored form of the id. It fails if the owner is not an address.
func (id DeploymentID) Key() (DeploymentKey, error) {
	owner, err := sdk.AccAddressFromBech32(id.Owner)
	if err != nil {
		return DeploymentKey{}, errorsmod.Wrapf(err, "owner %q", id.Owner)
	}
	return collections.Join(owner, id.Dseq), nil
}

// Key is the stored form of the id. It fails if the owner is not an address.
func (id GroupID) Key() (GroupKey, error) {
	owner, err := sdk.AccAddressFromBech32(id.Owner)
	if err != nil {
		return GroupKey{}, errorsmod.Wrapf(err, "owner %q", id.Owner)
	}
	return collections.Join3(owner, id.Dseq, id.Gseq), nil
}

// EscrowID is the escrow account that pays for the deployment.
func (id DeploymentID) EscrowID() escrowtypes.AccountID {
	return escrowtypes.AccountID{Scope: EscrowScope, Xid: id.String()}
}
