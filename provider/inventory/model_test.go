package inventory

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// fromEnv is a number that the environment may set.
func fromEnv(t testing.TB, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// history is a random life of an inventory, with a plain account of what it should hold beside it.
type history struct {
	t     *testing.T
	rnd   *rand.Rand
	v     Inventory
	live  map[uint64]*Demand
	nodes []Node
	pools Pools
	tight bool // small nodes and pools, so that the edges are met often
	said  []string
}

// TestHistories: over random histories of reserve, adopt, release and changes of the cluster, the inventory never sells
// what is not there (PINV-1), gives back all that is released, and places by its index exactly as a plain scan does.
func TestHistories(t *testing.T) {
	count, seed := fromEnv(t, "BID_HISTORIES", 2000), fromEnv(t, "BID_SEED", rand.Uint64()>>1)
	t.Logf("BID_SEED=%d BID_HISTORIES=%d", seed, count)
	for i := range count {
		h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, i)), live: map[uint64]*Demand{}}
		if !h.run() {
			for _, s := range h.said {
				t.Log(s)
			}
			t.Fatalf("history %d of BID_SEED=%d", i, seed)
		}
	}
}

func (h *history) say(format string, args ...any) {
	h.said = append(h.said, fmt.Sprintf(format, args...))
}

func (h *history) run() (ok bool) {
	most := 6
	if h.rnd.IntN(20) == 0 {
		most = 200 // several blocks
	}
	h.tight = h.rnd.IntN(3) > 0
	h.drawNodes(h.rnd.IntN(most + 1))
	h.v.Set(Supply{Nodes: h.nodes, Pools: h.pools})
	for range 10 + h.rnd.IntN(30) {
		if !h.step(most) || !h.check() {
			return false
		}
	}
	for k := range h.live {
		h.v.Release(key(k))
		delete(h.live, k)
	}
	return h.check()
}

func (h *history) step(most int) bool {
	k, d := uint64(h.rnd.IntN(12)), h.demand()
	switch h.rnd.IntN(10) {
	case 0:
		h.changeNodes(most)
		h.v.Set(Supply{Nodes: h.nodes, Pools: h.pools})
	case 1:
		h.drawPools()
		h.v.Set(Supply{Nodes: h.nodes, Pools: h.pools})
	case 2, 3, 4, 5:
		return h.reserve(k, d)
	case 6:
		h.say("adopt %d", k)
		h.v.Adopt(key(k), d)
		if h.live[k] == nil {
			h.live[k] = d
		}
	default:
		_, had := h.live[k]
		h.say("release %d", k)
		if h.v.Release(key(k)) != had {
			h.t.Errorf("Release(%d) = %t", k, !had)
			return false
		}
		delete(h.live, k)
	}
	return true
}

func (h *history) reserve(k uint64, d *Demand) bool {
	h.say("reserve %d: %+v", k, *d)
	want, wantShort, wantOK := h.scan(d)
	_, dup := h.live[k]
	short, fits := h.v.Fits(d)
	short2, ok, err := h.v.Reserve(key(k), d)
	switch {
	case dup != errors.Is(err, ErrReserved):
		h.t.Errorf("second reservation of %d: %v", k, err)
		return false
	case fits != wantOK:
		h.t.Errorf("Fits says %t (%s), a scan %t (%s)", fits, short, wantOK, wantShort)
		return false
	case dup:
		return true
	case ok != fits || !ok && short != short2:
		h.t.Errorf("Fits says %t (%s), Reserve %t (%s)", fits, short, ok, short2)
		return false
	case !ok && (short.Unit != wantShort.Unit || short.Placed != wantShort.Placed || short.Resource >= resources && short != wantShort):
		h.t.Errorf("short is %+v, by a scan %+v", short, wantShort)
		return false
	case !ok:
		return h.explains(d, short)
	case !slices.Equal(h.v.held[key(k)].slots, want):
		h.t.Errorf("placed %v, by a scan %v", h.v.held[key(k)].slots, want)
		return false
	}
	h.live[k] = d
	for _, s := range want {
		if !h.sound(int(s.node), d.Units[s.unit].Need, s.class) {
			return false
		}
	}
	return true
}

