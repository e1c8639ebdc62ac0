package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// TestChainIsDeterministic refuses what makes two validators disagree in the code that runs in blocks: clocks,
// randomness, goroutines, floats and ranging over maps. A range over a map that cannot show (it only fills another
// map, or its keys are sorted at once) is written with slices.Sorted(maps.Keys(m)) instead.
func TestChainIsDeterministic(t *testing.T) {
	cfg := &packages.Config{Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile}
	pkgs, err := packages.Load(cfg, module+"x/...", module+"app/...")
	if err != nil {
		t.Fatalf("load packages: %v", err)
	}
	if len(pkgs) < 8 {
		t.Fatalf("loaded only %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			t.Fatalf("load %s: %v", p.PkgPath, e)
		}
		for _, file := range p.Syntax {
			name := p.Fset.Position(file.Pos()).Filename
			// Generated code, simulations, and commands, which run where the user is.
			if strings.HasSuffix(name, ".pb.go") || strings.HasSuffix(name, ".pb.gw.go") || strings.Contains(name, "/simulation/") || strings.Contains(name, "/client/") {
				continue
			}
			inspect(t, p, file)
		}
	}
}

// bannedCalls are functions whose result differs from one machine or run to another.
var bannedCalls = map[string]bool{"time.Now": true, "time.Since": true, "time.Until": true, "os.Getenv": true}

func inspect(t *testing.T, p *packages.Package, file *ast.File) {
	report := func(pos token.Pos, what string) {
		t.Errorf("%s: %s", p.Fset.Position(pos), what)
	}
	for _, imp := range file.Imports {
		if path := strings.Trim(imp.Path.Value, `"`); path == "math/rand" || path == "math/rand/v2" || path == "crypto/rand" {
			report(imp.Pos(), "imports "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n.Pos(), "starts a goroutine")
		case *ast.RangeStmt:
			if tv, ok := p.TypesInfo.Types[n.X]; ok {
				if _, isMap := tv.Type.Underlying().(*types.Map); isMap {
					report(n.Pos(), "ranges over a map")
				}
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && bannedCalls[id.Name+"."+n.Sel.Name] {
				report(n.Pos(), "calls "+id.Name+"."+n.Sel.Name)
			}
		case *ast.Ident:
			if n.Name == "float64" || n.Name == "float32" {
				report(n.Pos(), "uses "+n.Name)
			}
		}
		return true
	})
}
