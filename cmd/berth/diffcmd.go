package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/tenant"
)

func newDiffCommand(connect connector) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff [DSEQ] FILE",
		Short: "Show what a changed document would change in a running deployment",
		Long: "Compare a document with what a deployment runs, value by value, and say what it would take: an update, which keeps\n" +
			"the leases, or a new deployment, as what the chain has reserved cannot change. It sends nothing. Values of environment\n" +
			"variables are compared but not shown; those of an application are the ones that are stored for it.",
		Example: "  berth diff deploy.yaml\n  berth diff 123456 deploy.yaml -o json",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := args[len(args)-1]
			in, err := loadDocument(cmd, file)
			if err != nil {
				return err
			}
			known, err := updated(cmd, in, args[:len(args)-1])
			if err != nil {
				return err
			}
			plan, err := comparison(cmd, in, known)
			if err != nil {
				return err
			}
			return withSession(connect, func(ctx context.Context, s *session, _ []string) error {
				dseq := known
				if dseq == 0 {
					if dseq, err = s.OnlyActive(ctx); err != nil {
						return err
					}
				}
				d, err := s.Diff(ctx, dseq, plan)
				if err != nil {
					return err
				}
				return s.print(d, func(w io.Writer) error {
					_, err := io.WriteString(w, s.diffText(d, file))
					return err
				})
			})(cmd, args[:len(args)-1])
		},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	cmd.Flags().String(flagApp, "", "applications: name of the application, where a directory has several")
	return cmd
}

// diffText shows a difference, a value on a line.
func (s *session) diffText(d *tenant.Difference, file string) string {
	paint := style(colours(s.cmd, s.out))
	var b strings.Builder
	for _, r := range d.Reserved {
		fmt.Fprintf(&b, "%s %s\n", paint.amber("!"), printable(r))
	}
	for _, g := range d.Groups {
		fmt.Fprintf(&b, "%s\n", paint.bold("Group "+printable(g.Group)))
		if g.Unknown != "" {
			fmt.Fprintf(&b, "  %s %s\n", paint.amber("?"), printable(g.Unknown))
		}
		for _, c := range g.Changes {
			b.WriteString("  " + changeText(paint, c) + "\n")
		}
	}
	switch d.Needs {
	case tenant.NeedsNothing:
		fmt.Fprintf(&b, "Deployment %d runs this document already.\n", d.Dseq)
	case tenant.NeedsUpdate:
		fmt.Fprintf(&b, "\nThe leases stay. Put it into effect with:\n  %s update %d %s\n", s.self, d.Dseq, quoted(file))
	case tenant.NeedsOrders:
		fmt.Fprintf(&b, "\nThis changes what the chain has reserved: it needs new orders. Deploy it, then close the old one:\n  %s deploy %s\n  %s close %d\n",
			s.self, quoted(file), s.self, d.Dseq)
	}
	return b.String()
}

func changeText(paint style, c tenant.Change) string {
	switch {
	case c.From == nil && c.To == nil:
		return paint.amber("~") + " " + printable(c.Path)
	case c.From == nil:
		return paint.green("+") + " " + printable(c.Path+": "+*c.To)
	case c.To == nil:
		return paint.red("-") + " " + printable(c.Path+": "+*c.From)
	default:
		return paint.amber("~") + " " + printable(fmt.Sprintf("%s: %s -> %s", c.Path, *c.From, *c.To))
	}
}
