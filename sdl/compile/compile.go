// Package compile turns a document of any known format into a plan. It finds out which format a document has and
// hands it to that format's front-end.
package compile

import (
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

// Compile compiles a document. file is its name in diagnostics; nothing is read but data. The plan is nil if and only
// if a diagnostic is an error; all problems are returned, sorted by place, and a plan repeats the warnings among them.
// The same document with its keys in another order, or with other comments, gives the same plan.
func Compile(file string, data []byte) (*sdl.Plan, sdl.Diagnostics) {
	r := sdl.NewReporter(file)
	plan := compile(r, data)
	found := r.Diagnostics()
	if plan == nil || r.Failed() {
		return nil, found
	}
	plan.Warnings = found
	return plan, found
}

func compile(r *sdl.Reporter, data []byte) *sdl.Plan {
	root := doc.ParseYAML(data, r)
	if root == nil {
		return nil
	}
	if !knownVersion(r, root) {
		return nil
	}
	s := sdl10.Read(r, root)
	if s == nil {
		return nil
	}
	return stack.Resolve(r, s)
}

// knownVersion checks the version of a document. A version that is merely absent or misspelt is reported, and the
// document still read, so that the other problems are found with it.
func knownVersion(r *sdl.Reporter, root *doc.Node) bool {
	if root.Kind() != doc.Map {
		return true // the front-end says so
	}
	const allowed = `"1.0"`
	for _, n := range root.Items() {
		if n.Name() != "version" {
			if suggest.Nearest(n.Name(), []string{"version"}) != "" {
				return true // the front-end reports the key
			}
			continue
		}
		if n.Kind() == doc.Scalar && n.Text() == sdl10.Version {
			return true
		}
		d := n.Problem("E-VERSION", "version %s is not supported", n.Show()).WithAllowed(allowed)
		if n.Kind() != doc.Scalar {
			d = n.Key().Problem("E-VERSION", "version is %s", n.Kind()).WithAllowed(allowed)
		}
		if n.Kind() == doc.Scalar && strings.HasPrefix(n.Text(), "2") {
			r.Report(d.WithHint("documents of SDL 2 are not read by this version of Berth"))
			return false
		}
		r.Report(d.WithSuggestion(allowed))
		return true
	}
	r.Report(sdl.Diagnostic{
		Code: "E-VERSION", Line: 1, Column: 1, Path: "version", Message: "version is missing", Allowed: allowed,
		Suggestion: `version: "1.0"`,
	})
	return true
}
