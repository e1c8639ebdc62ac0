package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newScaleCommand(connect connector) *cobra.Command {
	var yes bool
	var readyWait time.Duration
	cmd := &cobra.Command{
		Use:   "scale [DSEQ] SERVICE=N...",
		Short: "Change the least number of instances of services that follow their load",
		Long: "Change how many instances services have at least, within what the deployment has reserved on chain: services whose\n" +
			"document lets their number follow the load. The number that is reserved, and paid for, stays. The next update by a\n" +
			"document sets the document's own number again.",
		Example: "  berth scale 123456 web=3\n  berth scale web=3 worker=2",
		Args:    cobra.MinimumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			if readyWait <= 0 {
				return usageErrorf("--ready-wait: %s is not a time to wait", readyWait)
			}
			s.Timing.ReadyWait = readyWait
			named := 0
			if !strings.Contains(args[0], "=") {
				named = 1
			}
			least, err := parseCounts(args[named:])
			if err != nil {
				return err
			}
			dseq, err := s.dseq(ctx, args[:named])
			if err != nil {
				return err
			}
			u, err := s.PrepareScale(ctx, dseq, least)
			if err != nil {
				return err
			}
			if len(u.Changed) == 0 {
				fmt.Fprintf(s.err, "Deployment %d is scaled so already; making sure that it runs.\n", dseq)
			} else {
				fmt.Fprintf(s.err, "Scaling deployment %d: changes %s; fee %s\n", dseq, printable(strings.Join(u.Changed, ", ")), coinsText(u.Fee))
				if err := s.confirm(ctx, yes || !s.interactive(), "Scale?"); err != nil {
					return err
				}
			}
			st, err := s.Update(ctx, u)
			if err != nil {
				return err
			}
			return s.deployed(ctx, st)
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().DurationVar(&readyWait, "ready-wait", tenant.DefaultTiming().ReadyWait, "how long services may take to become ready")
	return cmd
}

// parseCounts reads SERVICE=N, each service once.
func parseCounts(args []string) (map[string]uint32, error) {
	out := map[string]uint32{}
	for _, arg := range args {
		name, number, ok := strings.Cut(arg, "=")
		n, err := strconv.ParseUint(number, 10, 32)
		_, twice := out[name]
		switch {
		case !ok || name == "" || err != nil:
			return nil, usageErrorf("%q is not SERVICE=N", arg)
		case twice:
			return nil, usageErrorf("%s is given twice", name)
		}
		out[name] = uint32(n)
	}
	if len(out) == 0 {
		return nil, usageErrorf("name what to scale as SERVICE=N")
	}
	return out, nil
}
