package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"berth.dev/berth/provider/cluster"
)

// Overcommit says how many thousandths of what there is may be sold of each column; 0 is 1000, all of it once. What
// runs on the cluster asks it for that much less than was sold, so that it still finds its place there.
type Overcommit [resources]uint32

// MaxOvercommit is the most that may be sold of what there is, in thousandths.
const MaxOvercommit = 10_000

// ParseOvercommit reads a factor such as 1.5, from 1 to 10 with at most three digits after the point, as thousandths.
func ParseOvercommit(s string) (uint32, error) {
	whole, frac, point := strings.Cut(s, ".")
	digits := whole + frac + strings.Repeat("0", max(0, 3-len(frac)))
	n := uint32(0)
	for _, c := range digits {
		if c < '0' || c > '9' || n > MaxOvercommit {
			n = 0
			break
		}
		n = n*10 + uint32(c-'0')
	}
	if whole == "" || point && frac == "" || len(frac) > 3 || n < 1000 || n > MaxOvercommit {
		return 0, fmt.Errorf("over-commit factor %q is not a decimal from 1 to 10 with at most three digits after the point", s)
	}
	return n, nil
}

// Of is the amount that may be sold of x: at most the largest number, and of nothing nothing.
func (o Overcommit) Of(r Resource, x int64) int64 {
	if x <= 0 || o[r] == 0 {
		return max(0, x)
	}
	hi, lo := bits.Mul64(uint64(x), uint64(o[r]))
	if hi >= 1000 {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, 1000)
	return int64(min(q, 1<<63-1))
}

// Terms are what an operator decides of the cluster's capacity.
type Terms struct {
	// Share is the part of what is left after foreign pods and Reserve that this provider sells.
	Share Factor
	// Overcommit is by how much the share is oversold.
	Overcommit Overcommit
	// Reserve is kept free on each node, beside what foreign pods have taken; its GPU column is ignored.
	Reserve Amounts
	// Devices says what graphics processors are where the cluster does not.
	Devices GPUClass
}

// Problem is something that a cluster says of itself and that can't be so. The part that it concerns is not sold; all
// the rest is.
type Problem struct {
	// Node is the node's name; empty where the cluster as a whole is meant.
	Node     string
	Resource Resource
	// Class is the class of storage or devices.
	Class string
	// Value was reported; Why says what is wrong with it.
	Value int64
	Why   string
}

// Error implements error.
func (p *Problem) Error() string {
	where := "the cluster"
	if p.Node != "" {
		where = fmt.Sprintf("node %q", p.Node)
	}
	what := p.Resource.String()
	if p.Class != "" {
		what += " " + p.Class
	}
	return fmt.Sprintf("%s reports %d of %s, %s: none of it is sold", where, p.Value, what, p.Why)
}

// The most that is believed of one node. What is above is a fault of a device plugin or of a unit, and nothing that
// anyone should be promised. maxPool is for the cluster as a whole.
var believable = Amounts{CPU: 1 << 30, Memory: 1 << 50, Storage: 1 << 55, GPU: 1024, Pods: NoLimit}

const (
	maxPool = 1 << 60
	// maxClasses is how many classes of devices are told apart.
	maxClasses = 1 << 10
)

// Read turns what a cluster says of itself into what may be sold, and tells what it can't believe. What is wrong with
// one node changes nothing of the others.
func Read(nodes []cluster.Node, pools cluster.Pools, t Terms) (Supply, []*Problem) {
	r := reading{terms: t, classes: map[GPUClass]struct{}{}}
	s := Supply{Nodes: make([]Node, 0, len(nodes))}
	seen := make(map[string]struct{}, len(nodes))
	for i := range nodes {
		if _, dup := seen[nodes[i].Name]; dup {
			r.report(nodes[i].Name, Pods, "", nodes[i].Pods, "and there is a node of this name already")
			continue
		}
		seen[nodes[i].Name] = struct{}{}
		s.Nodes = append(s.Nodes, r.node(&nodes[i]))
	}
	s.Pools = Pools{Ports: r.pool(Ports, "", pools.Ports), Addresses: r.pool(Addresses, "", pools.Addresses)}
	s.Overhead = r.overhead(pools.Overhead)
	if len(pools.Persistent) > 0 {
		s.Pools.Persistent = make(map[string]Pool, len(pools.Persistent))
		for _, class := range slices.Sorted(maps.Keys(pools.Persistent)) {
			s.Pools.Persistent[class] = r.pool(Persistent, class, pools.Persistent[class])
		}
	}
	return s, r.problems
}

