// Package home is the directory in which a tenant's tool keeps its configuration, keys and deployments' state files.
// The devnet writes such a home too, so that the tool works right after it is up.
package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/internal/durable"
)

const (
	// ConfigFile is the name of the configuration within a home.
	ConfigFile = "config.yaml"
	// DefaultKey is the name of the key that is used when none is named.
	DefaultKey = "tenant"
	// DefaultBackend is the keyring that is used when none is configured.
	DefaultBackend = "os"
	// maxConfig bounds what Load reads.
	maxConfig = 1 << 20
)

// ErrNoConfig means that the home has no configuration yet.
var ErrNoConfig = errors.New("no configuration")

var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)

// Network is one chain that the tenant uses.
type Network struct {
	ChainID string `yaml:"chain_id"`
	// Node is the address of a CometBFT RPC, for example tcp://127.0.0.1:26657.
	Node string `yaml:"node"`
	// GasPrices is what transactions offer per unit of gas; empty means the client's default.
	GasPrices string `yaml:"gas_prices,omitempty"`
}

// Config is the content of config.yaml.
type Config struct {
	DefaultNetwork string `yaml:"default_network"`
	// KeyringBackend is os, file or test; empty means DefaultBackend.
	KeyringBackend string `yaml:"keyring_backend,omitempty"`
	// Key names the key that signs; empty means DefaultKey.
	Key      string             `yaml:"key,omitempty"`
	Networks map[string]Network `yaml:"networks"`
}

// Validate says what is wrong with a configuration, or nil.
func (c Config) Validate() error {
	if !slices.Contains([]string{"", "os", "file", "test"}, c.KeyringBackend) {
		return fmt.Errorf("keyring_backend: %q is not one of os, file, test", c.KeyringBackend)
	}
	if _, ok := c.Networks[c.DefaultNetwork]; c.DefaultNetwork != "" && !ok {
		return fmt.Errorf("default_network: %q is not one of the networks (have: %s)", c.DefaultNetwork, strings.Join(c.Names(), ", "))
	}
	for _, name := range c.Names() {
		if !networkName.MatchString(name) {
			return fmt.Errorf("networks: %q is not a name of letters, digits, dots, dashes and underscores", name)
		}
		if c.Networks[name].Node == "" {
			return fmt.Errorf("networks.%s.node: missing", name)
		}
	}
	return nil
}

// Names are the networks' names, sorted.
func (c Config) Names() []string {
	names := make([]string, 0, len(c.Networks))
	for name := range c.Networks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Network returns the named network, or the default one for an empty name, with its name.
func (c Config) Network(name string) (string, Network, error) {
	if name == "" {
		name = c.DefaultNetwork
	}
	if name == "" && len(c.Networks) == 1 {
		name = c.Names()[0]
	}
	if name == "" {
		return "", Network{}, errors.New("no default network is set")
	}
	n, ok := c.Networks[name]
	if !ok {
		return "", Network{}, fmt.Errorf("no network is named %q (have: %s)", name, strings.Join(c.Names(), ", "))
	}
	return name, n, nil
}

// Load reads the configuration of a home. It returns ErrNoConfig for a home without one; an unknown key is an error.
func Load(dir string) (Config, error) {
	path := filepath.Join(dir, ConfigFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("%s: %w", path, ErrNoConfig)
	}
	if err != nil {
		return Config{}, fmt.Errorf("open the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("read %s: larger than %d bytes", path, maxConfig)
	}
	c, err := Parse(data)
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// Parse reads the text of a configuration; an unknown key is an error.
func Parse(data []byte) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, err
	}
	return c, c.Validate()
}

// Save writes the configuration of a home, which it makes if need be, so that a crash leaves the old or the new one.
func Save(dir string, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("save the configuration: %w", err)
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode the configuration: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the home: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, ConfigFile), data, 0o600)
}
