package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newStatusCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "status [DSEQ]",
		Short: "Show a deployment: leases, services, addresses, cost, runway",
		Long: "Show one deployment on one screen. DSEQ may be left out while there is exactly one active deployment. What a\n" +
			"provider that does not answer runs is shown as unknown.",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			st, err := s.Status(ctx, s.id(dseq))
			if err != nil {
				return err
			}
			return s.print(st, func(w io.Writer) error {
				_, err := io.WriteString(w, s.statusText(st)+s.unfinishedText(st))
				return err
			})
		}),
	}
}

// unfinishedText reminds of a deployment that this machine could continue.
func (s *session) unfinishedText(st *tenant.Status) string {
	if st.State != "active" || st.Step == "" || st.Step.Final() {
		return ""
	}
	return fmt.Sprintf("\nIts deployment stopped at step %q. Continue it with:\n  %s deploy --resume %d\n", st.Step, s.self, st.Dseq)
}

// statusText is a deployment on one screen.
func (s *session) statusText(st *tenant.Status) string {
	var b strings.Builder
	paint := style(colours(s.cmd, s.out))
	fmt.Fprintf(&b, "Deployment %s on %s: %s\n", paint.bold(fmt.Sprint(st.Dseq)), st.Network, stateText(paint, st))
	if st.State == "closed" {
		fmt.Fprintf(&b, "  closed in block %d; %s went to providers, %s came back\n", st.ClosedAt, tenant.FormatCoin(st.Escrow.Paid), tenant.FormatCoin(st.Escrow.Refunded))
		return b.String()
	}
	for _, u := range st.URLs {
		fmt.Fprintf(&b, "  %s\n", paint.bold(printable(u)))
	}
	b.WriteString("\n")
	for _, g := range st.Groups {
		b.WriteString(groupText(paint, g))
	}
	fmt.Fprintf(&b, "Costs         %s\n", costText(st.PricePerBlock, st.PricePerMonth))
	fmt.Fprintf(&b, "Escrow        %s of %s left\n", wholeUnits(st.Escrow.Spendable), tenant.FormatCoin(st.Escrow.Deposited))
	if st.Escrow.State == "suspended" {
		fmt.Fprintf(&b, "              %s: the deposit is used up and no instance runs; persistent volumes are kept\n", paint.red("suspended"))
		fmt.Fprintf(&b, "              a deposit resumes everything as it was; without one, the leases end %s\n", endText(st.SuspendedUntil, s.Clock.Now()))
	}
	fmt.Fprintf(&b, "Funded until  %s\n", momentText(st.FundedUntil, s.Clock.Now()))
	return b.String()
}

func stateText(paint style, st *tenant.Status) string {
	switch {
	case st.State != "active":
		return st.State
	case st.Ready:
		return paint.green("ready")
	default:
		return paint.amber("not ready")
	}
}

func groupText(paint style, g tenant.GroupStatus) string {
	var b strings.Builder
	if g.Lease == nil && g.State == "paused" {
		fmt.Fprintf(&b, "Group %s: %s, costs nothing\n", printable(g.Name), paint.amber("paused"))
		writeEnded(&b, g.Ended)
		return b.String() + "\n"
	}
	if g.Lease == nil {
		fmt.Fprintf(&b, "Group %s: %s\n", printable(g.Name), paint.amber(fmt.Sprintf("no lease, %s", counted(g.OpenBids, "open bid"))))
		writeEnded(&b, g.Ended)
		return b.String() + "\n"
	}
	l := g.Lease
	fmt.Fprintf(&b, "Group %s: lease %s\n", printable(g.Name), l.ID)
	where := strings.TrimPrefix(l.Host, "https://")
	if l.Region != "" {
		where += ", " + l.Region
	}
	fmt.Fprintf(&b, "  provider %s (%s), %s\n", l.Provider, printable(where), costText(l.PricePerBlock, l.PricePerMonth))
	if l.State != "active" {
		fmt.Fprintf(&b, "  the lease is %s\n", paint.red(l.State))
	}
	if l.Reclaim != nil {
		fmt.Fprintf(&b, "  %s from %s on (%s); another provider can take over with `berth watch --failover`\n", paint.red("the provider takes the lease back"), l.Reclaim.From.Format(time.RFC3339), orDash(l.Reclaim.Reason))
	}
	writeServices(&b, paint, l)
	writeEnded(&b, g.Ended)
	return b.String() + "\n"
}

func writeServices(b *strings.Builder, paint style, l *tenant.LeaseStatus) {
	if l.Unknown != "" {
		fmt.Fprintf(b, "  %s %s\n", paint.amber("services unknown:"), printable(l.Unknown))
		return
	}
	if len(l.Services) == 0 {
		b.WriteString("  the provider has no manifest yet\n")
		return
	}
	if !l.Current {
		fmt.Fprintf(b, "  %s\n", paint.amber("the provider still runs an earlier manifest"))
	}
	if l.Refused != "" {
		fmt.Fprintf(b, "  %s %s\n", paint.red("the manifest sent last was refused:"), printable(l.Refused))
	}
	t := newTable("SERVICE", "READY", "CPU", "MEMORY", "ADDRESS", "").alignRight(2, 3)
	measured := false
	for _, svc := range l.Services {
		message := svc.Message
		if svc.Complete() {
			message = ""
		}
		if svc.Failed {
			message = "failed: " + message
		}
		cpu, memory, known := usageText(svc)
		measured = measured || known
		ready := fmt.Sprintf("%d/%d", svc.Ready, svc.Desired)
		if svc.Task != nil {
			ready, message = "task", taskText(svc.Task)
		}
		t.add(svc.Name, ready, cpu, memory, addresses(svc), message)
	}
	if !measured { // the cluster does not tell
		t.drop(3)
		t.drop(2)
	}
	b.WriteString(t.render("  "))
	writeHooks(b, paint, l)
	writeVolumes(b, l)
	for _, svc := range l.Services {
		if len(svc.Log) > 0 && !svc.Complete() {
			fmt.Fprintf(b, "  last lines of %s:\n", printable(svc.Name))
			for _, line := range svc.Log {
				fmt.Fprintf(b, "    %s\n", printable(line))
			}
		}
	}
}

// endText is when something ends, as far as it is known.
func endText(m *tenant.Moment, now time.Time) string {
	if m == nil {
		return "soon"
	}
	return "at " + momentText(m, now)
}

func addresses(svc tenant.ServiceStatus) string {
	parts := append([]string{}, svc.URLs...)
	for _, p := range svc.Ports {
		parts = append(parts, fmt.Sprintf("%s:%d (%s %d)", p.Host, p.External, p.Proto, p.Port))
	}
	return orDash(strings.Join(parts, " "))
}

func writeEnded(b *strings.Builder, ended []tenant.EndedLease) {
	for _, e := range ended {
		fmt.Fprintf(b, "  earlier lease with %s ended in block %d (%s)\n", shortAddress(e.Provider), e.ClosedAt, orDash(e.Reason))
	}
}
