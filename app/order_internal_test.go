package app

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

// TestEndBlockOrder holds what the modules rely on: whoever may deposit comes before bank, whoever pays out before
// escrow.
func TestEndBlockOrder(t *testing.T) {
	at := func(name string) int { return slices.Index(endBlockers, name) }
	require.Less(t, at(govtypes.ModuleName), at(banktypes.ModuleName))
	require.Less(t, at(banktypes.ModuleName), at(deploymenttypes.ModuleName))
	require.Less(t, at(deploymenttypes.ModuleName), at(markettypes.ModuleName))
	require.Less(t, at(markettypes.ModuleName), at(escrowtypes.ModuleName))
	require.Equal(t, len(endBlockers)-1, at(escrowtypes.ModuleName))
}

// TestEscrowMayNotMint: the pool's account has no permission on the supply.
func TestEscrowMayNotMint(t *testing.T) {
	require.Empty(t, moduleAccounts[escrowtypes.ModuleName])
	require.True(t, blockedAddresses()[authtypes.NewModuleAddress(escrowtypes.ModuleName).String()])
}
