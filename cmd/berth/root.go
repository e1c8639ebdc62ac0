package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl/suggest"
)

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, io stdio) int {
	return runRoot(ctx, newRootCommand(), args, io)
}

func runRoot(ctx context.Context, root *cobra.Command, args []string, io stdio) int {
	root.SetArgs(args)
	root.SetIn(io.In)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	e := withNext(cmd, err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		e.code = exitInterrupted
	}
	if !e.printed {
		reportError(cmd, e)
	}
	return e.code
}

// reportError shows an error with the commands to run next: on stderr for people, and on stdout too as an object when
// the output is for programs.
func reportError(cmd *cobra.Command, e *codeError) {
	w := cmd.ErrOrStderr()
	writeError(w, style(colours(cmd, w)), e)
	f, err := outputFormat(cmd)
	if err != nil || f == formatText || f == formatSARIF {
		return
	}
	_ = writeResult(cmd.OutOrStdout(), f, failureJSON(e), nil) // a broken pipe cannot be reported anywhere
}

func writeError(w io.Writer, s style, e *codeError) {
	writeFailureDetails(w, s, e.err)
	text := strings.Split(strings.TrimSpace(e.Error()), "\n")
	fmt.Fprintf(w, "%s %s\n", s.red("Error:"), printable(text[0]))
	for _, line := range text[1:] {
		fmt.Fprintf(w, "       %s\n", printable(line))
	}
	if a := advice(e.err); a != "" {
		fmt.Fprintf(w, "       %s\n", printable(a))
	}
	if len(e.next) == 0 {
		return
	}
	fmt.Fprintln(w, "Next:")
	for _, n := range e.next {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// newRootCommand is the whole command tree.
func newRootCommand() *cobra.Command { return newRoot(connectNetwork) }

// newRoot is the command tree over a way to reach networks.
func newRoot(connect connector) *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "Run applications on the Berth marketplace",
		Long: "berth turns a document into a running application: it asks the market for bids, takes a lease,\n" +
			"sends the provider what to run, and tells you where it answers.\n\n" +
			"Exit codes: 0 ok, 1 other errors, 2 bad document or usage, 3 missing input, 4 no acceptable bid,\n" +
			"5 lease or manifest, 6 rollout, 7 hook, 8 funds, 130 interrupted (resumable). exec and shell exit with\n" +
			"the program's own code; 127 is a program that is not there, 126 one that cannot be run.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exitWith(exitUsage, err, cmd.CommandPath()+" --help")
	})
	f := root.PersistentFlags()
	f.StringP("output", "o", formatText, "output: text, json, jsonl or yaml")
	f.Bool("no-color", false, "print no colours (also $NO_COLOR)")
	f.String("home", "", "directory of configuration, keys and state (default $BERTH_HOME or ~/.berth)")
	f.String("network", "", "network of the configuration to use (also $BERTH_NETWORK)")
	f.String("node", "", "address of a node, instead of the network's (also $BERTH_NODE)")
	f.String("key", "", "name of the key that signs (also $BERTH_KEY)")
	f.String("keyring-backend", "", "where keys are kept: os, file or test (also $BERTH_KEYRING_BACKEND)")

	addGroups(root, connect)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil { // by itself it takes any shell for a request for help
		completion.Args = cobra.NoArgs
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return usageErrors(root)
}

// helpFor is how to learn more after wrong arguments: about the command, or about one below it that was probably meant.
func helpFor(cmd *cobra.Command, args []string) string {
	if len(args) > 0 {
		names := map[string]*cobra.Command{}
		for _, sub := range cmd.Commands() {
			for _, below := range sub.Commands() {
				names[below.Name()] = below
			}
		}
		for _, sub := range cmd.Commands() {
			names[sub.Name()] = sub
		}
		if meant := cmp.Or(names[args[0]], names[suggest.Nearest(args[0], slices.Sorted(maps.Keys(names)))]); meant != nil {
			cmd = meant
		}
	}
	return cmd.CommandPath() + " --help"
}

// wanted is the form of a command's arguments.
func wanted(cmd *cobra.Command) string {
	_, args, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSpace(cmd.CommandPath() + " " + args)
}

// usageErrors makes errors in the number of arguments exit with 2.
func usageErrors(cmd *cobra.Command) *cobra.Command {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if !cmd.HasSubCommands() {
					err = fmt.Errorf("%w; want: %s", err, wanted(cmd))
				}
				return exitWith(exitUsage, err, helpFor(cmd, args))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
	return cmd
}
