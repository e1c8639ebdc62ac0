package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/sdl/quantity"
)

// StorageClassConfig is a class of persistent storage.
type StorageClassConfig struct {
	// Class is the name of the cluster's StorageClass; of no meaning to the simulated driver.
	Class string `yaml:"class"`
	// Capacity is how much of it there is for leases, where its driver does not tell, for example 500Gi.
	Capacity string `yaml:"capacity"`
}

// GPUConfig is how the devices of a vendor are asked for.
type GPUConfig struct {
	// Resource is what the vendor's device plugin offers, for example nvidia.com/gpu.
	Resource string `yaml:"resource"`
	// RuntimeClass is that of pods with such devices; empty for that of all pods.
	RuntimeClass string `yaml:"runtime_class"`
}

// bytes is the capacity of a class; 0 if it is not given.
func (c StorageClassConfig) bytes() (int64, error) {
	if c.Capacity == "" {
		return 0, nil
	}
	n, bad := quantity.Bytes(c.Capacity)
	if bad != nil || n == 0 || n > 1<<60 {
		return 0, fmt.Errorf("%q is not an amount such as 500Gi", c.Capacity)
	}
	return int64(n), nil
}

func (c ClusterConfig) validateStorage() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.StorageClasses)) {
		class := c.StorageClasses[name]
		if _, err := class.bytes(); err != nil {
			errs = append(errs, fmt.Errorf("cluster.storage_classes.%s.capacity: %w", name, err))
		}
		switch {
		case c.Driver == DriverKube && class.Class == "":
			errs = append(errs, fmt.Errorf("cluster.storage_classes.%s.class: the name of the cluster's StorageClass is missing", name))
		case c.Driver == DriverSimulated && class.Capacity == "":
			errs = append(errs, fmt.Errorf("cluster.storage_classes.%s.capacity: the simulated driver needs one", name))
		}
	}
	return errors.Join(errs...)
}

// kubeStorage gives the classes to the Kubernetes driver. Validate has refused what can't be read.
func (c ClusterConfig) kubeStorage() map[string]kube.StorageClass {
	out := make(map[string]kube.StorageClass, len(c.StorageClasses))
	for name, class := range c.StorageClasses {
		n, _ := class.bytes()
		out[name] = kube.StorageClass{Name: class.Class, Capacity: n}
	}
	return out
}

// simulatedStorage gives the classes to the simulated driver.
func (c ClusterConfig) simulatedStorage() cluster.Pools {
	p := cluster.Pools{Persistent: make(map[string]cluster.Pool, len(c.StorageClasses))}
	for name, class := range c.StorageClasses {
		n, _ := class.bytes()
		p.Persistent[name] = cluster.Pool{Known: true, Total: n}
	}
	return p
}

// kubeGPUs gives the devices to the Kubernetes driver; nil for its own list.
func (c ClusterConfig) kubeGPUs() map[string]kube.GPU {
	if len(c.GPUs) == 0 {
		return nil
	}
	out := make(map[string]kube.GPU, len(c.GPUs))
	for vendor, g := range c.GPUs {
		out[vendor] = kube.GPU{Resource: g.Resource, RuntimeClass: g.RuntimeClass}
	}
	return out
}

// deviceClass is what the operator says of devices where the cluster does not.
func (c Config) deviceClass() cluster.GPU {
	class, _ := gpuClass(c.Bids.GPUs) // Validate has refused what can't be read
	return cluster.GPU{Vendor: class.Vendor, Model: class.Model, RAM: class.RAM, Interface: class.Interface}
}
