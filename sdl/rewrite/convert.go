package rewrite

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/sdl20"
)

// Targets are the versions that documents are converted to.
var Targets = sdl20.Versions

// Conversion is a document in another version.
type Conversion struct {
	// Files are the document and the files that it includes, in that order; none if it was refused.
	Files []File
	// Found says what cannot be converted, or what changes.
	Found sdl.Diagnostics
	// Sources are the texts that Found speaks of.
	Sources sdl.Sources
	// Lossy tells that the document was refused, and would not be if changes were accepted.
	Lossy bool
}

// File is one file of a conversion.
type File struct {
	// Name is the file's name in diagnostics.
	Name          string
	Before, After []byte
}

// Convert brings a document, with the files that it includes, into a version of Targets. The document must compile.
// What it means is compared before and after: where the other version cannot say the same, the document is refused, or
// if lossy is set converted with a warning. The result always compiles. Variables are not looked up: they mean the same
// in all versions, whatever their values.
func Convert(in compile.Input, to string, lossy bool) Conversion {
	read := map[string][]byte{}
	in.Lookup = func(string) (string, bool) { return "value", true }
	source := in
	source.ReadFile = func(p string) ([]byte, error) {
		data, err := in.ReadFile(p)
		if err == nil {
			read[p] = data
		}
		return data, err
	}
	if in.ReadFile == nil {
		source.ReadFile = nil
	}
	before := compile.Document(source)
	if before.Plan == nil {
		return Conversion{Found: before.Found, Sources: before.Sources}
	}
	c := &converter{to: to, lossy: lossy, report: sdl.NewReporter(in.File), lost: map[*yaml.Node]bool{}}
	c.add(in.File, "", in.Data)
	for p, data := range sorted(read) {
		if name := path.Join(path.Dir(in.File), p); before.Sources[name] != nil && name != in.File {
			c.add(name, p, data)
		}
	}
	c.convert()
	if !c.report.Failed() {
		c.check(in, before.Plan)
	}
	out := Conversion{Found: c.report.Diagnostics(), Sources: before.Sources}
	if c.report.Failed() {
		out.Lossy = c.hard == 0
		return out
	}
	for _, p := range c.parts {
		out.Files = append(out.Files, File{Name: p.name, Before: p.data, After: p.out})
	}
	return out
}

// sorted ranges over a mapping in the order of its keys.
func sorted(m map[string][]byte) func(yield func(string, []byte) bool) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return func(yield func(string, []byte) bool) {
		for _, name := range names {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}

// converter converts one document.
type converter struct {
	to     string
	lossy  bool
	report *sdl.Reporter
	parts  []*part
	hard   int                 // errors that nobody can accept
	lost   map[*yaml.Node]bool // ports of which it was said that they change
}

// part is one file of a document.
type part struct {
	name, path string
	data, out  []byte
	text       string
	root       *yaml.Node
	d          *document

	values map[*yaml.Node]*value     // as they stood before
	roles  map[*yaml.Node]*rule      // what each of them is
	origin map[*yaml.Node]*yaml.Node // of nodes that were copied
}

func (c *converter) add(name, path string, data []byte) {
	p := &part{name: name, path: path, data: data, text: normalise(data)}
	n, u := parse(p.text)
	if u != nil {
		n = &yaml.Node{Content: []*yaml.Node{{Line: 1, Column: 1}}}
		c.unusual(p, u)
	}
	p.root = n.Content[0]
	c.parts = append(c.parts, p)
}

// place is a diagnostic at a node of a file.
func (p *part) place(n *yaml.Node, path, message string) sdl.Diagnostic {
	d := sdl.Diagnostic{Code: "E-CONVERT", File: p.name, Line: n.Line, Column: n.Column, Path: path, Message: message}
	if n.Kind == yaml.ScalarNode && len(n.Value) <= 40 && !strings.Contains(n.Value, "\n") {
		d.Found = n.Value
	}
	return d
}

// refuse reports what cannot be converted at all.
func (c *converter) refuse(d sdl.Diagnostic) {
	c.hard++
	c.report.Report(d)
}

// lose reports what the other version cannot say: an error, unless changes are accepted.
func (c *converter) lose(d sdl.Diagnostic) {
	if !c.lossy {
		c.report.Report(d)
		return
	}
	c.warn(d)
}

// warn reports a change that makes no difference to anybody, or that was accepted.
func (c *converter) warn(d sdl.Diagnostic) {
	d.Code = "W-CONVERT"
	c.report.Warn(d)
}

func (c *converter) unusual(p *part, u *unusual) {
	c.refuse(sdl.Diagnostic{
		Code: "E-FORM", File: p.name, Line: u.node.Line, Column: u.node.Column,
		Message: "the document is not converted: " + u.why, Hint: "write it in a plainer way",
	})
}

// convert makes the new texts.
func (c *converter) convert() {
	version := ""
	if n := get(c.parts[0].root, "version"); n != nil {
		version = n.Value
	}
	for _, p := range c.parts {
		if version == sdl10.Version {
			c.upgrade(p)
		} else {
			c.renumber(p)
		}
	}
}

// renumber changes the version and nothing else.
func (c *converter) renumber(p *part) {
	key, n := entryOf(p.root, "version")
	if key == nil {
		p.out = p.data
		return
	}
	text := string(p.data)
	if bytes.HasPrefix(p.data, []byte("\uFEFF")) || strings.Contains(strings.ReplaceAll(text, "\r\n", "\n"), "\r") {
		text = p.text
	}
	r := &reader{text: text, starts: map[*yaml.Node]int{}, quoted: map[int]bool{}}
	r.locate(p.root)
	at, ok := r.starts[n]
	if r.failed != nil || !ok || n.Kind != yaml.ScalarNode {
		c.unusual(p, &unusual{key, "its version is written in an unusual way"})
		return
	}
	at = r.afterProps(at)
	end := r.plainLine(at)
	if r.quoted[at] {
		end = r.quoteEnd(at)
	} else if stop := strings.IndexAny(text[at:end], ",}"); stop >= 0 {
		end = at + stop
	}
	p.out = []byte(text[:at] + `"` + c.to + `"` + text[end:])
}

// check compiles the result and compares what it means with what was meant.
func (c *converter) check(in compile.Input, before *sdl.Plan) {
	after := in
	after.Data = c.parts[0].out
	after.ReadFile = func(path string) ([]byte, error) {
		for _, p := range c.parts[1:] {
			if p.path == path {
				return p.out, nil
			}
		}
		return in.ReadFile(path)
	}
	if in.ReadFile == nil {
		after.ReadFile = nil
	}
	result := compile.Document(after)
	for _, d := range result.Found {
		if d.Severity == sdl.Error {
			e := c.at(d.Path, "version "+c.to+" does not take the result: "+d.Message)
			e.Allowed, e.Hint = d.Allowed, d.Hint
			c.refuse(e)
		}
	}
	if result.Plan != nil {
		c.compare(before, result.Plan)
	}
}

// at is a diagnostic at a path of the document as it was, or at the deepest part of it that there was.
func (c *converter) at(path, message string) sdl.Diagnostic {
	best, depth := c.parts[0].place(c.parts[0].root, "", message), -1
	for _, p := range c.parts {
		if n, at, found := follow(p.root, path); found > depth {
			best, depth = p.place(n, at, message), found
		}
	}
	best.Found = ""
	return best
}

// node is what stands at a path, without aliases.
func (c *converter) node(path string) *yaml.Node {
	for _, p := range c.parts {
		if n := exact(p.root, path); n != nil {
			return n
		}
	}
	return nil
}
