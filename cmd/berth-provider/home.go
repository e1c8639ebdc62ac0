package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/durable"
)

// homeCommand makes a home of files that are mounted into a pod, which others can read.
func (a *app) homeCommand() *cobra.Command {
	var config, keys, state string
	cmd := &cobra.Command{
		Use: "home", Short: "Make a home of mounted files, as a pod does before it runs the provider", Args: noArgs,
		Long: `Make a home of mounted files, as a pod does before it runs the provider.

Files of --config (provider.yaml, pricing.yaml) and --keys (tls.key, and the files of
the keyring, each with "keyring-" before its name) are copied so that nobody else can
read them, and the state is kept in --state. What the home held before is replaced.`,
		RunE: func(*cobra.Command, []string) error {
			for name, dir := range map[string]string{"config": config, "keys": keys, "state": state} {
				if dir == "" {
					return &usageError{fmt.Errorf("--%s is missing", name)}
				}
			}
			return a.makeHome(config, keys, state)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&config, "config", "", "directory of provider.yaml and the pricing file")
	fl.StringVar(&keys, "keys", "", "directory of tls.key and the keyring's files")
	fl.StringVar(&state, "state", "", "directory that the state is kept in")
	return cmd
}

const keyringPrefix = "keyring-"

func (a *app) makeHome(config, keys, state string) error {
	keyring := filepath.Join(a.home, "keyring-test")
	for _, dir := range []string{a.home, keyring, state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the home: %w", err)
		}
	}
	if err := os.Symlink(state, filepath.Join(a.home, "state")); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the state elsewhere: %w", err)
	}
	if err := copyFiles(config, func(name string) string { return filepath.Join(a.home, name) }); err != nil {
		return err
	}
	return copyFiles(keys, func(name string) string {
		if in, ok := strings.CutPrefix(name, keyringPrefix); ok {
			return filepath.Join(keyring, in)
		}
		return filepath.Join(a.home, name)
	})
}

// copyFiles copies the files of a directory. What begins with a dot is how a mount keeps its versions.
func copyFiles(dir string, to func(name string) string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read what is mounted: %w", err)
	}
	for _, e := range all {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("read what is mounted: %w", err)
		}
		if err := durable.WriteFile(to(e.Name()), data, 0o600); err != nil {
			return fmt.Errorf("make the home: %w", err)
		}
	}
	return nil
}
