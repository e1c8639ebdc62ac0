package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/envstore"
)

// ready is a document that can be deployed: its plan has every value and every image.
type ready struct {
	Plan *sdl.Plan
	// save keeps the values of an application's variables, of a deployment if its number is not 0.
	save func(dseq uint64) error
	// dseq is the deployment that the application had last on this machine; 0 if none.
	dseq uint64
}

// readyDocument compiles a document for a deployment, a running one if its number is not 0. Of an application it finds
// the value of every variable: stored, given, generated, or asked for. What is missing is said all at once, and exits
// with 3; nothing has been sent then, and nothing is stored.
func readyDocument(cmd *cobra.Command, file string, dseq uint64) (*ready, error) {
	in, err := loadDocument(cmd, file)
	if err != nil {
		return nil, err
	}
	return readyInput(cmd, in, dseq)
}

// readyInput is readyDocument of a document that was read.
func readyInput(cmd *cobra.Command, in compile.Input, dseq uint64) (*ready, error) {
	if compile.Detect(in) == compile.FormatSDL {
		result, err := compileInput(cmd, in)
		return &ready{Plan: result.Plan, save: func(uint64) error { return nil }}, err
	}
	v, err := resolveValues(cmd, &in, dseq, askValues(cmd))
	if err != nil {
		return nil, err
	}
	file := in.File
	if err := buildImage(cmd, &in, v.result, file); err != nil {
		return nil, err
	}
	if err := registryAuth(cmd, &in, v.result); err != nil {
		return nil, err
	}
	in.Complete = true
	complete := compile.Document(in)
	if complete.Plan == nil { // only what is missing for a deployment: the rest was said
		if err := showDiagnostics(cmd.ErrOrStderr(), file, complete); err != nil {
			return nil, err
		}
		return nil, exitSilently(exitUsage)
	}
	save := func(dseq uint64) error { return asEnvError(v.store.Save(v.env, dseq)) }
	return &ready{Plan: complete.Plan, save: save, dseq: v.env.Head.Dseq}, nil
}

// values are those of an application's variables, and where they are kept.
type values struct {
	store  *envstore.Store
	env    *envstore.Env
	result compile.Result
}

// resolveValues compiles an application, says what is wrong with it, and gives its document the values of its variables, of a
// deployment if its number is not 0. ask asks a person, and may be nil. Nothing is stored.
func resolveValues(cmd *cobra.Command, in *compile.Input, dseq uint64, ask func(envstore.Question) (string, error)) (values, error) {
	store, env, err := storedValues(cmd, in.File, dseq)
	if err != nil {
		if _, wrong := compileInput(cmd, *in); wrong != nil { // that comes first
			return values{}, wrong
		}
		return values{}, err
	}
	flags := maps.Clone(in.Overlay.Env)
	in.Given = func(name string) bool {
		_, given := flags[name]
		v, stored := env.Get(name)
		return given || stored && v.Origin.Chosen()
	}
	result, err := compileInput(cmd, *in)
	if err != nil {
		return values{}, err
	}
	below := maps.Clone(result.Overlay.Env)
	maps.DeleteFunc(below, func(name, _ string) bool { _, given := flags[name]; return given })
	in.Values, err = store.Resolve(env, result.App.Variables, envstore.Inputs{Flags: flags, File: below, Ask: ask})
	var wrong envstore.Problems
	if errors.As(err, &wrong) {
		return values{}, exitWith(exitInput, err, self(cmd)+" env set NAME=VALUE", self(cmd)+" deploy "+quoted(in.File)+" --env NAME=VALUE")
	}
	return values{store, env, result}, err
}

// comparison compiles a document to be compared with what a deployment runs: an application with the values that it has.
func comparison(cmd *cobra.Command, in compile.Input, dseq uint64) (*sdl.Plan, error) {
	if compile.Detect(in) != compile.FormatSDL {
		if _, err := resolveValues(cmd, &in, dseq, nil); err != nil {
			return nil, err
		}
		return compile.Document(in).Plan, nil // what is wrong was said
	}
	result, err := compileInput(cmd, in)
	return result.Plan, err
}