// sound is PINV-1: after a reservation nothing that it takes is below zero where it was placed.
func (h *history) sound(n int, need Amounts, class int16) bool {
	for _, r := range plain {
		if f := h.v.cols[r].free[n]; need[r] > 0 && f < 0 {
			h.t.Errorf("PINV-1: node %s has %d of %s", h.v.names[n], f, r)
			return false
		}
	}
	if class >= 0 && h.v.gpus[class].free[n] < 0 {
		h.t.Errorf("PINV-1: node %s has %d of %s", h.v.names[n], h.v.gpus[class].free[n], h.v.gpus[class].class)
		return false
	}
	return true
}

// explains checks the numbers of a refusal against all nodes: a resource that is named as short on every node is.
func (h *history) explains(d *Demand, s Shortfall) bool {
	if s.Resource >= resources || s.None {
		return true
	}
	u := slices.IndexFunc(d.Units, func(u Unit) bool { return u.ID == s.Unit })
	if d.Units[u].Need[s.Resource] != s.Need {
		h.t.Errorf("%+v: the unit needs %d", s, d.Units[u].Need[s.Resource])
		return false
	}
	if s.Placed > 0 || u > 0 && !h.hopeless(s) {
		return true // largest is of the moment when instances were placed
	}
	largest := int64(0)
	for n := range h.v.names {
		if d.Arch != "" && h.v.arch[n] != d.Arch {
			continue
		}
		has, devices := d.Units[u].Need[GPU] <= 0, int64(0)
		for c := range h.v.gpus {
			if d.Units[u].takes(&h.v.gpus[c]) {
				devices = max(devices, h.v.gpus[c].free[n])
				has = has || h.v.gpus[c].free[n] >= d.Units[u].Need[GPU]
			}
		}
		switch {
		case s.Resource == GPU:
			largest = max(largest, devices)
		case has || h.hopeless(s):
			largest = max(largest, h.v.cols[s.Resource].free[n])
		}
	}
	if largest != s.Largest {
		h.t.Errorf("%+v: the roomiest node has %d", s, largest)
		return false
	}
	return true
}

// hopeless tells whether no node at all has what is short.
func (h *history) hopeless(s Shortfall) bool {
	return s.Resource != GPU && s.Need > slices.Max(append(slices.Clone(h.v.cols[s.Resource].free), 0))
}

// scan places a demand by looking at every node, and changes nothing.
func (h *history) scan(d *Demand) (slots []slot, short Shortfall, ok bool) {
	v := &h.v
	if d.Arch != "" && !slices.Contains(v.arch, d.Arch) {
		return nil, Shortfall{Resource: Arch, What: d.Arch, None: len(v.names) == 0}, false
	}
	for _, x := range d.Persistent {
		if short, ok := h.scanPool(Persistent, x.Class, x.Bytes, h.pools.Persistent[x.Class]); !ok {
			_, listed := h.pools.Persistent[x.Class]
			short.None, short.Unknown = !listed, short.Unknown && listed
			return nil, short, false
		}
	}
	if short, ok := h.scanPool(Ports, "", d.Ports, h.pools.Ports); !ok {
		return nil, short, false
	}
	if short, ok := h.scanPool(Addresses, "", d.Addresses, h.pools.Addresses); !ok {
		return nil, short, false
	}
	free := make([][]int64, 0, len(plain)+len(v.gpus))
	for _, r := range plain {
		free = append(free, slices.Clone(v.cols[r].free))
	}
	for c := range v.gpus {
		free = append(free, slices.Clone(v.gpus[c].free))
	}
	for u := range d.Units { // what can't fit at all is named before what does not fit together
		for i, r := range plain {
			if d.Units[u].Need[r] > slices.Max(append(free[i], 0)) {
				return nil, Shortfall{Unit: d.Units[u].ID}, false
			}
		}
	}
	for u := range d.Units {
		unit := &d.Units[u]
		classes := []int{-1}
		if unit.Need[GPU] > 0 {
			classes = nil
			for c := range v.gpus {
				if unit.takes(&v.gpus[c]) {
					classes = append(classes, c)
				}
			}
		}
		left := unit.Count
		for _, c := range classes {
			for n := range v.names {
				k := int32(0)
				for left > 0 && (d.Arch == "" || v.arch[n] == d.Arch) && takeOne(free, unit, c, n) {
					k++
					left--
				}
				if k > 0 {
					slots = append(slots, slot{node: int32(n), count: k, unit: int16(u), class: int16(c)})
				}
			}
		}
		if left > 0 {
			return nil, Shortfall{Unit: unit.ID, Placed: unit.Count - left}, false
		}
	}
	return slots, Shortfall{}, true
}

