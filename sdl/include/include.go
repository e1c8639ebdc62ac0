// Package include joins the files that a document includes with it, so that front-ends read one document. What is
// named in several files is an error: no file replaces what another one says, and the order of files means nothing.
package include

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

// The limits of what a document includes. Bytes and values are limited by package doc, for all files together.
const (
	MaxFiles = 32
	MaxDepth = 8
)

// Joiner joins the files of one document.
type Joiner struct {
	Report *sdl.Reporter
	Parser *doc.Parser
	Read   files.Reader
	// Form is how each file is laid out.
	Form *stack.Form
	// Version is that of the document; Same tells whether a file's version is it.
	Version string
	Same    func(version string) bool
	// Sources takes the texts of the files.
	Sources sdl.Sources

	parts []doc.Object    // the files
	seen  map[string]bool // the paths of the files that were read, or tried
	full  bool            // a limit was reported, no more is read
}

// key is the key under which a document names other files.
const key = "include"

// Document returns a document with everything that it includes, or the document itself if it includes nothing. Its
// indentation is mended on the way. What cannot be included is reported, and the document is incomplete then.
func (j *Joiner) Document(root *doc.Node) *doc.Node {
	j.Form.Straighten(j.Report, root)
	if !j.includes(root) {
		return root
	}
	j.seen = map[string]bool{root.File().Path: true}
	j.file(root, []*doc.File{root.File()})
	return j.join(root)
}

// includes tells whether a document has the key, or one that the front-end would take for it.
func (j *Joiner) includes(root *doc.Node) bool {
	return slices.ContainsFunc(root.Items(), func(n *doc.Node) bool {
		if n.Kind() == doc.Null || j.Form.Top.Keys[n.Name()] != nil {
			return n.Kind() != doc.Null && n.Name() == key
		}
		return suggest.Nearest(n.Name(), []string{key}) != ""
	})
}

// file takes a file and what it includes. The chain are the files that led to it, itself last.
func (j *Joiner) file(root *doc.Node, chain []*doc.File) {
	if len(chain) > 1 && root.Kind() != doc.Map {
		// What it holds is not shown: it may have been meant for something else than a document.
		want := "a mapping with the keys " + strings.Join(j.Form.Top.Shape.Keys, ", ")
		j.Report.Report(root.Remark("E-TYPE", "an included file is %s, found %s", want, root.Kind()).WithAllowed(want))
		j.Report.SetIncomplete()
		return
	}
	top, ok := root.Object(j.Report, j.Form.Top.Shape)
	if !ok {
		j.Report.SetIncomplete()
		return
	}
	j.parts = append(j.parts, top)
	if len(chain) > 1 {
		j.version(top.Get("version"))
	}
	list := top.Get(key)
	if list == nil {
		return
	}
	entries := []*doc.Node{list}
	if list.Kind() != doc.Scalar {
		if entries, ok = list.Entries(j.Report, key); !ok {
			j.Report.SetIncomplete()
		}
	}
	for _, e := range entries {
		if j.full {
			return
		}
		j.entry(e, chain)
	}
}

// version checks that a file is of the document's version, if it says any.
func (j *Joiner) version(n *doc.Node) {
	if n == nil || n.Kind() == doc.Scalar && j.Same(n.Text()) {
		return
	}
	want := strconv.Quote(j.Version)
	j.Report.Report(n.Problem("E-VERSION", "version is %s, but the document that includes this file has %s", n.Show(), want).
		WithAllowed(want + ", or no version").WithSuggestion(want))
}

// entry takes the file that an entry of the list names.
func (j *Joiner) entry(at *doc.Node, chain []*doc.File) {
	before := j.Report.Errors()
	defer func() {
		if j.Report.Errors() > before {
			j.Report.SetIncomplete()
		}
	}()
	name, ok := at.Scalar(j.Report, "the path of an included file")
	if !ok {
		return
	}
	full, err := files.Resolve(at, name)
	if err != nil {
		j.Report.Report(j.Read.Problem(at, "E-INCLUDE", name, err))
		return
	}
	if i := slices.IndexFunc(chain, func(f *doc.File) bool { return f.Path == full }); i >= 0 {
		j.circle(at, chain[i:])
		return
	}
	if j.seen[full] || j.limited(at, chain) {
		return
	}
	j.seen[full] = true
	data, err := j.Read.Read(at, name)
	if err != nil {
		j.Report.Report(j.Read.Problem(at, "E-INCLUDE", name, err))
		return
	}
	f := &doc.File{Name: path.Join(path.Dir(j.Report.File()), full), Path: full}
	j.Report.AddFile(f.Name)
	j.Sources[f.Name] = data
	if root := j.Parser.YAML(f, data); root != nil {
		j.Form.Straighten(j.Report, root)
		j.file(root, append(slices.Clone(chain), f))
	}
	j.full = j.full || j.Parser.Full()
}

func (j *Joiner) circle(at *doc.Node, chain []*doc.File) {
	const most = 120 // characters of a name
	names := make([]string, 0, len(chain)+1)
	for _, f := range append(slices.Clone(chain), chain[0]) {
		if name := []rune(f.Name); len(name) > most {
			names = append(names, "..."+string(name[len(name)-most:]))
			continue
		}
		names = append(names, f.Name)
	}
	j.Report.Report(at.Problem("E-INCLUDE-CYCLE", "files include each other in a circle: %s", strings.Join(names, " -> ")).
		WithHint("remove one of the includes; a file that two others include is read once"))
}

// limited reports the first file that is one too many, or one too deep.
func (j *Joiner) limited(at *doc.Node, chain []*doc.File) bool {
	switch {
	case len(j.seen) > MaxFiles:
		j.Report.Report(at.Problem("E-INCLUDE-LIMIT", "more than %d files are included", MaxFiles).WithHint("put some of them into one file"))
	case len(chain) > MaxDepth:
		j.Report.Report(at.Problem("E-INCLUDE-LIMIT", "files include each other more than %d deep", MaxDepth).
			WithHint("name this file in the document itself"))
	default:
		return false
	}
	j.full = true
	return true
}
