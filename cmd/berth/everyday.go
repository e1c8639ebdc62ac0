package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/tenant"
)

func newLogsCommand(connect connector) *cobra.Command {
	var o tenant.LogOptions
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "logs [DSEQ]",
		Short: "Print the log lines of a deployment's services",
		Args:  cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			if since > 0 {
				o.Since = s.Clock.Now().Add(-since)
			}
			if o.Previous && o.Follow {
				return usageErrorf("--previous: what was written before does not go on; leave out --follow")
			}
			return s.logs(ctx, tenant.LogRequest{ID: s.id(dseq), LogOptions: o})
		}),
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on with new lines as they come")
	f.StringVar(&o.Service, "service", "", "only of this service")
	f.Uint32Var(&o.Tail, "tail", 0, "only so many last lines of each instance (default all)")
	f.BoolVarP(&o.Previous, "previous", "p", false, "what instances wrote before they were started last, as after a crash")
	f.DurationVar(&since, "since", 0, "only lines of this last time, such as 10m (default all)")
	return cmd
}

// logs prints log lines: with -o json or jsonl one object a line, as they come.
func (s *session) logs(ctx context.Context, r tenant.LogRequest) error {
	paint := style(colours(s.cmd, s.out))
	err := s.Logs(ctx, r, func(l tenant.LogLine) error {
		if s.format != formatText {
			return writeItem(s.out, s.format, l)
		}
		_, err := fmt.Fprintln(s.out, logText(paint, l, true))
		return err
	})
	if r.Follow && errors.Is(err, context.Canceled) {
		return exitSilently(exitInterrupted) // how one leaves logs -f
	}
	return err
}

// logText is a log line with where it comes from.
func logText(paint style, l tenant.LogLine, source bool) string {
	line := logPrintable(l.Line)
	if !source {
		return line
	}
	return paint.dim(printable(l.Instance)+" |") + " " + line
}

// logPrintable keeps tabs, and otherwise only what cannot steer a terminal.
func logPrintable(s string) string {
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = printable(parts[i])
	}
	return strings.Join(parts, "\t")
}