type reading struct {
	terms    Terms
	classes  map[GPUClass]struct{}
	problems []*Problem
}

func (r *reading) report(node string, of Resource, class string, value int64, why string) {
	r.problems = append(r.problems, &Problem{Node: node, Resource: of, Class: class, Value: value, Why: why})
}

func (r *reading) node(n *cluster.Node) Node {
	pods := n.Pods
	if pods == 0 {
		pods = NoLimit
	}
	out := Node{Name: n.Name, Arch: n.Arch}
	for _, x := range [...]struct {
		resource       Resource
		total, foreign int64
	}{
		{CPU, int64(n.CPU), int64(n.ForeignCPU)}, {Memory, int64(n.Memory), int64(n.ForeignMemory)},
		{Storage, int64(n.Storage), int64(n.ForeignStorage)}, {Pods, pods, n.ForeignPods},
	} {
		left := r.left(n.Name, x.resource, "", x.total, x.foreign, believable[x.resource])
		left = max(0, left-max(0, r.terms.Reserve[x.resource]))
		out.Capacity[x.resource] = r.terms.Overcommit.Of(x.resource, r.terms.Share.Of(left))
	}
	for _, g := range n.GPUs {
		r.gpus(&out, g)
	}
	return out
}

// gpus adds what may be sold of some devices to a node. A share of devices is rounded down like any other.
func (r *reading) gpus(out *Node, g cluster.GPU) {
	known := r.terms.Devices
	class := GPUClass{
		Vendor: cmp.Or(g.Vendor, known.Vendor), Model: cmp.Or(g.Model, known.Model),
		RAM: cmp.Or(g.RAM, known.RAM), Interface: cmp.Or(g.Interface, known.Interface),
	}
	n := r.terms.Share.Of(r.left(out.Name, GPU, class.String(), g.Count, g.Foreign, believable[GPU]))
	switch _, seen := r.classes[class]; {
	case n == 0:
		return
	case class == GPUClass{}:
		out.Capacity[GPU] = min(out.Capacity[GPU]+n, believable[GPU])
		return
	case !seen && len(r.classes) == maxClasses:
		r.report(out.Name, GPU, class.String(), g.Count, "and there are too many kinds of devices")
		return
	}
	r.classes[class] = struct{}{}
	for i := range out.GPUs {
		if out.GPUs[i].Class == class {
			out.GPUs[i].Count = min(out.GPUs[i].Count+n, believable[GPU])
			return
		}
	}
	out.GPUs = append(out.GPUs, GPUs{Class: class, Count: n})
}

// overhead is what each instance takes of what is sold: more of what is oversold, as pods ask for all of theirs.
func (r *reading) overhead(o cluster.Overhead) (out Amounts) {
	for of, n := range map[Resource]int64{CPU: int64(o.CPU), Memory: int64(o.Memory), Storage: int64(o.Storage)} {
		if n < 0 || n > believable[of] {
			r.report("", of, "", n, "taken by the runtime of each instance, which can't be")
			continue
		}
		out[of] = r.terms.Overcommit.Of(of, n)
	}
	return out
}

func (r *reading) pool(of Resource, class string, p cluster.Pool) Pool {
	if !p.Known {
		return Pool{}
	}
	return Pool{Known: true, Total: r.terms.Share.Of(r.left("", of, class, p.Total, p.Foreign, maxPool))}
}

// left is total less used, between 0 and total: less may be left than was sold, but nothing that was reported in error
// is ever sold.
func (r *reading) left(node string, of Resource, class string, total, used, most int64) int64 {
	switch {
	case total < 0:
		r.report(node, of, class, total, "which is below nothing")
		return 0
	case total > most:
		r.report(node, of, class, total, fmt.Sprintf("and more than %d is not believed", most))
		return 0
	case used < 0:
		r.report(node, of, class, used, "taken by others, which is below nothing")
		return 0
	}
	return total - min(total, used)
}
