package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/provider/doctor"
)

var update = flag.Bool("update", false, "write the table of docs/ops/doctor.md anew")

// fakeCluster is a kubeconfig of a cluster that does not answer.
func fakeCluster(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestChecksAreDocumented holds docs/ops/doctor.md against the table in the code.
func TestChecksAreDocumented(t *testing.T) {
	home, _ := makeHome(t, "--cluster", "kube", "--kubeconfig", fakeCluster(t))
	checks, err := (&app{home: home}).checks(daemon.CheckOptions{Input: strings.NewReader("")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "ops", "doctor.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	seen := map[string]bool{}
	for _, c := range checks {
		if seen[c.Name] || c.What == "" || c.Mend == "" || c.Run == nil {
			t.Errorf("check %q stands twice or lacks something", c.Name)
		}
		seen[c.Name] = true
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", c.Name, c.What, strings.ReplaceAll(strings.ReplaceAll(c.Mend, home, "HOME"), "|", `\|`))
	}
	if len(checks) < 30 {
		t.Errorf("%d checks", len(checks))
	}
	table := regexp.MustCompile("(?m)(^\\| `[a-z-]+` \\|.*\n)+")
	if *update {
		text = []byte(table.ReplaceAllLiteralString(string(text), rows.String()))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := table.FindString(string(text)); got != rows.String() {
		t.Errorf("the table of %s is not that of the code; write it with -update", file)
	}
}

// TestDoctorOfASimulatedProvider looks at a fresh provider without a chain: what is its own is found to be well, what
// needs the chain fails, and each finding that is not ok says what mends it.
func TestDoctorOfASimulatedProvider(t *testing.T) {
	home, _ := makeHome(t)
	r := run(t, "", "doctor", "--home", home, "-o", "json")
	var res doctorResult
	if err := json.Unmarshal([]byte(r.out), &res); err != nil || r.code != exitError {
		t.Fatalf("%d: %v in %q, %s", r.code, err, r.out, r.err)
	}
	want := map[string]doctor.Level{
		"config": doctor.OK, "home": doctor.OK, "pricing": doctor.OK, "key": doctor.OK, "grants": doctor.OK,
		"chain": doctor.Fail, "chain-sync": doctor.Fail, "balance": doctor.Fail, "record": doctor.Fail, "tls-pin": doctor.Fail, "host-uri": doctor.Fail,
	}
	for _, c := range res.Checks {
		if want[c.Name] != c.Level || (c.Level != doctor.OK) != (c.Mend != "") {
			t.Errorf("got %+v, want %s", c, want[c.Name])
		}
		delete(want, c.Name)
	}
	if len(want) > 0 || res.OK != 5 || res.Fail != 6 {
		t.Errorf("missing %v of %+v", want, res)
	}
	r = run(t, "", "doctor", "--home", home, "--only", "config,home")
	if r.code != 0 || !strings.Contains(r.out, "2 ok, 0 warn, 0 fail") {
		t.Errorf("two checks: %+v", r)
	}
}

func TestDoctorFinds(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(t *testing.T, home string)
		check  string
		detail string
	}{
		"a bad configuration": {func(t *testing.T, home string) {
			write(t, filepath.Join(home, "provider.yaml"), "chain: {nod: x}\n", 0o600)
		}, "config", "nod"},
		"bad prices": {func(t *testing.T, home string) {
			write(t, filepath.Join(home, "pricing.yaml"), "prices: {ubrt: {cpu: -1}}\n", 0o600)
		}, "pricing", "cpu"},
		"an open home": {func(t *testing.T, home string) {
			if err := os.Chmod(home, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "home", "0755"},
		"an open key": {func(t *testing.T, home string) {
			if err := os.Chmod(filepath.Join(home, "tls.key"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "home", "tls.key"},
		"no TLS key": {func(t *testing.T, home string) {
			if err := os.Remove(filepath.Join(home, "tls.key")); err != nil {
				t.Fatal(err)
			}
		}, "tls-pin", "no key"},
		"no key": {func(t *testing.T, home string) {
			if err := os.RemoveAll(filepath.Join(home, "keyring-test")); err != nil {
				t.Fatal(err)
			}
		}, "key", "provider"},
		"nobody at the host": {func(*testing.T, string) {}, "host-uri", "not reached"},
	} {
		t.Run(name, func(t *testing.T) {
			home, _ := makeHome(t)
			tc.spoil(t, home)
			r := run(t, "", "doctor", "--home", home, "--only", tc.check)
			if r.code != exitError || !strings.Contains(r.out, "fail  "+tc.check) || !strings.Contains(r.out, tc.detail) || !strings.Contains(r.out, "→") {
				t.Errorf("got %+v, want that %s fails with %q", r, tc.check, tc.detail)
			}
		})
	}
	home, _ := makeHome(t)
	if r := run(t, "", "doctor", "--home", home, "--only", "nonsense"); r.code != exitUsage {
		t.Errorf("a check that does not exist: %+v", r)
	}
	if r := run(t, "", "doctor", "--home", t.TempDir()); r.code != exitUsage {
		t.Errorf("no provider: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(home, "tls.key")); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestRole(t *testing.T) {
	r := run(t, "", "role")
	if r.code != 0 || !strings.Contains(r.out, "kind: ClusterRole\n") || strings.Contains(r.out, "'*'") {
		t.Errorf("got %+v", r)
	}
}
