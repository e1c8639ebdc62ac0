package inventory

import (
	"math/bits"
	"slices"
)

// blockSize is how many nodes share a word of the index.
const blockSize = 64

// column is one resource of all nodes, with an index of where it is free.
//
// The index answers two questions without a look at each node. Which nodes have enough of all resources: rows hold, for
// each level of the resource, a bit for each node with at least that much, so that the conjunction of one row per
// resource leaves few nodes to look at, also where one resource is free on other nodes than another, which maxima of
// blocks would not show. And how much the roomiest node has: the largest of each block, and of each block of blocks.
//
// place takes from free without telling the index, which thereby only promises too much until settle or undo: whoever
// follows the index checks free.
type column struct {
	scale          scale
	capacity, free []int64
	shown          []int64 // free as the index has it
	rows           [levels][]uint64
	block, super   []int64
}

// words is the number of blocks of n nodes.
func words(n int) int { return (n + blockSize - 1) / blockSize }

// reset makes the column one of n nodes without capacity.
func (c *column) reset(s scale, n int) {
	*c = column{scale: s, capacity: make([]int64, n), free: make([]int64, n), shown: make([]int64, n)}
	c.block = make([]int64, words(n))
	c.super = make([]int64, words(len(c.block)))
}

// row is where nodes with at least x are found; nil when no node ever had as much.
func (c *column) row(x int64) []uint64 { return c.rows[c.scale.level(x)] }

// top is the most that a node has, or 0; free must be as the index shows it.
func (c *column) top() (most int64) {
	for _, x := range c.super {
		most = max(most, x)
	}
	return most
}

// largest is the most that any of a set of nodes has, or 0; free must be as the index shows it. Rows are nested: the
// highest level with a node of the set is found by halving, and of that level only blocks that promise more than was
// found are looked into. The last nodes come first, as large ones stand there.
func (c *column) largest(set []uint64) (most int64) {
	low, high := -1, c.scale.level(c.top())+1 // a node of the set is at low, none is at high
	for try := high - 1; high-low > 1; try = (low + high) / 2 {
		if c.reaches(try, set) {
			low = try
		} else {
			high = try
		}
	}
	if low < 0 {
		return 0
	}
	row := c.rows[low]
	for w := len(row) - 1; w >= 0; w-- {
		if c.block[w] <= most {
			continue
		}
		for m := row[w] & set[w]; m != 0; m &= m - 1 {
			most = max(most, c.free[w*blockSize+bits.TrailingZeros64(m)])
		}
	}
	return most
}

// reaches tells whether a node of a set has a level.
func (c *column) reaches(level int, set []uint64) bool {
	row := c.rows[level]
	for w := len(row) - 1; w >= 0; w-- {
		if w%blockSize == blockSize-1 && c.scale.level(c.super[w/blockSize]) < level {
			w -= blockSize - 1
			continue
		}
		if row[w]&set[w] != 0 {
			return true
		}
	}
	return false
}

// able is how many nodes of a set have at least x, as the index has it: hardly ever more than there are. It stops when
// there are more than limit.
func (c *column) able(x int64, set []uint64, limit int) (n int) {
	row := c.row(x)
	block, set := c.block[:len(row)], set[:len(row)]
	for w := len(row) - 1; w >= 0 && n <= limit; w-- {
		if w%blockSize == blockSize-1 && c.super[w/blockSize] < x {
			w -= blockSize - 1
			continue
		}
		if m := row[w] & set[w]; m != 0 && block[w] >= x {
			n += bits.OnesCount64(m)
		}
	}
	return n
}

// settle brings the index in line with what is free on node n.
func (c *column) settle(n int) {
	is := c.free[n]
	if is == c.shown[n] {
		return
	}
	was := c.shown[n]
	c.shown[n] = is
	word, bit := n/blockSize, uint64(1)<<(n%blockSize)
	from, to := c.scale.level(was), c.scale.level(is)
	for l := from + 1; l <= to; l++ {
		if c.rows[l] == nil {
			c.rows[l] = make([]uint64, len(c.block))
		}
		c.rows[l][word] |= bit
	}
	for l := to + 1; l <= from; l++ {
		c.rows[l][word] &^= bit
	}
	most := c.block[word]
	raise(c.shown, c.block, word, was, is)
	raise(c.block, c.super, word/blockSize, most, c.block[word])
}

// raise keeps most[at], the largest of its block of values, after one of them went from was to is.
func raise(values, most []int64, at int, was, is int64) {
	if is >= most[at] {
		most[at] = is
		return
	}
	if was < most[at] {
		return
	}
	first := at * blockSize
	most[at] = max(0, slices.Max(values[first:min(first+blockSize, len(values))]))
}

// put sets what a node can give, keeping what is held; it reports whether more is free than before.
func (c *column) put(n int, capacity int64) (grew bool) {
	change := capacity - c.capacity[n]
	c.capacity[n] = capacity
	c.free[n] += change
	c.settle(n)
	return change > 0
}

// gpuColumn is the devices of one class.
type gpuColumn struct {
	column
	class GPUClass
	ram   int64 // of the class, in bytes; 0 when it is not known
}
