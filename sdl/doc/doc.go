// Package doc is a parsed document as front-ends read it: a tree of nodes that know where they stand, and reads that
// report what is wrong instead of failing. What is written once and used twice (an alias of YAML) appears twice, so
// that every node has one path; limits keep that from growing without bound.
package doc

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Scalar
	Map
	List
)

// String names a kind for people.
func (k Kind) String() string {
	switch k {
	case Null:
		return "nothing"
	case Scalar:
		return "a value"
	case Map:
		return "a mapping"
	case List:
		return "a list"
	}
	return "something else"
}

// File is a file that a document consists of.
type File struct {
	// Name is what diagnostics call it.
	Name string
	// Path is the slash-separated path from the document's directory, clean and without .. at its beginning.
	Path string
	// order counts the document's files, from 1.
	order int
}

// Node is a value of a document. Nodes are made by this package; they are changed by Adopt and Insert, and by
// what prepares a document, before a front-end reads it: see Replace.
type Node struct {
	kind   Kind
	bool   bool // a scalar that is written as true or false, without quotes
	hidden bool // messages do not show the text
	flow   bool // a list in brackets or a mapping in braces
	bare   bool // a scalar of JSON without quotes
	line   int32
	column int32
	index  int32 // the place in a list
	text   string
	file   *File
	parent *Node
	key    *Node // the node of the key, in a mapping
	kids   []Node
	keys   []Node // keys[i] belongs to kids[i], in a mapping
	out    *outside
	shift  *shift // nil for all but what stands at the wrong depth
}

// shift is how the tree differs from the text.
type shift struct {
	// home is what adopted the node, and adopted is what the node adopted.
	home    *Node
	adopted []*Node
}

// home is the mapping that adopted a node, or nil.
func (n *Node) home() *Node {
	if n.shift == nil {
		return nil
	}
	return n.shift.home
}

func (n *Node) adopted() []*Node {
	if n.shift == nil {
		return nil
	}
	return n.shift.adopted
}

func (n *Node) shifted() *shift {
	if n.shift == nil {
		n.shift = &shift{}
	}
	return n.shift
}

// Kind returns what the node is.
func (n *Node) Kind() Kind { return n.kind }

// Text returns a scalar as it is written, without its quotes; it is empty for other nodes. Numbers are never
// converted on the way, so that 1e-4 and 0.10 stay exact.
func (n *Node) Text() string { return n.text }

// Line and Column count from 1.
func (n *Node) Line() int { return int(n.line) }

// Column counts characters from 1.
func (n *Node) Column() int { return int(n.column) }

// File is the file that the node stands in.
func (n *Node) File() *File { return n.file }

// ByPlace compares the places of two nodes of a document: its own file comes first, then what it includes.
func ByPlace(a, b *Node) int {
	return cmp.Or(cmp.Compare(a.file.order, b.file.order), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
}

// Place names the line of a node in a message about another one: line 7, or sub/web.yaml:7 from another file.
func (n *Node) Place(from *Node) string {
	line := strconv.Itoa(n.Line())
	if n.file == from.file {
		return "line " + line
	}
	return n.file.Name + ":" + line
}

// Path is the place of a node, for example services.web.expose[0].to[1]; that of the root is empty. A key has the
// path of its value.
func (n *Node) Path() string {
	if n.parent == nil {
		return ""
	}
	return n.under(n.parent.Path())
}

// Home is the path of the place where a node belongs, which is another one for what was adopted.
func (n *Node) Home() string {
	switch {
	case n.home() != nil:
		return n.under(n.home().Home())
	case n.parent == nil:
		return ""
	}
	return n.under(n.parent.Home())
}

func (n *Node) under(base string) string {
	if n.parent.kind == List {
		return base + "[" + strconv.Itoa(int(n.index)) + "]"
	}
	return join(base, n.key.text)
}

func join(base, key string) string {
	switch {
	case !plainKey(key):
		return base + "[" + strconv.Quote(ShowKey(key)) + "]"
	case base == "":
		return key
	}
	return base + "." + key
}

func plainKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '<' {
			return false
		}
	}
	return s != "" && len(s) <= maxShown
}

// maxShown is the most characters of a document's text that a message repeats.
const maxShown = 80

