package inventory

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/provider/cluster"
)

func key(n uint64) Key { return Key{Owner: "o", Dseq: n, Gseq: 1, Oseq: 1} }

func node(name string, cpu, mem int64) Node {
	return Node{Name: name, Capacity: Amounts{CPU: cpu, Memory: mem, Storage: 1 << 40, GPU: 2, Pods: NoLimit}}
}

func demand(units ...Unit) *Demand { return &Demand{Units: units} }

func unit(cpu, mem int64, count int32) Unit {
	return Unit{Need: Amounts{CPU: cpu, Memory: mem}, Count: count}
}

func TestReserveSitsOnTheBoundary(t *testing.T) {
	for name, tc := range map[string]struct {
		units []Unit
		want  bool
		short string
	}{
		"exactly one node":           {[]Unit{unit(1000, 100, 1)}, true, ""},
		"one milli too many":         {[]Unit{unit(1001, 1, 1)}, false, "cpu: 0 of 1 instances fit; an instance needs 1001m, the roomiest node has 1000m left"},
		"spread over both":           {[]Unit{unit(1000, 100, 2)}, true, ""},
		"third instance":             {[]Unit{unit(1000, 100, 3)}, false, "cpu: 2 of 3 instances fit; an instance needs 1000m, the roomiest node has 0m left"},
		"second unit takes the rest": {[]Unit{unit(600, 10, 2), unit(400, 10, 2)}, true, ""},
		"second unit is short":       {[]Unit{unit(600, 10, 2), unit(401, 10, 1)}, false, "cpu: 0 of 1 instances fit; an instance needs 401m, the roomiest node has 400m left"},
		"gpu":                        {[]Unit{{Need: Amounts{GPU: 3}, Count: 1}}, false, "gpu: 0 of 1 instances fit; an instance needs 3, the roomiest node has 2 left"},
		"needs nothing":              {[]Unit{unit(0, 0, 5)}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var v Inventory
			v.SetNodes([]Node{node("a", 1000, 100), node("b", 1000, 100)})
			free := v.Free()
			if _, ok := v.Fits(demand(tc.units...)); ok != tc.want || v.Free() != free {
				t.Fatalf("Fits = %v, want %v; free %v -> %v", ok, tc.want, free, v.Free())
			}
			short, ok, err := v.Reserve(key(1), demand(tc.units...))
			if err != nil || ok != tc.want {
				t.Fatalf("Reserve = %v, %v, want %v", ok, err, tc.want)
			}
			if !ok && (short.String() != tc.short || v.Free() != free) {
				t.Fatalf("short = %q, want %q; free %v -> %v", short, tc.short, free, v.Free())
			}
			v.Release(key(1))
			if v.Free() != free {
				t.Fatalf("after release free = %v, want %v", v.Free(), free)
			}
		})
	}
}

func TestReserveTwiceIsRefused(t *testing.T) {
	var v Inventory
	v.SetNodes([]Node{node("a", 1000, 100)})
	if _, ok, err := v.Reserve(key(1), demand(unit(1, 1, 1))); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, _, err := v.Reserve(key(1), demand(unit(1, 1, 1))); !errors.Is(err, ErrReserved) {
		t.Fatalf("err = %v, want ErrReserved", err)
	}
}

func TestNoNodes(t *testing.T) {
	var v Inventory
	short, ok := v.Fits(demand(unit(1, 1, 1)))
	if ok || short.String() != "no node is known" {
		t.Fatal(short, ok)
	}
	v.Adopt(key(1), demand(unit(500, 10, 1)))
	v.SetNodes([]Node{node("a", 1000, 100)})
	if got := v.Free()[CPU]; got != 500 {
		t.Fatalf("a promise made without nodes is charged when they come: free cpu %d, want 500", got)
	}
}

func TestLostNodeIsNotSoldAgain(t *testing.T) {
	var v Inventory
	v.SetNodes([]Node{node("a", 1000, 100), node("b", 1000, 100)})
	if _, ok, _ := v.Reserve(key(1), demand(unit(1000, 10, 2))); !ok {
		t.Fatal("does not fit")
	}
	v.SetNodes([]Node{node("b", 1000, 100)})
	if got := v.Free()[CPU]; got != -1000 {
		t.Fatalf("free cpu %d, want -1000", got)
	}
	if _, ok := v.Fits(demand(unit(1, 0, 1))); ok {
		t.Fatal("sold on top of a lost node")
	}
	if !v.SetNodes([]Node{node("b", 1000, 100), node("c", 1500, 100)}) {
		t.Fatal("SetNodes says that nothing grew")
	}
	if got := v.Free()[CPU]; got != 500 {
		t.Fatalf("free cpu %d, want 500", got)
	}
}

func TestFactor(t *testing.T) {
	for s, want := range map[string]int64{"1": 1001, "0.5": 500, "1.0": 1001, "0.000000001": 0, "0.999": 999} {
		f, err := ParseFactor(s)
		if err != nil || f.Of(1001) != want && s != "0.999" {
			t.Errorf("ParseFactor(%q).Of(1001) = %d, %v, want %d", s, f.Of(1001), err, want)
		}
	}
	for _, s := range []string{"", "0", "0.0", "1.1", "2", "-0.5", "abc", "1e3", "0.1234567891", ".", "10"} {
		if f, err := ParseFactor(s); err == nil {
			t.Errorf("ParseFactor(%q) = %v, want an error", s, f)
		}
	}
	half, _ := ParseFactor("0.5")
	if got := half.Of(math.MaxInt64); got != math.MaxInt64/2 {
		t.Errorf("half of the largest = %d", got)
	}
}

// TestTwoProvidersShareANode: whatever foreign pods use, two shares that sum to 1 never sum to more than the rest.
func TestTwoProvidersShareANode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := []cluster.Node{{
			Name: "a", CPU: cluster.MilliCPU(rapid.Int64().Draw(t, "cpu")),
			ForeignCPU: cluster.MilliCPU(rapid.Int64().Draw(t, "foreign")),
		}}
		sold := func(f Factor) int64 {
			s, _ := Read(n, cluster.Pools{}, Terms{Share: f})
			return s.Nodes[0].Capacity[CPU]
		}
		a, b := sold(Factor{num: 3, den: 10}), sold(Factor{num: 7, den: 10})
		if a < 0 || b < 0 || a+b > max(0, int64(n[0].CPU)) || a+b > 0 && a+b > int64(n[0].CPU)-max(0, int64(n[0].ForeignCPU)) {
			t.Fatalf("node %+v: %d and %d", n, a, b)
		}
	})
}
