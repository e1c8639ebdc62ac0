package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/sarif"
)

func newSDLValidateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [FILE...]",
		Short: "Check documents and report everything that is wrong with them",
		Long: "Check documents without a chain or a network. Every problem is reported with its file, line and column,\n" +
			"what is allowed, and what was probably meant. FILE may be - for standard input; files that it includes are then\n" +
			"looked for from the working directory.\n\n" +
			"With -o json, prints {\"valid\": true|false, \"diagnostics\": [...]}; with -o sarif, SARIF 2.1.0 for code hosts and\n" +
			"editors, with the suggestions as fixes. Exits with 2 if a document has an error.",
		Example: "  berth validate deploy.yaml\n  berth sdl validate -o json deploy.yaml | jq .diagnostics\n" +
			"  berth sdl validate -o sarif deploy/*.yaml > berth.sarif",
		RunE:        validateDocuments,
		Annotations: map[string]string{alsoFormat: formatSARIF},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	return cmd
}

// validation is the result of sdl validate.
type validation struct {
	Valid       bool            `json:"valid"`
	Diagnostics sdl.Diagnostics `json:"diagnostics"`
}

func validateDocuments(cmd *cobra.Command, files []string) error {
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		file, err := documentOf(nil)
		if err != nil {
			return err
		}
		files = []string{file}
	}
	result, sources := validation{Valid: true, Diagnostics: sdl.Diagnostics{}}, sdl.Sources{}
	for _, file := range files {
		in, err := loadDocument(cmd, file)
		if err != nil {
			return err
		}
		compiled := compile.Document(in)
		result.Valid = result.Valid && compiled.Plan != nil
		result.Diagnostics = append(result.Diagnostics, compiled.Found...)
		maps.Copy(sources, compiled.Sources)
		if format != formatText {
			continue
		}
		if err := showDiagnostics(cmd.ErrOrStderr(), file, compiled); err != nil {
			return err
		}
		if compiled.Plan != nil {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", file)
		}
	}
	switch format {
	case formatText:
	case formatSARIF:
		err = writeSARIF(cmd.OutOrStdout(), result.Diagnostics, sources)
	default:
		err = writeResult(cmd.OutOrStdout(), format, result, nil)
	}
	if err != nil {
		return err
	}
	if !result.Valid {
		return exitSilently(exitUsage)
	}
	return nil
}

// writeSARIF writes diagnostics with the paths of files relative to the working directory where they lie below it: code
// hosts know files by such paths only.
func writeSARIF(w io.Writer, found sdl.Diagnostics, sources sdl.Sources) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	relative := func(file string) string {
		if !filepath.IsAbs(file) {
			return filepath.ToSlash(filepath.Clean(file))
		}
		if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
		return filepath.ToSlash(file)
	}
	named := make(sdl.Sources, len(sources))
	for file, text := range sources {
		named[relative(file)] = text
	}
	found = slices.Clone(found)
	for i := range found {
		found[i].File = relative(found[i].File)
	}
	data, err := sarif.Marshal(sarif.Tool{Name: "berth", Version: buildVersion()}, found, named)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
