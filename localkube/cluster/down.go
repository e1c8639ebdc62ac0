package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// goodbye is how long taking a cluster down may take.
const goodbye = 30 * time.Second

// order is that of the end: first what would start things anew.
var order = []string{"kubelet", "containerd", "proxy", "policy", "volumes", "addresses", "usage", "scheduler", "controllers", "apiserver", "etcd", "registry"}

// Down ends every process of the cluster and removes all that it made, its
// state directory included. Nothing is asked to end in good order: the state is
// thrown away. It can be repeated after a failure, and a cluster that is not
// there is no error.
func (c Config) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	if _, err := os.Stat(c.State); errors.Is(err, os.ErrNotExist) {
		return c.networkDown(ctx)
	}
	var errs []error
	for _, name := range order[:2] {
		errs = append(errs, c.Processes().Kill(ctx, name))
	}
	sockets := c.shimSockets()
	errs = append(errs, c.killShims(ctx), c.killPods(ctx))
	for _, name := range order[2:] {
		errs = append(errs, c.Processes().Kill(ctx, name))
	}
	errs = append(errs, c.unmount(), c.networkDown(ctx), c.cgroupsDown(ctx), c.restore(sockets))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take the cluster down (run it again; %s was kept): %w", c.State, err)
	}
	if err := os.RemoveAll(c.State); err != nil {
		return fmt.Errorf("remove the state directory: %w", err)
	}
	return nil
}

// Load returns the configuration of the cluster that lives in state, as it was
// when it was started, or the default one if none was.
func Load(state string) (Config, error) {
	c := Default(state)
	data, err := os.ReadFile(c.path("config.json"))
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the cluster's configuration: %w", err)
	}
	var kept keptConfig
	if err := json.Unmarshal(data, &kept); err != nil {
		return c, fmt.Errorf("read %s: %w", c.path("config.json"), err)
	}
	c.Name, c.Link, c.Pods, c.Services = kept.Name, kept.Link, kept.Pods, kept.Services
	c.RegistryPort, c.ControlPlane, c.Domains = kept.RegistryPort, kept.ControlPlane, kept.Domains
	c.Addresses, c.CPUs = kept.Addresses, kept.CPUs
	return c, nil
}

// Exists says whether a cluster was started in the state directory.
func (c Config) Exists() bool {
	_, err := os.Stat(c.path("config.json"))
	return err == nil
}

// keptConfig is a Config as it is kept. It is written before anything is made,
// so that whatever was made can be found and removed.
type keptConfig struct {
	Name         string       `json:"name"`
	Link         netip.Prefix `json:"link"`
	Pods         netip.Prefix `json:"pods"`
	Services     netip.Prefix `json:"services"`
	RegistryPort int          `json:"registry_port"`
	ControlPlane bool         `json:"control_plane"`
	Domains      string       `json:"domains,omitempty"`
	Addresses    netip.Prefix `json:"addresses"`
	CPUs         string       `json:"cpus,omitempty"`
}

func (c Config) keep() error {
	data, err := json.MarshalIndent(keptConfig{c.Name, c.Link, c.Pods, c.Services, c.RegistryPort, c.ControlPlane, c.Domains, c.Addresses, c.CPUs}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if err := os.WriteFile(c.path("config.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep the cluster's configuration: %w", err)
	}
	return nil
}

// Status is the state of a cluster's processes.
type Status struct {
	// Processes maps each process that was started to whether it runs.
	Processes map[string]bool `json:"processes"`
	// Info is nil until the cluster has been up once.
	Info *Info `json:"info,omitempty"`
}

// Running says whether every process runs.
func (s Status) Running() bool {
	for _, up := range s.Processes {
		if !up {
			return false
		}
	}
	return len(s.Processes) > 0 && s.Info != nil
}

// Status reads what runs, without touching anything.
func (c Config) Status() (Status, error) {
	s := Status{Processes: map[string]bool{}}
	names, err := c.Processes().Names()
	if err != nil {
		return s, err
	}
	for _, name := range names {
		_, s.Processes[name] = c.Processes().Running(name)
	}
	data, err := os.ReadFile(c.path("cluster.json"))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.Info)
	}
	if err != nil {
		return s, fmt.Errorf("read the cluster's description: %w", err)
	}
	return s, nil
}
