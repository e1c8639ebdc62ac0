// Package devnet runs a whole Berth on one machine: a chain, a Kubernetes or a simulated cluster, two providers and a
// funded tenant. All of them are the real programs in processes of their own, kept running by a supervisor; everything
// they make lies in one state directory and, for Kubernetes, one network namespace.
package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/durable"
)

// layout names the places within a state directory.
type layout struct{ root string }

func (l layout) info() string                { return filepath.Join(l.root, "devnet.json") }
func (l layout) chain() string               { return filepath.Join(l.root, "chain") }
func (l layout) provider(name string) string { return filepath.Join(l.root, "providers", name) }
func (l layout) tenant() string              { return filepath.Join(l.root, "tenant") }
func (l layout) kube() string                { return filepath.Join(l.root, "kube") }
func (l layout) processes() string           { return filepath.Join(l.root, "processes") }
func (l layout) logs() string                { return filepath.Join(l.root, "logs") }
func (l layout) log(name string) string      { return filepath.Join(l.logs(), name+".log") }
func (l layout) pids() string                { return filepath.Join(l.root, "pids") }
func (l layout) pid(name string) string      { return filepath.Join(l.pids(), name) }

func (l layout) make() error {
	for _, dir := range []string{l.root, l.processes(), l.logs(), l.pids(), filepath.Dir(l.provider("x"))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the state directory: %w", err)
		}
	}
	return nil
}

// Info describes a devnet; it is what devnet.json holds.
type Info struct {
	State   string `json:"state"`
	ChainID string `json:"chain_id"`
	// Node is the address of the chain's RPC.
	Node string `json:"node"`
	// Cluster is localkube, kubeconfig or simulated.
	Cluster    string `json:"cluster"`
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Registry   string `json:"registry,omitempty"`
	Ingress    string `json:"ingress,omitempty"`
	// TLS is where TLS is answered by server name, EdgeAuthority the certificate to trust for names of the providers' domains.
	TLS           string         `json:"tls,omitempty"`
	EdgeAuthority string         `json:"edge_authority,omitempty"`
	Validators    int            `json:"validators"`
	Tenant        string         `json:"tenant"`
	TenantHome    string         `json:"tenant_home"`
	Providers     []ProviderInfo `json:"providers"`
}

// ProviderInfo describes one of the devnet's providers.
type ProviderInfo struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Home    string `json:"home"`
	Gateway string `json:"gateway"`
	Metrics string `json:"metrics"`
	Domain  string `json:"domain"`
	Region  string `json:"region"`
}

// ErrNone means that the state directory holds no devnet.
var ErrNone = errors.New("there is no devnet")

// Load reads the description of the devnet in a state directory, or returns ErrNone.
func Load(state string) (Info, error) {
	path := layout{state}.info()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("%s: %w", state, ErrNone)
	}
	if err != nil {
		return Info{}, fmt.Errorf("read the devnet's description: %w", err)
	}
	var info Info
	if err := json.Unmarshal(data, &info); err != nil {
		return Info{}, fmt.Errorf("read %s: %w", path, err)
	}
	return info, nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}
