package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/daemon"
)

// result is what one command did.
type result struct {
	code     int
	out, err string
}

func run(t *testing.T, in string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), args, stdio{in: strings.NewReader(in), out: &out, err: &errs})
	return result{code, out.String(), errs.String()}
}

// makeHome runs init as the devnet does.
func makeHome(t *testing.T, more ...string) (string, result) {
	t.Helper()
	home := filepath.Join(t.TempDir(), "east")
	args := append([]string{
		"init", "--home", home, "--node", "tcp://127.0.0.1:1", "--chain-id", "berth-devnet", "--key", "provider", "--keyring-backend", "test",
		"--host-uri", "https://127.0.0.1:8443", "--listen", "127.0.0.1:8443", "--domain", "east.localhost", "--ingress-port", "8080",
		"--attribute", "region=eu-east", "--attribute", "tier=one", "--cluster", "simulated", "--capacity-factor", "0.5", "--metrics", "127.0.0.1:9464", "-o", "json",
	}, more...)
	return home, run(t, "", args...)
}

func TestInit(t *testing.T) {
	home, r := makeHome(t)
	var res initResult
	if err := json.Unmarshal([]byte(r.out), &res); err != nil || r.code != 0 {
		t.Fatalf("%d: %v in %q, %s", r.code, err, r.out, r.err)
	}
	if !strings.HasPrefix(res.Provider, "berth1") || len(res.TLSPin) != 64 || res.Home != home {
		t.Errorf("result %+v", res)
	}
	if words := strings.Count(r.err, " "); words < 24 || strings.Contains(r.out, "mnemonic") {
		t.Errorf("the mnemonic belongs on standard error: out %q, err %q", r.out, r.err)
	}
	cfg, err := daemon.LoadConfig(res.Config)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.CapacityFactor != "0.5" || cfg.Attributes["tier"] != "one" || cfg.Cluster.IngressPort != 8080 || cfg.Chain.Key != "provider" {
		t.Errorf("configuration %+v", cfg)
	}
	for _, name := range []string{"provider.yaml", "pricing.yaml", "tls.key"} {
		if info, err := os.Stat(filepath.Join(home, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
}

func TestInitAgainKeepsWhatThereIs(t *testing.T) {
	home, first := makeHome(t)
	path := filepath.Join(home, "provider.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := append(text, []byte("# the operator's own words\n")...)
	if err := os.WriteFile(path, own, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "init", "--home", home, "-o", "json"); r.code != 0 || r.out != first.out || r.err != "" {
		t.Errorf("again: %+v, want the same result", r)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, own) {
		t.Error("an unchanged configuration was written again")
	}
	if r := run(t, "", "init", "--home", home, "--metrics", "127.0.0.1:9999", "-o", "json"); r.code != 0 || r.out != first.out {
		t.Errorf("with a change: %+v", r)
	}
	if cfg, err := daemon.LoadConfig(path); err != nil || cfg.Metrics.Listen != "127.0.0.1:9999" || cfg.Cluster.Domain != "east.localhost" {
		t.Errorf("configuration %+v, %v", cfg, err)
	}
	if was, _ := os.ReadFile(path + ".bak"); !bytes.Equal(was, own) {
		t.Error("the former configuration was not kept")
	}
}

func TestInitRecovers(t *testing.T) {
	const words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	base := []string{"init", "--node", "tcp://127.0.0.1:1", "--chain-id", "c", "--keyring-backend", "test", "--domain", "d.localhost", "--cluster", "simulated", "--recover", "-o", "json"}
	a := run(t, words+"\n", append(base, "--home", t.TempDir())...)
	b := run(t, words, append(base, "--home", t.TempDir())...)
	var x, y initResult
	if json.Unmarshal([]byte(a.out), &x) != nil || json.Unmarshal([]byte(b.out), &y) != nil || x.Provider != y.Provider || x.TLSPin == y.TLSPin {
		t.Errorf("recovered %+v and %+v", a, b)
	}
	if r := run(t, "not twelve words\n", append(base, "--home", t.TempDir())...); r.code != exitError || strings.Contains(r.err, "not twelve words") {
		t.Errorf("a bad mnemonic: %+v, want an error that does not repeat it", r)
	}
}

func TestUsageErrors(t *testing.T) {
	home, _ := makeHome(t)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "provider.yaml"), []byte("chain: {nod: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dear, _ := makeHome(t)
	if err := os.WriteFile(filepath.Join(dear, "pricing.yaml"), []byte("prices: {ubrt: {cpu: -1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"bad prices":       {[]string{"run", "--home", dear}, exitUsage, "pricing.yaml:1:22: error: prices.ubrt.cpu: \"-1\" is negative"},
		"unknown flag":     {[]string{"run", "--hom", "x"}, exitUsage, "hom"},
		"argument":         {[]string{"status", "now", "--home", home}, exitUsage, "takes no argument"},
		"output":           {[]string{"version", "-o", "yaml"}, exitUsage, "not text or json"},
		"no home":          {[]string{"run", "--home", filepath.Join(broken, "none")}, exitUsage, "init --home"},
		"unknown key":      {[]string{"run", "--home", broken}, exitUsage, "nod"},
		"init without":     {[]string{"init", "--home", t.TempDir()}, exitUsage, "chain.node"},
		"init bad factor":  {[]string{"init", "--home", home, "--capacity-factor", "2"}, exitUsage, "capacity_factor"},
		"chain is away":    {[]string{"status", "--home", home}, exitError, "tcp://127.0.0.1:1"},
		"leases, away":     {[]string{"leases", "--home", home}, exitError, "list own leases"},
		"withdraw, away":   {[]string{"withdraw", "--home", home}, exitError, "list own leases"},
		"register, away":   {[]string{"init", "--home", home, "--register"}, exitError, "read provider"},
		"unknown command":  {[]string{"fly"}, exitError, "unknown command"},
		"version is there": {[]string{"version"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, "", tc.args...)
			if r.code != tc.code || !strings.Contains(r.err, tc.want) || tc.code != 0 && r.out != "" {
				t.Errorf("%v = %+v, want %d and %q", tc.args, r, tc.code, tc.want)
			}
		})
	}
}

func TestGrants(t *testing.T) {
	home, first := makeHome(t)
	if r := run(t, "", "grants", "--home", home); r.code != 2 || !strings.Contains(r.err, "--owner") {
		t.Errorf("grants without an owner: %+v, want a hint at --owner", r)
	}
	var made initResult
	if err := json.Unmarshal([]byte(first.out), &made); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "init", "--home", home, "--owner", "berth1nonsense"); r.code != 2 || !strings.Contains(r.err, "chain.owner") {
		t.Errorf("an owner that is no address: %+v", r)
	}
	owner := sdk.AccAddress(bytes.Repeat([]byte{7}, 20)).String()
	r := run(t, "", "init", "--home", home, "--owner", owner, "-o", "json")
	var res initResult
	if err := json.Unmarshal([]byte(r.out), &res); err != nil || res.Provider != owner || res.Key != made.Provider {
		t.Fatalf("init --owner: %+v, %v", r, err)
	}
	r = run(t, "", "grants", "--home", home, "-o", "json")
	var grants grantsResult
	if err := json.Unmarshal([]byte(r.out), &grants); err != nil || r.code != 0 {
		t.Fatalf("grants: %+v, %v", r, err)
	}
	if grants.Owner != owner || grants.Key != made.Provider || len(grants.Grants) != len(chain.DelegatedMessages()) {
		t.Errorf("grants %+v", grants)
	}
	for _, g := range grants.Grants {
		for _, part := range []string{"authz grant " + made.Provider + " generic", "--msg-type " + g.Message, "--from " + owner, "--chain-id berth-devnet"} {
			if !strings.Contains(g.Command, part) {
				t.Errorf("%q lacks %q", g.Command, part)
			}
		}
	}
}
