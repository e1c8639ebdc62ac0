package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	providertypes "berth.dev/berth/x/provider/types"
)

// Snapshot is a provider at a moment: what it can sell, and what its record on chain says.
type Snapshot struct {
	Snapshot   int                       `json:"snapshot"` // the format's version
	Provider   string                    `json:"provider"`
	Attributes []providertypes.Attribute `json:"attributes"`
	// Audits are what auditors have signed of the provider.
	Audits []bid.Audit `json:"audits"`
	Nodes  []Node      `json:"nodes"`
	// Storage are the classes of persistent storage, Ports and Addresses what the cluster can give in all; what is
	// absent is not known, hence not sold.
	Storage   map[string]int64 `json:"storage,omitempty"`
	Ports     *int64           `json:"ports,omitempty"`
	Addresses *int64           `json:"addresses,omitempty"`
}

// Node is what one node can give to leases: what is sold, after the operator's shares and reserves.
type Node struct {
	Name         string `json:"name"`
	CPUMilli     int64  `json:"cpu_milli"`
	MemoryBytes  int64  `json:"memory_bytes"`
	StorageBytes int64  `json:"storage_bytes"`
	Pods         int64  `json:"pods"`
	Arch         string `json:"arch,omitempty"`
	GPUs         []GPUs `json:"gpus,omitempty"`
}

// GPUs is a number of devices of a class.
type GPUs struct {
	Vendor    string `json:"vendor,omitempty"`
	Model     string `json:"model,omitempty"`
	RAM       string `json:"ram,omitempty"`
	Interface string `json:"interface,omitempty"`
	Count     int64  `json:"count"`
}

const snapshotVersion = 1

// NewSnapshot puts a provider's supply into a snapshot.
func NewSnapshot(provider string, record bid.Record, s inventory.Supply) Snapshot {
	out := Snapshot{
		Snapshot: snapshotVersion, Provider: provider, Attributes: nonNil(record.Attributes), Audits: nonNil(record.Audits), Nodes: []Node{},
		Ports: known(s.Pools.Ports), Addresses: known(s.Pools.Addresses),
	}
	for _, n := range s.Nodes {
		node := Node{
			Name: n.Name, CPUMilli: n.Capacity[inventory.CPU], MemoryBytes: n.Capacity[inventory.Memory],
			StorageBytes: n.Capacity[inventory.Storage], Pods: n.Capacity[inventory.Pods], Arch: n.Arch,
		}
		if c := n.Capacity[inventory.GPU]; c > 0 {
			node.GPUs = append(node.GPUs, GPUs{Count: c})
		}
		for _, g := range n.GPUs {
			node.GPUs = append(node.GPUs, GPUs{g.Class.Vendor, g.Class.Model, g.Class.RAM, g.Class.Interface, g.Count})
		}
		out.Nodes = append(out.Nodes, node)
	}
	for class, pool := range s.Pools.Persistent {
		if !pool.Known {
			continue
		}
		if out.Storage == nil {
			out.Storage = map[string]int64{}
		}
		out.Storage[class] = pool.Total
	}
	return out
}

func nonNil[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func known(p inventory.Pool) *int64 {
	if !p.Known {
		return nil
	}
	return &p.Total
}

// ReadSnapshot reads a snapshot.
func ReadSnapshot(name string, in io.Reader) (Snapshot, error) {
	const limit = 64 << 20
	var s Snapshot
	dec := json.NewDecoder(io.LimitReader(in, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("%s is not a snapshot of nodes, as `berth-provider record` writes them: %w", name, err)
	}
	if err := s.validate(); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// maxAmount is above what any node has, and far from where sums overflow.
const maxAmount = 1 << 55

func (s Snapshot) validate() error {
	if s.Snapshot != snapshotVersion {
		return fmt.Errorf("it is not a snapshot of version %d", snapshotVersion)
	}
	if s.Provider == "" {
		return errors.New("it names no provider")
	}
	names := make([]string, 0, len(s.Nodes))
	for i, n := range s.Nodes {
		names = append(names, n.Name)
		amounts := []int64{n.CPUMilli, n.MemoryBytes, n.StorageBytes, n.Pods}
		for _, g := range n.GPUs {
			amounts = append(amounts, g.Count)
		}
		if n.Name == "" || slices.Min(amounts) < 0 || slices.Max(amounts) > maxAmount {
			return fmt.Errorf("node %d (%q) has no name or an amount that is not from 0 to %d", i+1, n.Name, int64(maxAmount))
		}
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return fmt.Errorf("node %q stands twice", names[i])
		}
	}
	for class, bytes := range s.Storage {
		if bytes < 0 || bytes > maxAmount {
			return fmt.Errorf("storage class %q has %d bytes", class, bytes)
		}
	}
	return nil
}

// Supply is what the snapshot's provider can sell.
func (s Snapshot) Supply() inventory.Supply {
	out := inventory.Supply{Pools: inventory.Pools{Persistent: map[string]inventory.Pool{}, Ports: pool(s.Ports), Addresses: pool(s.Addresses)}}
	for class, bytes := range s.Storage {
		out.Pools.Persistent[class] = inventory.Pool{Total: bytes, Known: true}
	}
	for _, n := range s.Nodes {
		node := inventory.Node{Name: n.Name, Arch: n.Arch}
		node.Capacity[inventory.CPU], node.Capacity[inventory.Memory] = n.CPUMilli, n.MemoryBytes
		node.Capacity[inventory.Storage], node.Capacity[inventory.Pods] = n.StorageBytes, n.Pods
		for _, g := range n.GPUs {
			class := inventory.GPUClass{Vendor: g.Vendor, Model: g.Model, RAM: g.RAM, Interface: g.Interface}
			if class == (inventory.GPUClass{}) {
				node.Capacity[inventory.GPU] += g.Count
				continue
			}
			node.GPUs = append(node.GPUs, inventory.GPUs{Class: class, Count: g.Count})
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out
}

func pool(total *int64) inventory.Pool {
	if total == nil {
		return inventory.Pool{}
	}
	return inventory.Pool{Total: *total, Known: true}
}
