package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

// compileDocument reads and compiles a document. What is wrong with it goes to stderr, for people or, with a format
// for programs, as JSON; the error for a document that is refused says no more and exits with 2. Warnings for people
// go to stderr too, and the names of the variables that the document took: it may be a stranger's.
func compileDocument(cmd *cobra.Command, file string) (*sdl.Plan, error) {
	in, err := loadDocument(cmd, file)
	if err != nil {
		return nil, err
	}
	result, err := compileInput(cmd, in)
	return result.Plan, err
}

// documentOf is the document that the arguments name, or the one of the working directory.
func documentOf(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	file, err := document.Find(".")
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	return file, nil
}

// compileInput compiles a document that was read, and says what is wrong with it; see compileDocument.
func compileInput(cmd *cobra.Command, in compile.Input) (compile.Result, error) {
	format, err := outputFormat(cmd)
	if err != nil {
		return compile.Result{}, err
	}
	file := in.File
	result := compile.Document(in)
	w := cmd.ErrOrStderr()
	switch {
	case format == formatText:
		err = showDiagnostics(w, file, result)
	case result.Plan == nil:
		err = json.NewEncoder(w).Encode(validation{Diagnostics: result.Found})
	}
	if err == nil && result.Plan == nil {
		err = exitSilently(exitUsage)
	}
	if taken := document.FromFlags(cmd.Flags()).Taken(); err == nil && taken != "" {
		fmt.Fprintln(w, taken)
	}
	return result, err
}

func showDiagnostics(w io.Writer, file string, result compile.Result) error {
	if err := result.Found.WriteText(w, result.Sources); err != nil {
		return err
	}
	if n := result.Found.Errors(); n > 0 {
		fmt.Fprintf(w, "%s: %s\n", file, counted(n, "error"))
	}
	return nil
}

func counted(n int, what string) string { return strconv.Itoa(n) + " " + plural(n, what) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// loadDocument reads a document for the compiler; a file that cannot be read is bad usage.
func loadDocument(cmd *cobra.Command, file string) (compile.Input, error) {
	in, err := document.FromFlags(cmd.Flags()).Load(file, cmd.InOrStdin())
	if err != nil {
		return in, exitWith(exitUsage, err)
	}
	if a := appFlagsOf(cmd); a != nil {
		if err := a.mailInto(); err != nil {
			return in, err
		}
		a.into(&in)
		in.Tree = sourceTree(file)
	}
	return in, nil
}
