package app

import (
	"context"

	"github.com/spf13/cast"

	"github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"

	audittypes "berth.dev/berth/x/audit/types"
)

// Upgrade is a change of the chain's state that governance schedules by its name.
type Upgrade struct {
	// Name is the plan's name on chain.
	Name string
	// Stores are added, renamed or deleted at the upgrade's height.
	Stores storetypes.StoreUpgrades
	// Then, if set, runs after the modules' migrations.
	Then func(ctx sdk.Context, app *App) error
}

// Upgrades lists the upgrades that this program can carry out, oldest first. Each runs the migrations of the modules
// whose consensus version has grown.
var Upgrades = []Upgrade{
	// v2 completes the market: auditors, groups that pause, reclamation, pruning, grants and the take rate; and IBC. See
	// the modules' migrations.
	{Name: "v2", Stores: storetypes.StoreUpgrades{Added: []string{audittypes.StoreKey, ibcexported.StoreKey, transfertypes.StoreKey}}},
}

// setUpgrades registers the upgrades and, at the height of one, prepares its stores. An app without a home is not run,
// so that it has none to prepare.
func (app *App) setUpgrades(home string) {
	for _, u := range Upgrades {
		app.UpgradeKeeper.SetUpgradeHandler(u.Name, func(ctx context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
			to, err := app.manager.RunMigrations(ctx, app.configurator, from)
			if err == nil && u.Then != nil {
				err = u.Then(sdk.UnwrapSDKContext(ctx), app)
			}
			return to, err
		})
	}
	if home == "" || len(Upgrades) == 0 {
		return
	}
	plan, err := app.UpgradeKeeper.ReadUpgradeInfoFromDisk()
	must(err)
	for _, u := range Upgrades {
		if u.Name == plan.Name && !app.UpgradeKeeper.IsSkipHeight(plan.Height) {
			app.SetStoreLoader(upgradetypes.UpgradeStoreLoader(plan.Height, &u.Stores))
		}
	}
}

// upgradeSkips are the heights at which the operator wants no upgrade.
func upgradeSkips(opts servertypes.AppOptions) map[int64]bool {
	skips := map[int64]bool{}
	for _, height := range cast.ToIntSlice(opts.Get(server.FlagUnsafeSkipUpgrades)) {
		skips[int64(height)] = true
	}
	return skips
}
