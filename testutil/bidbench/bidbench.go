// Package bidbench measures what the bid engine decides in a second on one core, how much memory it takes, and what it
// allocates. Figures are of this process's processor time, not of the clock, so that a busy machine changes them little;
// what shares the caches still does.
package bidbench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
)

// Bench runs all measurements.
type Bench struct {
	Out io.Writer
	// Seconds of processor time for each figure; Seed of the random clusters and orders.
	Seconds float64
	Seed    uint64

	rows []row
}

type row struct{ what, figure, target, verdict string }

// Run takes all figures and prints each as it comes.
func (b *Bench) Run() error {
	runtime.GOMAXPROCS(1)
	b.say("%s, one core, processor time; load average %s", runtime.Version(), load())
	for _, part := range []func() error{b.memory, b.decisions, b.adversaries, b.openBids} {
		if err := part(); err != nil {
			return err
		}
	}
	b.say("load average at the end %s", load())
	return nil
}

func load() string {
	s, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(s))
}

func (b *Bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.Out, format+"\n", args...) }

func (b *Bench) add(x row) {
	b.rows = append(b.rows, x)
	b.say("  %s", strings.TrimSpace(strings.Join([]string{x.what + ":", x.figure, x.target, x.verdict}, " ")))
}

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

// rate adds a figure of decisions a second; target 0 is none.
func (b *Bench) rate(what string, m measured, target float64) {
	x := row{what: what, figure: fmt.Sprintf("%.0f/s (%.0f ns, %.2f allocs)", m.rate, 1e9/m.rate, m.allocs)}
	if target > 0 {
		x.target, x.verdict = fmt.Sprintf("at least %.0f/s, 0 allocs", target), verdict(m.rate >= target && m.allocs < 0.005)
	}
	b.add(x)
}

// holds adds a figure of which the caller says whether it meets its target.
func (b *Bench) holds(what, figure, target string, ok bool) {
	b.add(row{what, figure, target, verdict(ok)})
}

// Table prints all figures and returns how many targets were missed.
func (b *Bench) Table() (missed int) {
	w := tabwriter.NewWriter(b.Out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nWHAT\tFIGURE\tTARGET\t")
	for _, x := range b.rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.what, x.figure, x.target, x.verdict)
		if x.verdict == verdict(false) {
			missed++
		}
	}
	_ = w.Flush()
	return missed
}

// cpu is the processor time that this process has taken.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // can't fail with these arguments
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

type measured struct{ rate, allocs float64 }

