package daemon

import (
	"reflect"
	"strings"
	"testing"
)

// validConfig is a configuration that Validate accepts.
func validConfig() Config {
	c := DefaultConfig()
	c.Chain.Node, c.Chain.ChainID, c.Chain.KeyringBackend = "tcp://127.0.0.1:26657", "berth-test", "test"
	c.Gateway = GatewayConfig{Listen: "127.0.0.1:8443", HostURI: "https://127.0.0.1:8443"}
	c.Cluster.Driver, c.Cluster.Domain = DriverSimulated, "east.localhost"
	c.Attributes = map[string]string{"region": "eu-east", "tier": "1: \"quoted\" #x"}
	c.Pricing.PerMonth = &RatesConfig{CPU: "2000000", Memory: "1000000.5"}
	return c
}

func TestConfigRoundTrip(t *testing.T) {
	for name, edit := range map[string]func(*Config){
		"as it is":  func(*Config) {},
		"per block": func(c *Config) { c.Pricing.PerMonth, c.Pricing.PerBlock = nil, &RatesConfig{CPU: "0.25", Minimum: "1"} },
		"lists": func(c *Config) {
			c.Bids.DenyOwners = []string{"berth1x", "berth1y"}
			c.Cluster.DNSCIDRs = []string{"169.254.20.10/32"}
			c.Cluster.DenyCIDRs = []string{"203.0.113.0/24", "2001:db8::/32"}
			c.Cluster.ImageUsers = map[string]int64{"a/b:1": 1000}
			c.Cluster.Nodes = []NodeConfig{{Name: "n", CPU: "1.5", MemoryGiB: 2, StorageGiB: 3, GPU: 1, GPUClass: "vendor/nvidia/model/t4", Arch: "arm64"}}
		},
		"factor": func(c *Config) { c.CapacityFactor = "0.5" },
		"overcommit": func(c *Config) {
			c.Overcommit = OvercommitConfig{CPU: "2", Memory: "1.125"}
			c.Reserve = ReserveConfig{CPU: "500m", Memory: "1Gi", Pods: 5}
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := validConfig()
			edit(&want)
			text, err := WriteConfig(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseConfig([]byte(text))
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			again, _ := WriteConfig(got)
			if again != text {
				t.Errorf("written again:\n%s\nwant\n%s", again, text)
			}
			if !reflect.DeepEqual(got.Pricing, want.Pricing) || !reflect.DeepEqual(got.Attributes, want.Attributes) || got.CapacityFactor != want.CapacityFactor ||
				got.Overcommit != want.Overcommit || got.Reserve != want.Reserve {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"no node":          {func(c *Config) { c.Chain.Node = "" }, "chain.node"},
		"no chain id":      {func(c *Config) { c.Chain.ChainID = "" }, "chain.chain_id"},
		"backend":          {func(c *Config) { c.Chain.KeyringBackend = "paper" }, "chain.keyring_backend"},
		"http uri":         {func(c *Config) { c.Gateway.HostURI = "http://a" }, "gateway.host_uri"},
		"listen":           {func(c *Config) { c.Gateway.Listen = "8443" }, "gateway.listen"},
		"driver":           {func(c *Config) { c.Cluster.Driver = "docker" }, "cluster.driver"},
		"domain":           {func(c *Config) { c.Cluster.Domain = "" }, "cluster.domain"},
		"factor":           {func(c *Config) { c.CapacityFactor = "1.5" }, "capacity_factor"},
		"overcommit":       {func(c *Config) { c.Overcommit.CPU = "0.5" }, "overcommit.cpu"},
		"overcommit more":  {func(c *Config) { c.Overcommit.Memory = "10.001" }, "overcommit.memory"},
		"overcommit exact": {func(c *Config) { c.Overcommit.Storage = "1.0001" }, "overcommit.storage"},
		"reserve":          {func(c *Config) { c.Reserve.Memory = "a lot" }, "reserve.memory"},
		"reserve cpu":      {func(c *Config) { c.Reserve.CPU = "-1" }, "reserve.cpu"},
		"reserve pods":     {func(c *Config) { c.Reserve.Pods = -1 }, "reserve.pods"},
		"gpu attributes":   {func(c *Config) { c.Bids.GPUs = map[string]string{"color": "red"} }, "gpu_attributes"},
		"gpu class":        {func(c *Config) { c.Cluster.Nodes = []NodeConfig{{Name: "a", CPU: "1", GPUClass: "a100"}} }, "cluster.nodes[0].gpu_class"},
		"storage class":    {func(c *Config) { c.Cluster.StorageClasses = map[string]StorageClassConfig{"beta2": {}} }, "cluster.storage_classes.beta2"},
		"storage capacity": {func(c *Config) {
			c.Cluster.StorageClasses = map[string]StorageClassConfig{"beta2": {Class: "a", Capacity: "lots"}}
		}, "cluster.storage_classes.beta2.capacity"},
		"no prices":        {func(c *Config) { c.Pricing.PerMonth = nil }, "either per_block or per_month"},
		"both prices":      {func(c *Config) { c.Pricing.PerBlock = &RatesConfig{CPU: "1"} }, "either per_block or per_month"},
		"negative price":   {func(c *Config) { c.Pricing.PerMonth.CPU = "-1" }, "pricing.per_month.cpu"},
		"exponent":         {func(c *Config) { c.Pricing.PerMonth.CPU = "1e9" }, "pricing.per_month.cpu"},
		"13 digits":        {func(c *Config) { c.Pricing.PerMonth.CPU = "0.1234567890123" }, "pricing.per_month.cpu"},
		"free":             {func(c *Config) { c.Pricing.PerMonth = &RatesConfig{Storage: "1"} }, "all zero"},
		"log level":        {func(c *Config) { c.Log.Level = "loud" }, "log.level"},
		"no interval":      {func(c *Config) { c.Withdraw.Interval = 0 }, "withdraw.interval"},
		"node twice":       {func(c *Config) { c.Cluster.Nodes = []NodeConfig{{Name: "a", CPU: "1"}, {Name: "a", CPU: "1"}} }, "cluster.nodes[1].name"},
		"a tenth of milli": {func(c *Config) { c.Cluster.Nodes = []NodeConfig{{Name: "a", CPU: "1.0001"}} }, "cluster.nodes[0].cpu"},
	} {
		t.Run(name, func(t *testing.T) {
			c := validConfig()
			tc.edit(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate() = %v, want it to name %q", err, tc.want)
			}
		})
	}
}

func TestConfigRefusesText(t *testing.T) {
	good, err := WriteConfig(validConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":     {good + "\nprcing: {}\n", "prcing"},
		"unknown below":   {strings.Replace(good, "  resync:", "  resink: 1s\n  resync:", 1), "resink"},
		"duration":        {strings.Replace(good, "resync: 30s", "resync: 30", 1), "is not a duration"},
		"second document": {good + "\n---\nchain: {}\n", "second document"},
		"not yaml":        {"chain: [", "yaml"},
		"empty":           {"", "chain.node"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ParseConfig = %v, want it to name %q", err, tc.want)
			}
		})
	}
}
