package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/internal/textdiff"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/rewrite"
)

// rewriting is what a command that rewrites documents does with the result.
type rewriting struct{ write, check, diff bool }

func newSDLFmtCommand() *cobra.Command {
	var how rewriting
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Bring documents into their canonical form",
		Long: "Print a document in its canonical form: sections and keys in one order, an indentation of two spaces, at most one\n" +
			"empty line between things. Comments, and values as they are written, stay; the plan stays the same. A document\n" +
			"with errors is formatted too, as long as it is YAML. FILE may be - for standard input. Files that a document\n" +
			"includes are formatted by themselves.\n\n" +
			"Exits with 1 if --check finds a document in another form, and with 2 if one cannot be read; that one is left as it is.",
		Example: "  berth sdl fmt deploy.yaml\n  berth sdl fmt --write deploy.yaml\n  berth sdl fmt --check --diff *.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, files []string) error { return formatDocuments(cmd, files, how) },
	}
	f := cmd.Flags()
	f.BoolVarP(&how.write, "write", "w", false, "rewrite the files instead of printing them, and list those that changed")
	f.BoolVar(&how.check, "check", false, "only list the files that are in another form, and exit with 1 if there are any")
	f.BoolVar(&how.diff, "diff", false, "print how the form differs")
	return cmd
}

// usage refuses flags that do not go together.
func (how rewriting) usage(files []string, format string) error {
	if how.write && how.check {
		return usageErrorf("--check changes nothing; leave it or --write out")
	}
	if format == formatText && !how.write && !how.check && !how.diff && len(files) > 1 {
		return usageErrorf("several documents cannot be printed as one; use --write, --check, --diff or -o json")
	}
	for _, file := range files {
		if how.write && file == document.Stdin {
			return usageErrorf("standard input cannot be rewritten; leave --write out")
		}
	}
	return nil
}

// rewritten is the result for one document.
type rewritten struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	Written bool   `json:"written"`
	// Text is the new text, where it is what was asked for; Diff how it differs.
	Text        string          `json:"text,omitempty"`
	Diff        string          `json:"diff,omitempty"`
	Diagnostics sdl.Diagnostics `json:"diagnostics"`
}

func formatDocuments(cmd *cobra.Command, files []string, how rewriting) error {
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if err := how.usage(files, format); err != nil {
		return err
	}
	results, code := make([]rewritten, 0, len(files)), exitOK
	for _, file := range files {
		in, err := loadDocument(cmd, file)
		if err != nil {
			return err
		}
		out, found := rewrite.Format(file, in.Data)
		result, err := how.finish(rewrite.File{Name: file, Before: in.Data, After: out}, found)
		if err != nil {
			return err
		}
		switch {
		case out == nil:
			code = exitUsage
		case result.Changed && how.check && code == exitOK:
			code = exitError
		}
		results = append(results, result)
		if format != formatText {
			continue
		}
		if err := showDiagnostics(cmd.ErrOrStderr(), file, compile.Result{Found: found, Sources: sdl.Sources{file: in.Data}}); err != nil {
			return err
		}
		if err := how.show(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	}
	if format != formatText {
		if err := writeResult(cmd.OutOrStdout(), format, map[string]any{"files": results}, nil); err != nil {
			return err
		}
	}
	if code != exitOK {
		return exitSilently(code)
	}
	return nil
}

// finish writes the new text of a file where that was asked for, and says what became of it. Without a text nothing is
// written.
func (how rewriting) finish(f rewrite.File, found sdl.Diagnostics) (rewritten, error) {
	r := rewritten{File: f.Name, Diagnostics: append(sdl.Diagnostics{}, found...)}
	if f.After == nil {
		return r, nil
	}
	r.Changed = string(f.After) != string(f.Before)
	if how.diff {
		r.Diff = textdiff.Unified(f.Name, f.Name, string(f.Before), string(f.After))
	}
	if !how.write && !how.check && !how.diff {
		r.Text = string(f.After)
	}
	if how.write && r.Changed {
		if err := document.Save(f.Name, f.After); err != nil {
			return r, err
		}
		r.Written = true
	}
	return r, nil
}

// show prints the result for one file: its text, how it differs, or its name if it does.
func (how rewriting) show(w io.Writer, r rewritten) error {
	var err error
	if r.Changed && (how.write || how.check) {
		_, err = fmt.Fprintln(w, r.File)
	}
	if err == nil {
		_, err = io.WriteString(w, r.Diff+r.Text)
	}
	return err
}