// takeOne takes an instance from a node if it fits.
func takeOne(free [][]int64, unit *Unit, class, n int) bool {
	for i, r := range plain {
		if unit.Need[r] > 0 && free[i][n] < unit.Need[r] {
			return false
		}
	}
	if class >= 0 {
		if free[len(plain)+class][n] < unit.Need[GPU] {
			return false
		}
		free[len(plain)+class][n] -= unit.Need[GPU]
	}
	for i, r := range plain {
		free[i][n] -= unit.Need[r]
	}
	return true
}

func (h *history) scanPool(r Resource, class string, need int64, p Pool) (Shortfall, bool) {
	used := int64(0)
	for _, d := range h.live {
		used += held(d, r, class)
	}
	switch {
	case need == 0 || p.Known && p.Total-used >= need:
		return Shortfall{}, true
	case !p.Known:
		return Shortfall{Resource: r, What: class, Need: need, Unknown: true}, false
	}
	return Shortfall{Resource: r, What: class, Need: need, Largest: max(0, p.Total-used)}, false
}

func held(d *Demand, r Resource, class string) (n int64) {
	switch r {
	case Ports:
		return d.Ports
	case Addresses:
		return d.Addresses
	}
	for _, x := range d.Persistent {
		if x.Class == class {
			n += x.Bytes
		}
	}
	return n
}

// check compares the inventory with the plain account: what is free is what there is less what is held, node by node,
// and the index shows just that.
func (h *history) check() bool {
	v := &h.v
	if v.Len() != len(h.live) || len(v.log) != 0 || v.Nodes() != len(h.nodes) {
		h.t.Errorf("%d reservations, want %d; log %v; %d nodes, want %d", v.Len(), len(h.live), v.log, v.Nodes(), len(h.nodes))
		return false
	}
	cols := []*column{}
	for _, r := range plain {
		cols = append(cols, &v.cols[r])
	}
	for c := range v.gpus {
		cols = append(cols, &v.gpus[c].column)
	}
	want := make([][]int64, len(cols))
	for i, c := range cols {
		want[i] = slices.Clone(c.capacity)
	}
	if !h.checkCapacity() || !h.chargeHeld(want) {
		return false
	}
	for i, c := range cols {
		if !slices.Equal(c.free, want[i]) || !slices.Equal(c.shown, want[i]) {
			h.t.Errorf("column %d: free %v, shown %v, want %v", i, c.free, c.shown, want[i])
			return false
		}
		if !h.checkIndex(c) {
			return false
		}
	}
	for _, p := range v.Pools() {
		used := int64(0)
		for _, d := range h.live {
			used += held(d, p.Resource, p.Class)
		}
		if used != p.Held {
			h.t.Errorf("%s %s: %d held, want %d", p.Resource, p.Class, p.Held, used)
			return false
		}
	}
	return true
}

