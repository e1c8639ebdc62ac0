package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	sigsyaml "sigs.k8s.io/yaml"
)

// stdio is where a run reads and writes: results go to Out, everything for people to watch to Err.
type stdio struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// The output formats.
const (
	formatText  = "text"
	formatJSON  = "json"
	formatJSONL = "jsonl"
	formatYAML  = "yaml"
	formatSARIF = "sarif"
)

// alsoFormat is the annotation of a command with one more output format.
const alsoFormat = "output"

// outputFormat is the value of -o, checked.
func outputFormat(cmd *cobra.Command) (string, error) {
	f, err := cmd.Flags().GetString("output")
	if err != nil {
		return "", err
	}
	all := []string{formatText, formatJSON, formatJSONL, formatYAML}
	if also := cmd.Annotations[alsoFormat]; also != "" {
		all = append(all, also)
	}
	if !slices.Contains(all, f) {
		return "", usageErrorf("--output: %q is not one of %s", f, strings.Join(all, ", "))
	}
	return f, nil
}

// printResult writes v to stdout in the format of -o, or calls text for people.
func printResult(cmd *cobra.Command, v any, text func(w io.Writer) error) error {
	f, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	return writeResult(cmd.OutOrStdout(), f, v, text)
}

func writeResult(w io.Writer, format string, v any, text func(w io.Writer) error) error {
	if format == formatText {
		return text(w)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	switch format {
	case formatYAML:
		if data, err = sigsyaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
	case formatJSON:
		if data, err = json.MarshalIndent(json.RawMessage(data), "", "  "); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		data = append(data, '\n')
	default:
		data = append(data, '\n')
	}
	_, err = w.Write(data)
	return err
}

// writeItem writes one of many values as it comes: an object on a line or, as YAML, a document of its own.
func writeItem(w io.Writer, format string, v any) error {
	if format != formatYAML {
		return writeResult(w, formatJSONL, v, nil)
	}
	if _, err := io.WriteString(w, "---\n"); err != nil {
		return err
	}
	return writeResult(w, format, v, nil)
}

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours says whether to colour what goes to w.
func colours(cmd *cobra.Command, w io.Writer) bool {
	off, err := cmd.Flags().GetBool("no-color")
	return err == nil && !off && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// style paints text for a terminal; off, it gives the text back.
type style bool

func (s style) paint(code, text string) string {
	if !s {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string  { return s.paint("1", text) }
func (s style) dim(text string) string   { return s.paint("2", text) }
func (s style) red(text string) string   { return s.paint("31", text) }
func (s style) green(text string) string { return s.paint("32", text) }
func (s style) amber(text string) string { return s.paint("33", text) }
