package daemon

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/inventory"
)

// Home is a provider's directory: its configuration, its keys and what it has to remember across restarts.
type Home string

// ConfigFile is the configuration.
func (h Home) ConfigFile() string { return filepath.Join(string(h), "provider.yaml") }

// PricingFile is where a configuration's pricing file lies.
func (h Home) PricingFile(c PricingConfig) string {
	if filepath.IsAbs(c.File) {
		return c.File
	}
	return filepath.Join(string(h), c.File)
}

// TLSKeyFile is the gateway's private key; its pin stands in the provider's record.
func (h Home) TLSKeyFile() string { return filepath.Join(string(h), "tls.key") }

// placeFile keeps the last height, acceptedFile the leases that had a manifest.
func (h Home) placeFile() string    { return filepath.Join(string(h), "state", "height.json") }
func (h Home) acceptedFile() string { return filepath.Join(string(h), "state", "accepted.json") }
func (h Home) journalFile() string  { return filepath.Join(string(h), "state", "inflight.json") }
func (h Home) simulatedDir() string { return filepath.Join(string(h), "state", "simulated") }
func (h Home) lockFile() string     { return filepath.Join(string(h), "state", "lock") }

// Create makes the directories of a home.
func (h Home) Create() error {
	if err := os.MkdirAll(filepath.Join(string(h), "state"), 0o700); err != nil {
		return fmt.Errorf("make the provider's home: %w", err)
	}
	return nil
}

// Keyring opens the keyring of a home; in answers passphrase prompts.
func (h Home) Keyring(backend string, in io.Reader) (keyring.Keyring, error) {
	return client.OpenKeyring(backend, string(h), in)
}

// TLS returns the gateway's certificate and its pin; the key is made if there is none.
func (h Home) TLS() (tls.Certificate, []byte, error) { return gateway.LoadOrCreateKey(h.TLSKeyFile()) }

// Client connects to the configured chain with a key of the keyring.
func (c ChainConfig) Client(kr keyring.Keyring) (*client.Client, error) {
	cl, err := client.New(client.Config{Node: c.Node, ChainID: c.ChainID, Keyring: kr, Key: c.Key, GasPrices: c.GasPrices})
	if err != nil {
		return nil, fmt.Errorf("set up access to the chain: %w", err)
	}
	return cl, nil
}

// Provider is the address of the provider that a client's key acts for: the owner, or the key itself.
func (c ChainConfig) Provider(cl *client.Client) string {
	if c.Owner != "" {
		return c.Owner
	}
	return cl.Address().String()
}

// Behalf gives a sender of the key's messages the owner's name, if there is one.
func (c ChainConfig) Behalf(cl *client.Client, send *chain.Sender) Transactor {
	if c.Owner == "" || c.Owner == cl.Address().String() {
		return send
	}
	return chain.NewDelegate(send, cl.Address())
}

// holdKey copies the key into memory, as a keyring on disk is decrypted anew for each signature. A key that can't
// leave its keyring (a hardware one) is used where it is.
func holdKey(c ChainConfig, kr keyring.Keyring, log *slog.Logger) (*client.Client, error) {
	cl, err := c.Client(kr)
	if err != nil {
		return nil, err
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, fmt.Errorf("hold the key in memory: %w", err)
	}
	passphrase := hex.EncodeToString(secret[:])
	armor, err := kr.ExportPrivKeyArmor(c.Key, passphrase)
	if err != nil {
		log.Info("the key stays in its keyring", "key", c.Key, "why", err.Error())
		return cl, nil
	}
	mem := keyring.NewInMemory(cl.Codec())
	if err := mem.ImportPrivKey(c.Key, armor, passphrase); err != nil {
		return nil, fmt.Errorf("hold the key in memory: %w", err)
	}
	return c.Client(mem)
}

// openCluster connects to what runs the workloads.
func openCluster(cfg Config, home Home, provider string, log *slog.Logger) (cluster.Cluster, error) {
	c := cfg.Cluster
	if c.Driver == DriverSimulated {
		nodes, err := c.nodes()
		if err != nil {
			return nil, err
		}
		out, err := fake.Open(fake.Config{
			Nodes: nodes, ReadyAfter: 1, Domain: c.Domain, IngressPort: c.IngressPort, HTTPSPort: c.HTTPSPort, Host: c.NodeHost, Dir: home.simulatedDir(),
			Pools: c.simulatedStorage(),
		})
		if err != nil {
			return nil, fmt.Errorf("open the simulated cluster: %w", err)
		}
		return out, nil
	}
	kc, err := cfg.kube(provider, log)
	if err != nil {
		return nil, err
	}
	out, err := kube.New(kc)
	if err != nil {
		return nil, fmt.Errorf("connect to the Kubernetes cluster: %w", err)
	}
	return out, nil
}

// kube is the driver's configuration.
func (c Config) kube(provider string, log *slog.Logger) (kube.Config, error) {
	on := c.Cluster
	over, err := c.Overcommit.thousandths()
	if err != nil {
		return kube.Config{}, err
	}
	k := kube.Config{
		Overcommit: kube.Overcommit{CPU: over[inventory.CPU], Memory: over[inventory.Memory], Storage: over[inventory.Storage]},
		Kubeconfig: on.Kubeconfig, Provider: provider, Domain: on.Domain, IngressPort: on.IngressPort, NodeHost: on.NodeHost,
		RouteMode: kube.RouteMode(on.RouteMode), IngressClass: on.IngressClass, IngressNamespaces: on.IngressNamespaces,
		IngressCIDRs: on.IngressCIDRs, DenyCIDRs: on.DenyCIDRs, DNSCIDRs: on.DNSCIDRs, UserNamespaces: kube.UserNamespaces(on.UserNamespaces),
		ImageUsers: on.ImageUsers, RuntimeClass: on.RuntimeClass, StorageClasses: on.kubeStorage(), GPUs: on.kubeGPUs(), DeviceClass: c.deviceClass(),
		Shared: c.shared(), Logger: log,
		Link: c.Link.kube(),
	}
	c.routes(&k)
	return k, nil
}

// lockHome keeps a second daemon out of the same home: it would undo the order of the height file and fight over the
// gateway's port. The lock ends with the process.
func lockHome(h Home) (unlock func(), err error) {
	f, err := os.OpenFile(h.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the provider's home: %w", err)
	}
	if err := flock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("the provider of %s is running already: %w", h, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