// checkCapacity compares the columns with the nodes as they were given.
func (h *history) checkCapacity() bool {
	for i := range h.nodes {
		n, at := &h.nodes[i], int(h.v.given[i])
		ok := h.v.names[at] == n.Name && h.v.arch[at] == n.Arch
		for _, r := range plain {
			ok = ok && h.v.cols[r].capacity[at] == n.Capacity[r]
		}
		for c := range h.v.gpus {
			ok = ok && h.v.gpus[c].capacity[at] == n.devices(h.v.gpus[c].class)
		}
		if !ok {
			h.t.Errorf("node %+v is kept otherwise", n)
			return false
		}
	}
	return true
}

// chargeHeld takes what is held from want, and checks that every instance has a place.
func (h *history) chargeHeld(want [][]int64) bool {
	for k, d := range h.live {
		placed := make([]int32, len(d.Units))
		for _, s := range h.v.held[key(k)].slots {
			placed[s.unit] += s.count
			if s.node < 0 {
				continue
			}
			for i, r := range plain {
				want[i][s.node] -= d.Units[s.unit].Need[r] * int64(s.count)
			}
			if s.class >= 0 {
				want[len(plain)+int(s.class)][s.node] -= d.Units[s.unit].Need[GPU] * int64(s.count)
			}
		}
		for u := range d.Units {
			if placed[u] != d.Units[u].Count {
				h.t.Errorf("order %d unit %d: %d instances placed, want %d", k, u, placed[u], d.Units[u].Count)
				return false
			}
		}
	}
	return true
}

func (h *history) checkIndex(c *column) bool {
	for l := range c.rows {
		for n := range c.free {
			in := c.rows[l] != nil && c.rows[l][n/blockSize]&(1<<(n%blockSize)) != 0
			if in != (c.scale.level(c.free[n]) >= l) {
				h.t.Errorf("node %d has %d, but its bit of level %d is %t", n, c.free[n], l, in)
				return false
			}
		}
	}
	block, super := make([]int64, len(c.block)), make([]int64, len(c.super))
	for n, f := range c.free {
		block[n/blockSize] = max(block[n/blockSize], f)
		super[n/blockSize/blockSize] = max(super[n/blockSize/blockSize], f)
	}
	if !slices.Equal(block, c.block) || !slices.Equal(super, c.super) {
		h.t.Errorf("largest %v of %v, want %v of %v", c.block, c.super, block, super)
		return false
	}
	return true
}

