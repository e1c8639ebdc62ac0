// Package lease keeps the cluster in step with the chain: what our active leases ask for runs, what a closed lease
// left behind is removed. Diff is pure and says what has to be done; Controller is the loop around it that does it.
//
// Not knowing is never taken for not being (PINV-3): when the chain or the cluster can't be read nothing is changed,
// and a workload is removed only after the chain has said, at a height not older than the last one seen, that its
// lease is closed.
package lease

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// State is what is known about one of our leases.
type State struct {
	// Suspended leases keep their workloads, without instances.
	Suspended bool
	// Since is when this process first saw the lease: the manifest is waited for from then on.
	Since time.Time
	// Closing is when its close, or the notice of it, was last asked for; zero if never.
	Closing time.Time
	// Notice is how long before it is closed the lease has to be told so; 0 if that is not owed. Deadline is when a notice
	// that was given ends, by the chain's clock; zero while none was.
	Notice   time.Duration
	Deadline time.Time
}

// of is what a lease on chain says, over what is known of it.
func (s State) of(l *markettypes.Lease) State {
	s.Suspended, s.Notice = l.State == markettypes.LEASE_STATE_SUSPENDED, time.Duration(l.ReclaimWindowSeconds)*time.Second
	deadline := time.Time{}
	if l.ReclaimDeadline > 0 {
		deadline = time.Unix(l.ReclaimDeadline, 0)
	}
	if !deadline.Equal(s.Deadline) {
		s.Deadline, s.Closing = deadline, time.Time{}
	}
	return s
}

// owesNotice says that the chain takes no close yet, unless a notice has run out. A suspended lease, which nobody pays for,
// can be closed at once.
func (s State) owesNotice() bool { return s.Notice > 0 && !s.Suspended }

// closable is when a lease that is due to end at a time may be closed, or its notice be given.
func (s State) closable(at time.Time) time.Time {
	if s.owesNotice() && s.Deadline.After(at) {
		return s.Deadline
	}
	return at
}

// Kind is what an Action does.
type Kind uint8

// The kinds of actions.
const (
	// Verify asks the chain whether the lease is closed, and removes the workload if so.
	Verify Kind = iota + 1
	// Apply makes the cluster run Workload.
	Apply
	// Announce gives the notice that is owed before Close.
	Announce
	// Close ends the lease on chain.
	Close
	// Lost tells people that a workload that was accepted is neither in the cluster nor in memory.
	Lost
)

// Action is one step towards what the chain asks for.
type Action struct {
	Kind     Kind
	Lease    markettypes.LeaseID
	Workload cluster.Workload // Apply only
	// Reason is why the lease ends: its first manifest never came, or its workload has failed for too long. Announce and
	// Close only.
	Reason markettypes.CloseReason
}

// View is all that Diff looks at.
type View struct {
	// Provider is our address; workloads of other providers in the same cluster are not ours to touch.
	Provider string
	// Leases are our active and suspended leases.
	Leases map[markettypes.LeaseID]State
	// Observed is what the cluster holds.
	Observed []cluster.Deployed
	// Accepted are the manifests last accepted, as far as this process knows them.
	Accepted map[markettypes.LeaseID]cluster.Workload
	// Remembered are the leases that had a manifest accepted at any time.
	Remembered map[markettypes.LeaseID]bool
	// Refresh applies every accepted workload again, to repair what was changed in the cluster.
	Refresh bool

	// Failing are the leases that have a service which failed, all the time since.
	Failing map[markettypes.LeaseID]time.Time

	Now             time.Time
	ManifestTimeout time.Duration
	// CloseFailingAfter is how long a workload may fail before its lease is closed; 0 for as long as it likes.
	CloseFailingAfter time.Duration
}

// closeAgain is how long a close that was asked for is given to show on chain.
const closeAgain = time.Minute

// Diff says what has to be done so that the cluster runs what the chain asks for, in the order of lease ids.
func Diff(v View) []Action {
	var out []Action
	observed := make(map[markettypes.LeaseID]*cluster.Deployed, len(v.Observed))
	for i := range v.Observed {
		d := &v.Observed[i]
		if d.Lease.Provider != v.Provider {
			continue
		}
		observed[d.Lease] = d
		if _, ours := v.Leases[d.Lease]; !ours && !d.Terminating {
			out = append(out, Action{Kind: Verify, Lease: d.Lease})
		}
	}
	for id, state := range v.Leases {
		if a, ok := v.forLease(id, state, observed[id]); ok {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Action) int { return Compare(a.Lease, b.Lease) })
	return out
}

// forLease says what one of our leases needs. A namespace that holds no manifest is as good as none; one that holds a
// manifest that can't be read is not.
func (v *View) forLease(id markettypes.LeaseID, state State, have *cluster.Deployed) (Action, bool) {
	want, accepted := v.Accepted[id]
	want.Suspended = state.Suspended
	switch {
	case accepted && have != nil && have.Terminating:
		return Action{}, false
	case accepted && (have == nil || v.Refresh || !same(&have.Workload, &want)):
		return Action{Kind: Apply, Lease: id, Workload: want}, true
	case accepted:
		return v.forFailing(id, state)
	case have != nil && !have.Damaged && (have.Terminating || len(have.ManifestHash) > 0):
		return Action{}, false
	case v.Remembered[id] || have != nil && have.Damaged:
		return Action{Kind: Lost, Lease: id}, true
	default:
		return v.ending(id, state, state.Since.Add(v.ManifestTimeout), markettypes.CLOSE_REASON_MANIFEST_TIMEOUT)
	}
}

// forFailing ends a lease whose workload has failed for too long.
func (v *View) forFailing(id markettypes.LeaseID, state State) (Action, bool) {
	since, failing := v.Failing[id]
	if v.CloseFailingAfter <= 0 || !failing || state.Suspended {
		return Action{}, false
	}
	return v.ending(id, state, since.Add(v.CloseFailingAfter), markettypes.CLOSE_REASON_UNSTABLE)
}

// ending is the next step to the end of a lease that is due to end at a time.
func (v *View) ending(id markettypes.LeaseID, state State, at time.Time, reason markettypes.CloseReason) (Action, bool) {
	switch {
	case v.Now.Before(state.closable(at)) || !state.Closing.IsZero() && v.Now.Sub(state.Closing) < closeAgain:
		return Action{}, false
	case state.owesNotice() && state.Deadline.IsZero():
		return Action{Kind: Announce, Lease: id, Reason: reason}, true
	default:
		return Action{Kind: Close, Lease: id, Reason: reason}, true
	}
}

// same tells whether the cluster holds what it should, manifest and state.
func same(have, want *cluster.Workload) bool {
	return have.Suspended == want.Suspended && bytes.Equal(have.ManifestHash, want.ManifestHash) &&
		bytes.Equal(have.Envelope.Group, want.Envelope.Group)
}

// Compare orders lease ids by owner, number and provider.
func Compare(a, b markettypes.LeaseID) int {
	if c := strings.Compare(a.Owner, b.Owner); c != 0 {
		return c
	}
	for _, p := range [...][2]uint64{{a.Dseq, b.Dseq}, {uint64(a.Gseq), uint64(b.Gseq)}, {uint64(a.Oseq), uint64(b.Oseq)}} {
		if p[0] != p[1] {
			if p[0] < p[1] {
				return -1
			}
			return 1
		}
	}
	return strings.Compare(a.Provider, b.Provider)
}
