package inventory

import (
	"math"
	"math/bits"
)

// Resource names what an order can be short of. Those up to Pods are columns: a node gives them and an instance
// takes them. The others belong to the cluster as a whole, or are no amounts at all.
type Resource uint8

// The resources.
const (
	CPU       Resource = iota // thousandths of a core
	Memory                    // bytes, volumes in memory included
	Storage                   // bytes of ephemeral storage
	GPU                       // devices
	Pods                      // instances
	resources                 // the number of columns

	Persistent = resources + iota - 6 // bytes of a class of persistent storage, cluster-wide
	Ports                             // ports of the provider that lead to a service, cluster-wide
	Addresses                         // leased addresses, cluster-wide
	Arch                              // a node's architecture
)

// Resources lists all columns in their order.
func Resources() []Resource { return []Resource{CPU, Memory, Storage, GPU, Pods} }

var names = [...]string{
	CPU: "cpu", Memory: "memory", Storage: "storage", GPU: "gpu", Pods: "pods",
	Persistent: "persistent storage", Ports: "ports", Addresses: "addresses", Arch: "arch",
}

// String gives the resource's name as metrics and messages use it.
func (r Resource) String() string {
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Amounts is one amount of each column, in the resource's unit.
type Amounts [resources]int64

// NoLimit is the capacity of a column that a kind of cluster does not limit, such as the pods of a simulated node.
const NoLimit = 1 << 20

// scale is the unit of a column's index: the binary logarithm of the amount below which no difference is made.
type scale uint8

// scales are those of the columns: 8 thousandths of a core, 1 MiB, 4 MiB, one device, one pod.
var scales = [resources]scale{CPU: 3, Memory: 20, Storage: 22}

// levels is how many levels a column has: enough for 2^25 units.
const levels = 4 + 24*4

// level is where the index keeps x: -1 for nothing, 0 for less than a unit, then four levels for each power of two. An
// amount of at least y has at least the level of y.
func (s scale) level(x int64) int {
	if x <= 0 {
		return -1
	}
	y := uint64(x) >> s
	if y < 4 {
		return int(y)
	}
	e := bits.Len64(y) - 3
	return min(4+e*4+int(y>>e&3), levels-1)
}

// addCapped is a+b, cut to what an int64 holds.
func addCapped(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
