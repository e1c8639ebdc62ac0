package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/tenant"
)

// deployFlags are the flags of deploy.
type deployFlags struct {
	deposit   string
	granters  []string
	auction   string
	window    uint32
	choice    string
	bidWait   time.Duration
	readyWait time.Duration
	resume    uint64
	yes       bool
	dryRun    bool
	giveUp    bool
}

func newDeployCommand(connect connector) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy [FILE]",
		Short: "Deploy a document: find a provider, take a lease, run it",
		Long: "Deploy a document: put a deposit into escrow, wait for bids, take one for each group, send the providers what to\n" +
			"run, and wait until all services are ready. Each step is written down before and after it is done, so that\n" +
			"a deployment that was interrupted at any point goes on with --resume DSEQ, and nothing is paid twice.\n\n" +
			"FILE is an SDL document or the manifest of an application (app.json); without one, the document of the working directory\n" +
			"is taken. Of an application, values that are missing are asked for, generated ones are made once and kept, and a price\n" +
			"that nothing gives is one and a half times the median of what such leases cost on the network. An application that\n" +
			"runs already is updated; --app gives another deployment of it a name.\n\n" +
			"A document's ${NAME} are taken from --env-file and from the environment. The names of those that it took are\n" +
			"shown before anything is signed; look at them if the document is not your own, or give --no-env.\n\n" +
			"--select says which bid to take. lowest takes the cheapest; audited the cheapest of a provider whose attributes an\n" +
			"auditor has signed, or one of the auditors that are named; region:A,B the cheapest in A or, if there is none, in B;\n" +
			"expr:EXPRESSION the cheapest for which the expression is true; ask lets you choose. A bid that is not acceptable is\n" +
			"shown with the reason. Expressions read provider, host, region, attributes, audited_by, price_per_month (in ubrt),\n" +
			"leases, active, closed (by reason) and BRT.",
		Example: "  berth deploy deploy.yaml\n" +
			"  berth deploy deploy.yaml -y --deposit 5BRT --bid-wait 1m -o json\n" +
			"  berth deploy deploy.yaml --dry-run\n" +
			"  berth deploy deploy.yaml --select region:eu-west,eu-north\n" +
			"  berth deploy deploy.yaml --select 'expr:price_per_month < 12 * BRT && leases > 10'\n" +
			"  berth deploy --resume 123456",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return deploy(cmd, connect, f, args) },
	}
	fl := cmd.Flags()
	document.AddFlags(fl)
	addAppFlags(cmd)
	addDeployFlags(cmd)
	fl.StringVar(&f.deposit, "deposit", "", "what to put into escrow, such as 5BRT (default: a day of the maximum price, at least the chain's minimum)")
	addGrantFlag(cmd, &f.granters)
	fl.StringVar(&f.auction, "auction", "tenant", "who picks the bids: tenant, or lowest to leave it to the chain")
	fl.Uint32Var(&f.window, "window", 2, "blocks for which bids are collected with --auction lowest")
	fl.StringVar(&f.choice, "select", tenant.SelectLowest, selectHelp)
	fl.DurationVar(&f.bidWait, "bid-wait", tenant.DefaultTiming().BidWait, "how long to wait for bids")
	fl.DurationVar(&f.readyWait, "ready-wait", tenant.DefaultTiming().ReadyWait, "how long services may take to become ready")
	fl.Uint64Var(&f.resume, "resume", 0, "continue the deployment of this number")
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask for confirmation")
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what it would cost, and send nothing")
	fl.BoolVar(&f.giveUp, "give-up", false, "if it fails, close the deployment and take the refund")
	return cmd
}

func (f deployFlags) check(args []string) error {
	switch {
	case f.resume != 0 && len(args) > 0:
		return usageErrorf("--resume continues with the document of the deployment: leave out %s", args[0])
	case f.resume != 0 && f.dryRun:
		return usageErrorf("--dry-run is for new deployments")
	case f.auction != "tenant" && f.auction != "lowest":
		return usageErrorf("--auction: %q is not one of tenant, lowest", f.auction)
	case f.choice != tenant.SelectLowest && f.auction == "lowest":
		return usageErrorf("--select %s: with --auction lowest the chain picks the bid", f.choice)
	case f.bidWait <= 0:
		return usageErrorf("--bid-wait: %s is not a time to wait", f.bidWait)
	case f.readyWait <= 0:
		return usageErrorf("--ready-wait: %s is not a time to wait", f.readyWait)
	}
	return checkGranters(f.granters)
}

