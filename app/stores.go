package app

import (
	"maps"
	"slices"

	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"

	corestore "cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// stores are the keys of the modules' stores.
type stores struct {
	kv map[string]*storetypes.KVStoreKey
	// object holds what lives for one block only: the virtual sends that bank adds up at its end.
	object map[string]*storetypes.ObjectStoreKey
}

// rehearsedStores are those that a rehearsed upgrade adds; see upgrades_rehearsal.go.
var rehearsedStores []string

func newStores() stores {
	return stores{
		kv: storetypes.NewKVStoreKeys(append([]string{
			authtypes.StoreKey, banktypes.StoreKey, stakingtypes.StoreKey, minttypes.StoreKey, distrtypes.StoreKey,
			slashingtypes.StoreKey, govtypes.StoreKey, consensustypes.StoreKey, upgradetypes.StoreKey, feegrant.StoreKey,
			evidencetypes.StoreKey, authzkeeper.StoreKey, ibcexported.StoreKey, transfertypes.StoreKey,
			providertypes.StoreKey, audittypes.StoreKey, escrowtypes.StoreKey, deploymenttypes.StoreKey, markettypes.StoreKey,
		}, rehearsedStores...)...),
		object: storetypes.NewObjectStoreKeys(banktypes.ObjectStoreKey),
	}
}

// all lists every key in the order of their names: the parallel executor must know each store.
func (s stores) all() []storetypes.StoreKey {
	var keys []storetypes.StoreKey
	for _, name := range slices.Sorted(maps.Keys(s.object)) {
		keys = append(keys, s.object[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.kv)) {
		keys = append(keys, s.kv[name])
	}
	return keys
}

// service is the store of a module as its keeper sees it.
func (s stores) service(name string) corestore.KVStoreService {
	return runtime.NewKVStoreService(s.kv[name])
}
