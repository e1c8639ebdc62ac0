//go:build upgraderehearsal

package app

import (
	"encoding/binary"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// The upgrade that network tests rehearse. It is in no release: it adds a store, and writes there at which height it
// ran, so that both can be seen from outside.
const (
	rehearsal      = "rehearsal"
	rehearsalStore = "rehearsal"
)

func init() {
	rehearsedStores = append(rehearsedStores, rehearsalStore)
	Upgrades = append(Upgrades, Upgrade{
		Name:   rehearsal,
		Stores: storetypes.StoreUpgrades{Added: []string{rehearsalStore}},
		Then: func(ctx sdk.Context, app *App) error {
			ctx.KVStore(app.stores.kv[rehearsalStore]).Set([]byte("height"), binary.BigEndian.AppendUint64(nil, uint64(ctx.BlockHeight())))
			return nil
		},
	})
}