// measure calls f often enough and says how many times a second of processor time.
func (b *Bench) measure(f func(i int)) measured {
	runtime.GC()
	for i := range 2000 {
		f(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, start := 0, cpu()
	var took time.Duration
	for took.Seconds() < b.Seconds {
		for range 1000 {
			f(n)
			n++
		}
		took = cpu() - start
	}
	runtime.ReadMemStats(&after)
	return measured{float64(n) / took.Seconds(), float64(after.Mallocs-before.Mallocs) / float64(n)}
}

// decide measures decisions over orders of which all must end as want.
func (b *Bench) decide(m *market, v *inventory.Inventory, orders []*bid.Order, want bid.Code) (measured, error) {
	for _, o := range orders {
		if d := bid.Decide(o, v, &m.policy, &m.standing, 1); d.Reason.Code != want {
			return measured{}, fmt.Errorf("order %s: %q (%s), want %q", o.ID, d.Reason.Code, d.Reason, want)
		}
	}
	return b.measure(func(i int) {
		if d := bid.Decide(orders[i%len(orders)], v, &m.policy, &m.standing, 1); d.Reason.Code != want {
			panic(d.Reason.String())
		}
	}), nil
}

// decisions measures accepted and refused orders on clusters that are 90 % full.
func (b *Bench) decisions() error {
	for _, c := range []struct {
		nodes  int
		target float64
	}{{100, 500_000}, {1000, 500_000}, {10_000, 300_000}} {
		m := newMarket(b.Seed)
		v, err := m.filled(c.nodes)
		if err != nil {
			return err
		}
		b.say("%d nodes, %s", c.nodes, fullness(v))
		for _, k := range []struct {
			what   string
			orders []*bid.Order
			want   bid.Code
			target float64
		}{
			{"accepted, full resource model", m.orders(plain, devices), bid.Accepted, c.target},
			{"accepted, without devices", m.orders(plain), bid.Accepted, c.target},
			{"accepted, with devices", m.orders(devices), bid.Accepted, c.target},
			{"refused, too large for any node", m.orders(tooLarge), bid.Capacity, 1_000_000},
			{"refused, only some replicas fit", m.orders(tooMany), bid.Capacity, 1_000_000},
			{"refused, no such devices", m.orders(noDevice), bid.Capacity, 1_000_000},
			{"refused, an attribute", m.orders(noAttribute), bid.Attribute, 1_000_000},
			{"refused, the price", m.orders(tooCheap), bid.Price, 1_000_000},
		} {
			r, err := b.decide(m, v, k.orders, k.want)
			if err != nil {
				return fmt.Errorf("%s: %w", k.what, err)
			}
			b.rate(fmt.Sprintf("%d nodes: %s", c.nodes, k.what), r, k.target)
		}
	}
	return nil
}

// adversaries measures clusters that are made to mislead an index.
func (b *Bench) adversaries() error {
	const nodes = 10_000
	for _, a := range []struct {
		what  string
		nodes []inventory.Node
		want  bid.Code
	}{
		{"cpu and memory free on different nodes, three nodes fit", apart(nodes, 3), bid.Accepted},
		{"cpu and memory free on different nodes, none fits", apart(nodes, 0), bid.Capacity},
		{"each node a little short of cpu, three nodes fit", justShort(nodes, 3), bid.Accepted},
		{"each node a little short of cpu, none fits", justShort(nodes, 0), bid.Capacity},
		{"the same, and all that is known of a block of nodes promises enough, three fit", decoys(nodes, 3), bid.Accepted},
		{"the same, and all that is known of a block of nodes promises enough, none fits", decoys(nodes, 0), bid.Capacity},
	} {
		m := newMarket(b.Seed)
		var v inventory.Inventory
		whole := make([]inventory.Node, nodes)
		for i := range whole {
			whole[i] = roomy(i)
		}
		v.Set(inventory.Supply{Nodes: whole, Pools: m.pools()}) // so that they keep their order when they lose something
		v.Set(inventory.Supply{Nodes: a.nodes, Pools: m.pools()})
		r, err := b.decide(m, &v, []*bid.Order{m.order(fixed)}, a.want)
		if err != nil {
			return fmt.Errorf("%s: %w", a.what, err)
		}
		b.rate(fmt.Sprintf("%d nodes, adversarial: %s", nodes, a.what), r, 20_000)
	}
	return nil
}

// openBids measures the same decisions on the same free capacity with and without open bids.
func (b *Bench) openBids() error {
	const nodes, open = 10_000, 100_000
	m := newMarket(b.Seed)
	book, err := m.bookWith(nodes, open)
	if err != nil {
		return err
	}
	bare := m.sameFree(book)
	orders := m.orders(plain, devices)
	const rounds = 5 // the machine is shared: of each the best counts
	var with, without measured
	for range rounds {
		for v, best := range map[*inventory.Inventory]*measured{book: &with, bare: &without} {
			r, err := b.decide(m, v, orders, bid.Accepted)
			if err != nil {
				return err
			}
			if r.rate > best.rate {
				*best = r
			}
		}
	}
	b.rate(fmt.Sprintf("%d nodes: no open bids", nodes), without, 0)
	b.rate(fmt.Sprintf("%d nodes: %d open bids", nodes, book.Len()), with, 0)
	b.holds("open bids slow a decision", fmt.Sprintf("by %.1f %%", 100*(without.rate/with.rate-1)), "at most 10 %", without.rate <= 1.1*with.rate)
	return nil
}
