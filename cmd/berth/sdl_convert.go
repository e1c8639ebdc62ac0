package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/rewrite"
)

// converting is what the command that converts documents is told.
type converting struct {
	rewriting
	to    string
	lossy bool
}

func newSDLConvertCommand() *cobra.Command {
	var how converting
	targets := strings.Join(rewrite.Targets, " or ")
	cmd := &cobra.Command{
		Use:   "convert FILE --to " + rewrite.Targets[len(rewrite.Targets)-1],
		Short: "Bring a document into another version of the format",
		Long: "Print a document in version " + targets + ". It must compile; what it means is compared before and after. What the\n" +
			"other version cannot say is an error at its place, and nothing is printed or written, unless --lossy accepts the\n" +
			"changes; they are warnings then. docs/spec/sdl-convert.md says what becomes of what.\n\n" +
			"A document of version 1.0 comes out in the form of sdl fmt; between 2.0 and 2.1 only the version changes. Comments\n" +
			"and variables such as ${NAME} stay. FILE may be - for standard input. A document that includes others is converted\n" +
			"together with them, file by file, which needs --write, --diff or -o json.\n\n" +
			"Exits with 2 if the document cannot be converted.",
		Example: "  berth sdl convert --to 2.1 deploy.yaml > new.yaml\n  berth sdl convert --to 2.1 --diff deploy.yaml\n" +
			"  berth sdl convert --to 2.1 --write deploy.yaml",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return convertDocument(cmd, args[0], how) },
	}
	f := cmd.Flags()
	f.StringVar(&how.to, "to", "", "version to convert to: "+targets)
	f.BoolVarP(&how.write, "write", "w", false, "rewrite the files instead of printing them, and list those that changed")
	f.BoolVar(&how.diff, "diff", false, "print how the files change instead of the files")
	f.BoolVar(&how.lossy, "lossy", false, "convert what the other version cannot say to what comes nearest")
	return cmd
}

// usage refuses what cannot be done.
func (how converting) usage(file string) error {
	targets := strings.Join(rewrite.Targets, " and ")
	switch {
	case how.to == "":
		return usageErrorf("--to is missing: give the version to convert to, such as --to %s", rewrite.Targets[len(rewrite.Targets)-1])
	case how.to == "1.0":
		return usageErrorf("nothing is converted to 1.0: it has no words for most of what later versions say, such as volumes, gpus and leased addresses; --to takes %s", targets)
	case !slices.Contains(rewrite.Targets, how.to):
		return usageErrorf("--to: there is no version %q; it takes %s", how.to, targets)
	case how.write && file == document.Stdin:
		return usageErrorf("standard input cannot be rewritten; leave --write out")
	}
	return nil
}

// converted is the result of a conversion.
type converted struct {
	To          string          `json:"to"`
	Files       []rewritten     `json:"files"`
	Diagnostics sdl.Diagnostics `json:"diagnostics"`
}

func convertDocument(cmd *cobra.Command, file string, how converting) error {
	if err := how.usage(file); err != nil {
		return err
	}
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	in, err := loadDocument(cmd, file)
	if err != nil {
		return err
	}
	out := rewrite.Convert(in, how.to, how.lossy)
	if format == formatText {
		if err := how.explain(cmd.ErrOrStderr(), file, out); err != nil {
			return err
		}
		if len(out.Files) > 1 && !how.write && !how.diff {
			return usageErrorf("%s includes other files, and several files cannot be printed as one; use --write or --diff", file)
		}
	}
	result := converted{To: how.to, Files: []rewritten{}, Diagnostics: append(sdl.Diagnostics{}, out.Found...)}
	for _, f := range out.Files {
		r, err := how.finish(f, nil)
		if err != nil {
			return err
		}
		result.Files = append(result.Files, r)
	}
	err = writeResult(cmd.OutOrStdout(), format, result, func(w io.Writer) error {
		for _, r := range result.Files {
			if err := how.show(w, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && out.Files == nil {
		err = exitSilently(exitUsage)
	}
	return err
}

// explain says what cannot be converted, or changes.
func (how converting) explain(w io.Writer, file string, out rewrite.Conversion) error {
	if err := showDiagnostics(w, file, compile.Result{Found: out.Found, Sources: out.Sources}); err != nil {
		return err
	}
	if out.Lossy {
		_, err := fmt.Fprintf(w, "nothing was converted; with --lossy, these parts would change as said\n")
		return err
	}
	return nil
}