var testClasses = []GPUClass{
	{}, {Vendor: "nvidia"}, {Vendor: "nvidia", Model: "t4", RAM: "16Gi"}, {Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"},
	{Vendor: "amd", Model: "mi300x", RAM: "192Gi"},
}

var testWants = []string{
	"vendor/nvidia/model/*", "vendor/nvidia/model/t4", "vendor/nvidia/model/a100/ram/81920Mi", "vendor/nvidia/model/a100/interface/pcie",
	"vendor/amd/model/mi300x", "vendor/nvidia",
}

var testArchs = []string{"", "amd64", "amd64", "arm64"}

func (h *history) amount(most int64) int64 {
	if h.rnd.IntN(5) == 0 {
		return 0
	}
	return h.rnd.Int64N(most) + 1
}

func (h *history) drawNode(name string) Node {
	// In a tight history amounts are a few units of the index, so that they meet its edges; in others they are anything.
	cpu, memory, storage := int64(100), int64(12<<20), int64(50<<20)
	if !h.tight {
		cpu, memory, storage = 1<<18, 1<<42, 1<<46
	}
	n := Node{Name: name, Arch: testArchs[h.rnd.IntN(len(testArchs))], Capacity: Amounts{
		CPU: h.amount(cpu), Memory: h.amount(memory), Storage: h.amount(storage), Pods: h.amount(8),
	}}
	for _, c := range testClasses[1:] {
		if h.rnd.IntN(6) == 0 {
			n.GPUs = append(n.GPUs, GPUs{c, h.amount(9)})
		}
	}
	if h.rnd.IntN(6) == 0 {
		n.Capacity[GPU] = h.amount(4)
	}
	return n
}

func (h *history) drawNodes(n int) {
	h.nodes = nil
	for _, i := range h.rnd.Perm(n + n/4)[:n] {
		h.nodes = append(h.nodes, h.drawNode(strconv.Itoa(i)))
	}
	h.drawPools()
	h.say("nodes %+v", h.nodes)
}

// changeNodes draws all anew, or changes amounts, or adds or takes one.
func (h *history) changeNodes(most int) {
	switch h.rnd.IntN(4) {
	case 0:
		h.drawNodes(h.rnd.IntN(most + 1))
		return
	case 1:
		if len(h.nodes) > 0 {
			i := h.rnd.IntN(len(h.nodes))
			h.nodes = slices.Delete(slices.Clone(h.nodes), i, i+1)
		}
	default:
		h.nodes = slices.Clone(h.nodes)
		for i := range h.nodes {
			if h.rnd.IntN(3) == 0 {
				was := h.nodes[i]
				h.nodes[i] = h.drawNode(was.Name)
				h.nodes[i].Arch, h.nodes[i].GPUs = was.Arch, was.GPUs
			}
		}
	}
	h.say("nodes %+v", h.nodes)
}

func (h *history) drawPools() {
	pool := func(most int64) Pool {
		if h.rnd.IntN(5) == 0 {
			return Pool{}
		}
		return Pool{Known: true, Total: h.amount(most)}
	}
	h.pools = Pools{Ports: pool(10), Addresses: pool(4), Persistent: map[string]Pool{}}
	for _, class := range []string{"default", "beta1"} {
		if h.rnd.IntN(3) > 0 {
			h.pools.Persistent[class] = pool(1000)
		}
	}
	h.say("pools %+v", h.pools)
}

func (h *history) demand() *Demand {
	d := &Demand{}
	if h.rnd.IntN(4) == 0 {
		d.Arch = testArchs[h.rnd.IntN(len(testArchs))]
	}
	for _, class := range []string{"default", "beta1"} {
		if h.rnd.IntN(5) == 0 {
			d.Persistent = append(d.Persistent, Volume{class, h.amount(300)})
		}
	}
	d.Ports, d.Addresses = int64(h.rnd.IntN(3)), int64(h.rnd.IntN(10)/9)
	for u := range 1 + h.rnd.IntN(3) {
		n := h.drawNode("")
		unit := Unit{ID: uint32(u) + 1, Count: int32(1 + h.rnd.IntN(5)), Need: n.Capacity}
		for _, r := range plain[:3] {
			if h.rnd.IntN(3) > 0 {
				unit.Need[r] /= 4
			}
		}
		unit.Need[Pods], unit.Need[GPU] = 1, 0
		if h.rnd.IntN(4) == 0 {
			unit.Need[GPU] = int64(1 + h.rnd.IntN(3))
			for _, i := range h.rnd.Perm(len(testWants))[:h.rnd.IntN(3)] {
				w, _ := ParseGPU(testWants[i])
				unit.GPUs = append(unit.GPUs, w)
			}
		}
		d.Units = append(d.Units, unit)
	}
	return d
}

// TestLevels: the level of an amount never falls as the amount grows, so that nodes with enough are never passed over.
func TestLevels(t *testing.T) {
	for r, s := range scales {
		last := -1
		for e := 2; e < 63; e++ {
			for _, d := range []int64{-1, 0, 1} {
				l := s.level(int64(1)<<e + d)
				if l < last || l < 0 || l >= levels {
					t.Fatalf("%s: 2^%d%+d has level %d after %d", Resource(r), e, d, l, last)
				}
				last = l
			}
		}
		if s.level(0) != -1 || s.level(math.MinInt64) != -1 || s.level(1) < 0 || s.level(2) < s.level(1) || last != levels-1 {
			t.Fatalf("%s: levels %d, %d, %d .. %d", Resource(r), s.level(0), s.level(1), s.level(2), last)
		}
	}
}
