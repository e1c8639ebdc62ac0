package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/internal/durable"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/daemon"
)

// initFlags are what init can be told; a flag that is not given leaves the configuration as it is.
type initFlags struct {
	node, chainID, key, owner, backend, gasPrices string
	hostURI, listen                               string
	domain, nodeHost, driver, kubeconfig          string
	ingressPort, httpsPort                        int
	edgeTLS                                       string
	hostProof                                     bool
	attributes, storage                           map[string]string
	factor, metrics                               string
	linkPorts                                     string
	privateDial                                   bool
	blockTime                                     time.Duration
	recover, register                             bool
}

// defaultPrices are per month and per core, GiB and so on, in ubrt: a small virtual machine costs about 5 BRT.
func defaultPrices() daemon.RatesConfig {
	return daemon.RatesConfig{
		CPU: "2000000", Memory: "1000000", Storage: "50000", GPU: "200000000", Endpoint: "50000", Minimum: "100000",
	}
}

func (a *app) initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a provider: configuration, account key and TLS key",
		Long: `Make a provider: configuration, account key and TLS key.

It asks nothing and may be run again: what exists is kept, and only what the given
flags say is changed; the former configuration then stays as provider.yaml.bak.
With --register the provider's record is written on chain as well, which 'run' does
by itself otherwise; the key needs funds for that.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), cmd.Flags(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.node, "node", "", "RPC of a node, for example tcp://127.0.0.1:26657")
	fl.StringVar(&f.chainID, "chain-id", "", "chain to serve")
	fl.StringVar(&f.key, "key", "", "name of the account key; made if there is none (default provider)")
	fl.StringVar(&f.owner, "owner", "", "account that owns the provider's record, if the key acts for it by grants")
	fl.StringVar(&f.backend, "keyring-backend", "", "where keys are kept: os, file, test, pass (default os)")
	fl.StringVar(&f.gasPrices, "gas-prices", "", "price per unit of gas (default 0.0025ubrt)")
	fl.StringVar(&f.hostURI, "host-uri", "", "https address that tenants use (default https://127.0.0.1:PORT of --listen)")
	fl.StringVar(&f.listen, "listen", "", "address of the gateway (default 0.0.0.0:8443)")
	fl.StringVar(&f.domain, "domain", "", "domain of generated host names")
	fl.IntVar(&f.httpsPort, "https-port", 0, "port that stands in URLs of https when it is not 443")
	fl.StringVar(&f.edgeTLS, "edge-tls", "auto", "whether URLs of http ports are https ones: auto, on or off")
	fl.BoolVar(&f.hostProof, "require-host-proof", true, "give hosts outside of the domain only to whom a DNS record names")
	fl.IntVar(&f.ingressPort, "ingress-port", 0, "port that stands in URLs when it is not 80")
	fl.StringVar(&f.nodeHost, "node-host", "", "host of forwarded tcp and udp ports (default the domain)")
	fl.StringToStringVar(&f.attributes, "attribute", nil, "attribute KEY=VALUE of the provider's record (repeat)")
	fl.StringToStringVar(&f.storage, "storage-class", nil,
		"persistent storage CLASS=NAME[:CAPACITY]: a class in documents, the cluster's, and how much there is if that is not told (repeat)")
	fl.StringVar(&f.driver, "cluster", "", "kube or simulated (default kube)")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster; empty inside a cluster")
	fl.StringVar(&f.factor, "capacity-factor", "", "share of the cluster to sell, in (0, 1] (default 1)")
	fl.StringVar(&f.linkPorts, "link-ports", "", "range of ports for services elsewhere, for example 25000-29999 (the default)")
	fl.BoolVar(&f.privateDial, "allow-private-dial", false, "let other providers be reached at private addresses")
	fl.StringVar(&f.metrics, "metrics", "", "address of the Prometheus metrics, for example 127.0.0.1:9464")
	fl.DurationVar(&f.blockTime, "block-time", 0, "time between blocks, where it need not be measured")
	fl.BoolVar(&f.recover, "recover", false, "read the account key's mnemonic from standard input")
	fl.BoolVar(&f.register, "register", false, "write the provider's record on chain now")
	return cmd
}

// initResult is what init reports.
type initResult struct {
	Home     string `json:"home"`
	Config   string `json:"config"`
	Provider string `json:"provider"`
	Key      string `json:"key"`
	TLSPin   string `json:"tls_pin"`
	Record   string `json:"record,omitempty"`
}

func (a *app) init(ctx context.Context, given *pflag.FlagSet, f *initFlags) error {
	home := daemon.Home(a.home)
	if err := home.Create(); err != nil {
		return err
	}
	cfg, before, err := f.configuration(home, given)
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return &usageError{fmt.Errorf("the configuration is not complete:\n%w", err)}
	}
	if err := saveConfig(home, cfg, before); err != nil {
		return err
	}
	if err := savePricing(home, cfg); err != nil {
		return err
	}
	kr, err := home.Keyring(cfg.Chain.KeyringBackend, a.in)
	if err != nil {
		return err
	}
	address, err := a.ensureKey(kr, cfg.Chain.Key, f.recover)
	if err != nil {
		return err
	}
	_, pin, err := home.TLS()
	if err != nil {
		return err
	}
	res := initResult{Home: a.home, Config: home.ConfigFile(), Provider: address.String(), Key: address.String(), TLSPin: hex.EncodeToString(pin)}
	if cfg.Chain.Owner != "" {
		res.Provider = cfg.Chain.Owner
	}
	if f.register {
		if res.Record, err = register(ctx, cfg, kr, pin); err != nil {
			return err
		}
	}
	return a.print(res, func(p *page) {
		p.linef("provider\t%s", res.Provider)
		p.linef("config\t%s", res.Config)
		if res.Record != "" {
			p.linef("record\t%s", res.Record)
		}
		if res.Key != res.Provider {
			p.linef("key\t%s", res.Key)
			p.linef("next\tsend funds for fees to the key and for deposits to the provider, run what `berth-provider grants` prints with the provider's own key, then: berth-provider run --home %s", a.home)
			return
		}
		p.linef("next\tsend funds to the provider's address, then: berth-provider run --home %s", a.home)
	})
}

// configuration is the present one, or the defaults, with what the flags say; before is its present text.
func (f *initFlags) configuration(home daemon.Home, given *pflag.FlagSet) (cfg daemon.Config, before string, err error) {
	cfg = daemon.DefaultConfig()
	cfg.Gateway.Listen = "0.0.0.0:8443"
	cfg.Pricing.File = "pricing.yaml"
	text, err := os.ReadFile(home.ConfigFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return cfg, "", fmt.Errorf("read the present configuration: %w", err)
	default:
		if cfg, err = daemon.LoadConfig(home.ConfigFile()); err != nil {
			return cfg, "", &usageError{fmt.Errorf("the present configuration: %w", err)}
		}
		before = string(text)
	}
	f.apply(&cfg, given)
	if cfg.Gateway.HostURI == "" {
		if _, port, err := net.SplitHostPort(cfg.Gateway.Listen); err == nil {
			cfg.Gateway.HostURI = "https://" + net.JoinHostPort("127.0.0.1", port)
		}
	}
	return cfg, before, nil
}

// apply sets what was given on the command line.
func (f *initFlags) apply(cfg *daemon.Config, given *pflag.FlagSet) {
	for name, into := range map[string]struct {
		to   *string
		from string
	}{
		"node": {&cfg.Chain.Node, f.node}, "chain-id": {&cfg.Chain.ChainID, f.chainID}, "key": {&cfg.Chain.Key, f.key}, "owner": {&cfg.Chain.Owner, f.owner},
		"keyring-backend": {&cfg.Chain.KeyringBackend, f.backend}, "gas-prices": {&cfg.Chain.GasPrices, f.gasPrices},
		"host-uri": {&cfg.Gateway.HostURI, f.hostURI}, "listen": {&cfg.Gateway.Listen, f.listen},
		"domain": {&cfg.Cluster.Domain, f.domain}, "node-host": {&cfg.Cluster.NodeHost, f.nodeHost},
		"cluster": {&cfg.Cluster.Driver, f.driver}, "kubeconfig": {&cfg.Cluster.Kubeconfig, f.kubeconfig},
		"capacity-factor": {&cfg.CapacityFactor, f.factor}, "metrics": {&cfg.Metrics.Listen, f.metrics}, "link-ports": {&cfg.Link.Ports, f.linkPorts},
	} {
		if given.Changed(name) {
			*into.to = into.from
		}
	}
	if given.Changed("ingress-port") {
		cfg.Cluster.IngressPort = f.ingressPort
	}
	if given.Changed("https-port") {
		cfg.Cluster.HTTPSPort = f.httpsPort
	}
	if given.Changed("edge-tls") {
		cfg.Cluster.EdgeTLS = f.edgeTLS
	}
	if given.Changed("require-host-proof") {
		cfg.Hosts.RequireProof = f.hostProof
	}
	if given.Changed("allow-private-dial") {
		cfg.Link.AllowPrivateDial = f.privateDial
	}
	if given.Changed("attribute") {
		cfg.Attributes = f.attributes
	}
	if given.Changed("storage-class") {
		cfg.Cluster.StorageClasses = map[string]daemon.StorageClassConfig{}
		if cfg.Attributes == nil {
			cfg.Attributes = map[string]string{}
		}
		for class, of := range f.storage {
			name, capacity, _ := strings.Cut(of, ":")
			cfg.Cluster.StorageClasses[class] = daemon.StorageClassConfig{Class: name, Capacity: capacity}
			cfg.Attributes["ability/storage/"+class] = "true"
		}
	}
	if given.Changed("block-time") {
		cfg.Chain.BlockTime = daemon.Duration(f.blockTime)
	}
}

// saveConfig writes the configuration unless it says what it said before; comments of the operator's own then stay.
func saveConfig(home daemon.Home, cfg daemon.Config, before string) error {
	text, err := daemon.WriteConfig(cfg)
	if err != nil {
		return err
	}
	if before != "" {
		old, err := daemon.ParseConfig([]byte(before))
		if err != nil {
			return fmt.Errorf("the present configuration: %w", err)
		}
		if same, err := daemon.WriteConfig(old); err != nil || same == text {
			return err
		}
		if err := durable.WriteFile(home.ConfigFile()+".bak", []byte(before), 0o600); err != nil {
			return fmt.Errorf("keep the former configuration: %w", err)
		}
	}
	if err := durable.WriteFile(home.ConfigFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// savePricing writes a pricing file with default prices, unless there is one.
func savePricing(home daemon.Home, cfg daemon.Config) error {
	if cfg.Pricing.File == "" {
		return nil
	}
	path := home.PricingFile(cfg.Pricing)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text, err := daemon.WritePricing(cfg.Pricing.Denom, defaultPrices())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the pricing file: %w", err)
	}
	return nil
}

// ensureKey returns the address of the account key. A key that does not exist is made, and its mnemonic is shown once,
// on standard error; or it is recovered from standard input.
func (a *app) ensureKey(kr keyring.Keyring, name string, recover bool) (sdk.AccAddress, error) {
	record, err := kr.Key(name)
	switch {
	case err == nil:
	case !errors.Is(err, sdkerrors.ErrKeyNotFound):
		return nil, fmt.Errorf("look for key %q: %w", name, err)
	case recover:
		record, err = a.recoverKey(kr, name)
	default:
		var mnemonic string
		record, mnemonic, err = kr.NewMnemonic(name, keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
		if err == nil {
			_, _ = fmt.Fprintf(a.err, "Key %q was made. Write down these words, they are shown only now:\n\n  %s\n\n", name, mnemonic)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make key %q: %w", name, err)
	}
	address, err := record.GetAddress()
	if err != nil {
		return nil, fmt.Errorf("address of key %q: %w", name, err)
	}
	return address, nil
}

func (a *app) recoverKey(kr keyring.Keyring, name string) (*keyring.Record, error) {
	line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the mnemonic: %w", err)
	}
	record, err := kr.NewAccount(name, strings.TrimSpace(line), keyring.DefaultBIP39Passphrase, sdk.FullFundraiserPath, hd.Secp256k1)
	if err != nil {
		return nil, errors.New("the mnemonic on standard input is not valid")
	}
	return record, nil
}

// registerTimeout bounds how long init --register waits for the chain.
const registerTimeout = time.Minute

func register(ctx context.Context, cfg daemon.Config, kr keyring.Keyring, pin []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	c, err := cfg.Chain.Client(kr)
	if err != nil {
		return "", err
	}
	send, err := chain.NewSender(c, chain.SenderConfig{})
	if err != nil {
		return "", err
	}
	owner := cfg.Chain.Provider(c)
	did, err := daemon.Register(ctx, cfg, owner, pin, chain.NewReader(c.Conn(), owner), cfg.Chain.Behalf(c, send))
	return string(did), err
}
