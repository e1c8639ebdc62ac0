// Package fake is a simulated cluster: it takes workloads, makes them ready by the number of times they are looked at,
// and gives log lines, but it runs nothing. It serves the tests of the provider and devnets without containers. Its
// clock is the calls it gets, so that a test which replays the same calls sees the same answers.
package fake

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// The names of the calls, as given to Config.Intercept and Cluster.Intercept.
const (
	OpNodes  = "nodes"
	OpPools  = "pools"
	OpApply  = "apply"
	OpRemove = "remove"
	OpList   = "list"
	OpStatus = "status"
	OpLogs   = "logs"

	OpVolumes = "volumes"
)

// Config describes a simulated cluster. The zero value has no nodes and makes workloads ready at once.
type Config struct {
	// Nodes are the nodes at the start.
	Nodes []cluster.Node
	// Pools are the pools at the start. Ports that are not known are those that the simulated cluster gives out.
	Pools cluster.Pools
	// ReadyAfter is the number of Status calls that a service takes to become ready after its dependencies are.
	ReadyAfter int
	// RemoveAfter is the number of List calls during which a removed workload is still listed as terminating.
	RemoveAfter int
	// MissingImages cannot be pulled: services that use them fail.
	MissingImages []string
	// CrashingImages write 60 lines and end with code 3, again and again.
	CrashingImages []string
	// FailingHooks are the names of hooks that do the same, once; all others succeed.
	FailingHooks []string
	// Domain is the domain of generated host names; "sim.localhost" if empty.
	Domain string
	// IngressPort stands in URLs when it is neither 0 nor 80, HTTPSPort in those of https when it is neither 0 nor 443.
	IngressPort, HTTPSPort int
	// Host is the host of forwarded ports; "127.0.0.1" if empty.
	Host string
	// Unmeasured says that the cluster does not tell what instances use.
	Unmeasured bool
	// Now gives the times of events and of what instances use; time.Now if nil.
	Now func() time.Time
	// Dir keeps the workloads on disk, so that a new Cluster over the same directory holds them; empty keeps none.
	Dir string
}

// Cluster is a simulated cluster. All methods may be called from several goroutines; what goes in and comes out is
// copied.
type Cluster struct {
	cfg Config

	mu          sync.Mutex
	nodes       []cluster.Node
	pools       cluster.Pools
	leases      map[markettypes.LeaseID]*lease
	unreachable error
	failApply   error
	intercept   func(op string) error
	held        bool
	ports       map[uint32]string // external port -> its holder
	calls       map[string]int
	volumes     int // how many were made
	programs    map[string]Program
	changed     chan struct{} // closed and replaced whenever logs or leases change
	links       links
}

var _ cluster.Cluster = (*Cluster)(nil)

// New returns a simulated cluster. It panics only if cfg.Dir holds files that this package did not write; use Open to
// get that as an error.
func New(cfg Config) *Cluster {
	c, err := Open(cfg)
	if err != nil {
		panic(err)
	}
	return c
}

// Open returns a simulated cluster that holds the workloads of cfg.Dir, or an error if they cannot be read.
func Open(cfg Config) (*Cluster, error) {
	if cfg.Domain == "" {
		cfg.Domain = "sim.localhost"
	}
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cluster{
		programs: maps.Clone(programs),
		cfg:      cfg, leases: map[markettypes.LeaseID]*lease{}, ports: map[uint32]string{},
		calls: map[string]int{}, changed: make(chan struct{}),
	}
	c.SetNodes(cfg.Nodes...)
	c.SetPools(cfg.Pools)
	found, err := load(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open simulated cluster: %w", err)
	}
	for _, w := range found {
		l := newLease(w.Workload, nil, c.takePort)
		l.volumes = w.volumes
		l.lost = w.lost
		l.adopt()
		c.leases[w.Lease] = l
		for _, v := range w.volumes {
			var n int
			if _, err := fmt.Sscanf(v.ID, "volume-%d", &n); err == nil {
				c.volumes = max(c.volumes, n)
			}
		}
	}
	return c, nil
}

// enter starts a call: it counts it and returns the error that it must fail with. c.mu is held when it returns nil.
func (c *Cluster) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.calls[op]++
	err := c.unreachable
	if f := c.intercept; err == nil && f != nil {
		c.mu.Unlock()
		err = f(op)
		c.mu.Lock()
	}
	if err != nil {
		c.mu.Unlock()
		return fmt.Errorf("simulated cluster: %s: %w", op, err)
	}
	return nil
}

