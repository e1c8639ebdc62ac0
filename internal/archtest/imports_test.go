// Package archtest keeps the house in order: which package may import which, and what the chain's code must not do.
// The rules are those of docs/architecture.md.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "berth.dev/berth/"

// listed is the part of `go list -json` that the rules look at.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// rule says what packages below a prefix must not import.
type rule struct {
	// in selects packages by prefix, relative to the module; except takes some out again.
	in, except []string
	// never lists prefixes of forbidden imports; ours are relative to the module, others full.
	never []string
	// allow takes prefixes out of never.
	allow []string
	why   string
}

var rules = []rule{
	{
		in:    []string{"x/"},
		never: []string{"app", "provider", "tenant", "client", "cmd", "devnet", "sdl", "manifest"},
		why:   "the chain's modules know nothing of the programs around them",
	},
	{
		in:    []string{"x/escrow/", "x/provider/", "x/audit/"},
		never: []string{"x/deployment", "x/market"},
		why:   "escrow, provider and audit know nothing of the modules that use them",
	},
	{
		in:    []string{"x/deployment/"},
		never: []string{"x/market"},
		why:   "deployment tells the market by hooks",
	},
	{
		in:    []string{"provider/", "tenant", "client", "sdl", "manifest"},
		never: []string{"app", "x/provider/keeper", "x/escrow/keeper", "x/deployment/keeper", "x/market/keeper", "x/audit/keeper", "cmd"},
		why:   "outside the chain only its types are known",
	},
	{
		in:     []string{""},
		except: []string{"provider/cluster/kube", "testutil/e2e"},
		never:  []string{"k8s.io/", "sigs.k8s.io/gateway-api"},
		why:    "only the Kubernetes driver knows Kubernetes",
	},
	{
		in:    []string{"sdl", "manifest"},
		never: []string{"net", "net/http", "os", "time", "math/rand", "math/rand/v2", "log", "log/slog", "client", "provider", "tenant"},
		why:   "documents and manifests are values in, values out",
	},
	{
		in:    []string{"provider/inventory", "x/escrow/ledger"},
		never: []string{"net", "net/http", "os", "time", "math/rand", "math/rand/v2", "log", "log/slog", "context"},
		why:   "pure core: no clock, I/O or logger",
	},
	{
		in:    []string{"provider/policy"},
		never: []string{"net", "net/http", "os", "math/rand", "math/rand/v2", "log", "log/slog", "context", "provider/bid", "provider/terms"},
		why:   "pure: orders and sums in, reasons out",
	},
	{
		in:     []string{"provider/", "tenant", "sdl", "manifest"},
		except: []string{"provider/chain"},
		never:  []string{"github.com/cometbft/cometbft/rpc"},
		why:    "only client and provider/chain speak CometBFT's RPC",
	},
	{
		in:    []string{""},
		never: []string{"github.com/cosmos/cosmos-sdk/enterprise"},
		why:   "the SDK's enterprise modules are not free software",
	},
	{
		in:     []string{""},
		except: []string{"app"},
		never:  []string{"github.com/cosmos/ibc-go"},
		why:    "outside the app a coin of another chain is a denomination like any other",
	},
}

func TestImportRules(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if !hasPrefix(rel, r.in) || (len(r.except) > 0 && hasPrefix(rel, r.except)) {
				continue
			}
			for _, imp := range p.Imports {
				relImp := strings.TrimPrefix(imp, module)
				if matches(relImp, r.never) && !matches(relImp, r.allow) {
					t.Errorf("%s imports %s: %s", rel, relImp, r.why)
				}
			}
		}
	}
}

// A keeper never imports another module's keeper: its needs stand in its types/expected_keepers.go.
func TestKeepersDoNotImportKeepers(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module)
		if !strings.HasPrefix(rel, "x/") || !strings.HasSuffix(rel, "/keeper") {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasSuffix(imp, "/keeper") && imp != p.ImportPath {
				t.Errorf("%s imports the keeper %s", rel, imp)
			}
		}
	}
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list gave only %d packages", len(all))
	}
	return all
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// matches reports whether an import is one of the names or lies below one; names that end in / match by prefix.
func matches(imp string, names []string) bool {
	for _, n := range names {
		if imp == n || strings.HasPrefix(imp, strings.TrimSuffix(n, "/")+"/") {
			return true
		}
	}
	return false
}
