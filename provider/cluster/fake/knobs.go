package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// SetUnreachable makes every call fail with err until it is called with nil.
func (c *Cluster) SetUnreachable(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unreachable = err
}

// FailNextApply makes the next Apply fail with err and take nothing.
func (c *Cluster) FailNextApply(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failApply = err
}

// Intercept makes every call ask f first, which gets one of the Op constants; an error of f is the call's error and the
// call does nothing else. nil ends that. f may call the cluster.
func (c *Cluster) Intercept(f func(op string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.intercept = f
}

// HoldReadiness stops instances from becoming ready while hold is true.
func (c *Cluster) HoldReadiness(hold bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = hold
}

// Fail makes a service fail with a message, or recover if the message is empty. It returns cluster.ErrNotFound if the
// lease or its service does not exist.
func (c *Cluster) Fail(id markettypes.LeaseID, service, message string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.leases[id].find(service)
	if s == nil {
		return fmt.Errorf("simulated cluster: service %s of %s: %w", service, id, cluster.ErrNotFound)
	}
	s.failure, s.reason = "", ""
	if message != "" {
		s.fail(cluster.ReasonCrash, message)
	}
	return nil
}

// SetNodes replaces the nodes.
func (c *Cluster) SetNodes(nodes ...cluster.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = copyNodes(nodes)
	slices.SortFunc(c.nodes, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) })
}

// SetPools replaces the pools. Ports that are not known are those that the simulated cluster gives out.
func (c *Cluster) SetPools(p cluster.Pools) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Persistent = maps.Clone(p.Persistent)
	if !p.Ports.Known {
		p.Ports = cluster.Pool{Known: true, Total: portCount}
	}
	c.pools = p
}

// SetForeign sets what pods of others have requested on a node, given as the Foreign fields of n, whose name selects
// the node. It returns cluster.ErrNotFound if there is no such node.
func (c *Cluster) SetForeign(n cluster.Node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.nodes {
		if c.nodes[i].Name == n.Name {
			c.nodes[i].ForeignCPU, c.nodes[i].ForeignMemory = n.ForeignCPU, n.ForeignMemory
			c.nodes[i].ForeignStorage, c.nodes[i].ForeignPods = n.ForeignStorage, n.ForeignPods
			return nil
		}
	}
	return fmt.Errorf("simulated cluster: node %s: %w", n.Name, cluster.ErrNotFound)
}

// AppendLog adds a line to the output of a service's first instance. It returns cluster.ErrNotFound if the lease or its
// service does not exist.
func (c *Cluster) AppendLog(id markettypes.LeaseID, service, line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.leases[id].find(service)
	if s == nil {
		return fmt.Errorf("simulated cluster: service %s of %s: %w", service, id, cluster.ErrNotFound)
	}
	s.log = append(s.log, cluster.LogLine{Service: service, Instance: instance(service, 0), Line: line})
	c.notify()
	return nil
}

// EndInstances ends the instances of a service, which start again at once: what they wrote is what they wrote before, and
// sessions in them end. It returns cluster.ErrNotFound if the lease or its service does not exist.
func (c *Cluster) EndInstances(id markettypes.LeaseID, service string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.leases[id]
	s := l.find(service)
	if s == nil {
		return fmt.Errorf("simulated cluster: service %s of %s: %w", service, id, cluster.ErrNotFound)
	}
	s.previous = slices.Clone(s.log[s.begun:])
	s.start()
	l.started(c.cfg.Now(), s)
	c.notify()
	return nil
}

// Drop makes the cluster forget a workload without having been asked, as if somebody had deleted it.
func (c *Cluster) Drop(id markettypes.LeaseID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leases, id)
	c.notify()
	return erase(c.cfg.Dir, id)
}

// Calls returns how many times a call was made, by one of the Op constants.
func (c *Cluster) Calls(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[op]
}
