package pricing

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

var rateGen = rapid.Custom(func(t *rapid.T) Amount {
	a := Amount{lo: rapid.Uint64().Draw(t, "lo")}
	if rapid.IntRange(0, 9).Draw(t, "wide") == 0 {
		a.hi = rapid.Uint64Max(1<<40).Draw(t, "hi")
	}
	return a
})

var quantityGen = rapid.OneOf(rapid.Uint64Max(1<<20), rapid.Uint64Max(1<<50), rapid.Uint64())

// models is a market of kinds, of which some are open.
var kindGen = rapid.Custom(func(t *rapid.T) GPUKind {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(append(of, "")).Draw(t, name) }
	return GPUKind{Vendor: pick("vendor", "nvidia", "amd"), Model: pick("model", "a", "b"), RAM: pick("ram", "40Gi", "80Gi"), Interface: pick("interface", "sxm")}
})

var tableGen = rapid.Custom(func(t *rapid.T) Table {
	rate := func(name string) Rate {
		return Rate{rateGen.Draw(t, name), rapid.Bool().Draw(t, name+" given")}
	}
	out := Table{
		Denom: "ubrt", CPU: rateGen.Draw(t, "cpu"), Memory: rateGen.Draw(t, "memory"), Ephemeral: rateGen.Draw(t, "ephemeral"),
		HTTP: rateGen.Draw(t, "http"), Ports: rateGen.Draw(t, "ports"), Minimum: rateGen.Draw(t, "minimum"),
		RAM: rate("ram"), IP: rate("ip"), AnyClass: rate("any class"),
		Classes: []ClassRate{{"beta2", rateGen.Draw(t, "beta2")}},
	}
	seen := map[GPUKind]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "kinds") {
		if k := kindGen.Draw(t, "kind"); !seen[k] {
			seen[k] = true
			out.GPU = append(out.GPU, GPURate{k, rateGen.Draw(t, "gpu")})
		}
	}
	SortGPUs(out.GPU)
	return out
})

var askGen = rapid.Custom(func(t *rapid.T) Ask {
	q := func(name string) uint64 { return quantityGen.Draw(t, name) }
	a := Ask{
		Denom: "ubrt", CPUMilli: q("cpu"), MemoryBytes: q("memory"), RAMBytes: q("ram"), EphemeralBytes: q("ephemeral"),
		HTTP: q("http"), Ports: q("ports"), IPs: q("ips"),
		Volumes: []ClassBytes{{"beta2", q("beta2")}},
	}
	if rapid.Bool().Draw(t, "another class") {
		a.Volumes = append(a.Volumes, ClassBytes{"beta3", q("beta3")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "units with gpus") {
		a.GPUs = append(a.GPUs, GPUs{q("gpus"), rapid.SliceOfN(kindGen, 0, 2).Draw(t, "any")})
	}
	return a
})

func rat(a Amount) *big.Rat { return new(big.Rat).SetFrac(a.big(), big.NewInt(1_000_000_000_000)) }

// exact is what a table asks for, in arbitrary precision and from the words of its documentation: each part rounded up
// to 10^-12, the most specific rate for what is asked, the dearest where the order leaves it open.
func exact(t *Table, a *Ask) (price *big.Rat, priced bool) {
	sum := new(big.Rat)
	part := func(rate Amount, n, per uint64) {
		x := new(big.Int).Mul(rate.big(), new(big.Int).SetUint64(n))
		q, r := x.QuoRem(x, new(big.Int).SetUint64(per), new(big.Int))
		if r.Sign() > 0 {
			q.Add(q, big.NewInt(1))
		}
		sum.Add(sum, new(big.Rat).SetFrac(q, big.NewInt(1_000_000_000_000)))
	}
	part(t.CPU, a.CPUMilli, 1000)
	part(t.Memory, a.MemoryBytes, 1<<30)
	part(t.Ephemeral, a.EphemeralBytes, 1<<30)
	part(t.HTTP, a.HTTP, 1)
	part(t.Ports, a.Ports, 1)
	ram := t.Memory
	if t.RAM.Given {
		ram = t.RAM.Amount
	}
	part(ram, a.RAMBytes, 1<<30)
	if a.IPs > 0 {
		if !t.IP.Given {
			return nil, false
		}
		part(t.IP.Amount, a.IPs, 1)
	}
	for _, v := range a.Volumes {
		switch {
		case v.Class == "beta2":
			part(t.Classes[0].Rate, v.Bytes, 1<<30)
		case t.AnyClass.Given:
			part(t.AnyClass.Amount, v.Bytes, 1<<30)
		default:
			return nil, false
		}
	}
	for _, g := range a.GPUs {
		rate, ok := dearest(t, g)
		if !ok {
			return nil, false
		}
		part(rate, g.Count, 1)
	}
	if least := rat(t.Minimum); sum.Cmp(least) < 0 {
		sum = least
	}
	return sum, true
}

// dearest tries every device of the market: its rate is the one of the most specific kind that it is of.
func dearest(t *Table, g GPUs) (rate Amount, found bool) {
	asked := g.Any
	if len(asked) == 0 {
		asked = []GPUKind{{}}
	}
	is := func(d, k [4]string) bool {
		for i := range k {
			if k[i] != "" && k[i] != d[i] {
				return false
			}
		}
		return true
	}
	for _, vendor := range []string{"nvidia", "amd", "other"} {
		for _, model := range []string{"a", "b", "other"} {
			for _, ram := range []string{"40Gi", "80Gi", "other"} {
				for _, link := range []string{"sxm", "other"} {
					d := [4]string{vendor, model, ram, link}
					wanted := false
					for _, k := range asked {
						wanted = wanted || is(d, k.parts())
					}
					best, parts := Amount{}, -1
					for _, r := range t.GPU {
						k := r.Kind.parts()
						n := 0
						for i, p := range k { // more parts first, then earlier ones
							if p != "" {
								n += 100 + 1<<(3-i)
							}
						}
						if is(d, k) && n > parts {
							best, parts = r.Rate, n
						}
					}
					if wanted && parts >= 0 {
						rate, found = rate.max(best), true
					}
				}
			}
		}
	}
	return rate, found
}

// TestPriceIsExact compares the table with arbitrary precision, and holds that what does not fit is refused.
func TestPriceIsExact(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		table, ask := tableGen.Draw(t, "table"), askGen.Draw(t, "ask")
		want, priced := exact(&table, &ask)
		got, refused := table.Price(&ask)
		switch {
		case !priced:
			if refused.Code != Unpriced {
				t.Fatalf("priced at %s, %v, and has no price", got, refused)
			}
		case new(big.Rat).Mul(want, big.NewRat(1_000_000_000_000, 1)).Num().Cmp(limit) >= 0:
			if refused.Code != Overflow {
				t.Fatalf("priced at %s, %v, and does not fit", got, refused)
			}
		case refused.Code != Priced || rat(got).Cmp(want) != 0:
			t.Fatalf("priced at %s, %v, want %s", got, refused, want.FloatString(12))
		}
		if refused.Code == Priced && got.Cmp(table.Minimum) < 0 {
			t.Fatalf("priced at %s, below the minimum %s", got, table.Minimum)
		}
	})
}

