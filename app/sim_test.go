package app_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/server/config"

	"berth.dev/berth/app"
	markettypes "berth.dev/berth/x/market/types"
)

var (
	simOps     = flag.Int("sim.ops", 2_000, "transactions that each seed of the simulation delivers")
	simSeeds   = flag.Int("sim.seeds", 1, "seeds of the simulation")
	simFirst   = flag.Int64("sim.first", 1, "the first seed of the simulation; the others follow it")
	simWithout = flag.String("sim.without", "", "names of weights, separated by commas, of messages that are left out")
)

// seeds runs a test for each seed, some at a time.
func seeds(t *testing.T, name string, run func(t *testing.T, seed int64)) {
	t.Run(name, func(t *testing.T) {
		for i := range *simSeeds {
			seed := *simFirst + int64(i)
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				run(t, seed)
			})
		}
	})
}

// TestSimulation runs random markets. Every invariant holds after every block, every refusal has a registered code, and
// every kind of message is accepted often enough for the run to mean something. The counts are printed with -v.
func TestSimulation(t *testing.T) {
	total, mu := newSimReport(), sync.Mutex{}
	seeds(t, "seeds", func(t *testing.T, seed int64) {
		s := newSimulation(t, simSetup{seed: seed})
		s.run(*simOps)
		mu.Lock()
		defer mu.Unlock()
		total.merge(s.report)
	})
	if testing.Verbose() {
		fmt.Printf("seeds %d to %d: %s\n", *simFirst, *simFirst+int64(*simSeeds)-1, total)
	}
	if !t.Failed() && *simWithout == "" {
		for _, lack := range total.lacks() {
			t.Error(lack)
		}
	}
}

// TestSimulationDeterminism: a seed gives the same blocks and the same state each time, however many processors and
// however much memory the machine has.
func TestSimulationDeterminism(t *testing.T) {
	ops := min(*simOps, 20_000) / 4
	var first []string
	for i, procs := range []int{1, 2, 8} {
		before, gc := runtime.GOMAXPROCS(procs), debug.SetGCPercent([]int{20, 100, 400}[i])
		_, hashes := newSimulation(t, simSetup{seed: *simFirst + 100}).run(ops)
		runtime.GOMAXPROCS(before)
		debug.SetGCPercent(gc)
		if first == nil {
			first = hashes
		}
		require.Equal(t, first, hashes, "GOMAXPROCS=%d", procs)
	}
}

// TestSimulationExecutors: the parallel executor comes to the same state as the sequential one, block by block, over
// random blocks in which transactions touch the same things.
func TestSimulationExecutors(t *testing.T) {
	seeds(t, "seeds", func(t *testing.T, seed int64) {
		s := newSimulation(t, simSetup{seed: seed + 200})
		blocks, hashes := s.run(min(*simOps, 10_000) / 2)
		parallel := newSimApp(config.BlockExecutorBlockSTM)
		_, err := parallel.InitChain(s.genesis)
		require.NoError(t, err)
		finalize(t, parallel, s.first)
		for i, b := range blocks {
			require.Equal(t, hashes[i], fmt.Sprintf("%x", finalize(t, parallel, b).AppHash), "block %d of %d transactions", b.req.Height, len(b.ops))
		}
	})
}

// TestSimulationImportExport: the state of a random market, imported into a new chain, exports the same bytes; and both
// chains go on to the same state, block by block.
func TestSimulationImportExport(t *testing.T) {
	seeds(t, "seeds", func(t *testing.T, seed int64) {
		// What an end block leaves for the next goes on in the order of heights, which a genesis does not hold: the limit of
		// the work is out of reach here.
		s := newSimulation(t, simSetup{seed: seed + 300, without: []string{"market_params"}, edit: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
			var g markettypes.GenesisState
			cdc.MustUnmarshalJSON(state[markettypes.ModuleName], &g)
			g.Params.MaxWorkPerBlock = 100_000
			state[markettypes.ModuleName] = cdc.MustMarshalJSON(&g)
		}})
		s.run(min(*simOps, 10_000) / 4)
		first, err := s.app.ExportAppStateAndValidators(false, nil, nil)
		require.NoError(t, err)

		params := s.genesis.ConsensusParams
		again := newSimApp(config.BlockExecutorSequential)
		_, err = again.InitChain(&abci.RequestInitChain{
			ChainId: simChain, Time: s.now, InitialHeight: first.Height, AppStateBytes: first.AppState, ConsensusParams: params,
		})
		require.NoError(t, err)
		// What the genesis has written can be read before the first block is committed.
		second, err := again.ExportGenesis(again.NewContextLegacy(false, cmtproto.Header{ChainID: simChain, Height: first.Height - 1}))
		require.NoError(t, err)
		requireSameState(t, first.AppState, second, "after the import")

		for i := range 20 {
			b := s.next(simBlockOps / 3)
			s.deliver(b)
			finalize(t, again, b)
			if i%4 == 0 {
				requireSameState(t, exported(t, s.app), exported(t, again), fmt.Sprintf("after block %d", s.height))
			}
		}
	})
}

func exported(t *testing.T, a *app.App) []byte {
	t.Helper()
	state, err := a.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(t, err)
	return state.AppState
}

// requireSameState compares two exports, and shows where they differ.
func requireSameState(t *testing.T, want, got []byte, when string) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	var a, b map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(want, &a))
	require.NoError(t, json.Unmarshal(got, &b))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		x, y := strings.Split(string(a[name]), "\n"), strings.Split(string(b[name]), "\n")
		for i := range x {
			if i >= len(y) || x[i] != y[i] {
				low, high := max(0, i-30), i+5
				t.Errorf("%s: module %s differs at line %d:\n%s\nand\n%s", when, name, i,
					strings.Join(x[low:min(len(x), high)], "\n"), strings.Join(y[min(len(y), low):min(len(y), high)], "\n"))
				break
			}
		}
	}
	t.FailNow()
}
