package tenant

import (
	"fmt"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// AlertKind says what an alert is about.
type AlertKind string

// The kinds of alerts.
const (
	AlertFundsLow       AlertKind = "funds_low"       // the runway is shorter than the one to warn of
	AlertSuspended      AlertKind = "suspended"       // the deposit is used up, and the leases are suspended
	AlertFunded         AlertKind = "funded"          // one of the two is over
	AlertToppedUp       AlertKind = "topped_up"       // a deposit was made
	AlertTopUpFailed    AlertKind = "topup_failed"    // a deposit was needed and could not be made
	AlertLeaseClosed    AlertKind = "lease_closed"    // a lease has ended
	AlertUnhealthy      AlertKind = "unhealthy"       // services of a group are not ready, or its provider does not answer
	AlertHealthy        AlertKind = "healthy"         // they are ready again
	AlertReclaiming     AlertKind = "reclaiming"      // its provider has announced that it takes the lease back
	AlertFailover       AlertKind = "failover"        // the group runs with another provider
	AlertFailoverFailed AlertKind = "failover_failed" // it does not yet
	AlertClosed         AlertKind = "closed"          // the deployment was closed
	AlertUnreachable    AlertKind = "unreachable"     // the chain cannot be asked
	AlertReachable      AlertKind = "reachable"       // it can be asked again
)

// Alert is news of a watched deployment. It holds no secret.
type Alert struct {
	Kind AlertKind `json:"kind"`
	Dseq uint64    `json:"dseq"`
	// Group is empty for what concerns the whole deployment.
	Group string    `json:"group,omitempty"`
	At    time.Time `json:"at"`
	// Text says it for people.
	Text string `json:"text"`
}

// WatchRules say what a watch does. A zero Keep deposits nothing.
type WatchRules struct {
	// Warn is the runway below which the funds are low.
	Warn time.Duration
	// Keep is the runway to keep; a shorter one is filled up to twice of it.
	Keep time.Duration
	// Budget bounds all deposits of the watch together; nil means no bound but the account's.
	Budget *sdk.Coin
	// Failover takes another provider's bid when a lease ends for a reason that is not the tenant's.
	Failover bool
	// Patience is how many looks in a row services may be not ready before that is an alert.
	Patience int
}

// WatchState is what a watch remembers from one look to the next.
type WatchState struct {
	low       bool
	suspended bool
	closed    bool
	// broke is true once the budget was spent and an alert was given.
	broke     bool
	deposited math.Int
	groups    map[string]groupWatch
}

// groupWatch is what is remembered of a group.
type groupWatch struct {
	lease string
	// bad counts the looks in a row at which it was not well; told that an alert was given.
	bad  int
	told bool
	// reclaiming is true once the provider's announcement was told of.
	reclaiming bool
}

// WatchAction is what a look asks to be done.
type WatchAction struct {
	// TopUp is a deposit to make; nil for none.
	TopUp *sdk.Coin
	// Failover takes new bids for groups that have lost their leases.
	Failover bool
}

// Look compares a deployment with what was seen of it before. It returns the new memory, the news in the order of the
// deployment's parts, and what to do. It is pure; unknown services count as not well, but never as gone.
func (r WatchRules) Look(was WatchState, st *Status, now time.Time, block time.Duration) (WatchState, []Alert, WatchAction) {
	l := look{rules: r, was: was, st: st, now: now, block: block}
	l.next = WatchState{deposited: was.deposited, groups: map[string]groupWatch{}}
	if l.next.deposited.IsNil() {
		l.next.deposited = math.ZeroInt()
	}
	if st.State != "active" {
		l.next.closed = true
		if !was.closed {
			l.tell(AlertClosed, "", "deployment %d is closed; %s came back", st.Dseq, FormatCoin(st.Escrow.Refunded))
		}
		return l.next, l.alerts, l.do
	}
	l.money()
	for _, g := range st.Groups {
		l.group(g)
	}
	return l.next, l.alerts, l.do
}

// look is one comparison under way.
type look struct {
	rules  WatchRules
	was    WatchState
	st     *Status
	now    time.Time
	block  time.Duration
	next   WatchState
	alerts []Alert
	do     WatchAction
}

func (l *look) tell(kind AlertKind, group, format string, args ...any) {
	l.alerts = append(l.alerts, Alert{Kind: kind, Dseq: l.st.Dseq, Group: group, At: l.now.UTC(), Text: fmt.Sprintf(format, args...)})
}

// runway is how long the deposit lasts; ok is false while that is unknown or nothing is paid for.
func (l *look) runway() (left time.Duration, ok bool) {
	f := l.st.FundedUntil
	if f == nil || f.Time == nil {
		return 0, false
	}
	return max(0, f.Time.Sub(l.now)), true
}

func (l *look) money() {
	suspended := l.st.Escrow.State == "suspended"
	left, known := l.runway()
	low := known && left < l.rules.Warn
	l.tellFunds(left, known, low, suspended)
	l.next.suspended, l.next.low = suspended, low || l.was.low && !known && !suspended
	if l.rules.Keep > 0 && (suspended || known && left < l.rules.Keep) {
		l.topUp()
	}
}

// tellFunds tells what has changed of the funds.
func (l *look) tellFunds(left time.Duration, known, low, suspended bool) {
	switch {
	case suspended && !l.was.suspended:
		l.tell(AlertSuspended, "", "the deposit of deployment %d is used up: its leases are suspended and will end", l.st.Dseq)
	case low && !l.was.low && !suspended:
		l.tell(AlertFundsLow, "", "the deposit of deployment %d lasts for %s only", l.st.Dseq, spanText(left))
	case !suspended && l.was.suspended, known && !low && l.was.low:
		l.tell(AlertFunded, "", "deployment %d is funded for %s", l.st.Dseq, spanText(left))
	}
}

// spanText is a time for people: days, once there are some.
func spanText(d time.Duration) string {
	if days := d / (24 * time.Hour); days >= 3 {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Second).String()
}

// topUp works out the deposit that makes the runway twice of what is to be kept.
func (l *look) topUp() {
	if l.block <= 0 {
		return // without the time between blocks a runway is no amount
	}
	rate := l.rate()
	want := rate.MulInt64(blocksIn(2*l.rules.Keep, l.block)).Sub(l.st.Escrow.Spendable.Amount).Ceil().TruncateInt()
	if b := l.rules.Budget; b != nil {
		left := b.Amount.Sub(l.next.deposited)
		if !left.IsPositive() {
			if l.next.broke = true; !l.was.broke {
				l.tell(AlertTopUpFailed, "", "the budget of %s is spent: deployment %d gets no more deposits", FormatCoin(*b), l.st.Dseq)
			}
			return
		}
		want = math.MinInt(want, left)
	}
	if want.IsPositive() {
		c := sdk.NewCoin(l.st.Escrow.Deposited.Denom, want)
		l.do.TopUp = &c
	}
}

// rate is what all leases cost per block, also while they are suspended and cost nothing.
func (l *look) rate() math.LegacyDec {
	sum := math.LegacyZeroDec()
	for _, g := range l.st.Groups {
		if g.Lease != nil {
			sum = sum.Add(g.Lease.PricePerBlock.Amount)
		}
	}
	return sum
}

// group compares a group with what was seen of it before.
func (l *look) group(g GroupStatus) {
	was, seen := l.was.groups[g.Name]
	next := groupWatch{bad: was.bad, told: was.told, reclaiming: was.reclaiming}
	if g.Lease == nil {
		if was.lease != "" {
			l.tell(AlertLeaseClosed, g.Name, "group %q: %s", g.Name, endedText(g, was.lease))
		}
		// A group whose lease is known to have ended is looked for a provider at every look until it has one.
		if l.rules.Failover && mayFailOver(g) {
			l.do.Failover = true
		}
		l.next.groups[g.Name] = groupWatch{told: true}
		return
	}
	if next.lease = g.Lease.ID; seen && was.lease != "" && was.lease != g.Lease.ID {
		l.tell(AlertLeaseClosed, g.Name, "group %q: %s; it runs with %s now", g.Name, endedText(g, was.lease), g.Lease.Provider)
		next = groupWatch{lease: next.lease}
	}
	if r := g.Lease.Reclaim; r != nil && !next.reclaiming {
		l.tell(AlertReclaiming, g.Name, "group %q: %s takes the lease back from %s on (%s)", g.Name, g.Lease.Provider, r.From.Format(time.RFC3339), r.Reason)
		next.reclaiming = true
	}
	trouble := groupTrouble(g)
	switch {
	case l.next.suspended:
		next.bad = 0 // told of already
	case trouble == "":
		if next.told {
			l.tell(AlertHealthy, g.Name, "group %q: all services are ready", g.Name)
		}
		next.bad, next.told = 0, false
	default:
		if next.bad++; next.bad >= max(1, l.rules.Patience) && !next.told {
			next.told = true
			l.tell(AlertUnhealthy, g.Name, "group %q: %s", g.Name, trouble)
		}
	}
	l.next.groups[g.Name] = next
}

func endedText(g GroupStatus, lease string) string {
	for _, e := range g.Ended {
		if e.ID == lease && e.Reason != "" {
			return fmt.Sprintf("the lease with %s has ended (%s)", e.Provider, e.Reason)
		}
	}
	return "the lease " + lease + " has ended"
}

// mayFailOver tells whether the last lease of a group without one ended for a reason that is not the tenant's own.
func mayFailOver(g GroupStatus) bool {
	if g.State != "open" || len(g.Ended) == 0 {
		return false
	}
	last := g.Ended[0]
	for _, e := range g.Ended[1:] {
		if e.ClosedAt > last.ClosedAt {
			last = e
		}
	}
	return last.Reason != "tenant" && last.Reason != "insufficient_funds"
}

// groupTrouble says what is wrong with a group that has a lease; empty if nothing is.
func groupTrouble(g GroupStatus) string {
	switch l := g.Lease; {
	case l.Unknown != "":
		return "its provider cannot be asked: " + l.Unknown
	case len(l.Services) == 0:
		return "its provider has no manifest"
	}
	for _, s := range g.Lease.Services {
		if s.Ready < s.Desired {
			text := fmt.Sprintf("%s has %d of %d instances ready", s.Name, s.Ready, s.Desired)
			if s.Message != "" {
				text += ": " + s.Message
			}
			return text
		}
	}
	return ""
}
