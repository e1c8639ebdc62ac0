package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// listeners are the places that take connections from others, and why. Anything else there is a door that nobody guards.
var listeners = map[string]string{
	"provider/gateway":           "tenants and other providers come in here, past its limits",
	"provider/link/consume.go":   "pods that may use a link connect to it; policies close it to all others",
	"provider/daemon/metrics.go": "the operator's metrics, on loopback unless the operator says otherwise",
}

// listens are the functions that open a port.
var listens = map[string]bool{
	"net.Listen": true, "net.ListenTCP": true, "net.ListenUDP": true, "net.ListenPacket": true, "net.ListenUnix": true,
	"net.ListenIP": true, "net.ListenMulticastUDP": true, "net.ListenConfig": true, "net.FileListener": true, "tls.Listen": true,
	"http.ListenAndServe": true, "http.ListenAndServeTLS": true,
}

// TestFewPlacesListen: of what runs unattended, only the places above open ports.
func TestFewPlacesListen(t *testing.T) {
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	for _, top := range []string{"provider", "x", "app", "sdl", "manifest", "client", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasSuffix(d.Name(), "test") {
				return filepath.SkipDir // helpers of tests, such as servers to ask
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, ok := sel.X.(*ast.Ident)
				if !ok || !listens[pkg.Name+"."+sel.Sel.Name] {
					return true
				}
				name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
				place := name
				if listeners[place] == "" {
					place = filepath.ToSlash(filepath.Dir(name))
				}
				if listeners[place] == "" {
					t.Errorf("%s opens a port; only these may: %v", set.Position(n.Pos()), listeners)
				}
				found[place] = true
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for place := range listeners {
		if !found[place] {
			t.Errorf("%s opens no port any more: take it off the list", place)
		}
	}
}
