package lease

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// TestIgnoranceTearsNothingDown lives through random histories in which the chain does not answer, answers from below,
// from another chain, or leaves leases out of what it says, the cluster does not answer or leaves workloads out of its
// lists, removals and applies fail, and the provider loses its memory or its disk: only what the chain has closed is
// removed, no lease is closed that had a manifest, and once all is well again the cluster holds what the chain asks for.
func TestIgnoranceTearsNothingDown(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		h := &history{bench: newBench(t), closed: map[markettypes.LeaseID]bool{}, had: map[markettypes.LeaseID]bool{}, suspended: map[uint64]bool{}}
		h.restart(t, filepath.Join(dir, "a.json"))
		if err := h.memory.empty(); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			h.step(t, rt)
			h.holds(rt)
		}
		h.heal(t, rt)
	})
}

// empty forgets everything.
func (m *Memory) empty() error {
	m.had = map[markettypes.LeaseID]bool{}
	return m.save()
}

var errWrongChain = errors.New("the node is of chain other, not of chain berth")

type history struct {
	*bench
	height    int64
	closed    map[markettypes.LeaseID]bool // by the chain
	had       map[markettypes.LeaseID]bool // leases whose manifest was accepted
	suspended map[uint64]bool
}

const leaseCount = 4

// truth is what the chain would say if it were asked and answered.
func (h *history) truth() (leases []markettypes.Lease) {
	for n := uint64(1); n <= leaseCount; n++ {
		id := leaseID(n)
		state := markettypes.LEASE_STATE_ACTIVE
		if h.suspended[n] {
			state = markettypes.LEASE_STATE_SUSPENDED
		}
		h.presence[id] = chain.Present
		if h.closed[id] {
			h.presence[id] = chain.Absent
			continue
		}
		leases = append(leases, markettypes.Lease{Id: id, State: state})
	}
	return leases
}

func (h *history) say(leases []markettypes.Lease) {
	h.height++
	h.Handle(chain.Update{Height: h.height, Snapshot: &chain.Snapshot{Height: h.height, Leases: leases}})
}

func (h *history) step(t *testing.T, rt *rapid.T) {
	fault := func(name string, errs ...error) error {
		return rapid.SampledFrom(append(errs, nil, nil)).Draw(rt, name)
	}
	boom := errors.New("away")
	k := uint64(rapid.IntRange(1, leaseCount).Draw(rt, "lease"))
	switch rapid.IntRange(0, 9).Draw(rt, "step") {
	case 0:
		h.chainErr = fault("chain", boom, chain.ErrStale, errWrongChain)
	case 1:
		h.listErr, h.statusErr = fault("list", boom), fault("status", boom)
	case 2:
		h.applyErr, h.removeErr, h.sendErr = fault("apply", boom, cluster.ErrRefused), fault("remove", boom), fault("send", client.ErrUnknownOutcome)
	case 3:
		h.hidden[leaseID(k)] = rapid.Bool().Draw(rt, "hidden")
	case 4: // what the chain says, some of it left out
		all := h.truth()
		h.say(rapid.SliceOfNDistinct(rapid.SampledFrom(append(all, markettypes.Lease{Id: leaseID(99)})), 0, len(all)+1,
			func(l markettypes.Lease) uint64 { return l.Id.Dseq }).Draw(rt, "said"))
	case 5:
		h.say(h.truth())
	case 6:
		if rapid.Bool().Draw(rt, "suspend") {
			h.suspended[k] = !h.suspended[k]
		} else if has, _ := h.Has(leaseID(k)); has && !h.closed[leaseID(k)] {
			if err := h.Accept(t.Context(), workload(k, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "hash"))); err == nil {
				h.had[leaseID(k)] = true
			}
		}
	case 7:
		if !h.closed[leaseID(k)] && rapid.IntRange(0, 3).Draw(rt, "close") == 0 {
			h.closed[leaseID(k)] = true
			h.truth()
		}
	case 8: // the provider is killed; its disk may be lost as well
		path := h.memory.path
		if rapid.Bool().Draw(rt, "disk lost") {
			if err := h.memory.empty(); err != nil {
				rt.Fatal(err)
			}
		}
		h.restart(t, path)
		h.height = 0
	default:
		h.now = h.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "seconds")) * time.Second)
	}
	_ = h.Reconcile(t.Context()) // it fails whenever something is away
}

