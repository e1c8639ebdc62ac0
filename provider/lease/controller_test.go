package lease

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// bench is a controller between a cluster and a chain that a test makes fail.
type bench struct {
	*Controller
	now      time.Time
	running  map[markettypes.LeaseID]cluster.Workload
	presence map[markettypes.LeaseID]chain.Presence
	sent     []sdk.Msg

	listErr, applyErr, removeErr, chainErr, sendErr error
	statusErr                                       error
	hidden, failed                                  map[markettypes.LeaseID]bool // left out of lists; with a service that failed
	closeFailing                                    time.Duration
	applies, removes                                int
	asked                                           []int64 // the heights that the chain was asked not to go below
}

type nobody struct{}

func (nobody) Reconciled(error) {}
func (nobody) Applied(error)    {}
func (nobody) Removed(error)    {}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		hidden: map[markettypes.LeaseID]bool{}, failed: map[markettypes.LeaseID]bool{},
		now: time.Unix(1000, 0), running: map[markettypes.LeaseID]cluster.Workload{}, presence: map[markettypes.LeaseID]chain.Presence{},
	}
	b.restart(t, filepath.Join(t.TempDir(), "accepted.json"))
	return b
}

// restart drops everything that the controller has in memory.
func (b *bench) restart(t *testing.T, path string) {
	t.Helper()
	m, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Provider: us, ManifestTimeout: time.Minute, Refresh: time.Hour, CloseFailingAfter: b.closeFailing, Observer: nobody{},
		Now: func() time.Time { return b.now },
	}
	b.Controller = New(cfg, b, b, b, m)
}

func (b *bench) Apply(_ context.Context, w cluster.Workload) error {
	b.applies++
	if b.applyErr != nil {
		return b.applyErr
	}
	b.running[w.Lease] = w
	return nil
}

func (b *bench) Status(_ context.Context, id markettypes.LeaseID) ([]cluster.ServiceStatus, error) {
	switch _, ok := b.running[id]; {
	case b.statusErr != nil:
		return nil, b.statusErr
	case !ok:
		return nil, cluster.ErrNotFound
	}
	return []cluster.ServiceStatus{{Name: "web", Failed: b.failed[id]}}, nil
}

func (b *bench) Remove(_ context.Context, id markettypes.LeaseID) error {
	b.removes++
	if b.removeErr != nil {
		return b.removeErr
	}
	delete(b.running, id)
	return nil
}

func (b *bench) List(context.Context) ([]cluster.Deployed, error) {
	if b.listErr != nil {
		return nil, b.listErr
	}
	var out []cluster.Deployed
	for id, w := range b.running {
		if b.hidden[id] {
			continue
		}
		out = append(out, cluster.Deployed{Workload: w})
	}
	slices.SortFunc(out, func(x, y cluster.Deployed) int { return Compare(x.Lease, y.Lease) })
	return out, nil
}

func (b *bench) LeasePresence(_ context.Context, id markettypes.LeaseID, notBelow int64) (chain.Presence, error) {
	b.asked = append(b.asked, notBelow)
	return b.presence[id], b.chainErr
}

func (b *bench) Send(_ context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	b.sent = append(b.sent, msgs...)
	return &client.Result{}, b.sendErr
}

func (b *bench) snapshot(height int64, leases ...uint64) {
	s := &chain.Snapshot{Height: height}
	for _, n := range leases {
		s.Leases = append(s.Leases, markettypes.Lease{Id: leaseID(n), State: markettypes.LEASE_STATE_ACTIVE})
	}
	b.Handle(chain.Update{Height: height, Snapshot: s})
}

func (b *bench) block(height int64, events ...proto.Message) {
	b.Handle(chain.Update{Height: height, Events: events})
}

func closedEvent(n uint64) proto.Message {
	return &markettypes.EventLeaseClosed{Lease: markettypes.Lease{Id: leaseID(n), State: markettypes.LEASE_STATE_CLOSED}}
}

func TestNothingIsTornDownInIgnorance(t *testing.T) {
	b := newBench(t)
	b.running[leaseID(1)] = workload(1, "a")
	boom := errors.New("away")
	for _, step := range []struct {
		name string
		set  func()
		err  bool
	}{
		{"before the chain was read", func() {}, false},
		{"the cluster can't be listed", func() { b.snapshot(10); b.listErr = boom }, true},
		{"the chain can't be asked", func() { b.listErr = nil; b.chainErr = boom }, true},
		{"the chain answers from below", func() { b.chainErr = chain.ErrStale }, true},
		{"the chain does not know the lease", func() { b.chainErr = nil }, false},
		{"the chain says that it lives", func() { b.presence[leaseID(1)] = chain.Present }, false},
		{"the removal fails", func() { b.presence[leaseID(1)] = chain.Absent; b.removeErr = boom }, true},
	} {
		step.set()
		if err := b.Reconcile(t.Context()); (err != nil) != step.err || len(b.running) != 1 {
			t.Errorf("%s: %v, %d running, want an error: %v, and one", step.name, err, len(b.running), step.err)
		}
	}
	if b.removes != 1 {
		t.Errorf("%d removals, want the one that failed", b.removes)
	}
	b.removeErr = nil
	if err := b.Reconcile(t.Context()); err != nil || len(b.running) != 0 {
		t.Errorf("with proof: %v, %d running, want none", err, len(b.running))
	}
	if slices.Min(b.asked) < 10 {
		t.Errorf("asked from heights %v, want none below 10", b.asked)
	}
}

