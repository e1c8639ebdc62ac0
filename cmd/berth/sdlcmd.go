package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/doc"
)

// newSDLCommand holds the tools for documents.
func newSDLCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sdl",
		Short: "Tools for documents",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "validate FILE...",
		Short: "Check documents and report everything that is wrong with them",
		Long: "Check documents without a chain or a network. Every problem is reported with its file, line and column,\n" +
			"what is allowed, and what was probably meant. FILE may be - for standard input.\n\n" +
			"With -o json, prints {\"valid\": true|false, \"diagnostics\": [...]}. Exits with 2 if a document has an error.",
		Example: "  berth sdl validate deploy.yaml\n  berth sdl validate -o json deploy.yaml | jq .diagnostics",
		Args:    cobra.MinimumNArgs(1),
		RunE:    validateDocuments,
	})
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
		data, err := readDocument(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		plan, found := compile.Compile(file, data)
		result.Valid = result.Valid && plan != nil
		result.Diagnostics = append(result.Diagnostics, found...)
		if format != formatText {
			continue
		}
		if err := showDiagnostics(cmd.ErrOrStderr(), file, found, data); err != nil {
			return err
		}
		if plan != nil {
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

// newPlanCommand shows what a document asks for.
func newPlanCommand() *cobra.Command {
	var blockTime time.Duration
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what a document asks for, runs and may cost, without sending anything",
		Long: "Compile a document and show its plan: what providers are asked for, what runs there, who can connect to what,\n" +
			"and what it may cost at most. It needs neither a chain nor a network, so that the cost per month rests on the\n" +
			"time per block that is given. FILE may be - for standard input.\n\n" +
			"The values of environment variables are not shown, except with -o json, which prints the whole plan.",
		Example: "  berth plan deploy.yaml\n  berth plan deploy.yaml -o json | jq .groups",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if blockTime <= 0 {
				return usageErrorf("--block-time: %s is not a time per block; give one such as 6s", blockTime)
			}
			return planDocument(cmd, args[0], blockTime)
		},
	}
	cmd.Flags().DurationVar(&blockTime, "block-time", 6*time.Second, "time per block for the cost per month")
	return cmd
}

func planDocument(cmd *cobra.Command, file string, blockTime time.Duration) error {
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	plan, err := compileDocument(cmd, file)
	if err != nil {
		return err
	}
	return writeResult(cmd.OutOrStdout(), format, plan, func(w io.Writer) error {
		return writePlan(w, plan, blockTime)
	})
}

// compileDocument reads and compiles a document. What is wrong with it goes to stderr, for people or, with a format
// for programs, as JSON; the error for a document that is refused says no more and exits with 2. Warnings for people
// go to stderr too.
func compileDocument(cmd *cobra.Command, file string) (*sdl.Plan, error) {
	format, err := outputFormat(cmd)
	if err != nil {
		return nil, err
	}
	data, err := readDocument(cmd.InOrStdin(), file)
	if err != nil {
		return nil, err
	}
	plan, found := compile.Compile(file, data)
	w := cmd.ErrOrStderr()
	switch {
	case format == formatText:
		err = showDiagnostics(w, file, found, data)
	case plan == nil:
		err = json.NewEncoder(w).Encode(validation{Diagnostics: found})
	}
	if err == nil && plan == nil {
		err = exitSilently(exitUsage)
	}
	return plan, err
}

func showDiagnostics(w io.Writer, file string, found sdl.Diagnostics, data []byte) error {
	if err := found.WriteText(w, data); err != nil {
		return err
	}
	if n := found.Errors(); n > 0 {
		fmt.Fprintf(w, "%s: %s\n", file, counted(n, "error"))
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// readDocument reads a file, or standard input for -, and no more of it than a document may have, and one byte so
// that the compiler sees that there is more.
func readDocument(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, os.ErrNotExist) {
			return nil, exitWith(exitUsage, fmt.Errorf("there is no file %s", file))
		}
		if err != nil {
			return nil, exitWith(exitUsage, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, doc.MaxBytes+1))
	if err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("read %s: %w", file, err))
	}
	return data, nil
}