func deploy(cmd *cobra.Command, connect connector, f deployFlags, args []string) error {
	if err := f.check(args); err != nil {
		return err
	}
	if f.choice != tenant.SelectAsk { // before anything is read or asked
		if _, err := tenant.ParseSelection(f.choice); err != nil {
			return usageErrorf("--select: %w", err)
		}
	}
	if _, err := depositOf(f); err != nil {
		return err
	}
	doc := &ready{}
	if f.resume == 0 {
		file, err := documentOf(args)
		if err != nil {
			return err
		}
		args = []string{file}
		if doc, err = readyDocument(cmd, file, 0); err != nil {
			return err
		}
		f.preferred(doc.Plan)
	}
	deposit, err := depositOf(f)
	if err != nil {
		return err
	}
	return deployReady(cmd, connect, f, args, doc, deposit)
}

// depositOf is the deposit that the flags name, or nil.
func depositOf(f deployFlags) (*sdk.Coin, error) {
	if f.deposit == "" {
		return nil, nil //nolint:nilnil // none is named
	}
	c, err := tenant.ParseCoin(f.deposit)
	if err != nil {
		return nil, usageErrorf("--deposit: %w", err)
	}
	return &c, nil
}

func deployReady(cmd *cobra.Command, connect connector, f deployFlags, args []string, doc *ready, deposit *sdk.Coin) error {
	s, err := openSession(cmd, connect)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Timing.BidWait, s.Timing.ReadyWait = f.bidWait, f.readyWait
	if err := s.selectBy(f.choice); err != nil {
		return err
	}
	if f.resume != 0 {
		return s.resume(cmd.Context(), f)
	}
	if dseq, err := s.running(cmd.Context(), doc); err != nil {
		return err
	} else if dseq != 0 {
		return s.deployAgain(cmd.Context(), dseq, doc, args[0], f)
	}
	s.withoutExcluded(doc.Plan)
	s.extras = doc.Plan.Extras
	r := tenant.Request{Plan: doc.Plan, Document: args[0], Deposit: deposit, Granters: f.granters}
	if f.auction == "lowest" {
		r.Auction = tenant.AuctionState{Lowest: true, Window: f.window}
	}
	return s.deployNew(cmd.Context(), r, f, doc.save)
}

const selectHelp = "which bid to take: lowest, audited[:ADDRESS,...], region:NAME,..., expr:EXPRESSION, or ask on a terminal"

// selectBy makes the session take bids as a flag says.
func (s *session) selectBy(text string) error {
	if text == tenant.SelectAsk {
		if !s.interactive() {
			return usageErrorf("--select ask: not on a terminal, so there is nobody to ask")
		}
		s.Select(tenant.Selection{Choose: s.chooseByHand})
		return nil
	}
	by, err := tenant.ParseSelection(text)
	if err != nil {
		return usageErrorf("--select: %w", err)
	}
	s.Select(by)
	return nil
}

func (s *session) deployNew(ctx context.Context, r tenant.Request, f deployFlags, save func(dseq uint64) error) error {
	if err := s.FillPrices(ctx, r.Plan); err != nil {
		return err
	}
	q, err := s.Quote(ctx, r)
	if err != nil {
		return s.tooLittle(err, r)
	}
	if f.dryRun {
		return s.print(q, func(w io.Writer) error {
			_, err := io.WriteString(w, quoteText(s, q)+"Nothing was sent (--dry-run).\n")
			return err
		})
	}
	if s.format == formatJSONL {
		if err := writeEvent(s.out, "quote", q); err != nil {
			return err
		}
	} else {
		fmt.Fprint(s.err, quoteText(s, q))
	}
	if err := s.confirm(ctx, f.yes, "Deploy?"); err != nil {
		return err
	}
	st, err := s.Begin(q)
	if err != nil {
		return err
	}
	// Before anything is sent: a value that was generated must not be lost.
	if err := save(st.Dseq); err != nil {
		return err
	}
	if err := s.Run(ctx, st); err != nil {
		return s.afterFailure(ctx, st.Dseq, f, err)
	}
	return s.deployed(ctx, st)
}

