package main

import "testing"

// TestGCPercent: little garbage beside much that lives, room for a block of orders beside little.
func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1 << 20: 400, 8 << 20: 400, 16 << 20: 200, 32 << 20: 100, 64 << 20: 50, 128 << 20: 25, 160 << 20: 20, 1 << 40: 20,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("gcPercent(%d MB) = %d, want %d", live>>20, got, want)
		}
	}
}
