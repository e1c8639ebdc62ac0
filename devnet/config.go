package devnet

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// The kinds of clusters that the devnet's providers can run workloads on.
const (
	ClusterLocalkube  = "localkube"
	ClusterKubeconfig = "kubeconfig"
	ClusterSimulated  = "simulated"
)

const (
	chainID   = "berth-devnet"
	blockTime = 500 * time.Millisecond
	// loopback is where everything of a devnet listens.
	loopback = "127.0.0.1"
)

// Config says what devnet to run.
type Config struct {
	// State is the directory that holds everything.
	State string
	// Cluster is one of the Cluster constants.
	Cluster string
	// Kubeconfig names a cluster to use instead of localkube.
	Kubeconfig string
	// HTTP is the address of that cluster's http entry, to which the devnet's URLs lead; empty means that they lead
	// nowhere from here.
	HTTP string
	// Validators is how many nodes make blocks; at least 1.
	Validators int
	// PortsBase moves all ports, so that several devnets can run side by side; 0 means the usual ports.
	PortsBase int
	// Programs is the directory of berthd, berth-provider, localkube and hello; empty means beside this program,
	// then $PATH.
	Programs string
}

// Validate says what is wrong with a configuration, or nil.
func (c Config) Validate() error {
	switch {
	case c.State == "":
		return fmt.Errorf("devnet: no state directory is given")
	case c.Validators < 1 || c.Validators > 16:
		return fmt.Errorf("devnet: %d validators are not between 1 and 16", c.Validators)
	case c.PortsBase != 0 && (c.PortsBase < 1024 || c.PortsBase > 60000):
		return fmt.Errorf("devnet: ports base %d is not between 1024 and 60000", c.PortsBase)
	case c.Cluster == ClusterKubeconfig && c.Kubeconfig == "":
		return fmt.Errorf("devnet: cluster %q needs --kubeconfig", c.Cluster)
	case c.Cluster != ClusterLocalkube && c.Cluster != ClusterKubeconfig && c.Cluster != ClusterSimulated:
		return fmt.Errorf("devnet: cluster %q is not one of %s, %s", c.Cluster, ClusterLocalkube, ClusterSimulated)
	}
	return nil
}

// ports are where a devnet listens, all on loopback. berthd puts a node's port for its peers one below its RPC, and
// further validators ten ports higher each.
type ports struct {
	rpc, p2p, ingress, tls int
	gateway, metrics       [2]int
}

func (c Config) ports() ports {
	if b := c.PortsBase; b != 0 {
		return ports{p2p: b, rpc: b + 1, ingress: b + 2, gateway: [2]int{b + 3, b + 4}, metrics: [2]int{b + 5, b + 6}, tls: b + 7}
	}
	return ports{rpc: 26657, p2p: 26656, ingress: 8080, gateway: [2]int{8443, 8444}, metrics: [2]int{9464, 9465}, tls: 8445}
}

func (p ports) all() []int {
	return []int{p.rpc, p.p2p, p.ingress, p.gateway[0], p.gateway[1], p.metrics[0], p.metrics[1], p.tls}
}

func local(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// MissingError says why a devnet cannot run here, and what can be done.
type MissingError struct{ What string }

// Error names what is missing and the two alternatives.
func (e *MissingError) Error() string {
	return e.What + "; alternatives: `berth devnet up --cluster simulated` runs the market without workloads on any machine, " +
		"and `berth devnet up --kubeconfig FILE` uses a cluster that you have"
}

// check refuses what cannot work before anything is made.
func (c Config) check() error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Cluster == ClusterLocalkube {
		if runtime.GOOS != "linux" {
			return &MissingError{"localkube needs Linux, and this is " + runtime.GOOS}
		}
		if os.Geteuid() != 0 {
			return &MissingError{"localkube needs root for network namespaces and containers"}
		}
		if err := reachable(c.State); err != nil {
			return err
		}
	}
	for _, port := range c.ports().all() {
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			return fmt.Errorf("port %d is taken (%w): stop what listens there, or move the devnet with --ports-base", port, err)
		}
		_ = l.Close()
	}
	return nil
}

// reachable refuses a directory that other users cannot come to: containers run in user namespaces, as nobody that the
// machine knows, and their file systems lie below it.
func reachable(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the state directory: %w", err)
	}
	for ; ; abs = filepath.Dir(abs) {
		st, err := os.Stat(abs)
		if err == nil && st.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s cannot be entered by others (mode %#o), and containers run as others: choose another --state, or chmod o+x it",
				abs, st.Mode().Perm())
		}
		if abs == filepath.Dir(abs) {
			return nil
		}
	}
}

// program finds one of Berth's programs.
func (c Config) program(name string) (string, error) {
	dir := c.Programs
	if dir == "" {
		self, err := os.Executable()
		if err == nil {
			dir = filepath.Dir(self)
		}
	}
	if path := filepath.Join(dir, name); isFile(path) {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find the program %s in %s or $PATH: run `make build` first", name, dir)
	}
	return path, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
