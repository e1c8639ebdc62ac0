package doc

// Value is a value as the reader of another syntax than YAML found it.
type Value struct {
	Kind Kind
	// Text is a scalar's text, without quotes; Bare says that it stood without quotes, as numbers and truth values do.
	Text string
	Bare bool
	// Line and Column count from 1.
	Line, Column int
	// Keys[i] is the key of Items[i], in a mapping.
	Keys, Items []Value
}

// Build makes the tree of a file that is a document for itself. The limits of the document, and that keys differ, are
// the reader's business.
func Build(file *File, v Value) *Node {
	if file.order == 0 {
		file.order = 1
	}
	n := new(Node)
	n.build(file, v)
	return n
}

func (n *Node) build(file *File, v Value) {
	n.kind, n.text, n.bare, n.file = v.Kind, v.Text, v.Bare, file
	n.line, n.column, n.flow = int32(v.Line), int32(v.Column), v.Kind == Map || v.Kind == List
	n.bool = v.Bare && (v.Text == "true" || v.Text == "false")
	if len(v.Items) == 0 {
		return
	}
	n.kids, n.keys = make([]Node, len(v.Items)), make([]Node, len(v.Keys))
	for i, item := range v.Items {
		kid := &n.kids[i]
		kid.parent = n
		if v.Kind == Map {
			key := &n.keys[i]
			*key = Node{kind: Scalar, text: v.Keys[i].Text, line: int32(v.Keys[i].Line), column: int32(v.Keys[i].Column), file: file, parent: n, key: key}
			kid.key = key
		} else {
			kid.index = int32(i)
		}
		kid.build(file, item)
	}
}

// IsBare tells whether a scalar of JSON stands without quotes: a number, true or false.
func (n *Node) IsBare() bool { return n.bare }
