package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/sdl/quantity"
)

// OvercommitConfig says how much more is sold than there is, as decimals from 1 to 10; empty is 1.
type OvercommitConfig struct {
	CPU     string `yaml:"cpu"`
	Memory  string `yaml:"memory"`
	Storage string `yaml:"storage"`
}

// thousandths gives the factors by resource.
func (c OvercommitConfig) thousandths() (o inventory.Overcommit, err error) {
	var errs []error
	for _, x := range []struct {
		name, text string
		resource   inventory.Resource
	}{{"cpu", c.CPU, inventory.CPU}, {"memory", c.Memory, inventory.Memory}, {"storage", c.Storage, inventory.Storage}} {
		if x.text == "" {
			continue
		}
		if o[x.resource], err = inventory.ParseOvercommit(x.text); err != nil {
			errs = append(errs, fmt.Errorf("overcommit.%s: %w", x.name, err))
		}
	}
	return o, errors.Join(errs...)
}

// ReserveConfig is what is kept free on each node; empty is nothing.
type ReserveConfig struct {
	CPU     string `yaml:"cpu"`
	Memory  string `yaml:"memory"`
	Storage string `yaml:"storage"`
	Pods    int64  `yaml:"pods"`
}

func (c ReserveConfig) amounts() (a inventory.Amounts, err error) {
	var errs []error
	if c.CPU != "" {
		cpu, err := parseMilli(c.CPU)
		if err != nil {
			errs = append(errs, fmt.Errorf("reserve.cpu: %w", err))
		}
		a[inventory.CPU] = int64(cpu)
	}
	for _, x := range []struct {
		name, text string
		resource   inventory.Resource
	}{{"memory", c.Memory, inventory.Memory}, {"storage", c.Storage, inventory.Storage}} {
		if x.text == "" {
			continue
		}
		n, bad := quantity.Bytes(x.text)
		if bad != nil || n > 1<<60 {
			errs = append(errs, fmt.Errorf("reserve.%s: %q is not an amount such as 512Mi or 2Gi", x.name, x.text))
			continue
		}
		a[x.resource] = int64(n)
	}
	if a[inventory.Pods] = c.Pods; c.Pods < 0 {
		errs = append(errs, errors.New("reserve.pods is negative"))
	}
	return a, errors.Join(errs...)
}

// capacity is what the operator decides of the cluster's capacity.
func (c Config) capacity() (t inventory.Terms, err error) {
	var errs []error
	if t.Share, err = inventory.ParseFactor(c.CapacityFactor); err != nil {
		errs = append(errs, fmt.Errorf("capacity_factor: %w", err))
	}
	if t.Overcommit, err = c.Overcommit.thousandths(); err != nil {
		errs = append(errs, err)
	}
	if t.Reserve, err = c.Reserve.amounts(); err != nil {
		errs = append(errs, err)
	}
	if t.Devices, err = gpuClass(c.Bids.GPUs); err != nil {
		errs = append(errs, fmt.Errorf("bids.gpu_attributes: %w", err))
	}
	return t, errors.Join(errs...)
}

// gpuClass reads what an operator says of devices, such as {vendor: nvidia, model: a100}.
func gpuClass(m map[string]string) (c inventory.GPUClass, err error) {
	for key, value := range m {
		switch key {
		case "vendor":
			c.Vendor = value
		case "model":
			c.Model = value
		case "ram":
			c.RAM = value
		case "interface":
			c.Interface = value
		default:
			return c, fmt.Errorf("%q is not vendor, model, ram or interface", key)
		}
		if value == "" || strings.ContainsAny(value, "/* ") {
			return c, fmt.Errorf("%s: %q is not a name", key, value)
		}
	}
	return c, nil
}

// parseGPUClass reads what documents call devices, vendor/nvidia/model/a100, with all parts named.
func parseGPUClass(s string) (inventory.GPUClass, error) {
	parts := strings.Split(s, "/")
	m := make(map[string]string, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		m[parts[i]] = parts[i+1]
	}
	c, err := gpuClass(m)
	if err == nil && c.String() != s {
		err = fmt.Errorf("%q is not like vendor/nvidia/model/a100/ram/80Gi/interface/sxm", s)
	}
	return c, err
}

// simulatedGPUs are the devices of a simulated node.
func simulatedGPUs(n NodeConfig) []cluster.GPU {
	if n.GPU == 0 {
		return nil
	}
	c, err := parseGPUClass(n.GPUClass)
	if err != nil {
		c = inventory.GPUClass{} // Validate has refused it, unless it is empty
	}
	return []cluster.GPU{{Vendor: c.Vendor, Model: c.Model, RAM: c.RAM, Interface: c.Interface, Count: n.GPU}}
}

func isGPUClass(s string) bool {
	_, err := parseGPUClass(s)
	return err == nil
}

// keepNodes reads the cluster's capacity every interval. While it can't be read no bids are made. What the cluster says
// that can't be so is logged when it changes, and not sold.
func (d *Daemon) keepNodes(ctx context.Context) error {
	quiet := false
	var told []string
	for {
		supply, problems, err := d.supply(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.bids.SetSupply(inventory.Supply{}, false)
			d.metrics.clusterUp.Set(0)
			if !quiet {
				d.log.Warn("the cluster's nodes can't be read; no bids until they can", "err", err)
			}
		default:
			d.bids.SetSupply(supply, true)
			d.metrics.clusterUp.Set(1)
			if !slices.Equal(problems, told) {
				told = problems
				for _, p := range problems {
					d.log.Warn("the cluster's capacity is in part not believable", "problem", p)
				}
			}
		}
		quiet = err != nil
		if err := pause(ctx, time.Duration(d.cfg.Cluster.Poll)); err != nil {
			return err
		}
	}
}

// Supply reads what a configured provider may sell of its cluster, without regard to what is held. The problems are what
// the cluster says that can't be so, and is not sold.
func Supply(ctx context.Context, cfg Config, home Home, provider string, log *slog.Logger) (s inventory.Supply, problems []string, err error) {
	terms, err := cfg.capacity()
	if err != nil {
		return s, nil, err
	}
	c, err := openCluster(cfg, home, provider, log)
	if err != nil {
		return s, nil, err
	}
	return supplyOf(ctx, c, terms)
}

// supply reads what may be sold.
func (d *Daemon) supply(ctx context.Context) (inventory.Supply, []string, error) {
	return supplyOf(ctx, d.cluster, d.capacity)
}

func supplyOf(ctx context.Context, c cluster.Cluster, terms inventory.Terms) (inventory.Supply, []string, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return inventory.Supply{}, nil, err
	}
	pools, err := c.Pools(ctx)
	if err != nil {
		return inventory.Supply{}, nil, err
	}
	s, problems := inventory.Read(nodes, pools, terms)
	told := make([]string, len(problems))
	for i, p := range problems {
		told[i] = p.Error()
	}
	return s, told, nil
}