// Nodes implements cluster.Cluster.
func (c *Cluster) Nodes(ctx context.Context) ([]cluster.Node, error) {
	if err := c.enter(ctx, OpNodes); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	return copyNodes(c.nodes), nil
}

// copyNodes copies nodes with their devices.
func copyNodes(in []cluster.Node) []cluster.Node {
	out := slices.Clone(in)
	for i := range out {
		out[i].GPUs = slices.Clone(out[i].GPUs)
	}
	return out
}

// Pools implements cluster.Cluster.
func (c *Cluster) Pools(ctx context.Context) (cluster.Pools, error) {
	if err := c.enter(ctx, OpPools); err != nil {
		return cluster.Pools{}, err
	}
	defer c.mu.Unlock()
	out := c.pools
	out.Persistent = maps.Clone(out.Persistent)
	return out, nil
}

// Apply implements cluster.Cluster.
func (c *Cluster) Apply(ctx context.Context, w cluster.Workload) error {
	if err := c.enter(ctx, OpApply); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if err := c.failApply; err != nil {
		c.failApply = nil
		return fmt.Errorf("simulated cluster: apply %s: %w", w.Lease, err)
	}
	w, err := copyWorkload(w)
	if err != nil {
		return fmt.Errorf("simulated cluster: apply %s: %w", w.Lease, err)
	}
	var had []cluster.Volume
	old := c.leases[w.Lease]
	if old != nil && old.terminating {
		old = nil
	}
	if old != nil {
		had = old.volumes
	}
	volumes, err := nextVolumes(had, w.Group.Services, c.volumeID)
	if err != nil {
		return fmt.Errorf("simulated cluster: apply %s: %w", w.Lease, err)
	}
	lost, err := c.claim(w)
	if err == nil {
		err = store(c.cfg.Dir, stored{w, volumes, lost})
	}
	if err != nil {
		return fmt.Errorf("simulated cluster: apply %s: %w", w.Lease, err)
	}
	c.leases[w.Lease] = newLease(w, c.leases[w.Lease], c.takePort)
	c.leases[w.Lease].volumes = volumes
	c.leases[w.Lease].lost = lost
	c.noteApplied(c.leases[w.Lease], old)
	c.notify()
	return nil
}

// Remove implements cluster.Cluster.
func (c *Cluster) Remove(ctx context.Context, id markettypes.LeaseID) error {
	if err := c.enter(ctx, OpRemove); err != nil {
		return err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil
	}
	if err := erase(c.cfg.Dir, id); err != nil {
		return fmt.Errorf("simulated cluster: remove %s: %w", id, err)
	}
	l.terminating, l.removeAfter = true, c.cfg.RemoveAfter
	if l.removeAfter == 0 {
		delete(c.leases, id)
	}
	c.notify()
	return nil
}

// List implements cluster.Cluster.
func (c *Cluster) List(ctx context.Context) ([]cluster.Deployed, error) {
	if err := c.enter(ctx, OpList); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var out []cluster.Deployed
	for id, l := range c.leases {
		if l.terminating {
			if l.removeAfter == 0 {
				delete(c.leases, id)
				continue
			}
			l.removeAfter--
		}
		w, err := copyWorkload(l.workload)
		if err != nil {
			return nil, fmt.Errorf("simulated cluster: list: %w", err)
		}
		out = append(out, cluster.Deployed{Workload: w, Terminating: l.terminating})
	}
	slices.SortFunc(out, func(a, b cluster.Deployed) int { return strings.Compare(a.Lease.String(), b.Lease.String()) })
	return out, nil
}

// Status implements cluster.Cluster. Each call is one step towards readiness.
func (c *Cluster) Status(ctx context.Context, id markettypes.LeaseID) ([]cluster.ServiceStatus, error) {
	if err := c.enter(ctx, OpStatus); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, fmt.Errorf("simulated cluster: status of %s: %w", id, cluster.ErrNotFound)
	}
	l.links = c.links.byLease[id]
	if l.step(c.cfg, c.held) {
		c.notify()
	}
	return l.status(c.cfg), nil
}

// The range of forwarded ports.
const firstPort, portCount = 30000, 2768

// takePort gives an external port that depends on key alone while it is free, so that a cluster that is opened again
// gives the same ports. c.mu is held.
func (c *Cluster) takePort(key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(key))
	port := firstPort + h.Sum32()%portCount
	for range portCount {
		if holder, taken := c.ports[port]; !taken || holder == key {
			break
		}
		port = firstPort + (port-firstPort+1)%portCount
	}
	c.ports[port] = key
	return port
}

// notify wakes the followers of logs. c.mu is held.
func (c *Cluster) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}
