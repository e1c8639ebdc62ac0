package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/provider/terms"
	"berth.dev/berth/units"
	providertypes "berth.dev/berth/x/provider/types"
)

// Config is provider.yaml: everything an operator decides.
type Config struct {
	Chain          ChainConfig       `yaml:"chain"`
	Gateway        GatewayConfig     `yaml:"gateway"`
	Attributes     map[string]string `yaml:"attributes"`
	Info           InfoConfig        `yaml:"info"`
	AutoRegister   bool              `yaml:"auto_register"`
	Cluster        ClusterConfig     `yaml:"cluster"`
	CapacityFactor string            `yaml:"capacity_factor"`
	Overcommit     OvercommitConfig  `yaml:"overcommit"`
	Hosts          HostsConfig       `yaml:"hosts"`
	Reserve        ReserveConfig     `yaml:"reserve"`
	Pricing        PricingConfig     `yaml:"pricing"`
	Bids           BidsConfig        `yaml:"bids"`
	Leases         LeasesConfig      `yaml:"leases"`
	Link           LinkConfig        `yaml:"link"`
	Withdraw       WithdrawConfig    `yaml:"withdraw"`
	Metrics        MetricsConfig     `yaml:"metrics"`
	Log            LogConfig         `yaml:"log"`
}

// ChainConfig says which chain to follow, and with whose key.
type ChainConfig struct {
	Node           string `yaml:"node"`
	ChainID        string `yaml:"chain_id"`
	Key            string `yaml:"key"`
	KeyringBackend string `yaml:"keyring_backend"`
	// Owner is the account that owns the provider's record, if Key is another: a hot key that acts by the owner's grants.
	Owner     string `yaml:"owner"`
	GasPrices string `yaml:"gas_prices"`
	// BlockTime replaces the measured time between blocks where prices and lifetimes are computed; 0 measures.
	BlockTime Duration `yaml:"block_time"`
}

// GatewayConfig says where tenants reach the provider.
type GatewayConfig struct {
	Listen  string `yaml:"listen"`
	HostURI string `yaml:"host_uri"`
}

// InfoConfig is what the provider's record says to people.
type InfoConfig struct {
	Email   string `yaml:"email"`
	Website string `yaml:"website"`
}

// The drivers of ClusterConfig.
const (
	DriverKube      = "kube"
	DriverSimulated = "simulated"
)

// ClusterConfig says what runs the workloads.
type ClusterConfig struct {
	Driver string `yaml:"driver"`
	// Kubeconfig is a path; empty means the service account of the pod that the provider runs in.
	Kubeconfig string `yaml:"kubeconfig"`
	// Domain is that of generated host names; IngressPort stands in URLs when it is neither 0 nor 80.
	Domain      string `yaml:"domain"`
	IngressPort int    `yaml:"ingress_port"`
	// HTTPSPort stands in URLs of https when it is neither 0 nor 443.
	HTTPSPort int `yaml:"https_port"`
	// NodeHost is the host of forwarded ports; empty means Domain.
	NodeHost string `yaml:"node_host"`
	// RouteMode is auto, gateway or ingress.
	RouteMode    string `yaml:"route_mode"`
	IngressClass string `yaml:"ingress_class"`
	// EdgeTLS and TLSPassthrough are auto, on or off.
	EdgeTLS           string            `yaml:"edge_tls"`
	HTTPSRedirect     bool              `yaml:"https_redirect"`
	TLSPassthrough    string            `yaml:"tls_passthrough"`
	HTTPOptions       HTTPOptionsConfig `yaml:"http_options"`
	LeasedIPs         LeasedIPsConfig   `yaml:"leased_ips"`
	IngressNamespaces []string          `yaml:"ingress_namespaces"`
	IngressCIDRs      []string          `yaml:"ingress_cidrs"`
	DenyCIDRs         []string          `yaml:"deny_cidrs"`
	// DNSCIDRs are addresses of name servers that are no pods.
	DNSCIDRs []string `yaml:"dns_cidrs"`
	// UserNamespaces is auto, on or off.
	UserNamespaces string           `yaml:"user_namespaces"`
	RuntimeClass   string           `yaml:"runtime_class"`
	ImageUsers     map[string]int64 `yaml:"image_users"`
	// StorageClasses are the classes of persistent storage that are sold, by their names in documents.
	StorageClasses map[string]StorageClassConfig `yaml:"storage_classes"`
	// GPUs are the devices that are sold, by vendor; empty for those of nvidia, amd and intel.
	GPUs map[string]GPUConfig `yaml:"gpus"`
	// ProbeImage is an image of berth-provider that doctor runs pods of; empty means that it runs none.
	ProbeImage string `yaml:"probe_image"`
	// Poll is how often the nodes' capacity is read.
	Poll Duration `yaml:"poll"`
	// Nodes are those of the simulated driver.
	Nodes []NodeConfig `yaml:"nodes"`
}

