package app_test

import (
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"

	"berth.dev/berth/app"
)

// roundTrip exports the state, imports it into a new app and exports that before its first block: the bytes are the
// same. It returns the imported chain, which goes on after its first block.
func (s *stage) roundTrip() *stage {
	s.t.Helper()
	first, err := s.App.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(s.t, err)
	cp := first.ConsensusParams
	again := app.New(log.NewNopLogger(), dbm.NewMemDB(), true, options{}, baseapp.SetChainID(s.ChainID))
	_, err = again.InitChain(&abci.RequestInitChain{
		ChainId: s.ChainID, Time: s.Now, InitialHeight: first.Height, AppStateBytes: first.AppState, ConsensusParams: &cp,
	})
	require.NoError(s.t, err)
	ctx := again.NewContextLegacy(false, header(first.Height)).WithBlockTime(s.Now)
	require.Empty(s.t, again.Invariants(ctx))
	second, err := again.ExportGenesis(ctx)
	require.NoError(s.t, err)
	requireSameModules(s.t, first.AppState, second)
	require.NoError(s.t, again.Close())

	imported := &stage{t: s.t, dseq: s.dseq, Chain: s.Import(s.t, first.AppState, first.Height, cp)}
	return imported
}
