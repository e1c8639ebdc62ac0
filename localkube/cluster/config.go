// Package cluster runs a single-node Kubernetes out of plain processes in a
// network namespace of their own, and takes it away again without a trace.
package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/localkube/proc"
)

// NodeName is the name of the only node.
const NodeName = "localkube"

// ImageHost is the registry name under which the cluster's own images stand in
// manifests. Every name leads to the local registry.
const ImageHost = "localkube.local"

// Config says where a cluster lives. The defaults suit one cluster on a
// machine; a second one needs another name and other addresses.
type Config struct {
	// State is the directory that holds everything the cluster keeps.
	State string
	// Name names the network namespace, its link and the control group.
	Name string
	// Link is the network of four addresses between host and node: the host
	// has the first usable one, the node the second.
	Link netip.Prefix
	// Pods and Services are the networks of pods and services.
	Pods     netip.Prefix
	Services netip.Prefix
	// RegistryPort is the port of the image registry, on the host's address.
	RegistryPort int
	// Domains, separated by commas, get a certificate at the edge for all names
	// directly below them.
	Domains string
	// ControlPlane leaves out the node: no containers run.
	ControlPlane bool
	// Addresses are given to Services of type LoadBalancer; the zero prefix gives
	// them none.
	Addresses netip.Prefix
	// CPUs are the processors, as in 0,2-3, to which everything of the cluster but
	// its containers is kept; empty lets it run everywhere. Containers may use all
	// in either case.
	CPUs string
}

// Default returns the configuration of a machine's first cluster, kept in state.
func Default(state string) Config {
	return Config{
		State:        state,
		Name:         "berth",
		Link:         netip.MustParsePrefix("10.200.0.0/30"),
		Pods:         netip.MustParsePrefix("10.244.0.0/24"),
		Services:     netip.MustParsePrefix("10.96.0.0/16"),
		RegistryPort: 5000,
	}
}

// nameForm keeps a name usable as an interface name (15 characters with the
// suffix that is added), a file name and a part of a path.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

// domainForm is that of labels with dots between them.
var domainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// domains lists the domains with a certificate.
func (c Config) domains() []string {
	if c.Domains == "" {
		return nil
	}
	return strings.Split(c.Domains, ",")
}

// maxCPU bounds the numbers of processors.
const maxCPU = 1023

// cpus lists the processors of CPUs.
func (c Config) cpus() ([]int, error) {
	if c.CPUs == "" {
		return nil, nil
	}
	var all []int
	for part := range strings.SplitSeq(c.CPUs, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || from > to || to > maxCPU {
			return nil, fmt.Errorf("processors %q are not numbers and ranges such as 0,2-3", c.CPUs)
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all, nil
}

// maxState leaves room for the longest socket's name in the 107 bytes that the
// kernel allows.
const maxState = 70

// Validate reports every reason why the configuration cannot work.
func (c Config) Validate() error {
	var errs []error
	if !filepath.IsAbs(c.State) {
		errs = append(errs, fmt.Errorf("state directory %q is not an absolute path", c.State))
	}
	if len(c.State) > maxState {
		errs = append(errs, fmt.Errorf("state directory %q is longer than %d bytes: sockets below it would be too long to open", c.State, maxState))
	}
	if !nameForm.MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("name %q must be a letter and at most 11 letters and digits, all lower case", c.Name))
	}
	errs = append(errs, c.validateNetworks()...)
	for _, d := range c.domains() {
		if !domainForm.MatchString(d) {
			errs = append(errs, fmt.Errorf("domain %q is not a domain in lower case", d))
		}
	}
	if _, err := c.cpus(); err != nil {
		errs = append(errs, err)
	}
	if c.RegistryPort < 1 || c.RegistryPort > 65535 {
		errs = append(errs, fmt.Errorf("registry port %d is not a port", c.RegistryPort))
	}
	return errors.Join(errs...)
}

func (c Config) validateNetworks() []error {
	var errs []error
	for _, p := range []struct {
		name     string
		prefix   netip.Prefix
		min, max int
	}{{"link", c.Link, 30, 30}, {"pods", c.Pods, 16, 26}, {"services", c.Services, 12, 24}, {"addresses", c.Addresses, 20, 32}} {
		if p.name == "addresses" && p.prefix == (netip.Prefix{}) {
			continue
		}
		switch {
		case !p.prefix.IsValid() || !p.prefix.Addr().Is4() || p.prefix != p.prefix.Masked():
			errs = append(errs, fmt.Errorf("network %s: %s is not an IPv4 network", p.name, p.prefix))
		case p.prefix.Bits() < p.min || p.prefix.Bits() > p.max:
			errs = append(errs, fmt.Errorf("network %s: the length of %s must be %d to %d", p.name, p.prefix, p.min, p.max))
		}
	}
	all := []netip.Prefix{c.Link, c.Pods, c.Services, c.Addresses}
	for i, p := range all {
		if slices.ContainsFunc(all[:i], p.Overlaps) {
			errs = append(errs, errors.New("the networks of link, pods, services and addresses overlap"))
			break
		}
	}
	return errs
}

// HostIP is the host's address on the link.
func (c Config) HostIP() netip.Addr { return c.Link.Addr().Next() }

// NodeIP is the node's address on the link. HTTP and tcp ports of workloads are
// reached there.
func (c Config) NodeIP() netip.Addr { return c.HostIP().Next() }

// APIService is the API server's address inside the cluster.
func (c Config) APIService() netip.Addr { return c.Services.Addr().Next() }

// DNSService is the name server's address inside the cluster.
func (c Config) DNSService() netip.Addr {
	ip := c.Services.Addr()
	for range 10 {
		ip = ip.Next()
	}
	return ip
}

// Registry is the registry's address as pushes name it.
func (c Config) Registry() string {
	return netip.AddrPortFrom(c.HostIP(), uint16(c.RegistryPort)).String() //nolint:gosec // checked by Validate
}

// APIServer is the API server's URL.
func (c Config) APIServer() string { return fmt.Sprintf("https://%s:6443", c.NodeIP()) }

// Kubeconfig is the administrator's kubeconfig file.
func (c Config) Kubeconfig() string { return c.kubeconfig("admin") }

// Processes is where the cluster's processes have their records and logs.
func (c Config) Processes() proc.Dir {
	return proc.Dir{Pids: c.path("pids"), Logs: c.path("logs")}
}

// EdgeAuthority is the certificate to trust for the domains' names.
func (c Config) EdgeAuthority() string { return c.path("edge-ca.crt") }

func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.State}, parts...)...)
}

func (c Config) kubeconfig(user string) string { return c.path("kubeconfig", user+".yaml") }

// netns is the file that holds the network namespace.
func (c Config) netns() string { return "/run/netns/" + c.Name }

// hostLink is the name of the link's end on the host.
func (c Config) hostLink() string { return c.Name + "-h" }

// cgroup is the control group under which every pod runs.
func (c Config) cgroup() string { return "/localkube-" + c.Name }

// cniNetwork is the name of the pod network.
func (c Config) cniNetwork() string { return "localkube-" + c.Name }

// socket is containerd's socket. It lies in a directory of its own: containerd
// closes that to everyone else, and a pod in a user namespace must be able to
// walk down to its files.
func (c Config) socket() string { return c.path("run", "containerd.sock") }

// PolicySocket is where the policy enforcer is told of pods before they start.
func (c Config) PolicySocket() string { return c.path("policy.sock") }