// NodeConfig is a simulated node.
type NodeConfig struct {
	Name      string `yaml:"name"`
	CPU       string `yaml:"cpu"`
	MemoryGiB int64  `yaml:"memory_gib"`
	// StorageGiB is ephemeral storage.
	StorageGiB int64 `yaml:"storage_gib"`
	GPU        int64 `yaml:"gpu"`
	// GPUClass is what the devices are, for example vendor/nvidia/model/a100/ram/80Gi.
	GPUClass string `yaml:"gpu_class"`
	Arch     string `yaml:"arch"`
}

// PricingConfig names the file of prices and policy, or is a plain price table itself, in the base denom (1 BRT is
// 1,000,000 ubrt). Exactly one of File, PerBlock and PerMonth is given.
type PricingConfig struct {
	// File is relative to the home; see package terms.
	File     string       `yaml:"file"`
	Denom    string       `yaml:"denom"`
	PerBlock *RatesConfig `yaml:"per_block"`
	PerMonth *RatesConfig `yaml:"per_month"`
}

// RatesConfig are decimals with at most twelve digits after the point.
type RatesConfig struct {
	CPU      string `yaml:"cpu"`      // one core
	Memory   string `yaml:"memory"`   // one GiB
	Storage  string `yaml:"storage"`  // one GiB
	GPU      string `yaml:"gpu"`      // one device
	Endpoint string `yaml:"endpoint"` // one way in from outside
	Minimum  string `yaml:"minimum"`  // the least for any group
}

// BidsConfig says whom to serve and how long offers stand.
type BidsConfig struct {
	// ValidFor is how long a bid may become a lease; then its capacity and its deposit come back.
	ValidFor Duration `yaml:"valid_for"`
	// MaxNotice is the longest notice that is given before a lease is taken back; orders that want more get no bid.
	MaxNotice   Duration          `yaml:"max_notice"`
	AllowOwners []string          `yaml:"allow_owners"`
	DenyOwners  []string          `yaml:"deny_owners"`
	GPUs        map[string]string `yaml:"gpu_attributes"`
}

// LeasesConfig says how workloads are kept.
type LeasesConfig struct {
	ManifestTimeout Duration `yaml:"manifest_timeout"`
	Resync          Duration `yaml:"resync"`
	Refresh         Duration `yaml:"refresh"`
	// CloseFailingAfter is how long a service may have failed before its lease is closed; 0 never closes it.
	CloseFailingAfter Duration `yaml:"close_failing_after"`
}

// WithdrawConfig says how often earnings are taken out.
type WithdrawConfig struct {
	Interval Duration `yaml:"interval"`
}

// MetricsConfig says where Prometheus finds the metrics; empty serves none.
type MetricsConfig struct {
	Listen string `yaml:"listen"`
}

// LogConfig says what is logged and how.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Duration is a time.Duration that reads from text such as 500ms or 10m.
type Duration time.Duration