func newUpdateCommand(connect connector) *cobra.Command {
	var yes bool
	var readyWait time.Duration
	cmd := &cobra.Command{
		Use:   "update [DSEQ] FILE",
		Short: "Roll out a changed document in a running deployment",
		Long: "Send a changed document to the providers of a running deployment and wait until it is rolled out: other images,\n" +
			"arguments, environment, ports' hosts and clients. What the chain has reserved (services' resources, counts,\n" +
			"prices, placement) cannot change; deploy such a document anew.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return update(cmd, connect, args, yes, readyWait)
		},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	addDeployFlags(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().DurationVar(&readyWait, "ready-wait", tenant.DefaultTiming().ReadyWait, "how long services may take to become ready")
	return cmd
}

func update(cmd *cobra.Command, connect connector, args []string, yes bool, readyWait time.Duration) error {
	if readyWait <= 0 {
		return usageErrorf("--ready-wait: %s is not a time to wait", readyWait)
	}
	file := args[len(args)-1]
	in, err := loadDocument(cmd, file)
	if err != nil {
		return err
	}
	dseq, err := updated(cmd, in, args[:len(args)-1])
	if err != nil {
		return err
	}
	// Before anything is asked of the network, if it is known whose variables count.
	var doc *ready
	if dseq != 0 || compile.Detect(in) == compile.FormatSDL {
		if doc, err = readyInput(cmd, in, dseq); err != nil {
			return err
		}
	}
	s, err := openSession(cmd, connect)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Timing.ReadyWait = readyWait
	ctx := cmd.Context()
	if dseq == 0 {
		if dseq, err = s.OnlyActive(ctx); err != nil {
			return err
		}
	}
	if doc == nil {
		if doc, err = readyInput(cmd, in, dseq); err != nil {
			return err
		}
	}
	return s.updateTo(ctx, dseq, doc, file, yes)
}

// updated is the deployment that an update is for, as far as it is known without the network: the one that is named, or
// the one that the document's application has; else 0.
func updated(cmd *cobra.Command, in compile.Input, named []string) (uint64, error) {
	switch {
	case len(named) > 0:
		return parseDseq(named[0])
	case compile.Detect(in) == compile.FormatSDL:
		return 0, nil
	}
	_, env, err := storedValues(cmd, in.File, 0)
	if err != nil {
		return 0, err
	}
	return env.Head.Dseq, nil
}

// updateTo rolls out a document in a running deployment.
func (s *session) updateTo(ctx context.Context, dseq uint64, doc *ready, file string, yes bool) error {
	u, err := s.PrepareUpdate(ctx, dseq, doc.Plan, file)
	if err != nil {
		return err
	}
	if len(u.Changed) == 0 {
		fmt.Fprintf(s.err, "Deployment %d has this document already; making sure that it runs.\n", dseq)
	} else {
		fmt.Fprintf(s.err, "Update of deployment %d: changes %s; fee %s\n", dseq, printable(strings.Join(u.Changed, ", ")), coinsText(u.Fee))
		// Nobody is asked without a terminal: the command names the deployment and the document, and costs a fee only.
		if err := s.confirm(ctx, yes || !s.interactive(), "Update?"); err != nil {
			return err
		}
	}
	if err := doc.save(dseq); err != nil {
		return err
	}
	s.extras = doc.Plan.Extras
	st, err := s.Update(ctx, u)
	if err != nil {
		s.notify(ctx, s.extras, err)
		return err
	}
	return s.deployed(ctx, st)
}

func newTopUpCommand(connect connector) *cobra.Command {
	var granters []string
	cmd := &cobra.Command{
		Use:   "topup [DSEQ] AMOUNT",
		Short: "Deposit more for a deployment",
		Long: "Deposit more for a deployment, which resumes leases that are suspended. With --grant the deposit is drawn from what\n" +
			"other accounts have granted (berthd tx escrow grant), and what that does not cover from the key's own account.",
		Example: "  berth topup 123456 5BRT\n  berth topup 500000ubrt",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := tenant.ParseCoin(args[len(args)-1])
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if err := checkGranters(granters); err != nil {
				return err
			}
			return withSession(connect, func(ctx context.Context, s *session, args []string) error {
				dseq, err := s.dseq(ctx, args)
				if err != nil {
					return err
				}
				t, err := s.TopUp(ctx, dseq, amount, granters...)
				if err != nil {
					return err
				}
				return s.print(t, func(w io.Writer) error {
					fmt.Fprintf(w, "Deposited %s for deployment %d (block %d).\n", tenant.FormatCoin(t.Amount), t.Dseq, t.Height)
					if t.Resumed {
						fmt.Fprintln(w, "Its leases, which were suspended, go on.")
					}
					_, err := fmt.Fprintf(w, "Escrow        %s left\nFunded until  %s\n", wholeUnits(t.Escrow.Spendable), momentText(t.FundedUntil, s.Clock.Now()))
					return err
				})
			})(cmd, args[:len(args)-1])
		},
	}
	addGrantFlag(cmd, &granters)
	return cmd
}

// addGrantFlag adds the flag that names whose grants pay a deposit.
func addGrantFlag(cmd *cobra.Command, granters *[]string) {
	cmd.Flags().StringSliceVar(granters, "grant", nil, "accounts whose grants pay the deposit, in this order; the key's own account pays the rest")
}

func checkGranters(granters []string) error {
	for _, g := range granters {
		if _, err := sdk.AccAddressFromBech32(g); err != nil {
			return usageErrorf("--grant: %q is not an address: %w", g, err)
		}
	}
	return nil
}

func newCloseCommand(connect connector) *cobra.Command {
	var yes, destroy bool
	cmd := &cobra.Command{
		Use:   "close [DSEQ]",
		Short: "Close a deployment and get back what is left of the deposit",
		Long: "Close a deployment: its leases end, what runs is removed with all its data, and what is left of the deposit comes\n" +
			"back. On a terminal it asks first. Without DSEQ it closes the only active deployment, and off a terminal\n" +
			"it then needs -y. Persistent volumes end with their lease, and there is no copy: where there are some, nothing is closed\n" +
			"without a question unless --destroy-data is given too (berth addon dump writes a database first).",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			agreed := yes || len(args) > 0 && !s.interactive()
			question := fmt.Sprintf("Close deployment %d and remove everything it runs?", dseq)
			if !destroy {
				volumes, err := s.Persistent(ctx, dseq)
				switch {
				case err != nil:
					return err
				case len(volumes) > 0 && agreed:
					return exitWith(exitUsage, fmt.Errorf("deployment %d has persistent volumes, which would be lost: %s", dseq, printable(strings.Join(volumes, ", "))),
						fmt.Sprintf("%s close %d --yes --destroy-data  # close it, and lose them", s.self, dseq),
						fmt.Sprintf("%s addon dump %d ROLE > copy.sql  # copy a database first", s.self, dseq))
				case len(volumes) > 0:
					question = fmt.Sprintf("Close deployment %d and destroy its persistent volumes (%s), of which there is no copy?", dseq, printable(strings.Join(volumes, ", ")))
				}
			}
			if err := s.confirm(ctx, agreed, question); err != nil {
				return err
			}
			c, err := s.CloseDeployment(ctx, dseq)
			if err != nil {
				return err
			}
			return s.print(c, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, refundText(c))
				return err
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&destroy, "destroy-data", false, "with --yes: close a deployment that has persistent volumes, and lose them")
	return cmd
}

