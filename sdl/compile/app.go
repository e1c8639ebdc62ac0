package compile

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/appjson"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
	"berth.dev/berth/sdl/jsonc"
	"berth.dev/berth/sdl/procfile"
)

// FormatSDL is the format of documents that are no manifest of another tool.
const FormatSDL = "sdl"

// Formats are the formats of documents.
var Formats = []string{FormatSDL, appjson.Format}

// Procfile is the file beside a manifest that says what its processes run.
const Procfile = "Procfile"

// manifest is what a front-end for applications reads.
type manifest struct {
	Input
	overlay     app.Overlay
	procfile    procfile.File
	hasProcfile bool
}

// frontEnds read manifests of applications, by their format.
var frontEnds = map[string]func(r *sdl.Reporter, m manifest) *app.App{
	appjson.Format: readAppJSON,
}

func readAppJSON(r *sdl.Reporter, m manifest) *app.App {
	root := jsonc.Parse(r, m.Data, jsonc.Options{})
	if root == nil {
		return nil
	}
	in := appjson.Input{HasProcfile: m.hasProcfile, Overlay: m.overlay, Environment: m.Environment, SkipAddons: m.SkipAddons, Given: m.Given}
	for _, p := range m.procfile {
		in.Procfile = append(in.Procfile, app.Entry{
			Name: p.Name, Command: p.Command, At: app.Place{File: m.beside(Procfile), Line: p.Line, Column: p.Column, Path: p.Name},
		})
	}
	return appjson.Read(r, root, in)
}

// beside is what diagnostics call a file beside the document.
func (in Input) beside(name string) string {
	if in.File == "" || in.File == "-" {
		return name
	}
	return path.Join(path.Dir(strings.ReplaceAll(in.File, `\`, "/")), name)
}

// application compiles the manifest of an application with the files beside it.
func application(r *sdl.Reporter, in Input, out *Result, read func(r *sdl.Reporter, m manifest) *app.App) *sdl.Plan {
	m := manifest{Input: in, overlay: in.Overlay}
	if data, ok := readBeside(r, in, out.Sources, app.OverlayFile); ok && !onlyComments(string(data)) {
		file := &doc.File{Name: in.beside(app.OverlayFile), Path: app.OverlayFile}
		if root := doc.NewParser(r).YAML(file, data); root != nil {
			m.overlay = in.Overlay.Over(app.ReadOverlay(r, root, files.Reader(in.ReadFile)))
		}
	}
	if data, ok := readBeside(r, in, out.Sources, Procfile); ok {
		m.hasProcfile = true
		m.procfile = procfile.Parse(r, in.beside(Procfile), data)
	}
	a := read(r, m)
	if a == nil {
		return nil
	}
	plan := app.Compile(r, a, app.Config{Overlay: m.overlay, Values: in.Values, Complete: in.Complete})
	if !r.Failed() {
		out.App, out.Overlay = a, m.overlay
	}
	return plan
}

// readBeside reads a file beside the document that need not be there.
func readBeside(r *sdl.Reporter, in Input, sources sdl.Sources, name string) ([]byte, bool) {
	if in.ReadFile == nil {
		return nil, false
	}
	data, err := in.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		r.Report(sdl.Diagnostic{Code: "E-FILE", File: in.beside(name), Message: "the file cannot be read"})
		return nil, false
	}
	r.AddFile(in.beside(name))
	sources[in.beside(name)] = data
	return data, true
}

// Detect finds out the format of a document, by its name or by what it holds.
func Detect(in Input) string {
	if in.Format != "" {
		return in.Format
	}
	switch base := path.Base(strings.ReplaceAll(in.File, `\`, "/")); {
	case slices.Contains(Formats, base):
		return base
	case in.File != "-" && in.File != "" && !strings.HasSuffix(base, ".json"):
		return FormatSDL
	}
	if len(in.Data) > doc.MaxBytes {
		return FormatSDL
	}
	root := jsonc.Parse(sdl.NewReporter(in.File), in.Data, jsonc.Options{Drop: []string{"..."}})
	if root == nil || root.Child("services") != nil || root.Child("profiles") != nil {
		return FormatSDL
	}
	for _, n := range root.Items() {
		if slices.Contains(appjson.Marks, n.Name()) {
			return appjson.Format
		}
	}
	return FormatSDL
}

// onlyComments tells whether a file of YAML says nothing, as one does that was just written to be filled in.
func onlyComments(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}
