package inventory

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"testing"
)

// placer puts a unit on nodes and returns what is left over; the log holds what it took.
type placer func(v *Inventory, u int, unit *Unit) int32

// byScan looks at every node.
func byScan(v *Inventory, u int, unit *Unit) int32 {
	left := unit.Count
	cpu, memory, disk, pods := v.cols[CPU].free, v.cols[Memory].free, v.cols[Storage].free, v.cols[Pods].free
	for n := range cpu {
		if cpu[n] < unit.Need[CPU] || memory[n] < unit.Need[Memory] || disk[n] < unit.Need[Storage] || pods[n] < unit.Need[Pods] {
			continue
		}
		k := v.room(n, unit, -1, left)
		v.take(slot{node: int32(n), count: k, unit: int16(u), class: -1}, unit)
		if left -= k; left == 0 {
			break
		}
	}
	return left
}

// byMaxima descends where the largest of each resource in a block, and in a block of blocks, promise room: a tree of
// maxima with 64 branches.
func byMaxima(v *Inventory, u int, unit *Unit) int32 {
	var s searches
	if !v.searchesFor(&s, unit, -1) {
		return unit.Count
	}
	left := unit.Count
	for b := range s.cpu.super {
		if !s.superMay(b) {
			continue
		}
		for w := b * blockSize; w < min((b+1)*blockSize, len(v.all)); w++ {
			if !s.blockMay(w) {
				continue
			}
			if left = v.placeIn(&s, slot{unit: int16(u), class: -1}, unit, w*blockSize, v.all[w], left); left == 0 {
				return 0
			}
		}
	}
	return left
}

// byRows is what place does.
func byRows(v *Inventory, u int, unit *Unit) int32 { return v.placeUnit(u, unit, v.all) }

// byWalk follows the bits of the rows alone, without the maxima.
func byWalk(v *Inventory, u int, unit *Unit) int32 {
	var s searches
	if !v.searchesFor(&s, unit, -1) {
		return unit.Count
	}
	left := unit.Count
	for w := range v.all {
		m := s.cpu.row[w] & s.memory.row[w] & s.disk.row[w] & s.pods.row[w]
		for ; m != 0; m &= m - 1 {
			if n := w*blockSize + bits.TrailingZeros64(m); s.has(n) {
				k := v.room(n, unit, -1, left)
				v.take(slot{node: int32(n), count: k, unit: int16(u), class: -1}, unit)
				if left -= k; left == 0 {
					return 0
				}
			}
		}
	}
	return left
}

// benchCluster has nodes of three sizes.
func benchCluster(n int) (*Inventory, []Node) {
	rnd := rand.New(rand.NewPCG(1, 2))
	nodes := make([]Node, n)
	for i := range nodes {
		cores := int64(16) << rnd.IntN(3)
		nodes[i] = Node{Name: strconv.Itoa(i), Capacity: Amounts{CPU: cores * 1000, Memory: cores << 32, Storage: cores << 34, Pods: 110}}
	}
	v := &Inventory{}
	v.SetNodes(nodes)
	return v, nodes
}

func benchUnit(rnd *rand.Rand) Unit {
	cpu := int64(250) << rnd.IntN(5)
	return Unit{Count: 3, Need: Amounts{CPU: cpu, Memory: cpu << (21 + rnd.IntN(2)), Storage: 1 << 30, Pods: 1}}
}

// filledInOrder is 90 % full: what first fit leaves.
func filledInOrder(n int) *Inventory {
	v, _ := benchCluster(n)
	rnd := rand.New(rand.NewPCG(3, 4))
	full := v.Capacity()[CPU] / 10 * 9
	for k, held := uint64(0), int64(0); held < full; k++ {
		d := demand(benchUnit(rnd))
		if _, ok, err := v.Reserve(key(k), d); err != nil || !ok {
			break
		}
		held += d.Units[0].Need[CPU] * int64(d.Units[0].Count)
	}
	return v
}

// filledEvenly has each node 90 % full, give or take.
func filledEvenly(n int) *Inventory {
	v, nodes := benchCluster(n)
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range nodes {
		part := rnd.Int64N(200)
		for _, r := range plain[:3] {
			nodes[i].Capacity[r] = nodes[i].Capacity[r] / 1000 * part
		}
	}
	v.SetNodes(nodes)
	return v
}

// filledApart has cpu free on one half of the nodes and memory on the other.
func filledApart(n int) *Inventory {
	v, nodes := benchCluster(n)
	for i, at := range v.given { // every other one, as they stand
		if int(at) < n-1 {
			nodes[i].Capacity[[...]Resource{CPU, Memory}[at%2]] = 100
		}
	}
	v.SetNodes(nodes)
	return v
}

// BenchmarkPlace compares ways of finding places for two services of three instances on the same clusters;
// docs/adr/017-inventory-index.md.
func BenchmarkPlace(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		for name, v := range map[string]*Inventory{"in-order": filledInOrder(n), "evenly": filledEvenly(n), "apart": filledApart(n)} {
			for how, place := range map[string]placer{"scan": byScan, "maxima": byMaxima, "bits": byWalk, "bits+maxima": byRows} {
				b.Run(fmt.Sprintf("%d/%s/%s", n, name, how), func(b *testing.B) {
					rnd := rand.New(rand.NewPCG(7, 8))
					demands := make([]*Demand, 256)
					for i := range demands {
						demands[i] = demand(benchUnit(rnd), benchUnit(rnd))
					}
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						d := demands[i%len(demands)]
						for u := range d.Units {
							if place(v, u, &d.Units[u]) > 0 {
								b.Fatal("does not fit")
							}
						}
						v.undo(d)
					}
				})
			}
		}
	}
}

// BenchmarkReserve is a reservation and its release.
func BenchmarkReserve(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			v, rnd := filledInOrder(n), rand.New(rand.NewPCG(9, 10))
			d := demand(benchUnit(rnd), benchUnit(rnd))
			for b.Loop() {
				if _, ok, err := v.Reserve(key(1<<40), d); !ok || err != nil {
					b.Fatal(ok, err)
				}
				v.Release(key(1 << 40))
			}
		})
	}
}

// BenchmarkSet is a reading of a cluster of which a tenth of the nodes has changed, with reservations on all.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			v := filledInOrder(n)
			nodes, _ := v.Snapshot()
			for i := 0; b.Loop(); i++ {
				for j := i % 10; j < n; j += 10 {
					nodes[j].Capacity[CPU] ^= 1 << 8
				}
				v.SetNodes(nodes)
			}
		})
	}
}