// storedValues are the values of the application of a file, or of a deployment.
func storedValues(cmd *cobra.Command, file string, dseq uint64) (*envstore.Store, *envstore.Env, error) {
	store, err := openEnvStore(cmd)
	if err != nil {
		return nil, nil, err
	}
	if dseq != 0 {
		env, err := store.OfDeployment(dseq)
		if err == nil || !errors.Is(err, envstore.ErrNone) {
			return store, env, asEnvError(err)
		}
	}
	path := file
	if file == "-" {
		path = "."
	}
	name, err := cmd.Flags().GetString(flagApp)
	if err != nil {
		return nil, nil, err
	}
	a, err := applicationAt(path, name)
	if err != nil {
		return nil, nil, err
	}
	env, err := store.Open(a)
	return store, env, asEnvError(err)
}

// sourceTree tells of the files beside a document.
func sourceTree(file string) func(path string) akinon.FileInfo {
	dir := "."
	if file != "-" {
		dir = filepath.Dir(file)
	}
	return func(path string) akinon.FileInfo {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return akinon.FileInfo{}
		}
		defer root.Close()
		info, err := root.Stat(filepath.FromSlash(path))
		if err != nil || !info.Mode().IsRegular() {
			return akinon.FileInfo{}
		}
		out := akinon.FileInfo{Exists: true, Executable: info.Mode()&0o111 != 0}
		f, err := root.Open(filepath.FromSlash(path))
		if err != nil {
			return out
		}
		defer f.Close()
		start := make([]byte, 2)
		if _, err := io.ReadFull(f, start); err == nil {
			out.Shebang = bytes.Equal(start, []byte("#!"))
		}
		return out
	}
}

// withoutExcluded makes offers of providers that an application does not want unacceptable.
func (s *session) withoutExcluded(plan *sdl.Plan) {
	if plan.Extras == nil || len(plan.Extras.Exclude) == 0 {
		return
	}
	accept := s.Accept
	s.Accept = func(o tenant.Offer) string {
		if slices.Contains(plan.Extras.Exclude, o.Provider) {
			return "excluded"
		}
		if accept == nil {
			return ""
		}
		return accept(o)
	}
}

// preferred takes from an application what the flags do not say: the deposit and the choice of a bid.
func (f *deployFlags) preferred(plan *sdl.Plan) {
	if plan.Extras == nil {
		return
	}
	if f.deposit == "" {
		f.deposit = plan.Extras.Deposit
	}
	if f.choice == tenant.SelectLowest && plan.Extras.Select != "" && f.auction == "tenant" {
		f.choice = plan.Extras.Select
	}
}

// running is the deployment that the application of a document has and that is not closed, or 0.
func (s *session) running(ctx context.Context, doc *ready) (uint64, error) {
	if doc.dseq == 0 {
		return 0, nil
	}
	status, err := s.Status(ctx, s.id(doc.dseq))
	switch {
	case err != nil:
		return 0, fmt.Errorf("look at deployment %d, which the application has already: %w", doc.dseq, err)
	case status.State == "closed":
		return 0, nil
	}
	return doc.dseq, nil
}

// deployAgain updates the deployment that an application has already: deploying twice pays once.
func (s *session) deployAgain(ctx context.Context, dseq uint64, doc *ready, file string, f deployFlags) error {
	if f.dryRun {
		return exitWith(exitUsage, fmt.Errorf("the application runs as deployment %d, which deploy would update", dseq),
			fmt.Sprintf("%s diff %d %s        # what would change", s.self, dseq, quoted(file)),
			fmt.Sprintf("%s deploy %s --app NAME  # another deployment of it", s.self, quoted(file)))
	}
	return s.updateTo(ctx, dseq, doc, file, f.yes)
}
