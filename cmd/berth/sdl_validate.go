package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

func newSDLValidateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check documents and report everything that is wrong with them",
		Long: "Check documents without a chain or a network. Every problem is reported with its file, line and column,\n" +
			"what is allowed, and what was probably meant. FILE may be - for standard input; files that it includes are then\n" +
			"looked for from the working directory.\n\n" +
			"With -o json, prints {\"valid\": true|false, \"diagnostics\": [...]}. Exits with 2 if a document has an error.",
		Example: "  berth sdl validate deploy.yaml\n  berth sdl validate -o json deploy.yaml | jq .diagnostics",
		Args:    cobra.MinimumNArgs(1),
		RunE:    validateDocuments,
	}
	document.AddFlags(cmd.Flags())
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
	result := validation{Valid: true, Diagnostics: sdl.Diagnostics{}}
	for _, file := range files {
		in, err := loadDocument(cmd, file)
		if err != nil {
			return err
		}
		compiled := compile.Document(in)
		result.Valid = result.Valid && compiled.Plan != nil
		result.Diagnostics = append(result.Diagnostics, compiled.Found...)
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
	if format != formatText {
		if err := writeResult(cmd.OutOrStdout(), format, result, nil); err != nil {
			return err
		}
	}
	if !result.Valid {
		return exitSilently(exitUsage)
	}
	return nil
}