func TestLifeOfALease(t *testing.T) {
	b := newBench(t)
	b.snapshot(1)
	b.block(2, &markettypes.EventLeaseCreated{Lease: markettypes.Lease{Id: leaseID(1)}},
		&markettypes.EventLeaseCreated{Lease: markettypes.Lease{Id: markettypes.LeaseID{Owner: "o", Dseq: 5, Provider: them}}})
	if has, known := b.Has(leaseID(1)); !has || !known {
		t.Fatalf("Has = %v, %v", has, known)
	}
	if ids, _ := b.Leases(); len(ids) != 1 {
		t.Fatalf("leases %v, want ours only", ids)
	}
	b.applyErr = errors.New("full")
	if err := b.Accept(t.Context(), workload(1, "a")); err == nil {
		t.Fatal("accepted what did not run")
	}
	if _, ok, _ := b.Accepted(leaseID(1)); ok {
		t.Fatal("a manifest that did not run was accepted")
	}
	b.applyErr = nil
	if err := b.Accept(t.Context(), workload(1, "a")); err != nil {
		t.Fatal(err)
	}
	b.block(3, &markettypes.EventLeaseSuspended{Lease: markettypes.Lease{Id: leaseID(1), State: markettypes.LEASE_STATE_SUSPENDED}})
	b.now = b.now.Add(30 * time.Minute)
	if err := b.Reconcile(t.Context()); err != nil || !b.running[leaseID(1)].Suspended {
		t.Fatalf("suspended: %v, %+v, want it held without instances", err, b.running)
	}
	if !b.Suspended(leaseID(1)) {
		t.Error("not known as suspended")
	}
	if _, suspended := b.Leases(); suspended != 1 {
		t.Errorf("%d suspended", suspended)
	}
	b.block(4, &markettypes.EventLeaseResumed{Lease: markettypes.Lease{Id: leaseID(1)}})
	if err := b.Reconcile(t.Context()); err != nil || b.running[leaseID(1)].Suspended || len(b.running) != 1 {
		t.Fatalf("resumed: %v, %+v, want it running", err, b.running)
	}
	delete(b.running, leaseID(1)) // someone deleted it
	if err := b.Reconcile(t.Context()); err != nil || len(b.running) != 1 {
		t.Fatalf("drift: %v, %d running, want it back", err, len(b.running))
	}
	b.presence[leaseID(1)] = chain.Absent
	b.block(5, closedEvent(1))
	if err := b.Reconcile(t.Context()); err != nil || len(b.running) != 0 {
		t.Fatalf("closed: %v, %d running, want none", err, len(b.running))
	}
	if _, ok, known := b.Accepted(leaseID(1)); ok || !known {
		t.Error("still accepted after the close")
	}
	if err := b.Reconcile(t.Context()); err != nil || len(b.memory.had) != 0 || len(b.sent) != 0 {
		t.Errorf("afterwards: %v, remembered %v, sent %v", err, b.memory.had, b.sent)
	}
}

func TestRestartAdopts(t *testing.T) {
	b := newBench(t)
	b.snapshot(1, 1, 2)
	for n := uint64(1); n <= 2; n++ {
		if err := b.Accept(t.Context(), workload(n, "a")); err != nil {
			t.Fatal(err)
		}
	}
	b.restart(t, b.memory.path)
	if _, _, known := b.Accepted(leaseID(1)); known {
		t.Error("knows what it can't know yet")
	}
	delete(b.running, leaseID(2)) // lost while nobody looked
	b.snapshot(9, 1, 2)
	b.now = b.now.Add(time.Hour)
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w, ok, _ := b.Accepted(leaseID(1)); !ok || string(w.ManifestHash) != "a" {
		t.Errorf("lease 1: %v, %v, want it adopted", w, ok)
	}
	if len(b.sent) != 0 {
		t.Errorf("sent %v; a lease whose workload was lost must not be closed", b.sent)
	}
}

func TestManifestTimeout(t *testing.T) {
	b := newBench(t)
	b.snapshot(1, 1)
	reconcile := func() {
		t.Helper()
		if err := b.Reconcile(t.Context()); err != nil && b.listErr == nil && b.sendErr == nil {
			t.Fatal(err)
		}
	}
	reconcile()
	b.listErr = errors.New("away")
	b.now = b.now.Add(10 * time.Minute)
	reconcile()
	b.listErr = nil
	reconcile() // nobody could deliver a manifest: the wait starts anew
	if len(b.sent) != 0 {
		t.Fatalf("sent %v right after an outage", b.sent)
	}
	b.now = b.now.Add(time.Minute)
	b.sendErr = client.ErrUnknownOutcome
	reconcile()
	reconcile()
	if len(b.sent) != 1 {
		t.Fatalf("sent %d closes, want one", len(b.sent))
	}
	m, ok := b.sent[0].(*markettypes.MsgCloseLease)
	if !ok || m.Id != leaseID(1) || m.Signer != us || m.Reason != markettypes.CLOSE_REASON_MANIFEST_TIMEOUT {
		t.Errorf("sent %v", b.sent[0])
	}
	b.now = b.now.Add(closeAgain)
	reconcile()
	if len(b.sent) != 2 {
		t.Errorf("sent %d closes after the first did not show, want two", len(b.sent))
	}
	b.block(5, closedEvent(1))
	b.now = b.now.Add(time.Hour)
	reconcile()
	if len(b.sent) != 2 {
		t.Errorf("sent %d closes for a closed lease", len(b.sent))
	}
}

