// Package fill puts into a document what it draws from outside: the values of variables, and what the files hold that
// its env names. It runs between the parser and the front-ends, which find the values in the places of the document
// where they belong, marked as secret. It also hides what may be secret from the messages of all that comes later.
//
// Variables are looked for in the values of env, in credentials, in image and in accept. Arguments and commands are
// shell text, in which ${NAME} is the container's business.
package fill

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
	"berth.dev/berth/sdl/suggest"
)

// The limits of what a document draws from outside.
const (
	MaxFileBytes = 512 << 10 // of one file, which is all that a manifest can hold
	MaxBytes     = 4 << 20   // of all values and files together
	MaxFiles     = 256       // that are read
)

// Source is where the values come from.
type Source struct {
	ReadFile files.Reader
	// Lookup returns the value of a variable.
	Lookup func(name string) (value string, set bool)
	// Names are variables that suggestions may name.
	Names []string
}

// Document fills a document in, and reports what it cannot.
func Document(r *sdl.Reporter, root *doc.Node, from Source) {
	f := filler{report: r, from: from, files: map[string]bool{}}
	if f.from.Lookup == nil {
		f.from.Lookup = func(string) (string, bool) { return "", false }
	}
	f.services(root)
	// A section that stands within another one by its indentation is read all the same.
	for _, name := range []string{"profiles", "deployment"} {
		if n := root.Child(name); n != nil {
			f.services(n)
		}
	}
}

func (f *filler) services(n *doc.Node) {
	for _, services := range under(n, "services") {
		for _, service := range services.Items() {
			f.service(service)
		}
	}
}

// under lists the values of a key, of its other names and of what is near to one of them: front-ends read such keys as
// what was meant.
func under(n *doc.Node, key string, others ...string) []*doc.Node {
	var out []*doc.Node
	names := append([]string{key}, others...)
	for _, kid := range n.Items() {
		for _, name := range names {
			if kid.Name() == name || suggest.Meant(kid.Name(), []string{name}) != "" {
				out = append(out, kid)
				break
			}
		}
	}
	return out
}

type filler struct {
	report *sdl.Reporter
	from   Source
	bytes  int
	files  map[string]bool // the paths that were read
	full   bool
}

// meanings are the keys of a service that are looked at, and their other names.
var meanings = map[string]string{
	"image": "image", "env": "env", "environment": "env", "env-file": "env-file", "env_file": "env-file",
	"credentials": "credentials", "expose": "expose", "ports": "expose",
	"args": "", "command": "", "params": "", "dependencies": "", "depends-on": "",
}

var meant = []string{"image", "env", "environment", "env-file", "credentials", "expose", "ports"}

func (f *filler) service(n *doc.Node) {
	for _, kid := range n.Items() {
		key, known := meanings[kid.Name()]
		if !known {
			key = meanings[suggest.Meant(kid.Name(), meant)]
		}
		switch key {
		case "image":
			f.scalar(kid)
		case "env":
			f.env(kid)
		case "env-file":
			f.envFiles(kid)
		case "credentials":
			f.credentials(kid)
		case "expose":
			f.hosts(kid)
			for _, port := range kid.Items() {
				f.hosts(port)
			}
		}
	}
}

func (f *filler) credentials(n *doc.Node) {
	hide(n)
	for _, kid := range n.Items() {
		f.scalar(kid)
	}
}

// hosts fills in the hosts of an exposed port, one or a list.
func (f *filler) hosts(port *doc.Node) {
	for _, accept := range under(port, "accept", "hosts", "host") {
		f.scalar(accept)
		for _, host := range accept.Items() {
			f.scalar(host)
		}
	}
}

// hide hides a node and all below it.
func hide(n *doc.Node) {
	n.Hide()
	for _, kid := range n.Items() {
		hide(kid)
	}
}

// env fills in a list or mapping of environment variables.
func (f *filler) env(n *doc.Node) {
	n.Hide()
	for _, kid := range n.Items() {
		kid.Hide()
		switch kid.Kind() {
		case doc.Scalar:
			f.assignment(kid, n.Kind() == doc.List)
		case doc.Map:
			f.envObject(kid)
		default:
			hide(kid)
		}
	}
}