// UnmarshalYAML reads the text form.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a duration such as 30s or 10m", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML gives the text form.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// DefaultConfig is what holds where provider.yaml is silent. Chain, gateway and cluster have no sensible default.
func DefaultConfig() Config {
	return Config{
		Chain:        ChainConfig{Key: "provider", KeyringBackend: "os", GasPrices: "0.0025" + units.BaseDenom},
		AutoRegister: true,
		Cluster: ClusterConfig{Driver: DriverKube, RouteMode: "auto", UserNamespaces: "auto", Poll: Duration(10 * time.Second),
			EdgeTLS: "auto", TLSPassthrough: "auto", HTTPOptions: HTTPOptionsConfig{MaxBodyBytes: manifest.MaxBodyBytes, MaxTimeout: Duration(time.Minute)}},
		Hosts:          HostsConfig{RequireProof: true},
		CapacityFactor: "1",
		Pricing:        PricingConfig{Denom: units.BaseDenom},
		Bids:           BidsConfig{ValidFor: Duration(5 * time.Minute)},
		Leases: LeasesConfig{
			ManifestTimeout: Duration(5 * time.Minute), Resync: Duration(30 * time.Second), Refresh: Duration(10 * time.Minute),
		},
		Link:     defaultLink(),
		Withdraw: WithdrawConfig{Interval: Duration(10 * time.Minute)},
		Log:      LogConfig{Level: "info", Format: "text"},
	}
}

// maxConfig is the most bytes that a configuration may have.
const maxConfig = 1 << 20

// LoadConfig reads provider.yaml over the defaults and validates it. Unknown keys are refused.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads the text of a provider.yaml; see LoadConfig.
func ParseConfig(data []byte) (Config, error) {
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("more than %d bytes", maxConfig)
	}
	c := DefaultConfig()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is a second document after the first")
	}
	return c, c.Validate()
}

// Validate returns everything that is wrong, together.
func (c Config) Validate() error {
	errs := []error{c.Chain.validate(), c.Gateway.validate(), c.Cluster.validate(), c.Hosts.validate(), c.Link.validate(), c.validateLoops()}
	if err := providertypes.ValidateAttributes(c.attributes()); err != nil {
		errs = append(errs, fmt.Errorf("attributes: %w", err))
	}
	if _, err := c.capacity(); err != nil {
		errs = append(errs, err)
	}
	if err := c.validatePricing(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c ChainConfig) validate() error {
	var errs []error
	if c.Node == "" {
		errs = append(errs, errors.New("chain.node: the address of a node's RPC is missing, for example tcp://127.0.0.1:26657"))
	}
	if c.ChainID == "" {
		errs = append(errs, errors.New("chain.chain_id is missing"))
	}
	if c.Key == "" {
		errs = append(errs, errors.New("chain.key: the name of a key is missing"))
	}
	if !slices.Contains([]string{"os", "file", "test", "pass", "kwallet", "keychain"}, c.KeyringBackend) {
		errs = append(errs, fmt.Errorf("chain.keyring_backend: %q is not os, file, test, pass, kwallet or keychain", c.KeyringBackend))
	}
	if c.Owner != "" {
		if _, err := sdk.AccAddressFromBech32(c.Owner); err != nil {
			errs = append(errs, fmt.Errorf("chain.owner: %q is not an address: %w", c.Owner, err))
		}
	}
	if c.BlockTime < 0 {
		errs = append(errs, errors.New("chain.block_time is negative"))
	}
	return errors.Join(errs...)
}

func (c GatewayConfig) validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("gateway.listen: %q is not HOST:PORT", c.Listen))
	}
	if err := providertypes.ValidateHostURI(c.HostURI); err != nil {
		errs = append(errs, fmt.Errorf("gateway.host_uri: %w", err))
	}
	return errors.Join(errs...)
}