// Shorten bounds a text of a document for a message that repeats it.
func Shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "..."
}

// Show says what a node is in a message: a scalar in quotes, of bounded length, or the name of its kind. A value that
// may be secret is not shown, nor is that of a variable.
func (n *Node) Show() string {
	if n.kind == Scalar && !n.Hidden() {
		return strconv.Quote(n.said())
	}
	return n.kind.String()
}

// Problem starts a diagnostic at the node. What it found is shown as Show would; see Diagnostic.WithFound for values that
// must not be. A text that is not the document's own suggests nothing.
func (n *Node) Problem(code, format string, args ...any) sdl.Diagnostic {
	d := n.Remark(code, format, args...)
	if n.kind == Scalar && !n.Hidden() {
		d.Found = n.said()
	}
	if n.unsure() {
		d = d.Unsuggested()
	}
	return d
}

// Remark starts a diagnostic at the node that shows nothing of it.
func (n *Node) Remark(code, format string, args ...any) sdl.Diagnostic {
	return sdl.Diagnostic{
		Code: code, File: n.file.Name, Line: n.Line(), Column: n.Column(), Path: n.Path(), Message: fmt.Sprintf(format, args...),
	}
}

// Key returns the node of the key that leads to n in a mapping, and n itself elsewhere: it is where to point at when
// the name is wrong rather than the value.
func (n *Node) Key() *Node {
	if n.key == nil {
		return n
	}
	return n.key
}

// Name is the key that leads to n in a mapping, else empty.
func (n *Node) Name() string {
	if n.key == nil {
		return ""
	}
	return n.key.text
}

// IsFlow tells whether a list is written in brackets, or a mapping in braces.
func (n *Node) IsFlow() bool { return n.flow }

// Child returns the value of a key of a mapping, or nil.
func (n *Node) Child(key string) *Node {
	for i := range n.keys {
		if n.keys[i].text == key && n.kids[i].home() == nil {
			return &n.kids[i]
		}
	}
	for _, a := range n.adopted() {
		if a.Name() == key {
			return a
		}
	}
	return nil
}

// Entry is a value that Holding puts under a name.
type Entry struct {
	Name  string
	Value *Node
}

// Holding returns a mapping in the place of n that holds other nodes. They keep their own places, paths and files.
func (n *Node) Holding(entries []Entry) *Node {
	out := *n
	out.kind, out.text, out.bool, out.shift = Map, "", false, nil
	out.kids, out.keys = make([]Node, len(entries)), make([]Node, len(entries))
	for i, e := range entries {
		out.keys[i] = *e.Value.Key()
		out.keys[i].kind, out.keys[i].text = Scalar, e.Name
		out.keys[i].key = &out.keys[i]
		out.kids[i] = *e.Value
		out.kids[i].key = &out.keys[i]
		if e.Value.home() != nil { // it has one here now
			out.kids[i].shift = &shift{adopted: e.Value.adopted()}
		}
	}
	return &out
}

// Items returns the entries of a list or the values of a mapping, in the order of the document. It is empty for
// other nodes.
func (n *Node) Items() []*Node {
	out := make([]*Node, 0, len(n.kids)+len(n.adopted()))
	for i := range n.kids {
		if n.kids[i].home() == nil {
			out = append(out, &n.kids[i])
		}
	}
	return append(out, n.adopted()...)
}

// Adopt makes a value of another mapping, with its key, one of n's own, where n is a mapping or nothing at all. The
// value keeps its place and path, which say where it stands in the text.
func (n *Node) Adopt(child *Node) {
	child.shifted().home = n
	n.kind = Map
	n.shifted().adopted = append(n.shift.adopted, child)
}

// Rename gives a value of a mapping the key that was meant.
func (n *Node) Rename(key string) { n.key.text = key }

// Insert adds a mapping to n that the text lacks, as if it stood where at does, and returns it.
func (n *Node) Insert(name string, at *Node) *Node {
	key := &Node{kind: Scalar, text: name, file: at.file, line: at.line, column: at.column, parent: n}
	key.key = key
	kid := &Node{kind: Map, file: at.file, line: at.line, column: at.column, parent: n, key: key}
	n.kind = Map
	n.shifted().adopted = append(n.shift.adopted, kid)
	return kid
}
