package rewrite

import "go.yaml.in/yaml/v3"

// A document is read into a tree that keeps all of its text: keys and values stand in it as they are written, and
// comments where they belong. Only what lies between is made anew when the tree is written.

// document is a whole file.
type document struct {
	head   []comment // before the line ---
	marker bool      // the line --- is there
	trail  *comment  // beside it
	top    []comment // what is said of the document as a whole, before its first key
	root   *entry    // without a key
}

// comment is one comment.
type comment struct {
	text  string // from the # on
	gap   string // the spaces before one that follows other text
	blank bool   // an empty line stands before it
}

// shape is what a value is.
type shape int

const (
	leaf    shape = iota // a scalar, an alias, or brackets that are kept as they stand
	mapping              // keys and values
	list
)

// value is a value of a document.
type value struct {
	shape shape
	node  *yaml.Node
	props string // an anchor and a tag, as written
	flow  bool   // a mapping or list in brackets
	comma bool   // after the last entry in brackets

	// A leaf is its text. Of several lines, rest are the others, without the indentation of those of a block scalar.
	text     string
	rest     []string
	block    bool // a block scalar
	explicit int  // the indentation that a block scalar's header gives, or 0

	entries []*entry
	tail    []comment // after the last entry
	// gap means that an empty line stands before the first entry.
	gap bool
}

// entry is a key with its value, or an entry of a list.
type entry struct {
	lead   []comment // in lines of their own before it
	blank  bool      // an empty line stands right before it
	key    string    // as written; empty in a list
	name   string    // what the key says
	node   *yaml.Node
	after  *comment  // beside the key or dash, where the value follows in the next line
	above  []comment // between the key and such a value
	value  *value
	trail  *comment  // beside the value
	under  []comment // after a leaf, indented deeper than the entry
	column int
}

// chain is an entry with those that were written last within it, from the outside in.
func (e *entry) chain() []*entry {
	out := []*entry{e}
	for e.value.shape != leaf && !e.value.flow && len(e.value.entries) > 0 {
		e = e.value.entries[len(e.value.entries)-1]
		out = append(out, e)
	}
	return out
}

// level tells whether an entry's value is a list that stands in the column of its key.
func (e *entry) level() bool {
	v := e.value
	return v.shape == list && !v.flow && len(v.entries) > 0 && v.entries[0].column == e.column
}

// merges tells whether an entry's key is <<.
func (e *entry) merges() bool { return e.node != nil && e.node.Tag == "!!merge" }

// empty tells whether nothing stands for a value.
func (v *value) empty() bool { return v.shape == leaf && v.text == "" && !v.block }
