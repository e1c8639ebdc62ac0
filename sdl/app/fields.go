package app

import (
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Outcome is what becomes of a field of a format.
type Outcome string

// The outcomes.
const (
	// Kept fields mean here what they mean there.
	Kept Outcome = "kept"
	// Changed fields have an effect that differs, as their notes say.
	Changed Outcome = "changed"
	// Ignored fields have none.
	Ignored Outcome = "ignored"
	// Refused fields, or values of them, are errors.
	Refused Outcome = "refused"
)

// Field is a field of a format. Front-ends take the keys that they know from their table of fields, and the conversion
// matrix in docs/spec/conversion.md is made of it.
type Field struct {
	// Path has * for names of the document's own and [] for entries of a list, as in formation.*.quantity.
	Path    string
	Outcome Outcome
	// Becomes is what it is made into, Note what differs and why; each may be empty.
	Becomes, Note string
}

// Table is the fields of a format.
type Table []Field

// Rows makes a table of rows of path, outcome, what it becomes, and a note.
func Rows(rows [][4]string) Table {
	out := make(Table, len(rows))
	for i, r := range rows {
		out[i] = Field{Path: r[0], Outcome: Outcome(r[1]), Becomes: r[2], Note: r[3]}
	}
	return out
}

// Keys are the keys that a mapping at a path may have; the path of the document is empty.
func (t Table) Keys(path string) []string {
	var out []string
	for _, f := range t {
		rest, ok := strings.CutPrefix(f.Path, path)
		if ok && path != "" {
			rest, ok = strings.CutPrefix(rest, ".")
		}
		key, _, _ := strings.Cut(rest, ".")
		key = strings.TrimSuffix(key, "[]")
		if ok && key != "" && key != "*" && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// Object reads a mapping at a path. Keys that it may not have are warnings, as manifests carry keys of other tools.
func (t Table) Object(r *sdl.Reporter, n *doc.Node, path, what string) (doc.Object, bool) {
	return n.Object(r, doc.Shape{What: what, Keys: t.Keys(path), Lenient: true})
}

// Markdown is the table for people.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| field | | becomes | what differs, and why |\n|---|---|---|---|\n")
	for _, f := range t {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Path, f.Outcome, f.Becomes, f.Note)
	}
	return b.String()
}