// TestPriceIsMonotone: more of anything never costs less.
func TestPriceIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, less := tableGen.Draw(t, "table"), askGen.Draw(t, "ask")
		more := less
		more.Volumes = append([]ClassBytes(nil), less.Volumes...)
		more.GPUs = append([]GPUs(nil), less.GPUs...)
		fields := []*uint64{&more.CPUMilli, &more.MemoryBytes, &more.RAMBytes, &more.EphemeralBytes, &more.HTTP, &more.Ports, &more.IPs}
		for i := range more.Volumes {
			fields = append(fields, &more.Volumes[i].Bytes)
		}
		for i := range more.GPUs {
			fields = append(fields, &more.GPUs[i].Count)
		}
		field := rapid.SampledFrom(fields).Draw(t, "field")
		*field += rapid.Uint64Max(^uint64(0)-*field).Draw(t, "more")
		low, refusedLow := table.Price(&less)
		high, refusedHigh := table.Price(&more)
		if refusedLow.Code == Overflow && refusedHigh.Code == Priced || refusedLow.Code == Priced && refusedHigh.Code == Priced && high.Cmp(low) < 0 {
			t.Fatalf("less costs %s (%v), more %s (%v)", low, refusedLow, high, refusedHigh)
		}
	})
}

// TestTablePriceAllocatesNothing holds the figure of the decision.
func TestTablePriceAllocatesNothing(t *testing.T) {
	set := NewSet([]Table{{
		Denom: "ubrt", CPU: Whole(1), IP: Rate{Whole(1), true}, Classes: []ClassRate{{"beta2", Whole(1)}},
		GPU: []GPURate{{GPUKind{Vendor: "nvidia", Model: "a100"}, Whole(3)}, {GPUKind{}, Whole(2)}},
	}}, nil, false)
	ask := Ask{
		Denom: "ubrt", CPUMilli: 1, IPs: 1, Volumes: []ClassBytes{{"beta2", 1}},
		GPUs: []GPUs{{1, []GPUKind{{Vendor: "nvidia", Model: "a100"}, {Vendor: "amd"}}}},
	}
	var st Standing
	if n := testing.AllocsPerRun(100, func() {
		if _, refused := set.Price(&ask, &st); refused.Code != Priced {
			t.Error(refused)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkTablePrice(b *testing.B) {
	table := Table{Denom: "ubrt", CPU: Whole(1), Memory: Whole(1), Ephemeral: Whole(1), GPU: []GPURate{{GPUKind{Vendor: "nvidia"}, Whole(3)}, {GPUKind{}, Whole(2)}}}
	ask := Ask{Denom: "ubrt", CPUMilli: 1500, MemoryBytes: 1 << 31, EphemeralBytes: 5 << 30, GPUs: []GPUs{{1, []GPUKind{{Vendor: "nvidia", Model: "a100"}}}}}
	set := NewSet([]Table{table}, nil, false)
	var st Standing
	b.ReportAllocs()
	for b.Loop() {
		set.Price(&ask, &st)
	}
}

func BenchmarkExpression(b *testing.B) {
	e, err := CompileExpression("free.cpu_milli * 100 < cluster.cpu_milli * 20 ? percent(table, 130) : table")
	if err != nil {
		b.Fatal(err)
	}
	ask, st := Ask{Denom: "ubrt", CPUMilli: 1500}, Standing{Capacity: Resources{CPUMilli: 100}, Free: Resources{CPUMilli: 10}}
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := e.Price(&ask, &st, Whole(3)); refused.Code != Priced {
			b.Fatal(refused)
		}
	}
}
