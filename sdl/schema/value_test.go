package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads a document as editors do. It reports false for one that holds no value, or that editors cannot read.
func parse(data []byte) (*yaml.Node, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := dec.Decode(&root); err != nil || len(root.Content) != 1 {
		return nil, false
	}
	return root.Content[0], errors.Is(dec.Decode(&second), io.EOF)
}

// The scalars that are no text in the core schema of YAML 1.2, which editors follow.
var (
	coreInt     = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreFloat   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	coreOther   = regexp.MustCompile(`^(0o[0-7]+|0x[0-9a-fA-F]+)$`)
	coreInf     = regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
	coreNull    = regexp.MustCompile(`^(|~|null|Null|NULL)$`)
	coreBoolean = regexp.MustCompile(`^(true|True|TRUE|false|False|FALSE)$`)
)

// value is what a schema sees of a node: JSON, with numbers as exact as they are written.
func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return value(n.Alias)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = value(c)
		}
		return out
	case yaml.MappingNode:
		out := map[string]any{}
		put(out, n)
		return out
	}
	return scalar(n)
}

// put adds what a mapping has to one that may have some of it already. What the mapping says itself counts, then what
// it merges.
func put(into map[string]any, n *yaml.Node) {
	for _, merges := range []bool{false, true} {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
			switch {
			case (key.Tag == "!!merge") != merges:
			case merges:
				merge(into, val)
			default:
				if _, has := into[key.Value]; !has {
					into[key.Value] = value(val)
				}
			}
		}
	}
}

func merge(into map[string]any, n *yaml.Node) {
	switch n.Kind {
	case yaml.AliasNode:
		merge(into, n.Alias)
	case yaml.MappingNode:
		put(into, n)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			merge(into, c)
		}
	}
}

func plain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
}

// unquoted tells whether a scalar is a number or a truth value, of which a schema does not see how it is written.
func unquoted(n *yaml.Node) bool {
	_, text := scalar(n).(string)
	return n.Kind == yaml.ScalarNode && !text
}

func scalar(n *yaml.Node) any {
	s := n.Value
	switch {
	case !plain(n):
		return s
	case coreNull.MatchString(s):
		return nil
	case coreBoolean.MatchString(s):
		return strings.EqualFold(s, "true")
	case coreInf.MatchString(s):
		return s // JSON has no such numbers
	case coreOther.MatchString(s):
		v, _ := new(big.Int).SetString(s, 0)
		return json.Number(v.String())
	case coreInt.MatchString(s):
		v, _ := new(big.Int).SetString(strings.TrimPrefix(s, "+"), 10)
		return json.Number(v.String())
	case coreFloat.MatchString(s) && len(s) < 100:
		return json.Number(decimal(s))
	}
	return s
}

// decimal writes a number of YAML as one of JSON, which needs digits on both sides of the point.
func decimal(s string) string {
	s = strings.TrimPrefix(s, "+")
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction + exponent
}

// find returns the scalar at a place of a document.
func find(n *yaml.Node, line, column int) *yaml.Node {
	if n.Kind == yaml.ScalarNode && n.Line == line && n.Column == column {
		return n
	}
	for _, c := range n.Content {
		if found := find(c, line, column); found != nil {
			return found
		}
	}
	return nil
}

// valueOf is the value of a key.
func valueOf(n, key *yaml.Node) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && c == key {
			return n.Content[i+1]
		}
		if found := valueOf(c, key); found != nil {
			return found
		}
	}
	return nil
}

// canonical is how a number or truth value is usually written.
func canonical(n *yaml.Node) string {
	switch v := scalar(n).(type) {
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		r, ok := new(big.Rat).SetString(string(v))
		if !ok {
			return ""
		}
		if r.IsInt() {
			return r.Num().String()
		}
		return strings.TrimRight(r.FloatString(40), "0")
	}
	return n.Value
}
