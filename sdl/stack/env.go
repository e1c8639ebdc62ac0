package stack

import (
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// ReadEnv reads environment variables: a list of NAME=VALUE in which the order counts, or a mapping. Values are never
// put into messages.
func ReadEnv(r *sdl.Reporter, n *doc.Node) []manifesttypes.EnvVar {
	var out []manifesttypes.EnvVar
	first := map[string]int{}
	add := func(at *doc.Node, name, value string) {
		if line, twice := first[name]; twice {
			r.Report(hidden(at, name, "E-ENV", "environment variable %q is set in line %d already", name, line))
			return
		}
		first[name] = at.Line()
		if !manifest.IsEnvName(name) {
			r.Report(hidden(at, name, "E-ENV", "%q cannot name an environment variable", clip(name)).
				WithAllowed("letters, digits, '_', '-' and '.', not starting with a digit").WithSuggestion(fixEnvName(name)))
			return
		}
		out = append(out, manifesttypes.EnvVar{Name: name, Value: value})
	}
	if n.Kind() == doc.Map {
		nodes, _ := n.Named(r, "env")
		for _, node := range nodes {
			if node.Kind() != doc.Scalar {
				r.Report(hidden(node, node.Name(), "E-TYPE", "an environment variable is a single value, found %s", node.Kind()).
					WithHint(`an empty value is written ""`))
				continue
			}
			add(node, node.Name(), node.Text())
		}
		return out
	}
	entries, _ := n.Entries(r, "env")
	for _, e := range entries {
		if name, value, ok := readEnvEntry(r, e); ok {
			add(e, name, value)
		}
	}
	return out
}

func readEnvEntry(r *sdl.Reporter, n *doc.Node) (name, value string, ok bool) {
	switch n.Kind() {
	case doc.Scalar:
		if name, value, ok = strings.Cut(n.Text(), "="); ok {
			return name, value, true
		}
		d := hidden(n, "", "E-ENV", "an environment variable is NAME=VALUE, found no =").WithAllowed("NAME=VALUE")
		if manifest.IsEnvName(n.Text()) && len(n.Text()) <= maxShownName {
			d = d.WithSuggestion(n.Text() + "=")
		}
		r.Report(d)
	case doc.Map:
		d := hidden(n, "", "E-ENV", "an environment variable is NAME=VALUE, found a mapping").WithAllowed("NAME=VALUE")
		if items := n.Items(); len(items) == 1 && items[0].Kind() == doc.Scalar {
			d = d.WithHint("write " + clip(items[0].Name()) + "=... instead of " + clip(items[0].Name()) + ": ...")
		}
		r.Report(d)
	default:
		r.Report(hidden(n, "", "E-ENV", "an environment variable is NAME=VALUE, found %s", n.Kind()).WithAllowed("NAME=VALUE"))
	}
	return "", "", false
}

// hidden is a problem that does not show the value that it found.
func hidden(n *doc.Node, name, code, format string, args ...any) sdl.Diagnostic {
	return n.Problem(code, format, args...).WithFound(clip(name))
}

const maxShownName = 64

func clip(s string) string {
	if len(s) <= maxShownName {
		return s
	}
	return strings.ToValidUTF8(s[:maxShownName], "") + "..."
}

// fixEnvName removes what an assignment in a shell or another format leaves around a name.
func fixEnvName(name string) string {
	fixed := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "export "))
	fixed = strings.Trim(fixed, `"'`)
	if fixed != name && manifest.IsEnvName(fixed) {
		return fixed
	}
	if fixed = strings.ReplaceAll(fixed, " ", "_"); manifest.IsEnvName(fixed) && fixed != name {
		return fixed
	}
	return ""
}