func (c ClusterConfig) validate() error {
	var errs []error
	switch c.Driver {
	case DriverKube:
		if len(c.Nodes) > 0 {
			errs = append(errs, errors.New("cluster.nodes: only the simulated driver takes its nodes from here"))
		}
	case DriverSimulated:
		if _, err := c.nodes(); err != nil {
			errs = append(errs, err)
		}
	default:
		errs = append(errs, fmt.Errorf("cluster.driver: %q is not kube or simulated", c.Driver))
	}
	if c.Domain == "" {
		errs = append(errs, errors.New("cluster.domain: the domain of generated host names is missing"))
	}
	if c.IngressPort < 0 || c.IngressPort > 65535 {
		errs = append(errs, fmt.Errorf("cluster.ingress_port: %d is not a port", c.IngressPort))
	}
	errs = append(errs, c.validateStorage())
	errs = append(errs, c.validateRoutes()...)
	if c.Poll <= 0 {
		errs = append(errs, errors.New("cluster.poll must be positive"))
	}
	return errors.Join(errs...)
}

func (c Config) validateLoops() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value Duration
	}{
		{"bids.valid_for", c.Bids.ValidFor}, {"leases.manifest_timeout", c.Leases.ManifestTimeout},
		{"leases.resync", c.Leases.Resync}, {"leases.refresh", c.Leases.Refresh}, {"withdraw.interval", c.Withdraw.Interval},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive", d.name))
		}
	}
	if c.Leases.CloseFailingAfter < 0 {
		errs = append(errs, errors.New("leases.close_failing_after is negative; 0s never closes a lease for it"))
	}
	if n := time.Duration(c.Bids.MaxNotice); n < 0 || n%time.Second != 0 || n > 1<<32*time.Second-time.Second {
		errs = append(errs, fmt.Errorf("bids.max_notice: %s is not a number of whole seconds, at least 0", n))
	}
	if c.Metrics.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Metrics.Listen); err != nil {
			errs = append(errs, fmt.Errorf("metrics.listen: %q is not HOST:PORT", c.Metrics.Listen))
		}
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		errs = append(errs, fmt.Errorf("log.level: %q is not debug, info, warn or error", c.Log.Level))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format: %q is not text or json", c.Log.Format))
	}
	return errors.Join(errs...)
}

// attributes gives the attributes in the order of their keys.
func (c Config) attributes() []providertypes.Attribute { return sortedAttributes(c.Attributes) }