// holds checks what must be true after every step.
func (h *history) holds(rt *rapid.T) {
	for id := range h.had {
		if _, runs := h.running[id]; !runs && !h.closed[id] {
			rt.Fatalf("lease %s lives, and its workload is gone", id)
		}
	}
	for _, m := range h.sent {
		c, ok := m.(*markettypes.MsgCloseLease)
		if ok && h.had[c.Id] {
			rt.Fatalf("lease %s had a manifest, and was closed", c.Id)
		}
		if ok {
			h.closed[c.Id] = true // the chain does so, whatever it answers
			h.truth()
		}
	}
	h.sent = nil
}

// heal lets everything answer, and holds that the cluster follows the chain.
func (h *history) heal(t *testing.T, rt *rapid.T) {
	h.chainErr, h.listErr, h.statusErr, h.applyErr, h.removeErr, h.sendErr = nil, nil, nil, nil, nil, nil
	clear(h.hidden)
	h.say(h.truth())
	for range 2 {
		if err := h.Reconcile(t.Context()); err != nil {
			rt.Fatal(err)
		}
	}
	for id, w := range h.running {
		if h.closed[id] || w.Suspended != h.suspended[id.Dseq] {
			rt.Fatalf("lease %s: closed %v, suspended %v, yet the cluster holds %+v", id, h.closed[id], h.suspended[id.Dseq], w)
		}
	}
}

// TestCloseFailing holds what the operator's policy closes: a lease that every look found failing for long enough.
func TestCloseFailing(t *testing.T) {
	b := newBench(t)
	b.closeFailing = 10 * time.Minute
	b.restart(t, b.memory.path)
	b.snapshot(1, 1, 2)
	for n := uint64(1); n <= 2; n++ {
		if err := b.Accept(t.Context(), workload(n, "a")); err != nil {
			t.Fatal(err)
		}
	}
	after := func(d time.Duration, sent int) {
		t.Helper()
		b.now = b.now.Add(d)
		if err := b.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.sent) != sent {
			t.Fatalf("sent %v, want %d messages", b.sent, sent)
		}
	}
	b.failed[leaseID(1)] = true
	after(0, 0)
	after(9*time.Minute, 0)
	b.statusErr = errors.New("away")
	after(time.Minute, 0) // not known: the time starts anew
	b.statusErr = nil
	after(9*time.Minute, 0)
	b.failed[leaseID(1)] = false
	after(time.Minute, 0) // well again
	b.failed[leaseID(1)] = true
	after(time.Minute, 0)
	if err := b.Accept(t.Context(), workload(1, "b")); err != nil {
		t.Fatal(err)
	}
	after(9*time.Minute, 0) // another manifest has its own time
	after(9*time.Minute, 0)
	after(time.Minute, 1)
	m, ok := b.sent[0].(*markettypes.MsgCloseLease)
	if !ok || m.Id != leaseID(1) || m.Reason != markettypes.CLOSE_REASON_UNSTABLE {
		t.Errorf("sent %v, want lease 1 closed as unstable", b.sent[0])
	}
}

// TestRefusedUpdate holds that a manifest that the cluster refuses leaves the former one accepted, and says so.
func TestRefusedUpdate(t *testing.T) {
	b := newBench(t)
	b.snapshot(1, 1)
	if err := b.Accept(t.Context(), workload(1, "a")); err != nil {
		t.Fatal(err)
	}
	b.applyErr = errors.Join(errors.New("other text"), errors.New(cluster.ErrRefused.Error()), cluster.ErrRefused)
	if err := b.Accept(t.Context(), workload(1, "b")); err == nil {
		t.Fatal("accepted")
	}
	b.applyErr = nil
	if r, ok := b.Refused(leaseID(1)); !ok || string(r.ManifestHash) != "b" {
		t.Errorf("Refused = %+v, %v", r, ok)
	}
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w, ok, _ := b.Accepted(leaseID(1)); !ok || string(w.ManifestHash) != "a" || string(b.running[leaseID(1)].ManifestHash) != "a" {
		t.Errorf("after the refusal %+v is accepted and %+v runs", w, b.running)
	}
	if err := b.Accept(t.Context(), workload(1, "c")); err != nil {
		t.Fatal(err)
	}
	if r, ok := b.Refused(leaseID(1)); ok {
		t.Errorf("still refused: %+v", r)
	}
}