// TestNoticeBeforeTheClose: a lease that is owed notice is announced once, and closed when the notice has run out; neither
// a restart nor a lost event matters, a suspended one needs none, and a manifest that comes meanwhile keeps the lease.
func TestNoticeBeforeTheClose(t *testing.T) {
	owed := func(state markettypes.LeaseState, deadline int64) markettypes.Lease {
		return markettypes.Lease{Id: leaseID(1), State: state, ReclaimWindowSeconds: 3600, ReclaimDeadline: deadline}
	}
	active, reclaiming := markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_RECLAIMING
	snapshot := func(b *bench, l markettypes.Lease) {
		b.Handle(chain.Update{Height: 2, Snapshot: &chain.Snapshot{Height: 2, Leases: []markettypes.Lease{l}}})
	}
	reconcile := func(t *testing.T, b *bench, after time.Duration, sent int) {
		t.Helper()
		b.now = b.now.Add(after)
		if err := b.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.sent) != sent {
			t.Fatalf("sent %v, want %d messages", b.sent, sent)
		}
	}
	t.Run("announced and closed", func(t *testing.T) {
		b := newBench(t)
		snapshot(b, owed(active, 0))
		reconcile(t, b, 0, 0)
		reconcile(t, b, time.Minute, 1)
		if m, ok := b.sent[0].(*markettypes.MsgStartReclaim); !ok || m.Id != leaseID(1) || m.Provider != us || m.Reason != markettypes.CLOSE_REASON_MANIFEST_TIMEOUT {
			t.Fatalf("sent %v, want the notice", b.sent[0])
		}
		reconcile(t, b, time.Second, 1)
		reconcile(t, b, closeAgain, 2) // it did not show: once more
		b.block(3, &markettypes.EventLeaseReclaiming{Lease: owed(reclaiming, b.now.Unix()+3600)})
		reconcile(t, b, 3599*time.Second, 2)
		if wait := b.nextWait(); wait != time.Second {
			t.Errorf("waits %s for the end of the notice", wait)
		}
		reconcile(t, b, time.Second, 3)
		if m, ok := b.sent[2].(*markettypes.MsgCloseLease); !ok || m.Id != leaseID(1) {
			t.Fatalf("sent %v, want the close", b.sent[2])
		}
		reconcile(t, b, closeAgain, 4) // refused: the chain's clock was behind
	})
	t.Run("restart", func(t *testing.T) {
		b := newBench(t)
		snapshot(b, owed(reclaiming, b.now.Unix()+30))
		reconcile(t, b, 0, 0)
		reconcile(t, b, time.Minute, 1)
		if _, ok := b.sent[0].(*markettypes.MsgCloseLease); !ok {
			t.Errorf("sent %v, want the close", b.sent[0])
		}
	})
	t.Run("suspended", func(t *testing.T) {
		b := newBench(t)
		snapshot(b, owed(markettypes.LEASE_STATE_SUSPENDED, 0))
		reconcile(t, b, 0, 0)
		reconcile(t, b, time.Minute, 1)
		if _, ok := b.sent[0].(*markettypes.MsgCloseLease); !ok {
			t.Errorf("sent %v, want the close", b.sent[0])
		}
	})
	t.Run("manifest during the notice", func(t *testing.T) {
		b := newBench(t)
		snapshot(b, owed(reclaiming, b.now.Unix()+60))
		reconcile(t, b, 0, 0)
		if err := b.Accept(t.Context(), workload(1, "a")); err != nil {
			t.Fatal(err)
		}
		reconcile(t, b, time.Hour, 0)
	})
}

func TestRefreshRepairs(t *testing.T) {
	b := newBench(t)
	b.snapshot(1, 1)
	if err := b.Accept(t.Context(), workload(1, "a")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Reconcile(t.Context()); err != nil || b.applies != 1 {
			t.Fatalf("%v, %d applies, want the first one only", err, b.applies)
		}
	}
	b.now = b.now.Add(time.Hour)
	for range 2 {
		if err := b.Reconcile(t.Context()); err != nil || b.applies != 2 {
			t.Errorf("%v, %d applies after the interval, want 2", err, b.applies)
		}
	}
	b.restart(t, b.memory.path)
	b.snapshot(2, 1)
	if err := b.Reconcile(t.Context()); err != nil || b.applies != 2 {
		t.Errorf("%v, %d applies after a restart, want none more", err, b.applies)
	}
}

func TestRunStops(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}
