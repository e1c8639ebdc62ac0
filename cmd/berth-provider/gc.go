package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage that may gather between two collections: so much, or that part of what lives where it is more. Go's own rule is
// a part only. With little alive that has a collection run in the midst of a block of orders, for which both cores are
// wanted; with a hundred thousand orders it lets half as much again gather as they take.
const (
	garbage     = 32 << 20
	garbagePart = 5
	mostPercent = 400
)

// gcPercent is what debug.SetGCPercent is given when so many bytes live.
func gcPercent(live uint64) int {
	return int(max(100/garbagePart, min(mostPercent, 100*garbage/max(1, live))))
}

// steerGC keeps the garbage collector to that rule, from one collection to the next.
func steerGC() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	last := 0
	steer := func() {
		metrics.Read(live)
		if p := gcPercent(live[0].Value.Uint64()); p != last {
			debug.SetGCPercent(p)
			last = p
		}
	}
	runtime.GC()
	steer()
	// A finalizer runs after each collection that finds its object unused, and makes it wait for the next one.
	type turn struct{ _ *byte }
	var again func(*turn)
	again = func(t *turn) {
		steer()
		runtime.SetFinalizer(t, again)
	}
	runtime.SetFinalizer(new(turn), again)
}
