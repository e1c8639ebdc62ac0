package app_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/cosmos/cosmos-sdk/server/config"
)

var (
	simOps   = flag.Int("sim.ops", 2_000, "transactions that each seed of the simulation delivers")
	simSeeds = flag.Int("sim.seeds", 1, "seeds of the simulation")
	simFirst = flag.Int64("sim.first", 1, "the first seed of the simulation; the others follow it")
)

// TestSimulation runs random markets. Every invariant holds after every block, every refusal has a registered code, and
// every kind of message is accepted often enough for the run to mean something. Counts are printed.
func TestSimulation(t *testing.T) {
	total := newSimReport()
	t.Run("seeds", func(t *testing.T) {
		reports := make(chan *simReport, *simSeeds)
		for i := range *simSeeds {
			seed := *simFirst + int64(i)
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				s := newSimulation(t, seed, config.BlockExecutorSequential)
				s.run(*simOps)
				reports <- s.report
			})
		}
		t.Cleanup(func() {
			close(reports)
			for r := range reports {
				total.merge(r)
			}
		})
	})
	if testing.Verbose() {
		fmt.Printf("seeds %d to %d: %s\n", *simFirst, *simFirst+int64(*simSeeds)-1, total)
	}
}
