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
	return Node{Name: name, Capacity: Amounts{CPU: cpu, Memory: mem, Storage: 1 << 40, GPU: 2}}
}

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
			if _, ok := v.Fits(tc.units); ok != tc.want || v.Free() != free {
				t.Fatalf("Fits = %v, want %v; free %v -> %v", ok, tc.want, free, v.Free())
			}
			short, ok, err := v.Reserve(key(1), tc.units)
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
	if _, ok, err := v.Reserve(key(1), []Unit{unit(1, 1, 1)}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, _, err := v.Reserve(key(1), []Unit{unit(1, 1, 1)}); !errors.Is(err, ErrReserved) {
		t.Fatalf("err = %v, want ErrReserved", err)
	}
}

func TestNoNodes(t *testing.T) {
	var v Inventory
	short, ok := v.Fits([]Unit{unit(1, 1, 1)})
	if ok || short.String() != "no node is known" {
		t.Fatal(short, ok)
	}
	v.Adopt(key(1), []Unit{unit(500, 10, 1)})
	v.SetNodes([]Node{node("a", 1000, 100)})
	if got := v.Free()[CPU]; got != 500 {
		t.Fatalf("a promise made without nodes is charged when they come: free cpu %d, want 500", got)
	}
}

func TestLostNodeIsNotSoldAgain(t *testing.T) {
	var v Inventory
	v.SetNodes([]Node{node("a", 1000, 100), node("b", 1000, 100)})
	if _, ok, _ := v.Reserve(key(1), []Unit{unit(1000, 10, 2)}); !ok {
		t.Fatal("does not fit")
	}
	v.SetNodes([]Node{node("b", 1000, 100)})
	if got := v.Free()[CPU]; got != -1000 {
		t.Fatalf("free cpu %d, want -1000", got)
	}
	if _, ok := v.Fits([]Unit{unit(1, 0, 1)}); ok {
		t.Fatal("sold on top of a lost node")
	}
	if !v.SetNodes([]Node{node("b", 1000, 100), node("c", 1500, 100)}) {
		t.Fatal("SetNodes says that nothing grew")
	}
	if got := v.Free()[CPU]; got != 500 {
		t.Fatalf("free cpu %d, want 500", got)
	}
}

// TestNeverOvercommitted is PINV-1 over random histories: free is capacity less holdings on every node, and an
// admission never leaves any resource of any node below zero that was not below zero before.
func TestNeverOvercommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v Inventory
		live := map[uint64][]Unit{}
		genNodes := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Node {
			return Node{
				Name: string(rune('a' + rapid.IntRange(0, 7).Draw(t, "name"))),
				Capacity: Amounts{
					rapid.Int64Range(0, 100).Draw(t, "cpu"), rapid.Int64Range(0, 100).Draw(t, "mem"),
					rapid.Int64Range(0, 100).Draw(t, "disk"), rapid.Int64Range(0, 3).Draw(t, "gpu"),
				},
			}
		}), 0, 6, func(n Node) string { return n.Name })
		genUnits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Unit {
			return Unit{Count: rapid.Int32Range(1, 5).Draw(t, "count"), Need: Amounts{
				rapid.Int64Range(0, 60).Draw(t, "cpu"), rapid.Int64Range(0, 60).Draw(t, "mem"),
				rapid.Int64Range(0, 60).Draw(t, "disk"), rapid.Int64Range(0, 1).Draw(t, "gpu"),
			}}
		}), 1, 3)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkBook(t, &v, live) },
			"nodes": func(t *rapid.T) {
				v.SetNodes(genNodes.Draw(t, "nodes"))
			},
			"reserve": func(t *rapid.T) {
				k, units := rapid.Uint64Range(1, 12).Draw(t, "key"), genUnits.Draw(t, "units")
				before := minFree(&v)
				_, fits := v.Fits(units)
				_, ok, err := v.Reserve(key(k), units)
				if _, dup := live[k]; dup {
					if !errors.Is(err, ErrReserved) {
						t.Fatalf("second reservation of %d: %v", k, err)
					}
					return
				}
				if ok != fits {
					t.Fatalf("Fits says %v, Reserve %v", fits, ok)
				}
				if ok {
					live[k] = units
					for r, m := range minFree(&v) {
						if m < 0 && m < before[r] {
							t.Fatalf("resource %d went from %d to %d", r, before[r], m)
						}
					}
				}
			},
			"adopt": func(t *rapid.T) {
				k, units := rapid.Uint64Range(1, 12).Draw(t, "key"), genUnits.Draw(t, "units")
				if _, dup := live[k]; !dup {
					live[k] = units
				}
				v.Adopt(key(k), units)
			},
			"release": func(t *rapid.T) {
				k := rapid.Uint64Range(1, 12).Draw(t, "key")
				_, had := live[k]
				if v.Release(key(k)) != had {
					t.Fatalf("Release(%d) = %v, want %v", k, !had, had)
				}
				delete(live, k)
			},
		})
	})
}

func checkBook(t *rapid.T, v *Inventory, live map[uint64][]Unit) {
	if v.Len() != len(live) || len(v.log) != 0 {
		t.Fatalf("%d reservations, want %d; log %v", v.Len(), len(live), v.log)
	}
	want := v.capacity
	for r := range resources {
		want[r] = append([]int64(nil), v.capacity[r]...)
	}
	for k, units := range live {
		h := v.held[key(k)]
		placed := make([]int32, len(units))
		for _, s := range h.slots {
			placed[s.unit] += s.count
			if s.node < 0 {
				continue
			}
			for r := range resources {
				want[r][s.node] -= units[s.unit].Need[r] * int64(s.count)
			}
		}
		for u := range units {
			if placed[u] != units[u].Count {
				t.Fatalf("order %d unit %d: %d instances placed, want %d", k, u, placed[u], units[u].Count)
			}
		}
	}
	for r := range resources {
		for n := range v.names {
			if v.free[r][n] != want[r][n] {
				t.Fatalf("node %s %s: free %d, want %d", v.names[n], r, v.free[r][n], want[r][n])
			}
		}
	}
}

func minFree(v *Inventory) (m Amounts) {
	for r := range resources {
		m[r] = math.MaxInt64
		for _, f := range v.free[r] {
			m[r] = min(m[r], f)
		}
	}
	return m
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
		n := cluster.Node{
			CPU:        cluster.MilliCPU(rapid.Int64().Draw(t, "cpu")),
			ForeignCPU: cluster.MilliCPU(rapid.Int64().Draw(t, "foreign")),
		}
		f, g := Factor{num: 3, den: 10}, Factor{num: 7, den: 10}
		a, b := Sellable(n, f).Capacity[CPU], Sellable(n, g).Capacity[CPU]
		if a < 0 || b < 0 || a+b > max(0, int64(n.CPU)) || a+b > 0 && a+b > int64(n.CPU)-max(0, int64(n.ForeignCPU)) {
			t.Fatalf("node %+v: %d and %d", n, a, b)
		}
	})
}

func BenchmarkFits(b *testing.B) {
	var v Inventory
	nodes := make([]Node, 1000)
	for i := range nodes {
		nodes[i] = node(string(rune(i)), 1000, 100)
	}
	v.SetNodes(nodes)
	for i := range 900 {
		v.Adopt(key(uint64(i)), []Unit{unit(1000, 100, 1)})
	}
	units := []Unit{unit(100, 10, 5), unit(200, 20, 5)}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.Fits(units); !ok {
			b.Fatal("does not fit")
		}
	}
}
