package home

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	devnet := filepath.Join(dir, "devnet")
	both := filepath.Join(dir, "both")
	for _, home := range []string{filepath.Join(devnet, "tenant"), filepath.Join(both, ".berth")} {
		if err := Save(home, Config{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		flag, userHome string
		env            map[string]string
		want           string
	}{
		"the flag wins":                 {"/f", dir, map[string]string{"BERTH_HOME": "/e", "BERTH_DEVNET": devnet}, "/f"},
		"then the environment":          {"", dir, map[string]string{"BERTH_HOME": "/e", "BERTH_DEVNET": devnet}, "/e"},
		"then the devnet if it is up":   {"", dir, map[string]string{"BERTH_DEVNET": devnet}, filepath.Join(devnet, "tenant")},
		"but an own configuration wins": {"", both, map[string]string{"BERTH_DEVNET": devnet}, filepath.Join(both, ".berth")},
		"else ~/.berth":                 {"", dir, map[string]string{"BERTH_DEVNET": "/nowhere"}, filepath.Join(dir, ".berth")},
	} {
		t.Run(name, func(t *testing.T) {
			e := Env{Getenv: func(k string) string { return tc.env[k] }, UserHome: tc.userHome}
			if got, err := e.Find(tc.flag); err != nil || got != tc.want {
				t.Errorf("Find(%q) = %q, %v, want %q", tc.flag, got, err, tc.want)
			}
		})
	}
	if _, err := (Env{Getenv: func(string) string { return "" }}).Find(""); err == nil {
		t.Error("Find without any directory: no error")
	}
}

func TestDevnetDir(t *testing.T) {
	none := func(string) string { return "" }
	for want, e := range map[string]Env{
		"/var/lib/berth/devnet":             {Getenv: none, UserHome: "/root", Root: true},
		"/home/a/.local/state/berth/devnet": {Getenv: none, UserHome: "/home/a"},
		"/x":                                {Getenv: func(string) string { return "/x" }, Root: true},
	} {
		if got := e.DevnetDir(""); got != want {
			t.Errorf("DevnetDir() = %q, want %q", got, want)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, err := Load(dir); !errors.Is(err, ErrNoConfig) {
		t.Fatalf("Load of an empty home: %v, want ErrNoConfig", err)
	}
	want := Config{
		DefaultNetwork: "devnet", KeyringBackend: "test",
		Networks: map[string]Network{"devnet": {ChainID: "berth-devnet", Node: "tcp://127.0.0.1:26657", GasPrices: "0.0025ubrt"}},
	}
	if err := Save(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	st, err := os.Stat(filepath.Join(dir, ConfigFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the configuration: %v, %v, want 0600", st.Mode(), err)
	}
	name, n, err := got.Network("")
	if err != nil || name != "devnet" || n.ChainID != "berth-devnet" {
		t.Errorf("Network(\"\") = %q, %+v, %v", name, n, err)
	}
}

func TestBadConfig(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":     {"default_networks: x\n", "default_networks"},
		"bad backend":     {"keyring_backend: memory\n", "memory"},
		"no such network": {"default_network: a\nnetworks: {b: {node: x}}\n", "have: b"},
		"no node":         {"networks: {b: {chain_id: x}}\n", "networks.b.node"},
		"path as a name":  {"networks: {../b: {node: x}}\n", "is not a name"},
		"not yaml":        {"{", "read"},
		"too large":       {strings.Repeat("#", maxConfig+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load = %v, want an error with %q", err, tc.want)
			}
		})
	}
}
