package home

import (
	"fmt"
	"os"
	"path/filepath"
)

// Env is what decides where a home lies.
type Env struct {
	// Getenv reads the environment.
	Getenv func(string) string
	// UserHome is the user's home directory; empty when unknown.
	UserHome string
	// Root is true for the superuser, whose devnet lies in /var/lib.
	Root bool
}

// Host is the environment of this process.
func Host() Env {
	dir, _ := os.UserHomeDir() // unknown stays empty, and Find then asks for --home
	return Env{Getenv: os.Getenv, UserHome: dir, Root: os.Geteuid() == 0}
}

// Find returns the home to use: flag if given, else $BERTH_HOME, else ~/.berth. When neither is given and ~/.berth has
// no configuration but the devnet's tenant has one, it returns the devnet's.
func (e Env) Find(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if dir := e.Getenv("BERTH_HOME"); dir != "" {
		return dir, nil
	}
	if e.UserHome == "" {
		return "", fmt.Errorf("the user's home directory is unknown: name one with --home or $BERTH_HOME")
	}
	own := filepath.Join(e.UserHome, ".berth")
	devnet := filepath.Join(e.DevnetDir(""), "tenant")
	if !hasConfig(own) && hasConfig(devnet) {
		return devnet, nil
	}
	return own, nil
}

// DevnetDir returns the devnet's state directory: flag if given, else $BERTH_DEVNET, else /var/lib/berth/devnet for
// root and ~/.local/state/berth/devnet for others.
func (e Env) DevnetDir(flag string) string {
	if flag != "" {
		return flag
	}
	if dir := e.Getenv("BERTH_DEVNET"); dir != "" {
		return dir
	}
	if e.Root {
		return "/var/lib/berth/devnet"
	}
	return filepath.Join(e.UserHome, ".local", "state", "berth", "devnet")
}

func hasConfig(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ConfigFile))
	return err == nil
}
