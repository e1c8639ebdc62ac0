package doc

import "strings"

// outside is what a node has besides what stands in its document. Few nodes have any.
type outside struct {
	written string // the text of the document that was replaced
	secret  bool
	missing bool
	content []byte
}

func (n *Node) from() *outside {
	if n.out == nil {
		n.out = &outside{}
	}
	return n.out
}

// Replace gives a scalar the text that its variables stand for. The node keeps its place, and messages go on showing
// what the document says. secret tells that the new text holds something that is not in the document.
// Like Hide and SetContent it is for what prepares a document, before any front-end reads it.
func (n *Node) Replace(text string, secret bool) {
	o := n.from()
	o.written, o.secret = n.text, secret
	n.text, n.bool = text, false
}

// Secret tells whether the node's text holds something that is not in the document.
func (n *Node) Secret() bool { return n.out != nil && n.out.secret }

// SetMissing tells that the node's text lacks the value of a variable, which is reported already.
func (n *Node) SetMissing() { n.from().missing = true }

// Missing tells whether the node's text lacks the value of a variable, so that there is no point in judging it.
func (n *Node) Missing() bool { return n.out != nil && n.out.missing }

// Hide keeps the node's text out of messages.
func (n *Node) Hide() { n.hidden = true }

// Hidden tells whether messages must not show the node's text.
func (n *Node) Hidden() bool { return n.hidden }

// SetContent gives a node that names a file what the file holds.
func (n *Node) SetContent(data []byte) { n.from().content = data }

// Content is what the file holds that the node names; it is nil if that was not read.
func (n *Node) Content() []byte {
	if n.out == nil {
		return nil
	}
	return n.out.content
}

// said is the text of a node that is not hidden as messages may show it: as the document has it, and without what
// follows an equals sign.
func (n *Node) said() string {
	text := n.text
	if n.out != nil && n.out.written != "" {
		text = n.out.written
	}
	if n.key == n {
		return ShowKey(text)
	}
	if before, value, ok := strings.Cut(text, "="); ok && value != "" {
		text = before + "=..."
	}
	return Shorten(text)
}

// ShowKey is what messages show of a key, or of the name in NAME=VALUE. Where a space or a quote is missing it goes on
// with the value, which may be a secret.
func ShowKey(key string) string {
	if len(key) > 1 {
		if i := strings.IndexAny(key[1:], ":=\"'{["); i >= 0 {
			key = key[:i+1] + "..."
		}
	}
	return Shorten(key)
}

// unsure tells whether a suggestion that is made from the node's text could give away more than messages may show.
func (n *Node) unsure() bool { return n.hidden || n.out != nil && n.out.written != "" }
