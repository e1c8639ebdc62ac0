package main

import (
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/provider/terms"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the provider until it is told to stop",
		Long: `Run the provider until it is told to stop (SIGTERM or SIGINT), which takes at most ten seconds.

Logs go to standard error. What runs in the cluster keeps running meanwhile: the next
start finds it, the chain's leases and this provider's open bids again.

The pricing file is read again when it changes, and at once on SIGHUP. A mistake in it
is logged, and the former prices stay in force.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, cfg, err := a.config()
			if err != nil {
				return err
			}
			d, err := daemon.New(cfg, daemon.Options{Home: home, Version: version(), Log: a.logger(cfg.Log), Input: a.in})
			var prices *terms.FileError
			if errors.As(err, &prices) {
				return &usageError{err}
			}
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				steerGC()
			}
			debug.FreeOSMemory() // unlocking the key takes a hundred times the memory that running does
			return d.Run(cmd.Context())
		},
	}
}

// logger writes to standard error as the configuration says.
func (a *app) logger(c daemon.LogConfig) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // Validate has checked it
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}
