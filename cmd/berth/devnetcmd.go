package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/devnet"
	"berth.dev/berth/tenant/home"
)

// newDevnetCommand runs a whole Berth on this machine.
func newDevnetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run a whole Berth on this machine: chain, cluster, two providers",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var c devnet.Config
	f := cmd.PersistentFlags()
	f.StringVar(&c.State, "state", "", "state directory (default $BERTH_DEVNET, /var/lib/berth/devnet for root, else ~/.local/state/berth/devnet)")
	f.StringVar(&c.Programs, "programs", "", "directory of berthd, berth-provider and localkube (default: beside this program, then $PATH)")
	cmd.PersistentPreRun = func(*cobra.Command, []string) { c.State = home.Host().DevnetDir(c.State) }

	up := &cobra.Command{Use: "up", Short: "Start the devnet; on a running one change nothing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return devnetUp(cmd, c) }}
	reset := &cobra.Command{Use: "reset", Short: "Remove the devnet and start a new one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := devnetDown(cmd, c); err != nil && !errors.Is(err, devnet.ErrNone) {
				return err
			}
			return devnetUp(cmd, c)
		}}
	for _, start := range []*cobra.Command{up, reset} {
		start.Flags().StringVar(&c.Cluster, "cluster", devnet.ClusterLocalkube, "what runs workloads: localkube or simulated")
		start.Flags().StringVar(&c.Kubeconfig, "kubeconfig", "", "use the cluster of this kubeconfig instead of localkube")
		start.Flags().StringVar(&c.HTTP, "http", "", "HOST:PORT of that cluster's http entry, to which the devnet's URLs lead")
		start.Flags().IntVar(&c.Validators, "validators", 1, "number of nodes that make blocks")
		start.Flags().IntVar(&c.PortsBase, "ports-base", 0, "first of the ports to use, instead of the usual ones")
	}
	cmd.AddCommand(up, reset,
		&cobra.Command{Use: "down", Short: "Stop the devnet and remove everything that it made", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return devnetDown(cmd, c) }},
		&cobra.Command{Use: "status", Short: "Show what runs", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return devnetStatus(cmd, c) }},
		&cobra.Command{Use: "supervise", Hidden: true, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return devnet.Supervise(cmd.Context(), c.State) }},
	)
	return cmd
}

// steps prints each step with the time since the start.
func steps(w io.Writer) devnet.Progress {
	start := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(w, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
}

func devnetUp(cmd *cobra.Command, c devnet.Config) error {
	if c.Kubeconfig != "" {
		c.Cluster = devnet.ClusterKubeconfig
	}
	say := steps(cmd.ErrOrStderr())
	info, already, err := devnet.Up(cmd.Context(), c, say, cmd.ErrOrStderr())
	if err != nil {
		return exitWith(exitError, err, "berth devnet down")
	}
	if already {
		say("the devnet in %s runs already; nothing was changed", info.State)
	}
	return printResult(cmd, info, func(w io.Writer) error {
		fmt.Fprintf(w, "\nThe devnet is up. Try:\n\n")
		fmt.Fprintf(w, "  berth deploy examples/hello/deploy.yaml   deploy an application\n")
		fmt.Fprintf(w, "  berth status                              what runs, where, and for how long it is funded\n")
		fmt.Fprintf(w, "  berth devnet status                       what the devnet runs, and its logs\n")
		fmt.Fprintf(w, "  berth devnet down                         stop everything and remove it\n")
		return nil
	})
}

func devnetDown(cmd *cobra.Command, c devnet.Config) error {
	// Half a removal helps nobody: an interrupt is heeded only between the steps of the caller.
	ctx := context.WithoutCancel(cmd.Context())
	return devnet.Down(ctx, c, steps(cmd.ErrOrStderr()), cmd.ErrOrStderr())
}

func devnetStatus(cmd *cobra.Command, c devnet.Config) error {
	s, err := devnet.Look(cmd.Context(), c.State)
	if err != nil {
		return exitWith(exitError, err, "berth devnet up")
	}
	return printResult(cmd, s, func(w io.Writer) error {
		running := "stopped (start it with: berth devnet up)"
		if s.Running {
			running = fmt.Sprintf("running, block %d", s.Height)
		}
		fmt.Fprintf(w, "devnet in %s: %s\n\n", s.State, running)
		t := tabwriter.NewWriter(w, 0, 2, 2, ' ', 0)
		fmt.Fprintln(t, "PROCESS\tPID\tLOG")
		for _, p := range s.Processes {
			pid := "-"
			if p.Pid != 0 {
				pid = fmt.Sprint(p.Pid)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, pid, p.Log)
		}
		return t.Flush()
	})
}
