// Package schema makes JSON Schemas of what the front-ends read, for editors. Keys, words and limits are the
// front-ends' own, so that the two cannot say different things; tests hold schemas and compiler together.
package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/sdl20"
)

//go:generate go run berth.dev/berth/cmd/berth sdl schema --dir ../../docs/schema

// File is a schema as it is published in docs/schema.
type File struct {
	// Name is the file's name, Version the version of the documents that it describes; empty for all.
	Name, Version string
	Data          []byte
}

// Files returns the schemas: one for documents of any version, then one for each version.
func Files() []File {
	out := []File{{Name: "sdl.json", Data: anyVersion().file()}}
	for _, v := range append([]string{sdl10.Version}, sdl20.Versions...) {
		n := version10
		if v != sdl10.Version {
			n = func() *node { return version20(v) }
		}
		out = append(out, File{Name: "sdl-" + v + ".json", Version: v, Data: published(n(), "sdl-"+v, "SDL "+v).file()})
	}
	return out
}

// base is what the names of schemas start with. They are names: nothing is read from there.
const base = "https://berth.dev/schema/"

func published(n *node, name, title string) *node {
	n.Dialect, n.ID, n.Title = "http://json-schema.org/draft-07/schema#", base+name+".json", title
	return n
}

// anyVersion is the schema of all documents: that of the version that a document says it has.
func anyVersion() *node {
	all := append([]string{sdl10.Version}, sdl20.Versions...)
	has := func(v ...string) *node {
		return &node{Required: []string{"version"}, Properties: properties{{"version", versions(v...)}}}
	}
	v10, v20 := version10(), version20(sdl20.Versions...)
	n := &node{
		Description: v10.Description, Type: types{mapping}, Required: []string{"version"}, Properties: properties{{"version", versions(all...)}},
		DefaultSnippets: append(v20.DefaultSnippets, v10.DefaultSnippets...),
		If:              has(sdl10.Version), Then: defined("sdl-1.0"),
		Else:        &node{If: has(sdl20.Versions...), Then: defined("sdl-2")},
		Definitions: append(properties{{"sdl-1.0", v10}, {"sdl-2", v20}}, v20.Definitions...),
	}
	v20.Definitions = nil
	v10.DefaultSnippets, v20.DefaultSnippets = nil, nil
	return published(n, "sdl", "SDL")
}

// versions is what documents of some versions have as their version. It may be without quotes: a number is all that a
// schema sees of it then.
func versions(which ...string) *node {
	n := &node{Description: "The version of the language that the document is written in: " + strings.Join(which, ", ") + ".", Type: types{str, number}}
	var texts []string
	numbers := &node{}
	for _, v := range which {
		n.Examples = append(n.Examples, v)
		texts = append(texts, strings.ReplaceAll(v, ".", `\.`))
		numbers.Enum = append(numbers.Enum, json.Number(v))
	}
	for _, spelling := range slices.Sorted(maps.Keys(sdl20.Spellings)) {
		if slices.Contains(which, sdl20.Spellings[spelling]) {
			texts = append(texts, strings.ReplaceAll(spelling, ".", `\.`))
		}
	}
	matching(n, quantity.Pattern{Expr: "^(" + strings.Join(texts, "|") + ")$", Otherwise: "one of the versions " + strings.Join(which, ", ") + ", in quotes"})
	n.If, n.Then = &node{Type: types{number}}, numbers
	return n
}
