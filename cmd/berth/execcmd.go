package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/tenant"
)

// placeArgs reads [DSEQ] [SERVICE]: a number is a deployment's.
func (s *session) placeArgs(ctx context.Context, args []string) (tenant.Place, error) {
	if len(args) > 0 {
		if _, err := strconv.ParseUint(args[0], 10, 64); err == nil || len(args) > 1 {
			dseq, err := parseDseq(args[0])
			if err != nil {
				return tenant.Place{}, err
			}
			p := tenant.Place{ID: s.id(dseq)}
			if len(args) > 1 {
				p.Service = args[1]
			}
			return p, nil
		}
	}
	dseq, err := s.OnlyActive(ctx)
	if err != nil {
		return tenant.Place{}, err
	}
	p := tenant.Place{ID: s.id(dseq)}
	if len(args) > 0 {
		p.Service = args[0]
	}
	return p, nil
}

// splitCommand parts the arguments of exec and shell at the `--`.
func splitCommand(cmd *cobra.Command, args []string) (place, command []string, err error) {
	place = args
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		place, command = args[:at], args[at:]
	}
	if len(place) > 2 {
		return nil, nil, exitWith(exitUsage, fmt.Errorf("%q: want at most DSEQ and SERVICE before --, and the program with its arguments after it", place), cmd.CommandPath()+" --help")
	}
	return place, command, nil
}

func newExecCommand(connect connector) *cobra.Command {
	var instance string
	var stdin, tty bool
	cmd := &cobra.Command{
		Use:   "exec [DSEQ] [SERVICE] -- PROGRAM [ARGUMENT...]",
		Short: "Run a program in an instance of a service",
		Long: "Run a program in an instance of a service, as it is: without a shell around it. What it writes comes here, and berth\n" +
			"exits with its exit code; 127 is a program that the image does not have, 126 one that cannot be run.\n\n" +
			"SERVICE may be left out where a deployment has one service, DSEQ where there is one active deployment.",
		Example: "  berth exec 123456 web -- ls -l /data\n  berth exec 123456 db -i -- psql < dump.sql",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			place, command, err := splitCommand(cmd, args)
			if err != nil {
				return err
			}
			if len(command) == 0 {
				return exitWith(exitUsage, errors.New("the program is missing: it comes after --"), cmd.CommandPath()+" --help")
			}
			return runProgram(cmd, connect, place, instance, command, stdin, tty)
		},
	}
	f := cmd.Flags()
	f.StringVar(&instance, "instance", "", "in this instance (default any that is ready)")
	f.BoolVarP(&stdin, "stdin", "i", false, "let the program read what berth reads")
	f.BoolVarP(&tty, "tty", "t", false, "give the program a terminal; needs --stdin and a terminal here")
	return cmd
}

// shell is what `berth shell` runs: the better of the shells that images have.
var shell = []string{"/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"}

func newShellCommand(connect connector) *cobra.Command {
	var instance string
	cmd := &cobra.Command{
		Use:   "shell [DSEQ] [SERVICE] [-- PROGRAM [ARGUMENT...]]",
		Short: "Open a shell in an instance of a service",
		Long: "Open a terminal in an instance of a service, with bash or sh, or with the program that is named. berth exits with the\n" +
			"shell's exit code. What the shell does to a file lasts as long as the instance, but in volumes.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			place, command, err := splitCommand(cmd, args)
			if err != nil {
				return err
			}
			named := len(command) > 0
			if !named {
				command = shell
			}
			err = runProgram(cmd, connect, place, instance, command, true, true)
			var e *codeError
			if !named && errors.As(err, &e) && e.printed && e.code == codeNotFound {
				return exitWith(codeNotFound, errors.New("the image has no shell"), self(cmd)+" exec DSEQ SERVICE -- PROGRAM   # a program that it has")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&instance, "instance", "", "in this instance (default any that is ready)")
	return cmd
}

// codeNotFound is the exit code of a program that is not there.
const codeNotFound = 127

// runProgram runs a program and returns its exit code as an error, unless it is 0.
func runProgram(cmd *cobra.Command, connect connector, args []string, instance string, command []string, stdin, tty bool) error {
	if tty && (!stdin || !isTerminal(cmd.InOrStdin()) || !isTerminal(cmd.OutOrStdout())) {
		return exitWith(exitUsage, errors.New("a terminal is wanted, and there is none here"), self(cmd)+" exec DSEQ SERVICE -- PROGRAM   # without a terminal")
	}
	s, err := openSession(cmd, connect)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.format != formatText {
		return usageErrorf("--output: what a program writes goes out as it is; leave out -o %s", s.format)
	}
	ctx := cmd.Context()
	p, err := s.placeArgs(ctx, args)
	if err != nil {
		return err
	}
	p.Instance = instance
	streams := cluster.Streams{Stdout: s.out, Stderr: s.err}
	if stdin {
		streams.Stdin = cmd.InOrStdin()
	}
	if tty {
		restore, sizes, err := takeTerminal(cmd.InOrStdin(), cmd.OutOrStdout())
		if err != nil {
			return fmt.Errorf("take the terminal: %w", err)
		}
		defer restore()
		streams.Sizes = sizes
	}
	code, err := s.Exec(ctx, p, command, tty, streams)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitSilently(code)
	}
	return nil
}

// takeTerminal makes a terminal pass on every key as it is, and tells its sizes. restore gives it back as it was; it must
// be called whatever happens.
func takeTerminal(in, out any) (restore func(), sizes <-chan cluster.TerminalSize, err error) {
	inFile, ok := in.(*os.File)
	outFile, ok2 := out.(*os.File)
	if !ok || !ok2 {
		return nil, nil, errors.New("not a terminal")
	}
	fd := int(inFile.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, err
	}
	told, stop := watchSize(int(outFile.Fd()))
	return func() {
		stop()
		_ = term.Restore(fd, before) // there is nobody left to tell
	}, told, nil
}

// sizeOf is the size of a terminal; ok is false for none.
func sizeOf(fd int) (size cluster.TerminalSize, ok bool) {
	w, h, err := term.GetSize(fd)
	if err != nil || w <= 0 || h <= 0 || w > 65535 || h > 65535 {
		return size, false
	}
	return cluster.TerminalSize{Width: uint16(w), Height: uint16(h)}, true
}

// newestSize keeps the newest of sizes for a reader that may be slow.
func newestSize(to chan cluster.TerminalSize, size cluster.TerminalSize) {
	for {
		select {
		case to <- size:
			return
		default:
		}
		select {
		case <-to:
		default:
		}
	}
}

func newRestartCommand(connect connector) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "restart [DSEQ] [SERVICE]",
		Short: "Replace the instances of a service by new ones of the same manifest",
		Long: "Replace the instances of a service by new ones of the same manifest, as an update would: one after the other, so that\n" +
			"it goes on answering, or in place where instances have volumes. Nothing on chain changes. It waits until the new\n" +
			"instances are ready.",
		Args: cobra.MaximumNArgs(2),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			p, err := s.placeArgs(ctx, args)
			if err != nil {
				return err
			}
			r, err := s.Restart(ctx, p, !noWait)
			if err != nil {
				return err
			}
			return s.print(r, func(w io.Writer) error {
				text := "is being restarted."
				if r.Ready {
					text = "was restarted and is ready."
				}
				_, err := fmt.Fprintf(w, "Service %s of deployment %d %s\n", printable(r.Service), r.Dseq, text)
				return err
			})
		}),
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the provider has taken it")
	return cmd
}
