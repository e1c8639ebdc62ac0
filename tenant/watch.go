package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// Watch says how a deployment is watched.
type Watch struct {
	ID    deploymenttypes.DeploymentID
	Rules WatchRules
	// Every is the time between looks.
	Every time.Duration
	// Granter, if set, is the account whose grant pays deposits; otherwise the key's own account does.
	Granter string
	// Alert is told the news, one at a time. Its error is a warning and stops nothing.
	Alert func(context.Context, Alert) error
	// Once makes it look once and return.
	Once bool
}

// The pauses after a failover or a deposit that failed: the first and the longest.
const (
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// retry keeps what fails from being tried at every look.
type retry struct {
	not   time.Time
	pause time.Duration
}

func (r *retry) due(now time.Time) bool { return !now.Before(r.not) }

func (r *retry) failed(now time.Time) {
	r.pause = min(lastRetry, max(firstRetry, 2*r.pause))
	r.not = now.Add(r.pause)
}

// Watch looks at a deployment again and again, tells what changes, and deposits and fails over by its rules, until ctx
// ends or the deployment is closed. A chain or a provider that cannot be asked ends nothing. It returns nil when the
// deployment is closed and, with Once, after the look.
func (m *Machine) Watch(ctx context.Context, w Watch) error {
	l := watchLoop{m: m, w: w}
	for {
		err := l.once(ctx)
		switch {
		case ctx.Err() != nil:
			return &Failure{Kind: KindInterrupted, Dseq: w.ID.Dseq, Err: interruption{"while watching", ctx.Err()}, Hints: []Hint{HintStatus}}
		case w.Once || err == nil && l.state.closed:
			return err
		case err != nil && !errors.Is(err, ErrUnreachable):
			return err
		}
		if err := m.Clock.Sleep(ctx, w.Every); err != nil {
			return &Failure{Kind: KindInterrupted, Dseq: w.ID.Dseq, Err: interruption{"while watching", err}, Hints: []Hint{HintStatus}}
		}
	}
}

// watchLoop is a watch under way.
type watchLoop struct {
	m         *Machine
	w         Watch
	state     WatchState
	lost      bool
	topUps    retry
	failovers retry
}

func (l *watchLoop) once(ctx context.Context) error {
	st, err := l.m.Status(ctx, l.w.ID)
	if err != nil {
		if errors.Is(err, ErrUnreachable) && !l.lost {
			l.lost = true
			l.tell(ctx, Alert{Kind: AlertUnreachable, Text: fmt.Sprintf("the chain cannot be asked: %s", err)})
		}
		return err
	}
	if l.lost {
		l.lost = false
		l.tell(ctx, Alert{Kind: AlertReachable, Text: "the chain can be asked again"})
	}
	next, alerts, do := l.w.Rules.Look(l.state, st, l.m.Clock.Now(), l.m.blockTime(ctx))
	l.state = next
	for _, a := range alerts {
		l.tell(ctx, a)
	}
	if do.TopUp != nil && l.topUps.due(l.m.Clock.Now()) {
		l.topUp(ctx, *do.TopUp)
	}
	if do.Failover && l.failovers.due(l.m.Clock.Now()) {
		l.failOver(ctx)
	}
	return nil
}

func (l *watchLoop) tell(ctx context.Context, a Alert) {
	a.Dseq = l.w.ID.Dseq
	if a.At.IsZero() {
		a.At = l.m.Clock.Now().UTC()
	}
	if err := l.w.Alert(ctx, a); err != nil {
		l.m.tell(Warned{fmt.Sprintf("the alert %q could not be passed on: %s", a.Kind, err)})
	}
}

// topUp deposits, from the account or from the grant. An outcome that is unknown is looked at by the next look.
func (l *watchLoop) topUp(ctx context.Context, amount sdk.Coin) {
	msg := &escrowtypes.MsgDeposit{Depositor: l.m.Chain.Address(), AccountId: escrowAccount(l.w.ID), Amount: amount}
	if l.w.Granter != "" {
		msg.Sources = []escrowtypes.DepositSource{{Kind: escrowtypes.SOURCE_GRANT, Granter: l.w.Granter}}
	}
	res, err := l.m.Chain.Send(ctx, msg)
	if err != nil {
		if errors.Is(err, client.ErrUnknownOutcome) {
			l.state.deposited = l.state.deposited.Add(amount.Amount) // the budget is a bound, whatever came of it
		}
		if ctx.Err() == nil {
			l.topUps.failed(l.m.Clock.Now())
			l.tell(ctx, Alert{Kind: AlertTopUpFailed, Text: fmt.Sprintf("a deposit of %s could not be made: %s", FormatCoin(amount), err)})
		}
		return
	}
	l.topUps = retry{}
	l.state.deposited = l.state.deposited.Add(amount.Amount)
	l.m.tell(Sent{Dseq: l.w.ID.Dseq, Action: "deposit", Hash: res.Hash, Height: res.Height})
	l.tell(ctx, Alert{Kind: AlertToppedUp, Text: fmt.Sprintf("%s were deposited (block %d)", FormatCoin(amount), res.Height)})
}

// failOver takes new bids and sends the manifests again, as a deployment that is resumed does.
func (l *watchLoop) failOver(ctx context.Context) {
	s, err := l.m.Resume(ctx, l.w.ID.Dseq)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.failovers.failed(l.m.Clock.Now())
		l.tell(ctx, Alert{Kind: AlertFailoverFailed, Text: fmt.Sprintf("no other provider runs it yet: %s; trying again in %s", err, l.failovers.pause)})
		return
	}
	l.failovers = retry{}
	for i, g := range s.Groups {
		if l.state.groups[g.Name].lease == "" {
			l.tell(ctx, Alert{Kind: AlertFailover, Group: g.Name, Text: fmt.Sprintf("group %q runs with %s now%s", g.Name, s.BidID(i).Provider, l.addresses(ctx, s, i))})
		}
	}
}

// addresses says where a group answers with another provider, as far as that can be learned.
func (l *watchLoop) addresses(ctx context.Context, s *State, i int) string {
	var urls []string
	for _, svc := range l.m.viewLease(ctx, s, i).services {
		urls = append(urls, svc.URLs...)
	}
	if len(urls) == 0 {
		return ""
	}
	return " and answers at " + strings.Join(urls, ", ")
}
