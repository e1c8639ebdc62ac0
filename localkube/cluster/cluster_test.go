package cluster

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}

var programs = Programs{Kube: "/bin/kube", Containerd: "/cache/ctr/containerd", Runc: "/cache/ctr/runc", CNI: "/cache/ctr", Self: "/bin/localkube"}

func TestRenderGolden(t *testing.T) {
	c := Default("/state")
	render := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	golden(t, "containerd.toml", render(c.containerdConfig(programs)))
	golden(t, "kubelet.yaml", render(c.kubeletYAML()))
	golden(t, "proxy.yaml", render(c.proxyYAML()))
	golden(t, "pods.conflist", render(c.cniConflist()))
	golden(t, "hosts.toml", c.hostsTOML())
	var args []string
	for _, a := range [][]string{c.etcdArgs(), c.apiserverArgs(), c.controllerArgs(), c.schedulerArgs(), c.kubeletArgs(), c.proxyArgs(), c.usageArgs()} {
		args = append(args, strings.Join(a, "\n  "))
	}
	golden(t, "arguments.txt", []byte(strings.Join(args, "\n")+"\n"))
}

func TestAddresses(t *testing.T) {
	c := Default("/state")
	for what, got := range map[string]string{
		"10.200.0.1": c.HostIP().String(), "10.200.0.2": c.NodeIP().String(), "10.96.0.1": c.APIService().String(), "10.96.0.10": c.DNSService().String(),
		"10.200.0.1:5000": c.Registry(), "https://10.200.0.2:6443": c.APIServer(),
	} {
		if got != what {
			t.Errorf("got %s, want %s", got, what)
		}
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the default configuration: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string // empty: valid
	}{
		"longest name":       {func(c *Config) { c.Name = "a23456789012" }, ""},
		"name too long":      {func(c *Config) { c.Name = "a234567890123" }, "name"},
		"name with a path":   {func(c *Config) { c.Name = "../x" }, "name"},
		"empty name":         {func(c *Config) { c.Name = "" }, "name"},
		"relative state":     {func(c *Config) { c.State = "state" }, "absolute"},
		"longest state":      {func(c *Config) { c.State = "/" + strings.Repeat("s", maxState-1) }, ""},
		"state too long":     {func(c *Config) { c.State = "/" + strings.Repeat("s", maxState) }, "longer"},
		"link of two":        {func(c *Config) { c.Link = netip.MustParsePrefix("10.200.0.0/31") }, "link"},
		"link of eight":      {func(c *Config) { c.Link = netip.MustParsePrefix("10.200.0.0/29") }, "link"},
		"address, no net":    {func(c *Config) { c.Pods = netip.MustParsePrefix("10.244.0.1/24") }, "pods"},
		"IPv6":               {func(c *Config) { c.Services = netip.MustParsePrefix("fd00::/108") }, "services"},
		"nothing":            {func(c *Config) { c.Services = netip.Prefix{} }, "services"},
		"smallest pods":      {func(c *Config) { c.Pods = netip.MustParsePrefix("10.244.0.0/26") }, ""},
		"pods too small":     {func(c *Config) { c.Pods = netip.MustParsePrefix("10.244.0.0/27") }, "pods"},
		"pods in services":   {func(c *Config) { c.Pods = netip.MustParsePrefix("10.96.4.0/24") }, "overlap"},
		"link in pods":       {func(c *Config) { c.Link = netip.MustParsePrefix("10.244.0.4/30") }, "overlap"},
		"port zero":          {func(c *Config) { c.RegistryPort = 0 }, "port"},
		"highest port":       {func(c *Config) { c.RegistryPort = 65535 }, ""},
		"port out of range":  {func(c *Config) { c.RegistryPort = 65536 }, "port"},
		"another whole set":  {func(c *Config) { c.Link = netip.MustParsePrefix("172.31.255.252/30") }, ""},
		"addresses":          {func(c *Config) { c.Addresses = netip.MustParsePrefix("10.201.0.0/28") }, ""},
		"addresses in pods":  {func(c *Config) { c.Addresses = netip.MustParsePrefix("10.244.0.0/28") }, "overlap"},
		"too many addresses": {func(c *Config) { c.Addresses = netip.MustParsePrefix("10.128.0.0/16") }, "addresses"},
		"processors":         {func(c *Config) { c.CPUs = "0,2-3" }, ""},
		"no processors":      {func(c *Config) { c.CPUs = "one" }, "processors"},
		"range backwards":    {func(c *Config) { c.CPUs = "3-2" }, "processors"},
		"processor too high": {func(c *Config) { c.CPUs = "0-1024" }, "processors"},
		"several at a time":  {func(c *Config) { c.Name, c.State = "", "x" }, "name"},
		"several, the other": {func(c *Config) { c.Name, c.State = "", "x" }, "absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Default("/state")
			tc.change(&c)
			err := c.Validate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	c := Default("/state")
	for name, tc := range map[string]struct{ routes, want string }{
		"an empty machine":  {`[{"dst":"default","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0"}]`, ""},
		"our own link":      {`[{"dst":"10.244.0.0/24","dev":"berth-h"},{"dst":"10.200.0.0/30","dev":"berth-h"}]`, ""},
		"a VPN":             {`[{"dst":"10.0.0.0/8","dev":"tun0"}]`, "tun0"},
		"one host":          {`[{"dst":"10.96.3.4","dev":"wg0"}]`, "--services"},
		"another's network": {`[{"dst":"10.244.0.0/16","dev":"cni0"}]`, "--pods"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.conflicts([]byte(tc.routes))
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("conflicts = %v, want %q", err, tc.want)
			}
		})
	}
	if err := c.conflicts([]byte("{")); err == nil {
		t.Error("conflicts of nonsense = nil, want an error")
	}
}

