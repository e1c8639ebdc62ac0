package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant/home"
	"berth.dev/berth/units"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	providerKey = "provider"
	// What the devnet's accounts start with.
	tenantFunds   = "1000000000000" + units.BaseDenom
	providerFunds = "1000000000000" + units.BaseDenom
	// Two providers share one node, and neither may sell what the other holds.
	capacityFactor = "0.5"
	// localkubeDisk is localkube's class of persistent storage.
	localkubeDisk = "disk"
)

// regions are the devnet's two providers.
var regions = [2]string{"east", "west"}

// domainOf is the domain of a provider's generated host names.
func domainOf(region string) string { return region + ".localhost" }

// linkPorts are where each takes what workloads send to services of the other.
var linkPorts = [2]string{"25000-27499", "27500-29999"}

// newKey makes sure that the test keyring of a home has a key, and returns its address.
func newKey(dir, name string) (string, error) {
	kr, err := client.OpenKeyring(keyring.BackendTest, dir, strings.NewReader(""))
	if err != nil {
		return "", err
	}
	record, err := kr.Key(name)
	if err != nil {
		record, _, err = kr.NewMnemonic(name, keyring.English, "", keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	}
	if err != nil {
		return "", fmt.Errorf("make key %q in %s: %w", name, dir, err)
	}
	address, err := record.GetAddress()
	if err != nil {
		return "", fmt.Errorf("address of key %q: %w", name, err)
	}
	return address.String(), nil
}

// initChain writes the chain's home with funded accounts.
func (c Config) initChain(ctx context.Context, l layout, funds map[string]string, order []string) error {
	berthd, err := c.program("berthd")
	if err != nil {
		return err
	}
	p := c.ports()
	args := []string{
		"devnet", "init", "--home", l.chain(), "--chain-id", chainID, "--block-time", blockTime.String(),
		"--validators", strconv.Itoa(c.Validators), "--rpc", "tcp://" + local(p.rpc),
	}
	for _, address := range order {
		args = append(args, "--fund", address+"="+funds[address])
	}
	if _, err := output(ctx, io.Discard, berthd, args...); err != nil {
		return fmt.Errorf("write the chain's genesis: %w", err)
	}
	return nil
}

// chainProcesses are the nodes; the first one serves RPC.
func (c Config) chainProcesses(l layout) ([]process, error) {
	berthd, err := c.program("berthd")
	if err != nil {
		return nil, err
	}
	start := func(name, home string) process {
		return process{Name: name, Args: []string{berthd, "start", "--home", home, "--log_level", "warn", "--log_no_color"}}
	}
	if c.Validators == 1 {
		return []process{start("chain", l.chain())}, nil
	}
	var all []process
	for i := range c.Validators {
		name := fmt.Sprintf("node%d", i)
		all = append(all, start("chain-"+name, filepath.Join(l.chain(), name)))
	}
	return all, nil
}

func (c Config) providerInfo(l layout, i int, address string) ProviderInfo {
	p := c.ports()
	return ProviderInfo{
		Name: regions[i], Address: address, Home: l.provider(regions[i]), Region: regions[i],
		Gateway: "https://" + local(p.gateway[i]), Metrics: "http://" + local(p.metrics[i]) + "/metrics",
		Domain: domainOf(regions[i]),
	}
}

// initProvider writes a provider's home.
func (c Config) initProvider(ctx context.Context, i int, info ProviderInfo, k kube) error {
	program, err := c.program("berth-provider")
	if err != nil {
		return err
	}
	p := c.ports()
	args := []string{
		"init", "--home", info.Home, "--node", "tcp://" + local(p.rpc), "--chain-id", chainID,
		"--key", providerKey, "--keyring-backend", keyring.BackendTest,
		"--host-uri", info.Gateway, "--listen", local(p.gateway[i]), "--metrics", local(p.metrics[i]),
		"--domain", info.Domain, "--ingress-port", strconv.Itoa(p.ingress),
		// Nobody can make DNS records for a devnet, and nobody trusts its certificate for the domains yet.
		"--require-host-proof=false", "--edge-tls", "off",
		"--attribute", "region=" + info.Region, "--attribute", "ability/storage/ram=true", "--attribute", "ability/credentials=true",
		"--attribute", "ability/cron=true",
		"--capacity-factor", capacityFactor, "--block-time", blockTime.String(),
	}
	// Both providers take the connections of workloads at one address, and reach each other on this machine.
	args = append(args, "--link-ports", linkPorts[i], "--allow-private-dial")
	if c.Cluster == ClusterSimulated {
		args = append(args, "--attribute", "ability/autoscale/cpu=true", "--attribute", "ability/autoscale/memory=true",
			"--cluster", "simulated", "--storage-class", "default=simulated:100Gi")
	} else {
		args = append(args, "--cluster", "kube", "--kubeconfig", k.Kubeconfig)
		if c.Cluster == ClusterLocalkube {
			args = append(args, "--storage-class", "default="+localkubeDisk, "--attribute", "ability/arch/"+runtime.GOARCH+"=true",
				"--attribute", "ability/autoscale/cpu=true", "--attribute", "ability/autoscale/memory=true")
		}
		if k.HTTPS != "" {
			args = append(args, "--https-port", strconv.Itoa(p.tls))
		}
		if k.NodeIP != "" {
			args = append(args, "--node-host", k.NodeIP)
		}
	}
	if _, err := output(ctx, io.Discard, program, args...); err != nil {
		return fmt.Errorf("configure provider %s: %w", info.Name, err)
	}
	return nil
}

func (c Config) providerProcess(info ProviderInfo) (process, error) {
	program, err := c.program("berth-provider")
	if err != nil {
		return process{}, err
	}
	return process{Name: "provider-" + info.Name, Args: []string{program, "run", "--home", info.Home}}, nil
}

// awaitChain waits for the first block.
func awaitChain(ctx context.Context, node string) error {
	c, err := client.New(client.Config{Node: node, ChainID: chainID})
	if err != nil {
		return err
	}
	return await(ctx, time.Minute, "the chain's first block", func(ctx context.Context) error {
		head, err := c.Head(ctx)
		if err == nil && head.Height < 1 {
			err = errors.New("the chain has no block yet")
		}
		return err
	})
}

// awaitProvider waits until a provider stands in the registry and its gateway takes connections.
func awaitProvider(ctx context.Context, l layout, node string, info ProviderInfo) error {
	c, err := client.New(client.Config{Node: node, ChainID: chainID})
	if err != nil {
		return err
	}
	query := providertypes.NewQueryClient(c.Conn())
	err = await(ctx, time.Minute, "provider "+info.Name, func(ctx context.Context) error {
		if _, err := query.Provider(ctx, &providertypes.QueryProviderRequest{Owner: info.Address}); err != nil {
			return fmt.Errorf("it is not registered: %w", err)
		}
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(info.Gateway, "https://"), time.Second)
		if err != nil {
			return fmt.Errorf("its gateway does not answer: %w", err)
		}
		return conn.Close()
	})
	if err != nil {
		return fmt.Errorf("%w; see %s", err, l.log("provider-"+info.Name))
	}
	return nil
}

// saveTenant writes the home that `berth` uses for the devnet.
func saveTenant(l layout, node string) error {
	return home.Save(l.tenant(), home.Config{
		DefaultNetwork: "devnet", KeyringBackend: keyring.BackendTest, Key: home.DefaultKey,
		Networks: map[string]home.Network{"devnet": {ChainID: chainID, Node: node}},
	})
}
