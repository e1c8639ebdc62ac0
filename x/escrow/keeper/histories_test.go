package keeper

import (
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// numberOf reads a number from the environment.
func numberOf(t *testing.T, name string, otherwise uint64) uint64 {
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// TestHistories: over random histories, settling in every block, settling only when something changes, and the closed
// form come to the same: what everybody is paid, refunded and taken from, when the account runs dry, and what is refused.
// SETTLE_HISTORIES is how many, SETTLE_SEED where they begin; history i of a seed is the same on every machine.
func TestHistories(t *testing.T) {
	n, seed := numberOf(t, "SETTLE_HISTORIES", 5000), numberOf(t, "SETTLE_SEED", 1)
	var mu sync.Mutex
	var sum outcome
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			var mine outcome
			for i := w; i < n && !t.Failed(); i += workers {
				mine.count(compare(t, seed, i))
			}
			mu.Lock()
			defer mu.Unlock()
			sum.count(mine)
		})
	}
	wg.Wait()
	t.Logf("seed %d: %d histories, %d differences; deposits %d, openings %d, closings %d, suspensions %d, resumptions %d, expiries %d",
		seed, n, map[bool]int{true: 1}[t.Failed()], sum.accepted[historyDeposit], sum.accepted[historyOpen], sum.accepted[historyClose],
		sum.suspended, sum.resumed, sum.expired)
	for what, times := range map[string]int{
		"openings": sum.accepted[historyOpen], "closings": sum.accepted[historyClose],
		"suspensions": sum.suspended, "resumptions": sum.resumed, "expiries": sum.expired,
	} {
		require.Greater(t, times, int(n/20), "histories reach enough %s", what)
	}
}

// compare plays a history in the three ways and gives what it came to.
func compare(t *testing.T, seed, i uint64) outcome {
	h := drawHistory(rand.New(rand.NewPCG(seed, i)))
	want := playOracle(h)
	for how, got := range map[string]outcome{"settled in every block": playEachBlock(h), "settled seldom": playSeldom(h)} {
		if !reflect.DeepEqual(want, got) {
			t.Errorf("seed %d, history %d, %s:\n got %+v\nwant %+v", seed, i, how, got, want)
		}
	}
	return want
}

func (o *outcome) count(more outcome) {
	for kind, times := range more.accepted {
		o.accepted[kind] += times
	}
	o.suspended += more.suspended
	o.resumed += more.resumed
	o.expired += more.expired
}
