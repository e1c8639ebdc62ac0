// Package compile turns a document of any known format into a plan. It finds out which format a document has and
// hands it to that format's front-end.
package compile

import (
	"path"
	"slices"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/fill"
	"berth.dev/berth/sdl/include"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/sdl20"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

// Input is a document with what it may draw on.
type Input struct {
	// File is the document's name in diagnostics, and what the paths in it are relative to.
	File string
	Data []byte
	// ReadFile returns a local file that the document names, such as one that it includes, by the slash-separated path
	// relative to the document's directory. Without it a document that names a file is refused.
	ReadFile func(path string) ([]byte, error)
	// Lookup returns the value of a variable that the document refers to. Without it none is set.
	Lookup func(name string) (value string, set bool)
	// Names are variables that suggestions may name.
	Names []string
	// Format is the name of the document's format, one of Formats; empty to find out. What follows is for the formats of
	// applications only.
	Format string
	// Overlay is what manifests of applications lack; the file app.OverlayFile beside the manifest stands below it.
	Overlay app.Overlay
	// Values are those of the application's variables, which win over all others; Complete refuses an application that
	// lacks an image, or a value that it needs.
	Values   map[string]string
	Complete bool
	// Environment names a part of the manifest that is put over it; SkipAddons are addons to leave out.
	Environment string
	SkipAddons  []string
	// Given tells whether the tenant gives a variable's value, be it not known yet; nil for none.
	Given func(name string) bool
	// Tree tells of a file of the application's sources by its path; nil if there are none at hand.
	Tree func(path string) akinon.FileInfo
	// NoHealthcheck lets a process do without a healthcheck that its format demands.
	NoHealthcheck bool
}

// Result is a compiled document.
type Result struct {
	// Plan is nil if and only if a diagnostic is an error. It repeats the warnings.
	Plan *sdl.Plan
	// Format is the document's, one of Formats.
	Format string
	// App is what the manifest of an application says, and Overlay what was put beside it; App is nil for other documents,
	// and if the manifest has an error.
	App     *app.App
	Overlay app.Overlay
	// Found are all problems, sorted by place.
	Found sdl.Diagnostics
	// Sources are the texts of the files that were read, for Found.WriteText.
	Sources sdl.Sources
}

// Document compiles a document with everything that it includes. Nothing is read but what the input gives. The same
// document with its keys in another order, in other files, or with other comments, gives the same plan.
func Document(in Input) Result {
	r := sdl.NewReporter(in.File)
	sources := sdl.Sources{in.File: in.Data}
	out := Result{Format: Detect(in), Sources: sources}
	var plan *sdl.Plan
	if read := frontEnds[out.Format]; read != nil {
		plan = application(r, in, &out, read)
	} else {
		plan = compile(r, in, sources)
	}
	out.Found = r.Diagnostics()
	if plan != nil && !r.Failed() {
		plan.Warnings = out.Found
		out.Plan = plan
	}
	return out
}

// Compile compiles a document that stands for itself; see Document.
func Compile(file string, data []byte) (*sdl.Plan, sdl.Diagnostics) {
	out := Document(Input{File: file, Data: data})
	return out.Plan, out.Found
}

func compile(r *sdl.Reporter, in Input, sources sdl.Sources) *sdl.Plan {
	parser := doc.NewParser(r)
	root := parser.YAML(&doc.File{Name: in.File, Path: path.Base(in.File)}, in.Data)
	if root == nil {
		return nil
	}
	v := version(r, root)
	files := include.Joiner{
		Report: r, Parser: parser, Read: in.ReadFile, Sources: sources, Version: v,
		Same: func(text string) bool { return text == v || sdl20.Spellings[text] == v },
	}
	read := func(root *doc.Node) *stack.Stack { return sdl20.Read(r, root, v) }
	files.Form = sdl20.Form
	if v == sdl10.Version {
		read = func(root *doc.Node) *stack.Stack { return sdl10.Read(r, root) }
		files.Form = sdl10.Form
	}
	root = files.Document(root)
	fill.Document(r, root, fill.Source{ReadFile: in.ReadFile, Lookup: in.Lookup, Names: in.Names})
	s := read(root)
	if s == nil {
		return nil
	}
	return stack.Resolve(r, s)
}

// versions are what a document may say as its version.
var versions = append([]string{sdl10.Version}, sdl20.Versions...)

// version finds the version of a document. One that is absent, misspelt or not known is reported; if it is clear all the
// same how the document is meant, that version is returned, so that the other problems are found with it.
func version(r *sdl.Reporter, root *doc.Node) string {
	if root.Kind() != doc.Map {
		return sdl10.Version // the front-end says so
	}
	allowed := `"` + strings.Join(versions, `", "`) + `"`
	for _, n := range root.Items() {
		if n.Name() != "version" {
			if suggest.Nearest(n.Name(), []string{"version"}) == "" {
				continue
			}
			if n.Kind() == doc.Scalar && slices.Contains(versions, n.Text()) {
				return n.Text() // the front-end reports the key
			}
			return likely(root)
		}
		if n.Kind() != doc.Scalar {
			r.Report(n.Key().Problem("E-VERSION", "version is %s", n.Kind()).WithAllowed(allowed))
			return likely(root)
		}
		if slices.Contains(versions, n.Text()) {
			return n.Text()
		}
		if known := sdl20.Spellings[n.Text()]; known != "" {
			r.Warn(n.Problem("W-VERSION", "version %s is read as %q", n.Show(), known).WithAllowed(allowed).WithSuggestion(`"` + known + `"`))
			return known
		}
		meant := meantVersion(n.Text(), root)
		r.Report(n.Problem("E-VERSION", "version %s is not supported", n.Show()).WithAllowed(allowed).WithSuggestion(`"` + meant + `"`))
		return meant
	}
	meant := likely(root)
	d := sdl.Diagnostic{Code: "E-VERSION", Line: 1, Column: 1, Path: "version", Message: "version is missing", Allowed: allowed}
	if all := root.Items(); len(all) > 0 && !root.IsFlow() && all[0].File() == root.File() {
		d.Line, d.Column = all[0].Key().Line(), all[0].Key().Column()
		d.Suggestion = `version: "` + meant + `"`
	}
	r.Report(d)
	return meant
}

// meantVersion is the version that is meant by one that is not supported.
func meantVersion(text string, root *doc.Node) string {
	clean := strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), ",", ".")), "v")
	if known := sdl20.Spellings[clean]; known != "" {
		return known
	}
	for _, v := range versions {
		if clean == v || strings.HasPrefix(clean, v+".") || clean+".0" == v {
			return v
		}
	}
	if v := likely(root); v == sdl10.Version || clean < v {
		return v
	}
	return versions[len(versions)-1]
}

// likely is the version that a document without one is written for: only from 2.0 on do compute profiles have
// resources.
func likely(root *doc.Node) string {
	if n := root.Child("profiles"); n != nil {
		if c := n.Child("compute"); c != nil {
			for _, profile := range c.Items() {
				if profile.Child("resources") != nil {
					return sdl20.Versions[0]
				}
			}
		}
	}
	return sdl10.Version
}
