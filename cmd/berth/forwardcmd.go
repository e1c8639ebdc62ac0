package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newPortForwardCommand(connect connector) *cobra.Command {
	var instance, address string
	cmd := &cobra.Command{
		Use:   "port-forward [DSEQ] SERVICE LOCAL:REMOTE...",
		Short: "Lead ports of this machine to ports of a service's instance",
		Long: "Listen on ports of this machine and lead each connection to a port of an instance, also one that the document does\n" +
			"not expose, until interrupted. :REMOTE takes any local port that is free, and PORT the same of both. Each connection\n" +
			"is made anew, so instances may be replaced meanwhile.",
		Example: "  berth port-forward 123456 db 5432:5432\n  berth port-forward 123456 web 8080:80 :9090",
		Args:    cobra.MinimumNArgs(2),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			place, pairs, err := forwardArgs(args)
			if err != nil {
				return err
			}
			p, err := s.placeArgs(ctx, place)
			if err != nil {
				return err
			}
			p.Instance = instance
			err = s.PortForward(ctx, p, address, pairs, func(all []tenant.Forwarding) error {
				return s.print(all, func(w io.Writer) error {
					for _, f := range all {
						if _, err := fmt.Fprintf(w, "Forwarding %s to port %d of %s\n", f.Local, f.Remote, printable(f.Service)); err != nil {
							return err
						}
					}
					return nil
				})
			})
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return exitSilently(exitInterrupted) // how one leaves it
			}
			return err
		}),
	}
	f := cmd.Flags()
	f.StringVar(&instance, "instance", "", "to this instance (default any that is ready)")
	f.StringVar(&address, "address", "127.0.0.1", "address to listen on; anyone who reaches it reaches the instance")
	return cmd
}

// forwardArgs parts [DSEQ] SERVICE from the ports. The first argument that is not alone a number or a name is a port's; a
// number that comes first is a deployment's, as a service is named between it and the ports.
func forwardArgs(args []string) (place []string, pairs []tenant.PortPair, err error) {
	n := 1
	if isNumber(args[0]) {
		n = 2
	}
	if len(args) <= n {
		return nil, nil, usageErrorf("want a service and at least one LOCAL:REMOTE, got %q", strings.Join(args, " "))
	}
	for _, a := range args[n:] {
		pair, err := tenant.ParsePortPair(a)
		if err != nil {
			return nil, nil, exitWith(exitUsage, err)
		}
		pairs = append(pairs, pair)
	}
	return args[:n], pairs, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
