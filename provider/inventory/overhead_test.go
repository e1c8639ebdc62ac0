package inventory

import (
	"testing"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// TestOverhead: what the runtime of an instance takes is charged with each, also to what is held when it becomes known,
// and given back with it.
func TestOverhead(t *testing.T) {
	share, err := ParseFactor("1")
	if err != nil {
		t.Fatal(err)
	}
	nodes := []cluster.Node{{Name: "a", CPU: 1000, Memory: 1 << 30, Storage: 1 << 30, Pods: 10}}
	supply := func(o cluster.Overhead, terms Terms) Supply {
		s, problems := Read(nodes, cluster.Pools{Overhead: o}, terms)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return s
	}
	demand := func(count int32) *Demand {
		return &Demand{Units: []Unit{{ID: 1, Count: count, Need: Amounts{CPU: 200, Memory: 1 << 20, Pods: 1}}}}
	}
	var v Inventory
	v.Set(supply(cluster.Overhead{}, Terms{Share: share}))
	if _, ok, err := v.Reserve(markettypes.OrderID{Dseq: 1}, demand(2)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	free := func() int64 {
		_, f := v.Snapshot()
		return f[0].Capacity[CPU]
	}
	if free() != 600 {
		t.Fatalf("%d free without overhead", free())
	}
	v.Set(supply(cluster.Overhead{CPU: 50, Memory: 1 << 20}, Terms{Share: share}))
	if free() != 500 {
		t.Errorf("%d free when each instance takes 50 more, want 500", free())
	}
	if _, ok := v.Fits(demand(2)); !ok {
		t.Error("two more do not fit")
	}
	if short, ok := v.Fits(demand(3)); ok || short.Resource != CPU || short.Need != 250 {
		t.Errorf("three more: %+v, %t, want a shortfall of cpu", short, ok)
	}
	v.Release(markettypes.OrderID{Dseq: 1})
	if free() != 1000 {
		t.Errorf("%d free after all was given back", free())
	}
	if s := supply(cluster.Overhead{CPU: 50}, Terms{Share: share, Overcommit: Overcommit{CPU: 2000}}); s.Overhead[CPU] != 100 {
		t.Errorf("of cores that are sold twice each instance takes %d, want 100", s.Overhead[CPU])
	}
}
