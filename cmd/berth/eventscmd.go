package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newEventsCommand(connect connector) *cobra.Command {
	var r tenant.EventRequest
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "events [DSEQ]",
		Short: "Show what happened to a deployment's instances",
		Long: "Show what happened to a deployment's instances at their providers: images that were pulled, instances that were\n" +
			"started, ended or found no room, hooks, restarts. Providers remember about an hour.",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			r.ID = s.id(dseq)
			if since > 0 {
				r.Since = s.Clock.Now().Add(-since)
			}
			return s.events(ctx, r)
		}),
	}
	f := cmd.Flags()
	f.BoolVarP(&r.Follow, "follow", "f", false, "go on with what happens, as it does")
	f.StringVar(&r.Service, "service", "", "only of this service")
	f.DurationVar(&since, "since", 0, "only of this last time, such as 10m (default all)")
	return cmd
}

// events prints what happened: with -o json or jsonl one object a line, with yaml one document each, as it comes.
func (s *session) events(ctx context.Context, r tenant.EventRequest) error {
	paint := style(colours(s.cmd, s.out))
	any := false
	err := s.Happenings(ctx, r, func(h tenant.Happening) error {
		any = true
		if s.format != formatText {
			return writeItem(s.out, s.format, h)
		}
		_, err := fmt.Fprintln(s.out, happeningText(paint, h))
		return err
	})
	if r.Follow && errors.Is(err, context.Canceled) {
		return exitSilently(exitInterrupted) // how one leaves events -f
	}
	if err == nil && !any && s.format == formatText {
		_, err = io.WriteString(s.err, "Nothing is known to have happened.\n")
	}
	return err
}

// happeningText is one event for people.
func happeningText(paint style, h tenant.Happening) string {
	where := h.Instance
	if where == "" {
		where = h.Service
	}
	if where == "" {
		where = "lease " + h.Lease
	}
	kind := printable(h.Kind)
	if h.Warning {
		kind = paint.amber(kind)
	}
	text := fmt.Sprintf("%s %s %s %s", paint.dim(h.Time.UTC().Format(time.RFC3339)), paint.bold(printable(where)), kind, printable(h.Message))
	if h.Count > 1 {
		text += fmt.Sprintf(" (%d times)", h.Count)
	}
	return text
}
