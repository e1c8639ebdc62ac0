package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"berth.dev/berth/manifest"
	"berth.dev/berth/provider/cluster/kube"
)

// HTTPOptionsConfig is the most that documents may set by http_options.
type HTTPOptionsConfig struct {
	MaxBodyBytes uint32   `yaml:"max_body_bytes"`
	MaxTimeout   Duration `yaml:"max_timeout"`
}

// LeasedIPsConfig describes the addresses that can be leased; see kube.LeasedIPs.
type LeasedIPsConfig struct {
	Count             int64             `yaml:"count"`
	Class             string            `yaml:"class"`
	Annotations       map[string]string `yaml:"annotations"`
	SharingAnnotation string            `yaml:"sharing_annotation"`
}

// HostsConfig says how it is found out whose a host name outside of the provider's domain is.
type HostsConfig struct {
	RequireProof bool `yaml:"require_proof"`
	// Resolver is the DNS server that is asked, ADDRESS:PORT; the system's if empty.
	Resolver string `yaml:"resolver"`
}

func (c HostsConfig) validate() error {
	if c.Resolver == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(c.Resolver); err != nil {
		return fmt.Errorf("hosts.resolver: %q is not ADDRESS:PORT", c.Resolver)
	}
	return nil
}

// validateRoutes checks what concerns ways in from outside.
func (c ClusterConfig) validateRoutes() []error {
	var errs []error
	if c.HTTPSPort < 0 || c.HTTPSPort > 65535 {
		errs = append(errs, fmt.Errorf("cluster.https_port: %d is not a port", c.HTTPSPort))
	}
	switches := []string{string(kube.SwitchAuto), string(kube.SwitchOn), string(kube.SwitchOff)}
	for _, s := range []struct{ name, value string }{{"edge_tls", c.EdgeTLS}, {"tls_passthrough", c.TLSPassthrough}} {
		if !slices.Contains(switches, s.value) {
			errs = append(errs, fmt.Errorf("cluster.%s: %q is not auto, on or off", s.name, s.value))
		}
	}
	if n := c.HTTPOptions.MaxBodyBytes; n == 0 || n > manifest.MaxBodyBytes {
		errs = append(errs, fmt.Errorf("cluster.http_options.max_body_bytes: %d is not in 1..%d", n, manifest.MaxBodyBytes))
	}
	if d, most := time.Duration(c.HTTPOptions.MaxTimeout), manifest.MaxRouteTimeoutMs*time.Millisecond; d <= 0 || d > most {
		errs = append(errs, fmt.Errorf("cluster.http_options.max_timeout: %s is not above 0 and at most %s", d, most))
	}
	if c.LeasedIPs.Count < 0 {
		errs = append(errs, errors.New("cluster.leased_ips.count is negative"))
	}
	return errs
}

// routes fills in what the driver has to know of ways in from outside.
func (c Config) routes(into *kube.Config) {
	k := c.Cluster
	into.HTTPSPort, into.HTTPSRedirect = k.HTTPSPort, k.HTTPSRedirect
	into.EdgeTLS, into.Passthrough = kube.Switch(k.EdgeTLS), kube.Switch(k.TLSPassthrough)
	into.MaxBody, into.MaxTimeout = k.HTTPOptions.MaxBodyBytes, time.Duration(k.HTTPOptions.MaxTimeout)
	into.LeasedIPs = kube.LeasedIPs{
		Count: k.LeasedIPs.Count, Class: k.LeasedIPs.Class, Annotations: k.LeasedIPs.Annotations, SharingKey: k.LeasedIPs.SharingAnnotation,
	}
	into.Hosts = kube.Hosts{ChainID: c.Chain.ChainID, NeedNoProof: !c.Hosts.RequireProof, Resolver: c.Hosts.Resolver}
}
