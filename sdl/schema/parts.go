package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/quantity"
)

// The types of values.
const (
	null    = "null"
	boolean = "boolean"
	number  = "number"
	integer = "integer"
	str     = "string"
	array   = "array"
	mapping = "object"
)

// text is a single value of any kind, which is taken as it is written: 8080 and true need no quotes. Truth values stand
// apart, lest editors offer them.
func text(description string, examples ...any) *node {
	n := single()
	n.Description, n.Examples = description, examples
	return n
}

func single() *node {
	return &node{If: &node{Type: types{boolean}}, Else: &node{Type: types{str, number}}}
}

// written is a text that cannot be a number or a truth value.
func written(description string, examples ...any) *node {
	return &node{Description: description, Examples: examples, Type: types{str}}
}

// matching is n of which texts must match patterns, all of them.
func matching(n *node, patterns ...quantity.Pattern) *node {
	n.Pattern, n.PatternErrorMessage = patterns[0].Expr, patterns[0].Otherwise
	for _, p := range patterns[1:] {
		n.AllOf = append(n.AllOf, &node{Pattern: p.Expr, PatternErrorMessage: p.Otherwise})
	}
	return n
}

// word is one of some words.
func word(description string, words ...string) *node {
	n := &node{Description: description, Type: types{str}}
	for _, w := range words {
		n.Enum = append(n.Enum, w)
	}
	return n
}

// flag is true or false. It has an example rather than a default: editors insert defaults, which say nothing new.
func flag(description string) *node {
	return &node{Description: description + " By default false.", Type: types{boolean}, Examples: []any{true}}
}

// whole is a whole number, which may be in quotes.
func whole(description string, least, most uint64, examples ...any) *node {
	low, high := strconv.FormatUint(least, 10), strconv.FormatUint(most, 10)
	return &node{
		Description: description, Examples: examples, Type: types{integer, str}, Minimum: json.Number(low), Maximum: json.Number(high),
		Pattern: quantity.WholeNumberPattern(least, most), PatternErrorMessage: "a whole number from " + low + " to " + high,
	}
}

// list is a list.
func list(description string, items *node) *node {
	return &node{Description: description, Type: types{array}, Items: items}
}

// oneOrMore is a value, or a list of such.
func oneOrMore(description string, one *node) *node {
	return &node{Description: description, Examples: one.Examples, Type: types{str, number, array}, Items: one}
}

// named is a mapping from names; names has the title that editors put in their place.
func named(description string, names, each *node, offered ...snippet) *node {
	return &node{Description: description, Type: types{mapping}, PropertyNames: names, AdditionalProperties: each, DefaultSnippets: offered}
}

// anyName is a name that the part of the document itself does not limit.
func anyName(title, description string) *node { return &node{Title: title, Description: description} }

// field is a key of a mapping with known keys.
type field struct {
	key    string
	schema *node
	must   bool
}

func must(key string, n *node) field { return field{key, n, true} }

// may is a key that may be absent, or have nothing as its value, which is the same.
func may(key string, n *node) field { return field{key, nullable(n), false} }

// nullable is n or nothing.
func nullable(n *node) *node {
	out := *n
	switch {
	case out.If != nil && len(out.Type) == 0:
		other := *out.Else
		other.Type = append(slices.Clone(other.Type), null)
		out.Else = &other
	default:
		out.Type = append(slices.Clone(out.Type), null)
	}
	if len(out.Enum) > 0 {
		out.Enum = append(slices.Clone(out.Enum), nil)
	}
	return &out
}

// object is a mapping with the keys of a shape, neither more nor less. Where the front-end merely warns of unknown
// keys, they are allowed; as one of them may be a misspelt key that it reads as the right one, keys are required only
// of mappings in which every key is known.
func object(shape doc.Shape, description string, all ...field) *node {
	n := &node{Title: strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(shape.What, "an "), "a "), "the "), Description: description, Type: types{mapping}}
	var required []string
	for _, key := range shape.Keys {
		i := slices.IndexFunc(all, func(f field) bool { return f.key == key })
		if i < 0 {
			panic(fmt.Sprintf("the schema does not describe key %s of %s", key, shape.What))
		}
		n.Properties = append(n.Properties, property{key, all[i].schema})
		if all[i].must {
			required = append(required, key)
		}
	}
	if len(all) != len(shape.Keys) {
		panic(fmt.Sprintf("the schema describes keys that %s does not have", shape.What))
	}
	if !shape.Lenient {
		n.AdditionalProperties, n.Required = nothing(), required
		return n
	}
	if len(required) > 0 {
		n.ifKnown(shape, &node{Required: required})
	}
	n.Properties = append(n.Properties, aliases(shape)...)
	return n
}

// ifKnown demands more of a mapping in which no unknown key can stand for a known one.
func (n *node) ifKnown(shape doc.Shape, then *node) {
	if !shape.Lenient {
		n.AllOf = append(n.AllOf, then)
		return
	}
	known := &node{}
	for _, key := range clearKeys(shape) {
		known.Enum = append(known.Enum, key)
	}
	n.AllOf = append(n.AllOf, &node{If: &node{PropertyNames: known}, Then: then})
}

// clearKeys are keys that the front-end never takes for another key of the shape.
func clearKeys(shape doc.Shape) []string {
	keys := slices.Clone(shape.Keys)
	var others []string
	for _, m := range []map[string]string{shape.Elsewhere, shape.Advice} {
		for key := range m {
			if shape.Meant[key] == "" {
				others = append(others, key)
			}
		}
	}
	slices.Sort(others)
	for _, key := range slices.Compact(others) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// aliases are keys that are read as others, with a warning.
func aliases(shape doc.Shape) properties {
	var out properties
	for key, meant := range shape.Meant {
		out = append(out, property{key, &node{
			Description:        "Another name of " + meant + ". It is read, with a warning, where " + meant + " is absent.",
			DeprecationMessage: "write " + meant,
		}})
	}
	slices.SortFunc(out, func(a, b property) int { return strings.Compare(a.name, b.name) })
	return out
}
