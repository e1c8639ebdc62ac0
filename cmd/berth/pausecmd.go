package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newPauseCommand(connect connector) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "pause [DSEQ]",
		Short: "End what runs and what it costs, and keep the deployment",
		Long: "Pause a deployment: its leases end, and what they run is removed with all its data. The deployment stays with its\n" +
			"deposit, and costs nothing until it is started again. On a terminal it asks first; without DSEQ it pauses the only\n" +
			"active deployment, and off a terminal it then needs -y.",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			named := len(args) > 0 && !s.interactive()
			if err := s.confirm(ctx, yes || named, fmt.Sprintf("Pause deployment %d and remove everything it runs, with its volumes?", dseq)); err != nil {
				return err
			}
			c, err := s.Pause(ctx, dseq)
			if err != nil {
				return err
			}
			return s.print(c, func(w io.Writer) error {
				text := fmt.Sprintf("Deployment %d is paused (block %d): nothing of it runs, and it costs nothing.", dseq, c.Height)
				if len(c.Groups) == 0 {
					text = fmt.Sprintf("Deployment %d had been paused before.", dseq)
				}
				_, err := fmt.Fprintf(w, "%s\n\nNext:\n  %s start %d   # take new bids and run it again\n  %s close %d   # get back what is left of the deposit\n", text, s.self, dseq, s.self, dseq)
				return err
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

func newStartCommand(connect connector) *cobra.Command {
	var choice string
	var bidWait, readyWait time.Duration
	cmd := &cobra.Command{
		Use:   "start [DSEQ]",
		Short: "Run a paused deployment again",
		Long: "Start a paused deployment: ask for bids on its groups, take one for each, send the manifests, and wait until all\n" +
			"services are ready. It needs this machine's state of the deployment. Interrupted, it goes on when it is called again.",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			if bidWait <= 0 || readyWait <= 0 {
				return usageErrorf("--bid-wait and --ready-wait are times to wait")
			}
			s.Timing.BidWait, s.Timing.ReadyWait = bidWait, readyWait
			if err := s.selectBy(choice); err != nil {
				return err
			}
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			if _, err := s.Start(ctx, dseq); err != nil {
				return err
			}
			return s.resume(ctx, deployFlags{resume: dseq})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&choice, "select", tenant.SelectLowest, selectHelp)
	f.DurationVar(&bidWait, "bid-wait", tenant.DefaultTiming().BidWait, "how long to wait for bids")
	f.DurationVar(&readyWait, "ready-wait", tenant.DefaultTiming().ReadyWait, "how long services may take to become ready")
	return cmd
}
