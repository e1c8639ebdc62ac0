package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	sdkversion "github.com/cosmos/cosmos-sdk/version"

	"berth.dev/berth/provider/daemon"
)

// The exit codes.
const (
	exitError = 1 // something failed
	exitUsage = 2 // a bad command line or configuration
)

// stdio is where a command reads and writes: results on out, everything else on err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// app is what all commands share.
type app struct {
	stdio
	home   string
	output string
}

// execute runs one command and returns the exit code.
func execute(ctx context.Context, args []string, s stdio) int {
	a := &app{stdio: s}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(s.err, "Error:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "berth-provider",
		Short:         "Sell a cluster's capacity on the Berth market",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "text" && a.output != "json" {
				return &usageError{fmt.Errorf("--output %q is not text or json", a.output)}
			}
			return nil
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVar(&a.home, "home", defaultHome(), "directory of configuration, keys and state ($BERTH_PROVIDER_HOME)")
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "text or json")
	root.AddCommand(a.initCommand(), a.runCommand(), a.statusCommand(), a.leasesCommand(), a.withdrawCommand(), a.grantsCommand(),
		a.recordCommand(), a.simulateCommand(), a.doctorCommand(), a.roleCommand(), a.homeCommand(), a.netprobeCommand(), a.versionCommand())
	return root
}

func defaultHome() string {
	if h := os.Getenv("BERTH_PROVIDER_HOME"); h != "" {
		return h
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return ".berth-provider"
	}
	return filepath.Join(dir, ".berth-provider")
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// config reads the home's configuration.
func (a *app) config() (daemon.Home, daemon.Config, error) {
	home := daemon.Home(a.home)
	cfg, err := daemon.LoadConfig(home.ConfigFile())
	if errors.Is(err, os.ErrNotExist) {
		return home, cfg, &usageError{fmt.Errorf("there is no provider in %s; make one with `berth-provider init --home %s`", a.home, a.home)}
	}
	if err != nil {
		return home, cfg, &usageError{err}
	}
	return home, cfg, nil
}

// page is text for people in columns, which tabs part.
type page struct{ w *tabwriter.Writer }

// linef adds a line. What can't be written shows when the page is flushed.
func (p *page) linef(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}

// print writes a result: as JSON, or as text gives it.
func (a *app) print(v any, text func(*page)) error {
	if a.output == "json" {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	p := &page{tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)}
	text(p)
	return p.w.Flush()
}

func version() string {
	if v := sdkversion.Version; v != "" {
		return v
	}
	return "dev"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, func(p *page) {
				p.linef("berth-provider %s (%s, %s)", v["version"], v["go"], v["platform"])
			})
		},
	}
}
