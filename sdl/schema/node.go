package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// node is a JSON Schema, draft-07. The keywords that the standard does not know are those of the YAML language server,
// which editors use; others ignore them.
type node struct {
	Dialect     string `json:"$schema,omitempty"`
	ID          string `json:"$id,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// DeprecationMessage marks what is read, but should be written in another way. It is not offered either.
	DeprecationMessage string `json:"deprecationMessage,omitempty"`
	DoNotSuggest       bool   `json:"doNotSuggest,omitempty"`
	Type               types  `json:"type,omitempty"`
	Enum               []any  `json:"enum,omitempty"`
	Examples           []any  `json:"examples,omitempty"`

	Minimum          json.Number `json:"minimum,omitempty"`
	Maximum          json.Number `json:"maximum,omitempty"`
	ExclusiveMaximum json.Number `json:"exclusiveMaximum,omitempty"`

	MaxLength           int    `json:"maxLength,omitempty"`
	Pattern             string `json:"pattern,omitempty"`
	PatternErrorMessage string `json:"patternErrorMessage,omitempty"`

	Items    *node `json:"items,omitempty"`
	MinItems int   `json:"minItems,omitempty"`
	MaxItems int   `json:"maxItems,omitempty"`

	PropertyNames        *node      `json:"propertyNames,omitempty"`
	Properties           properties `json:"properties,omitempty"`
	AdditionalProperties *node      `json:"additionalProperties,omitempty"`
	Required             []string   `json:"required,omitempty"`
	MinProperties        int        `json:"minProperties,omitempty"`
	MaxProperties        *int       `json:"maxProperties,omitempty"`

	AllOf []*node `json:"allOf,omitempty"`
	AnyOf []*node `json:"anyOf,omitempty"`
	Not   *node   `json:"not,omitempty"`
	If    *node   `json:"if,omitempty"`
	Then  *node   `json:"then,omitempty"`
	Else  *node   `json:"else,omitempty"`

	DefaultSnippets []snippet  `json:"defaultSnippets,omitempty"`
	Definitions     properties `json:"definitions,omitempty"`

	// nothing makes it the schema that no value satisfies.
	nothing bool
}

// snippet is a piece of a document that editors offer to insert.
type snippet struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Body        any    `json:"body"`
}

// nothing is satisfied by no value.
func nothing() *node { return &node{nothing: true} }

// MarshalJSON writes a schema.
func (n *node) MarshalJSON() ([]byte, error) {
	if n.nothing {
		return []byte("false"), nil
	}
	type plain node
	return encode((*plain)(n))
}

// types are the types of a value; a single one is no list.
type types []string

func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return encode(t[0])
	}
	return encode([]string(t))
}

// properties are schemas by name, in an order that is kept.
type properties []property

type property struct {
	name   string
	schema *node
}

func (p properties) get(name string) *node {
	for _, x := range p {
		if x.name == name {
			return x.schema
		}
	}
	return nil
}

func (p properties) MarshalJSON() ([]byte, error) {
	return encodeFields(p, func(x property) (string, any) { return x.name, x.schema })
}

// fields are a mapping of an example, in an order that is kept.
type fields []entry

type entry struct {
	name  string
	value any
}

// MarshalJSON writes a mapping.
func (f fields) MarshalJSON() ([]byte, error) {
	return encodeFields(f, func(x entry) (string, any) { return x.name, x.value })
}

func encodeFields[T any](all []T, field func(T) (string, any)) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		name, value := field(x)
		key, err := encode(name)
		if err != nil {
			return nil, err
		}
		data, err := encode(value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(data)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes JSON without escapes for HTML, which would make patterns hard to read.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a schema: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// file writes a schema as it is published: indented, and in ASCII, as some of the characters of patterns look alike.
func (n *node) file() []byte {
	data, err := encode(n)
	if err != nil {
		panic(err) // nodes hold nothing but texts, numbers and lists
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		panic(err)
	}
	return []byte(ascii(flat.ReplaceAllStringFunc(b.String(), onOneLine)) + "\n")
}

// flat is a list of single values that is spread over lines. A line does not end within a text.
var flat = regexp.MustCompile(`\[\n[^\[\]{}\n]*(,\n[^\[\]{}\n]*)*\n *\]`)

func onOneLine(list string) string {
	lines := strings.Split(list, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return "[" + strings.Join(lines[1:len(lines)-1], " ") + "]"
}

// ascii escapes what is not ASCII. JSON has such characters in texts only.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r) // patterns and descriptions keep to the basic plane
		}
	}
	return b.String()
}
