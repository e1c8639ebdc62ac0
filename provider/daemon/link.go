package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/kube"
	provlink "berth.dev/berth/provider/link"
)

// LinkConfig says how services of one deployment reach each other when their groups run at different providers.
type LinkConfig struct {
	Enabled bool `yaml:"enabled"`
	// Address is where pods reach this process and where it reaches them from; auto finds it.
	Address string `yaml:"address"`
	// Ports is a range FIRST-LAST of ports at Address.
	Ports            string `yaml:"ports"`
	AllowPrivateDial bool   `yaml:"allow_private_dial"`
	// Namespace and PodLabels select this provider's own pods for policies, where it runs in the cluster.
	Namespace string            `yaml:"namespace"`
	PodLabels map[string]string `yaml:"pod_labels"`
	// Connections is how many may be open at once for a lease, PerSecond how many it may open, Idle how long one may be
	// silent, BufferMiB how much may wait in memory for a lease.
	Connections int      `yaml:"connections"`
	PerSecond   int      `yaml:"per_second"`
	Idle        Duration `yaml:"idle"`
	BufferMiB   int      `yaml:"buffer_mib"`
}

// autoAddress lets the cluster find the address.
const autoAddress = "auto"

func defaultLink() LinkConfig {
	l := provlink.DefaultLimits()
	return LinkConfig{
		Enabled: true, Address: autoAddress, Ports: "25000-29999",
		Connections: l.Streams, PerSecond: int(l.Rate), Idle: Duration(l.Idle), BufferMiB: l.Buffer >> 20,
	}
}

// address is not valid where it has to be found.
func (c LinkConfig) address() (netip.Addr, error) {
	if c.Address == autoAddress {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(c.Address)
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("link.address: %q is neither auto nor the address at which pods reach this provider", c.Address)
	}
	return a.Unmap(), nil
}

func (c LinkConfig) ports() (first, last uint16, err error) {
	a, b, ok := strings.Cut(c.Ports, "-")
	x, errX := strconv.ParseUint(a, 10, 16)
	y, errY := strconv.ParseUint(b, 10, 16)
	if !ok || errX != nil || errY != nil || x < 1024 || y < x {
		return 0, 0, fmt.Errorf("link.ports: %q is not a range of ports above 1023 such as 25000-29999", c.Ports)
	}
	return uint16(x), uint16(y), nil
}

func (c LinkConfig) validate() error {
	_, errAddress := c.address()
	_, _, errPorts := c.ports()
	errs := []error{errAddress, errPorts}
	if c.Namespace == "" && len(c.PodLabels) > 0 || c.Namespace != "" && len(c.PodLabels) == 0 {
		errs = append(errs, errors.New("link.namespace, link.pod_labels: policies need both to name this provider's pods"))
	}
	if c.Connections < 1 || c.Connections > 1<<16 || c.PerSecond < 1 || c.PerSecond > 1<<16 {
		errs = append(errs, errors.New("link.connections, link.per_second: each is from 1 to 65536"))
	}
	if c.Idle <= 0 {
		errs = append(errs, errors.New("link.idle must be positive"))
	}
	if c.BufferMiB < 1 || c.BufferMiB > 1024 {
		errs = append(errs, errors.New("link.buffer_mib is not from 1 to 1024"))
	}
	return errors.Join(errs...)
}

// kube is what the driver has to know of links.
func (c LinkConfig) kube() kube.LinkConfig {
	a, err := c.address()
	if err != nil {
		a = netip.Addr{} // Validate has refused it
	}
	return kube.LinkConfig{Enabled: c.Enabled, Address: a, Namespace: c.Namespace, PodLabels: c.PodLabels}
}

// openLinks puts links together, if this provider has them.
func (d *Daemon) openLinks(cert tls.Certificate) error {
	c := d.cfg.Link
	linker, ok := d.cluster.(cluster.Linker)
	if !c.Enabled || !ok {
		return nil
	}
	address, err := c.address()
	if err != nil {
		return err
	}
	first, last, err := c.ports()
	if err != nil {
		return err
	}
	limits := provlink.DefaultLimits()
	limits.Streams, limits.Rate, limits.Idle, limits.Buffer = c.Connections, rate.Limit(c.PerSecond), time.Duration(c.Idle), c.BufferMiB<<20
	d.links, err = provlink.New(provlink.Config{
		Provider: d.provider, TLS: cert, Address: address, FirstPort: first, LastPort: last, AllowPrivateDial: c.AllowPrivateDial,
		Limits: limits, Log: d.log, Metrics: d.metrics.registry,
	}, d.reader, d.leases, linker)
	return err
}

// linkProtocols is what the gateway's port is shared with.
func (d *Daemon) linkProtocols() map[string]func(*tls.Conn) {
	if d.links == nil {
		return nil
	}
	return map[string]func(*tls.Conn){provlink.Protocol: d.links.Serve}
}

// pokeLinks has the links look at leases and manifests at once.
func (d *Daemon) pokeLinks() {
	if d.links != nil {
		d.links.Poke()
	}
}

// concernsLinks tells whether leases may have changed.
func concernsLinks(u chain.Update) bool { return u.Snapshot != nil || len(u.Events) > 0 }