// refundText says, to the last unit, where the deposit went.
func refundText(c *tenant.Closed) string {
	text := fmt.Sprintf("Deployment %d is closed (block %d).", c.Dseq, c.Height)
	if c.Already {
		text = fmt.Sprintf("Deployment %d had been closed before (block %d).", c.Dseq, c.Height)
	}
	return fmt.Sprintf("%s\nOf %s deposited, %s went to providers and %s came back (%s).", text,
		tenant.FormatCoin(c.Deposited), tenant.FormatCoin(c.Paid), tenant.FormatCoin(c.Refunded), c.Refunded)
}

func newListCommand(connect connector) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the account's deployments",
		Args:    cobra.NoArgs,
		RunE: withSession(connect, func(ctx context.Context, s *session, _ []string) error {
			list, err := s.List(ctx, all)
			if err != nil {
				return err
			}
			return s.print(list, func(w io.Writer) error {
				if len(list) == 0 {
					_, err := fmt.Fprintf(w, "No deployments. Make one with:\n  %s deploy FILE\n", s.self)
					return err
				}
				t := newTable("DSEQ", "STATE", "LEASES", "PRICE/BLOCK", "PRICE/MONTH", "FUNDED FOR", "DOCUMENT").alignRight(0, 2, 3, 4)
				for _, d := range list {
					state := d.State
					if d.State == "active" && d.Step != "" && !d.Step.Final() {
						state = "stopped at " + string(d.Step)
					}
					t.add(fmt.Sprint(d.Dseq), state, fmt.Sprintf("%d/%d", d.Leases, len(d.Groups)), tenant.FormatDec(d.PricePerBlock.DecCoin),
						perMonth(d.PricePerMonth), runway(d.FundedUntil, s.Clock.Now()), orDash(d.Document))
				}
				_, err := io.WriteString(w, t.String())
				return err
			})
		}),
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also closed ones")
	return cmd
}

func newBidsCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "bids [DSEQ]",
		Short: "Show the open bids of a deployment",
		Args:  cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			groups, err := s.Bids(ctx, s.id(dseq))
			if err != nil {
				return err
			}
			return s.print(groups, func(w io.Writer) error {
				for _, g := range groups {
					if _, err := fmt.Fprintf(w, "%s: %s\n%s", printable(g.Name), counted(len(g.Offers), "open bid"), offersOrNothing(append(slices.Clone(g.Offers), g.Refused...))); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
}

func offersOrNothing(offers []tenant.Offer) string {
	if len(offers) == 0 {
		return ""
	}
	return offersTable(offers).render("  ")
}

func newProvidersCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "providers",
		Short: "List the registered providers with their records",
		Args:  cobra.NoArgs,
		RunE: withSession(connect, func(ctx context.Context, s *session, _ []string) error {
			list, err := s.Providers(ctx)
			if err != nil {
				return err
			}
			return s.print(list, func(w io.Writer) error {
				if len(list) == 0 {
					_, err := fmt.Fprintln(w, "No provider is registered on this chain.")
					return err
				}
				t := newTable("PROVIDER", "HOST", "REGION", "ACTIVE", "RECORD").alignRight(3)
				for _, p := range list {
					t.add(p.Provider, strings.TrimPrefix(p.Host, "https://"), orDash(p.Region), fmt.Sprint(p.Record.Active), recordText(p.Record))
				}
				_, err := io.WriteString(w, t.String())
				return err
			})
		}),
	}
}
