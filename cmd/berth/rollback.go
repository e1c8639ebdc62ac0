package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newRollbackCommand(connect connector) *cobra.Command {
	var revision int
	var list, yes bool
	var readyWait time.Duration
	cmd := &cobra.Command{
		Use:   "rollback [DSEQ]",
		Short: "Return to an earlier manifest of a running deployment",
		Long: "Send the providers a manifest that the deployment had before, with its environment of then, and wait until it is rolled\n" +
			"out: by default the latest with which all services ran. This machine keeps the last ten manifests that its updates\n" +
			"replaced. The present one is kept as well, so that a rollback can be taken back.",
		Example: "  berth rollback\n  berth rollback 123456 --list\n  berth rollback 123456 --to 2",
		Args:    cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			switch {
			case readyWait <= 0:
				return usageErrorf("--ready-wait: %s is not a time to wait", readyWait)
			case revision < 0:
				return usageErrorf("--to: %d is not the number of a revision", revision)
			}
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			if list {
				return s.revisions(dseq)
			}
			s.Timing.ReadyWait = readyWait
			return s.rollBack(ctx, dseq, revision, yes)
		}),
	}
	f := cmd.Flags()
	f.IntVar(&revision, "to", 0, "which revision, counted back from the present one (default: the latest that was ready)")
	f.BoolVar(&list, "list", false, "only list the revisions that are kept")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	f.DurationVar(&readyWait, "ready-wait", tenant.DefaultTiming().ReadyWait, "how long services may take to become ready")
	return cmd
}

func (s *session) revisions(dseq uint64) error {
	list, err := s.Revisions(dseq)
	if err != nil {
		return err
	}
	return s.print(list, func(w io.Writer) error {
		if len(list) == 0 {
			_, err := fmt.Fprintf(w, "This machine has kept no earlier manifest of deployment %d.\n", dseq)
			return err
		}
		t := newTable("REVISION", "REPLACED", "READY", "MANIFEST", "DOCUMENT").alignRight(0)
		for _, r := range list {
			t.add(fmt.Sprint(r.Revision), roughly(s.Clock.Now().Sub(r.Until))+" ago", yesNo(r.Ready), r.ManifestHash[:12], orDash(r.Document))
		}
		_, err := io.WriteString(w, t.String())
		return err
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (s *session) rollBack(ctx context.Context, dseq uint64, revision int, yes bool) error {
	r, err := s.PrepareRollback(ctx, dseq, revision)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "Rollback of deployment %d to revision %d (%s, replaced %s ago); fee %s\n",
		dseq, r.Revision, orDash(printable(r.Document)), roughly(s.Clock.Now().Sub(r.Until)), coinsText(r.Fee))
	if err := s.confirm(ctx, yes || !s.interactive(), "Roll back?"); err != nil {
		return err
	}
	st, err := s.RollBack(ctx, r)
	if err != nil {
		return err
	}
	return s.deployed(ctx, st)
}