// envObject fills in a variable that is written as a mapping: {value: TEXT} or {file: PATH}.
func (f *filler) envObject(n *doc.Node) {
	for _, kid := range n.Items() {
		switch kid.Name() {
		case "name", "secret":
		case "file":
			if kid.Kind() == doc.Scalar {
				f.file(kid, kid.Text())
			}
		default:
			hide(kid)
			f.scalar(kid)
		}
	}
}

// assignment fills in the value of NAME=VALUE, or all of a text that is a value alone.
func (f *filler) assignment(n *doc.Node, named bool) {
	if !named {
		f.scalar(n)
		return
	}
	if name, value, ok := strings.Cut(n.Text(), "="); ok {
		f.replace(n, name+"=", value)
	}
}

func (f *filler) scalar(n *doc.Node) {
	if n.Kind() == doc.Scalar {
		f.replace(n, "", n.Text())
	}
}

// replace gives a node the text that its own stands for, which is the text after a prefix.
func (f *filler) replace(n *doc.Node, prefix, text string) {
	value, used, changed, bad := expand(text, f.lookup)
	for _, p := range bad {
		f.report.Report(f.variableProblem(n, p))
		n.SetMissing()
	}
	if !changed {
		return
	}
	if i := strings.IndexByte(value, 0); i >= 0 || !utf8.ValidString(value) {
		f.report.Report(n.Remark("E-VARIABLE", "a variable's value is not text in UTF-8, or holds a zero byte"))
		n.SetMissing()
		value = ""
	}
	if !f.room(n, "E-VARIABLE", len(value)) {
		n.SetMissing()
		value = ""
	}
	n.Replace(prefix+value, used)
}

func (f *filler) lookup(name string) (string, bool) { return f.from.Lookup(name) }

// room counts what comes in, and reports once when it is too much.
func (f *filler) room(n *doc.Node, code string, size int) bool {
	f.bytes += size
	if f.bytes <= MaxBytes {
		return true
	}
	if !f.full {
		f.full = true
		f.report.Report(n.Remark(code, "variables and files bring more than %d bytes into the document", MaxBytes))
	}
	return false
}

func (f *filler) variableProblem(n *doc.Node, p problem) sdl.Diagnostic {
	d := n.Remark("E-VARIABLE", "%s", p.message)
	if p.name == "" {
		return d.WithAllowed(forms).WithHint("write $${ to pass the text on as it is")
	}
	d.Found = "${" + doc.Shorten(p.name) + "}"
	hint := fmt.Sprintf("set it in the environment or in a file that --env-file names, write ${%s:-default}, or write $${%s} to pass the text on as it is", doc.Shorten(p.name), doc.Shorten(p.name))
	if near := suggest.Nearest(p.name, f.from.Names); near != "" {
		hint = fmt.Sprintf("%s is set; or %s", near, hint)
	}
	return d.WithHint(hint)
}

// envFiles reads the files of an env-file key: one or a list.
func (f *filler) envFiles(n *doc.Node) {
	if n.Kind() == doc.Scalar {
		f.file(n, n.Text())
	}
	for _, kid := range n.Items() {
		if kid.Kind() == doc.Scalar {
			f.file(kid, kid.Text())
		}
	}
}

// file reads the file that a node names.
func (f *filler) file(n *doc.Node, name string) {
	if !f.files[name] && len(f.files) >= MaxFiles {
		f.report.Report(n.Problem("E-FILE", "more than %d files are named", MaxFiles))
		return
	}
	f.files[name] = true
	data, err := f.from.ReadFile.Read(n, name)
	switch {
	case err != nil:
		f.report.Report(f.from.ReadFile.Problem(n, "E-FILE", name, err))
	case len(data) > MaxFileBytes:
		f.report.Report(n.Problem("E-FILE", "file %s has more than %d bytes", n.Show(), MaxFileBytes))
	case !utf8.Valid(data) || strings.IndexByte(string(data), 0) >= 0:
		f.report.Report(n.Problem("E-FILE", "file %s is not text in UTF-8, or holds a zero byte", n.Show()).
			WithHint("a variable holds text only: encode the file, for example with base64"))
	case f.room(n, "E-FILE", len(data)):
		n.SetContent(append([]byte{}, data...))
	}
}
