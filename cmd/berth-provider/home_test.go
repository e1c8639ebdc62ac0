package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHomeOfMountedFiles takes a home apart as a Secret and a ConfigMap hold it, and puts another one together from
// them: it is the same provider, and doctor finds nothing wrong with it, also when it is made twice.
func TestHomeOfMountedFiles(t *testing.T) {
	from, _ := makeHome(t)
	config, keys, state := t.TempDir(), t.TempDir(), t.TempDir()
	put := func(dir, name, file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(data), 0o644)
	}
	put(config, "provider.yaml", filepath.Join(from, "provider.yaml"))
	put(config, "pricing.yaml", filepath.Join(from, "pricing.yaml"))
	put(keys, "tls.key", filepath.Join(from, "tls.key"))
	files, err := os.ReadDir(filepath.Join(from, "keyring-test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		put(keys, keyringPrefix+f.Name(), filepath.Join(from, "keyring-test", f.Name()))
	}
	if err := os.Mkdir(filepath.Join(keys, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home")
	for range 2 {
		if r := run(t, "", "home", "--home", home, "--config", config, "--keys", keys, "--state", state); r.code != 0 {
			t.Fatalf("home: %+v", r)
		}
		if r := run(t, "", "doctor", "--home", home, "--only", "config,home,pricing,key"); r.code != 0 {
			t.Errorf("doctor: %+v", r)
		}
	}
	if a, b := run(t, "", "init", "--home", from, "-o", "json"), run(t, "", "init", "--home", home, "-o", "json"); a.code != 0 || b.code != 0 {
		t.Errorf("init: %+v, %+v", a, b)
	}
	if r := run(t, "", "home", "--home", home, "--config", config); r.code != exitUsage {
		t.Errorf("half of the directories: %+v", r)
	}
}