// tooLittle adds the command with a smaller deposit to a failure for want of funds.
func (s *session) tooLittle(err error, r tenant.Request) error {
	f := tenant.AsFailure(err)
	if f.Kind != tenant.KindFunds || len(f.Hints) == 0 || f.Hints[0] != tenant.HintFund {
		return err
	}
	next := nextCommands(s.self, &tenant.Failure{Hints: []tenant.Hint{tenant.HintFund}})
	if r.Document != "" && r.Document != "-" {
		next = append(next, fmt.Sprintf("%s deploy %s --deposit AMOUNT  # or deploy with another deposit", s.self, quoted(r.Document)))
	}
	return &codeError{code: exitFunds, err: err, next: next}
}

func (s *session) resume(ctx context.Context, f deployFlags) error {
	st, err := s.Resume(ctx, f.resume)
	if err != nil {
		if st == nil || st.Step == tenant.StepClosed {
			return err
		}
		return s.afterFailure(ctx, f.resume, f, err)
	}
	return s.deployed(ctx, st)
}

// afterFailure closes a deployment that failed, if that was asked for. The exit code stays the failure's.
func (s *session) afterFailure(ctx context.Context, dseq uint64, f deployFlags, failure error) error {
	s.notify(ctx, s.extras, failure)
	if !f.giveUp || ctx.Err() != nil {
		return failure
	}
	fmt.Fprintf(s.err, "Giving up: closing deployment %d.\n", dseq)
	c, err := s.CloseDeployment(ctx, dseq)
	if err != nil {
		return errors.Join(failure, fmt.Errorf("close deployment %d: %w", dseq, err))
	}
	fmt.Fprintf(s.err, "%s\n", refundText(c))
	e := asCodeError(failure)
	e.next = nextCommands(s.self, &tenant.Failure{Dseq: dseq, Hints: []tenant.Hint{tenant.HintDeploy, tenant.HintProviders}})
	return e
}

// deployed prints the result of a deployment that is ready.
func (s *session) deployed(ctx context.Context, st *tenant.State) error {
	status, err := s.Status(ctx, st.ID())
	if err != nil {
		return err
	}
	return s.print(status, func(w io.Writer) error {
		text := s.statusText(status) + successText(s.extras, status.URLs) + s.nextText(status)
		_, err := io.WriteString(w, text)
		return err
	})
}

// nextText lists the commands of everyday use.
func (s *session) nextText(st *tenant.Status) string {
	f := &tenant.Failure{Dseq: st.Dseq, Hints: []tenant.Hint{tenant.HintStatus, tenant.HintFollow, tenant.HintUpdate, tenant.HintTopUp, tenant.HintClose}}
	next := nextCommands(s.self, f)
	return "\nNext:\n  " + strings.Join(next, "\n  ") + "\n"
}

// quoteText shows what a deployment would cost.
func quoteText(s *session, q *tenant.Quote) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Deployment %s on %s (chain %s), paid by %s\n", s.style.bold(fmt.Sprint(q.Dseq)), s.Network, q.ChainID, q.Owner)
	fmt.Fprintf(&b, "  deposit       %s (balance %s)\n", tenant.FormatCoin(q.Deposit), tenant.FormatCoin(q.Balance))
	fmt.Fprintf(&b, "  fee           %s\n", coinsText(q.Fee))
	fmt.Fprintf(&b, "  costs at most %s\n", costText(q.MaxPricePerBlock, q.MaxPricePerMonth))
	fmt.Fprintf(&b, "  funded until  %s, at that price\n", momentText(q.FundedUntil, s.Clock.Now()))
	return b.String()
}

func coinsText(coins sdk.Coins) string {
	if coins.IsZero() {
		return "none"
	}
	parts := make([]string, len(coins))
	for i, c := range coins {
		parts[i] = tenant.FormatCoin(c)
	}
	return strings.Join(parts, ", ")
}
