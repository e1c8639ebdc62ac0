package rewrite

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// get is the value of a key of a mapping, aliases and merges followed, or nil.
func get(n *yaml.Node, key string) *yaml.Node {
	_, v := entryOf(n, key)
	return deref(v)
}

// entryOf is a key of a mapping with its value, merges followed. It is for documents that compile, in which nothing
// leads back to itself.
func entryOf(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n = deref(n); n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := deref(n.Content[i]); k.Value == key && k.Tag != "!!merge" {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		for _, m := range merged(n.Content[i+1]) {
			if k, v := entryOf(m, key); k != nil {
				return k, v
			}
		}
	}
	return nil, nil
}

// merged are the mappings that the value of a key << brings.
func merged(n *yaml.Node) []*yaml.Node {
	if n = deref(n); n.Kind == yaml.SequenceNode {
		out := make([]*yaml.Node, len(n.Content))
		for i, c := range n.Content {
			out[i] = deref(c)
		}
		return out
	}
	return []*yaml.Node{n}
}

var segment = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_<-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\])`)

var plainName = regexp.MustCompile(`^[A-Za-z0-9_<-]+$`)

// under is a name as a step of a path.
func under(name string) string {
	if plainName.MatchString(name) {
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}

// follow goes along a path of a diagnostic as far as there is something. It returns where that is, its path, and how
// many steps lead there.
func follow(n *yaml.Node, path string) (at *yaml.Node, reached string, depth int) {
	at = n
	for path != "" {
		m := segment.FindStringSubmatch(path)
		if m == nil {
			return at, reached, depth
		}
		switch n = deref(n); {
		case m[2] != "":
			i, _ := strconv.Atoi(m[2])
			if n == nil || n.Kind != yaml.SequenceNode || i >= len(n.Content) {
				return at, reached, depth
			}
			n = n.Content[i]
			at = n
		default:
			name := m[1]
			if m[3] != "" {
				name, _ = strconv.Unquote(m[3])
			}
			key, value := entryOf(n, name)
			if key == nil {
				return at, reached, depth
			}
			at, n = key, value
		}
		reached, path, depth = reached+m[0], path[len(m[0]):], depth+1
	}
	return at, reached, depth
}

// exact is the value at a path, or nil if there is none.
func exact(n *yaml.Node, path string) *yaml.Node {
	for path != "" {
		m := segment.FindStringSubmatch(path)
		if m == nil {
			return nil
		}
		n = deref(n)
		if i, err := strconv.Atoi(m[2]); err == nil {
			if n == nil || n.Kind != yaml.SequenceNode || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
		} else {
			name := m[1]
			if m[3] != "" {
				name, _ = strconv.Unquote(m[3])
			}
			if n = get(n, name); n == nil {
				return nil
			}
		}
		path = path[len(m[0]):]
	}
	return deref(n)
}
