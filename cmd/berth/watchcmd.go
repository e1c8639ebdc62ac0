package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/tenant"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	warn, keep days
	every      time.Duration
	budget     string
	grant      string
	webhook    string
	choice     string
	failover   bool
	once       bool
	patience   int
}

// days is a flag of a time in which d stands for days.
type days time.Duration

func (d *days) String() string { return time.Duration(*d).String() }
func (d *days) Type() string   { return "duration" }

// Set reads a time such as 90m, 36h or 7d.
func (d *days) Set(text string) error {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a time such as 90m, 36h or 7d", text)
		}
		*d = days(time.Duration(count) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a time such as 90m, 36h or 7d", text)
	}
	*d = days(v)
	return nil
}

func newWatchCommand(connect connector) *cobra.Command {
	f := watchFlags{warn: days(24 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "watch [DSEQ]",
		Short: "Keep an eye on a deployment: alerts, deposits, failover",
		Long: "Look at a deployment again and again and tell what changes: funds that run low, leases that end, services that are not\n" +
			"ready. With --keep, deposits are made so that the funds always last that long: a shorter runway is filled up to twice of\n" +
			"it, from the key's account or, with --grant, from the account that has granted it (berthd tx escrow grant). With --failover,\n" +
			"a group whose lease ends for a reason that is not yours goes to the next acceptable bid, and gets its manifest there.\n" +
			"With --webhook, each alert is posted as JSON. It ends when the deployment is closed, or with Ctrl-C.",
		Example: "  berth watch --keep 7d --budget 100BRT --failover\n" +
			"  berth watch 123456 --webhook https://hooks.example.org/berth --warn 2d\n" +
			"  berth watch --once -o jsonl        # one look, for cron",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error { return s.watch(ctx, f, args) }),
	}
	fl := cmd.Flags()
	fl.Var(&f.warn, "warn", "runway below which the funds count as low")
	fl.Var(&f.keep, "keep", "runway to keep by deposits (default: make none)")
	fl.DurationVar(&f.every, "every", 30*time.Second, "time between looks")
	fl.StringVar(&f.budget, "budget", "", "the most to deposit in all, such as 100BRT (default: no bound)")
	fl.StringVar(&f.grant, "grant", "", "account whose grant pays the deposits")
	fl.StringVar(&f.webhook, "webhook", "", "URL to post alerts to (also $BERTH_WEBHOOK)")
	fl.BoolVar(&f.failover, "failover", false, "take another provider's bid when a lease ends")
	fl.StringVar(&f.choice, "select", tenant.SelectLowest, "which bid a failover takes: lowest, audited[:ADDRESS,...], region:NAME,..., expr:EXPRESSION")
	fl.BoolVar(&f.once, "once", false, "look once and end")
	fl.IntVar(&f.patience, "patience", 3, "looks in a row after which services that are not ready are told of")
	return cmd
}

// rules reads the flags.
func (f watchFlags) rules() (tenant.WatchRules, error) {
	r := tenant.WatchRules{Warn: time.Duration(f.warn), Keep: time.Duration(f.keep), Failover: f.failover, Patience: f.patience}
	switch {
	case f.every <= 0:
		return r, usageErrorf("--every: %s is not a time between looks", f.every)
	case f.patience < 1:
		return r, usageErrorf("--patience: %d is not a number of looks, at least 1", f.patience)
	case f.keep == 0 && (f.budget != "" || f.grant != ""):
		return r, usageErrorf("--budget and --grant are about deposits: say how long the funds should last with --keep")
	case f.choice == tenant.SelectAsk:
		return r, usageErrorf("--select ask: a watch has nobody to ask")
	}
	if f.grant != "" {
		if _, err := sdk.AccAddressFromBech32(f.grant); err != nil {
			return r, usageErrorf("--grant: %q is not an address: %w", f.grant, err)
		}
	}
	if f.budget != "" {
		c, err := tenant.ParseCoin(f.budget)
		if err != nil {
			return r, usageErrorf("--budget: %w", err)
		}
		r.Budget = &c
	}
	if f.once { // there is no second look to wait for
		r.Patience = 1
	}
	return r, nil
}

func (s *session) watch(ctx context.Context, f watchFlags, args []string) error {
	rules, err := f.rules()
	if err != nil {
		return err
	}
	if err := s.selectBy(f.choice); err != nil {
		return err
	}
	var hook *tenant.Webhook
	if address := setting(s.cmd, "webhook", "BERTH_WEBHOOK"); address != "" {
		if hook, err = tenant.NewWebhook(address, s.Clock); err != nil {
			return usageErrorf("--webhook: %w", err)
		}
	}
	dseq, err := s.dseq(ctx, args)
	if err != nil {
		return err
	}
	paint := style(colours(s.cmd, s.out))
	alert := func(ctx context.Context, a tenant.Alert) error {
		if err := s.writeAlert(paint, a); err != nil {
			return err
		}
		if hook == nil {
			return nil
		}
		return hook.Post(ctx, a)
	}
	if !f.once && s.format == formatText {
		fmt.Fprintf(s.err, "Watching deployment %d every %s; Ctrl-C ends it.\n", dseq, f.every)
	}
	err = s.Watch(ctx, tenant.Watch{ID: s.id(dseq), Rules: rules, Every: f.every, Granter: f.grant, Alert: alert, Once: f.once})
	if !f.once && errors.Is(err, context.Canceled) {
		return exitSilently(exitInterrupted) // how one leaves a watch
	}
	return err
}

// writeAlert prints an alert: a line for people, an object on a line for programs.
func (s *session) writeAlert(paint style, a tenant.Alert) error {
	if s.format != formatText {
		return writeItem(s.out, s.format, a)
	}
	_, err := fmt.Fprintf(s.out, "%s  %-15s  %s\n", paint.dim(a.At.Local().Format("2006-01-02 15:04:05")), a.Kind, printable(a.Text))
	return err
}