func sortedAttributes(m map[string]string) []providertypes.Attribute {
	out := make([]providertypes.Attribute, 0, len(m))
	for k, v := range m {
		out = append(out, providertypes.Attribute{Key: k, Value: v})
	}
	slices.SortFunc(out, func(a, b providertypes.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// policy is what Decide needs of the configuration.
func (c Config) policy(provider string) bid.Policy {
	return bid.Policy{Provider: provider, MaxNotice: bid.Seconds(time.Duration(c.Bids.MaxNotice))}
}

func set(items []string) map[string]struct{} {
	out := make(map[string]struct{}, len(items))
	for _, s := range items {
		out[s] = struct{}{}
	}
	return out
}

// validatePricing checks all but the pricing file itself.
func (c Config) validatePricing() error {
	switch p := c.Pricing; {
	case p.File == "":
		_, err := p.table()
		return err
	case p.PerBlock != nil || p.PerMonth != nil:
		return errors.New("pricing: the rates stand in pricing.file; move those of per_block or per_month there, under prices." + p.Denom + ", and remove them here")
	case len(c.Bids.AllowOwners) > 0 || len(c.Bids.DenyOwners) > 0:
		return errors.New("bids.allow_owners, bids.deny_owners: with pricing.file they stand there, as policy.owners.allow and policy.owners.deny")
	}
	return nil
}

// terms are what is asked of whom where there is no pricing file.
func (c Config) terms() (*terms.Terms, error) {
	table, err := c.Pricing.table()
	if err != nil {
		return nil, err
	}
	return &terms.Terms{
		Tables: []terms.Table{table}, Rules: policy.Rules{Allow: set(c.Bids.AllowOwners), Deny: set(c.Bids.DenyOwners)},
	}, nil
}

// table reads the price table. It has one rate for all devices, storage and endpoints, and leased ips are endpoints.
func (c PricingConfig) table() (t terms.Table, err error) {
	rates, path := c.PerBlock, "pricing.per_block"
	if c.PerMonth != nil {
		rates, path, t.Per = c.PerMonth, "pricing.per_month", terms.Month
	}
	if (c.PerBlock == nil) == (c.PerMonth == nil) {
		return terms.Table{}, errors.New("pricing: give either per_block or per_month, or the file that holds prices and policy")
	}
	t.Denom = c.Denom
	var gpu pricing.Amount
	var errs []error
	for _, r := range []struct {
		name string
		text string
		into *pricing.Amount
	}{
		{"cpu", rates.CPU, &t.CPU}, {"memory", rates.Memory, &t.Memory}, {"storage", rates.Storage, &t.Ephemeral},
		{"gpu", rates.GPU, &gpu}, {"endpoint", rates.Endpoint, &t.HTTP}, {"minimum", rates.Minimum, &t.Minimum},
	} {
		if r.text == "" {
			continue
		}
		if *r.into, err = pricing.ParseAmount(r.text); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", path, r.name, err))
		}
	}
	t.Ports, t.IP, t.AnyClass = t.HTTP, pricing.Rate{Amount: t.HTTP, Given: true}, pricing.Rate{Amount: t.Ephemeral, Given: true}
	t.GPU = []pricing.GPURate{{Rate: gpu}}
	if len(errs) == 0 {
		errs = append(errs, t.Validate())
	}
	return t, errors.Join(errs...)
}

// nodes gives the simulated nodes, or a default one when none is listed.
func (c ClusterConfig) nodes() ([]cluster.Node, error) {
	if len(c.Nodes) == 0 {
		return []cluster.Node{{Name: "sim-1", CPU: 16_000, Memory: 64 << 30, Storage: 512 << 30}}, nil
	}
	var out []cluster.Node
	seen := make(map[string]bool)
	for i, n := range c.Nodes {
		cpu, err := parseMilli(n.CPU)
		switch {
		case n.Name == "" || seen[n.Name]:
			return nil, fmt.Errorf("cluster.nodes[%d].name: %q is empty or stands twice", i, n.Name)
		case err != nil:
			return nil, fmt.Errorf("cluster.nodes[%d].cpu: %w", i, err)
		case n.GPUClass != "" && !isGPUClass(n.GPUClass):
			return nil, fmt.Errorf("cluster.nodes[%d].gpu_class: %q is not like vendor/nvidia/model/a100/ram/80Gi/interface/sxm", i, n.GPUClass)
		case n.MemoryGiB < 0 || n.StorageGiB < 0 || n.GPU < 0 || n.MemoryGiB > 1<<20 || n.StorageGiB > 1<<20:
			return nil, fmt.Errorf("cluster.nodes[%d]: memory_gib, storage_gib and gpu are not in 0..1048576", i)
		}
		seen[n.Name] = true
		out = append(out, cluster.Node{
			Name: n.Name, CPU: cpu, Memory: cluster.Bytes(n.MemoryGiB) << 30, Storage: cluster.Bytes(n.StorageGiB) << 30,
			GPUs: simulatedGPUs(n), Arch: n.Arch,
		})
	}
	return out, nil
}

// parseMilli reads an amount of processor time: cores as a decimal with at most three digits, or 500m.
func parseMilli(s string) (cluster.MilliCPU, error) {
	bad := fmt.Errorf("%q is not an amount of cpu such as 4, 1.5 or 500m", s)
	if m, ok := strings.CutSuffix(s, "m"); ok {
		n, err := pricing.ParseAmount(m)
		if err != nil || strings.Contains(m, ".") || len(m) > 9 {
			return 0, bad
		}
		return cluster.MilliCPU(n.Dec().TruncateInt64()), nil
	}
	n, err := pricing.ParseAmount(s)
	whole, _, _ := strings.Cut(s, ".")
	if err != nil || len(whole) > 6 {
		return 0, bad
	}
	milli := n.Dec().MulInt64(1000)
	if !milli.IsInteger() {
		return 0, bad
	}
	return cluster.MilliCPU(milli.TruncateInt64()), nil
}
