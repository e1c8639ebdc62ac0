package app

import (
	"encoding/json"
	"errors"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
)

// ErrZeroHeight refuses an export that would start over at height 0: leases, auctions and escrow count in heights, so a
// chain that is exported goes on at the next one.
var ErrZeroHeight = errors.New("a Berth chain cannot be exported for height 0, as what it has promised counts in heights; export without --for-zero-height and keep initial_height")

// ExportAppStateAndValidators reads the state of the loaded height as the genesis of a chain that goes on from it.
func (app *App) ExportAppStateAndValidators(forZeroHeight bool, _, modules []string) (servertypes.ExportedApp, error) {
	if forZeroHeight {
		return servertypes.ExportedApp{}, ErrZeroHeight
	}
	ctx := app.NewContextLegacy(true, exportHeader(app))
	state, err := app.ExportGenesis(ctx, modules...)
	if err != nil {
		return servertypes.ExportedApp{}, err
	}
	validators, err := staking.WriteValidators(ctx, app.StakingKeeper)
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("export the validators: %w", err)
	}
	return servertypes.ExportedApp{
		AppState:        state,
		Validators:      validators,
		Height:          app.LastBlockHeight() + 1,
		ConsensusParams: app.GetConsensusParams(ctx),
	}, nil
}

// ExportGenesis reads the state of a context as genesis JSON: all modules, or those named.
func (app *App) ExportGenesis(ctx sdk.Context, modules ...string) ([]byte, error) {
	genesis, err := app.manager.ExportGenesisForModules(ctx, app.encoding.Codec, modules)
	if err != nil {
		return nil, fmt.Errorf("export the modules' state: %w", err)
	}
	state, err := json.MarshalIndent(genesis, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the genesis: %w", err)
	}
	return state, nil
}

// exportHeader is the header of the loaded height, so that what is computed for the export is as of that height.
func exportHeader(app *App) cmtproto.Header { return cmtproto.Header{Height: app.LastBlockHeight()} }
