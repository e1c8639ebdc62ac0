package stack

import (
	"maps"
	"slices"

	"berth.dev/berth/sdl/doc"
)

// Level is what a place of a document holds: a mapping with known keys, a mapping from names, a list, or a value.
type Level struct {
	// Keys are those of a mapping with known keys.
	Keys map[string]*Level
	// Shape is what is said of keys that are not known.
	Shape doc.Shape
	// Names is what a mapping from names leads to.
	Names *Level
	// Entries is what a list holds.
	Entries *Level
	// Or is what may stand there instead.
	Or *Level
}

// Value is the level of a single value.
var Value = &Level{}

// Keyed is the level of a mapping of a shape; keys that are not given hold single values.
func Keyed(shape doc.Shape, under map[string]*Level) *Level {
	l := &Level{Keys: maps.Clone(under), Shape: shape}
	if l.Keys == nil {
		l.Keys = map[string]*Level{}
	}
	for _, key := range shape.Keys {
		if l.Keys[key] == nil {
			l.Keys[key] = Value
		}
	}
	return l
}

// NamesOf is the level of a mapping from names.
func NamesOf(each *Level) *Level { return &Level{Names: each} }

// ListOf is the level of a list.
func ListOf(entry *Level) *Level { return &Level{Entries: entry} }

// of is the alternative of a level that a node's kind calls for, or nil.
func (l *Level) of(n *doc.Node) *Level {
	for ; l != nil; l = l.Or {
		switch n.Kind() {
		case doc.Map:
			if l.Keys != nil || l.Names != nil {
				return l
			}
		case doc.List:
			if l.Entries != nil {
				return l
			}
		case doc.Scalar:
			if l.Keys == nil && l.Names == nil && l.Entries == nil {
				return l
			}
		default:
			return l
		}
	}
	return nil
}

// looked is how many parts of a value are looked at to see what it is.
const looked = 8

// fits guesses whether a value, of which something is written, was meant for a level: half of the keys of a mapping are
// known, or what it leads to fits.
func (l *Level) fits(n *doc.Node) bool {
	if l = l.of(n); l == nil || n.Kind() == doc.Null {
		return false
	}
	items := n.Items()
	switch {
	case n.Kind() == doc.Scalar:
		return true
	case l.Keys != nil:
		known := 0
		for _, v := range items {
			if k := l.Keys[v.Name()]; k != nil && k.of(v) != nil {
				known++
			}
		}
		return known > 0 && 2*known >= len(items)
	}
	inner := l.Names
	if n.Kind() == doc.List {
		inner = l.Entries
	}
	return slices.ContainsFunc(items[:min(looked, len(items))], inner.fits)
}

// homes are the levels that have each key, in the order in which they lie in each other.
func (l *Level) homes(into map[string][]*Level, seen map[*Level]bool) {
	for ; l != nil; l = l.Or {
		if seen[l] {
			continue
		}
		seen[l] = true
		for _, key := range slices.Sorted(maps.Keys(l.Keys)) {
			into[key] = append(into[key], l)
			l.Keys[key].homes(into, seen)
		}
		l.Names.homes(into, seen)
		l.Entries.homes(into, seen)
	}
}
