// Package worktime measures how long tests work, on machines that are busy with other things.
package worktime

import (
	"syscall"
	"testing"
	"time"
)

// Most is the most time that an input of a fuzzer may take.
const Most = 100 * time.Millisecond

// Check runs something and fails the test if that takes too long. It is the best of three tries, and of each the time on
// the clock or that of the processors, whichever is less: other programs make the one longer, other threads the other.
func Check(t testing.TB, size int, run func()) {
	t.Helper()
	best := time.Duration(1<<63 - 1)
	for try := 0; try < 3 && best > Most; try++ {
		began, used := time.Now(), processor(t)
		run()
		best = min(best, time.Since(began), processor(t)-used)
	}
	if best > Most {
		t.Fatalf("%d bytes take %s", size, best)
	}
}

// processor is the time that the process has used so far.
func processor(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
