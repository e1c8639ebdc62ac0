package keeper_test

import (
	"syscall"
	"testing"
	"time"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"berth.dev/berth/x/escrow/types"
)

// manyAccounts is how many accounts are due at once.
const manyAccounts = 10_000

// BenchmarkManyAccountsDue lets 10,000 accounts run dry in one block, on goleveldb, and prints the longest block, its
// commit with it, and the most processor time that a block took, until all of them are suspended. It has no modules
// above: `make bench-chain` measures the same in the whole app.
func BenchmarkManyAccountsDue(b *testing.B) {
	for b.Loop() {
		db, err := dbm.NewGoLevelDB("due", b.TempDir(), nil)
		require.NoError(b, err)
		e := newEnvOn(b, db)
		e.atMost(types.DefaultParams().MaxDuePerBlock)
		e.block(func() { e.dryAtFour(manyAccounts, 1) })
		e.bank.endBlock()
		e.ctx = e.ctx.WithBlockHeight(4)
		var longest, mostCPU time.Duration
		blocks := 0
		for ; len(e.hooks.told) < manyAccounts; blocks++ {
			wall, cpu := e.block(func() { require.NoError(b, e.k.EndBlock(e.ctx)) })
			longest, mostCPU = max(longest, wall), max(mostCPU, cpu)
		}
		b.ReportMetric(float64(longest)/1e6, "longest-ms")
		b.ReportMetric(float64(mostCPU)/1e6, "most-cpu-ms")
		b.ReportMetric(float64(blocks), "blocks")
		require.NoError(b, db.Close())
	}
}

// block does something in a block of its own and commits it, as the app does: writes reach the store at its end.
func (e *env) block(do func()) (wall, cpu time.Duration) {
	start, cpuStart := time.Now(), cpuTime()
	cached := e.cms.CacheMultiStore()
	e.ctx = e.ctx.WithMultiStore(cached)
	do()
	cached.Write()
	e.cms.Commit()
	e.ctx = e.ctx.WithMultiStore(e.cms).WithBlockHeight(e.ctx.BlockHeight() + 1)
	return time.Since(start), cpuTime() - cpuStart
}

// cpuTime is the processor time that the process has used: on a shared machine it says more than the clock.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