func TestMountsBelow(t *testing.T) {
	info := `22 1 254:0 / / rw - ext4 /dev/vda rw
40 22 0:40 / /state/containerd/a rw - overlay overlay rw
41 40 0:41 / /state/containerd/a/b rw - tmpfs tmpfs rw
42 22 0:42 / /state-of-another rw - tmpfs tmpfs rw
43 22 0:43 / /state rw - tmpfs tmpfs rw
44 22 0:44 / /state/with\040blank rw - tmpfs tmpfs rw
short line
`
	got := mountsBelow(info, "/state")
	want := []string{"/state/containerd/a", "/state/containerd/a/b", "/state/with blank"}
	if !slices.Equal(got, want) {
		t.Errorf("mountsBelow = %q, want %q", got, want)
	}
}

func TestKeysAreWrittenOnceAndWork(t *testing.T) {
	c := Config{State: t.TempDir()}
	d := Default(c.State)
	for _, dir := range []string{"pki", "kubeconfig"} {
		if err := os.Mkdir(d.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.keys(time.Now()); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", d.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != "https://10.200.0.2:6443" || len(cfg.CertData) == 0 || len(cfg.CAData) == 0 {
		t.Errorf("kubeconfig leads to %s with %d bytes of certificate", cfg.Host, len(cfg.CertData))
	}
	before, _ := os.ReadFile(d.Kubeconfig())
	if err := d.keys(time.Now()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(d.Kubeconfig()); string(after) != string(before) {
		t.Error("a second start made new keys")
	}
}

func TestConfigurationIsKept(t *testing.T) {
	dir := t.TempDir()
	if got, err := Load(dir); err != nil || got != Default(dir) || got.Exists() {
		t.Errorf("Load of nothing = %+v, %v", got, err)
	}
	c := Default(dir)
	c.Name, c.Pods, c.RegistryPort, c.ControlPlane = "other", netip.MustParsePrefix("10.1.0.0/24"), 5001, true
	c.Addresses, c.CPUs = netip.MustParsePrefix("10.201.0.0/28"), "0"
	if err := c.keep(); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir); err != nil || got != c || !got.Exists() {
		t.Errorf("Load = %+v, %v; want %+v", got, err, c)
	}
	if err := os.WriteFile(c.path("config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("Load of a damaged configuration = nil error")
	}
}

func TestStatusOfNothing(t *testing.T) {
	s, err := Default(t.TempDir()).Status()
	if err != nil || s.Running() {
		t.Errorf("Status = %+v, %v; want nothing to run", s, err)
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{2: "2\n3", 9: "1\n2\n3"} {
		if got := tail(file, lines); got != want {
			t.Errorf("tail(%d) = %q, want %q", lines, got, want)
		}
	}
	if got := tail(file+".absent", 3); !strings.Contains(got, "no such file") {
		t.Errorf("tail of an absent log = %q", got)
	}
}
