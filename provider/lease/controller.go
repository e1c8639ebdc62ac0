package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Chain is what the controller asks of the chain.
type Chain interface {
	LeasePresence(ctx context.Context, id markettypes.LeaseID, notBelow int64) (chain.Presence, error)
}

// Sender carries messages to the chain; see chain.Sender.
type Sender interface {
	Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error)
}

// Runner is the part of a cluster that the controller drives.
type Runner interface {
	Apply(ctx context.Context, w cluster.Workload) error
	Status(ctx context.Context, lease markettypes.LeaseID) ([]cluster.ServiceStatus, error)
	Remove(ctx context.Context, lease markettypes.LeaseID) error
	List(ctx context.Context) ([]cluster.Deployed, error)
}

// Observer is told what happens, for metrics.
type Observer interface {
	Reconciled(err error)
	Applied(err error)
	Removed(err error)
}

// Config says how the controller behaves; zero durations mean the defaults.
type Config struct {
	Provider string
	// ManifestTimeout is how long a lease's first manifest is waited for before the lease is closed; default 5 m.
	ManifestTimeout time.Duration
	// Resync is how often chain and cluster are compared when nothing happens; default 30 s.
	Resync time.Duration
	// Refresh is how often every workload is applied again; default 10 m.
	Refresh time.Duration
	// CloseFailingAfter is how long a service may have failed before its lease is closed; 0 keeps it.
	CloseFailingAfter time.Duration
	// Check says whether a workload that the cluster remembers is whole; nil takes any.
	Check    func(cluster.Workload) error
	Observer Observer
	Log      *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.ManifestTimeout <= 0 {
		c.ManifestTimeout = 5 * time.Minute
	}
	if c.Resync <= 0 {
		c.Resync = 30 * time.Second
	}
	if c.Refresh <= 0 {
		c.Refresh = 10 * time.Minute
	}
	if c.Check == nil {
		c.Check = func(cluster.Workload) error { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Controller keeps the workloads of one provider. It is level-triggered: what it does depends on what is, not on which
// events it has seen, so that a restart or a lost event costs time only. Its methods may be called from any goroutine.
type Controller struct {
	cfg     Config
	runner  Runner
	chain   Chain
	sender  Sender
	wake    chan struct{}
	applies keyedMutex

	mu       sync.Mutex
	synced   bool // the chain's leases are known
	listed   bool // the cluster has been listed in this process
	height   int64
	leases   map[markettypes.LeaseID]State
	accepted map[markettypes.LeaseID]cluster.Workload
	memory   *Memory
	healthy  bool // the cluster answered last
	refresh  time.Time
	warned   map[markettypes.LeaseID]bool
	failing  map[markettypes.LeaseID]time.Time // since when all looks found a service that failed
	refused  map[markettypes.LeaseID]Refusal
}

// Refusal is a manifest that the cluster did not take while a lease ran another, or none.
type Refusal struct {
	ManifestHash []byte
	// Reason is for the tenant.
	Reason string
}

// New makes a controller with what it remembers from before.
func New(cfg Config, runner Runner, c Chain, sender Sender, memory *Memory) *Controller {
	return &Controller{
		cfg: cfg.withDefaults(), runner: runner, chain: c, sender: sender, memory: memory, wake: make(chan struct{}, 1),
		leases: make(map[markettypes.LeaseID]State), accepted: make(map[markettypes.LeaseID]cluster.Workload),
		warned: make(map[markettypes.LeaseID]bool), failing: make(map[markettypes.LeaseID]time.Time),
		refused: make(map[markettypes.LeaseID]Refusal),
	}
}

// Handle takes the next update of the chain. It never waits for the network.
func (c *Controller) Handle(u chain.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height = max(c.height, u.Height)
	changed := false
	if u.Snapshot != nil {
		c.reset(u.Snapshot)
		changed = true
	}
	for _, ev := range u.Events {
		changed = c.apply(ev) || changed
	}
	if changed {
		c.poke()
	}
}

func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Controller) reset(s *chain.Snapshot) {
	old := c.leases
	c.leases = make(map[markettypes.LeaseID]State, len(s.Leases))
	for i := range s.Leases {
		l := &s.Leases[i]
		state, known := old[l.Id]
		if !known {
			state.Since = c.cfg.Now()
		}
		c.leases[l.Id] = state.of(l)
	}
	c.synced = true
}

func (c *Controller) apply(ev proto.Message) (changed bool) {
	switch e := ev.(type) {
	case *markettypes.EventLeaseCreated:
		return c.set(&e.Lease)
	case *markettypes.EventLeaseSuspended:
		return c.set(&e.Lease)
	case *markettypes.EventLeaseResumed:
		return c.set(&e.Lease)
	case *markettypes.EventLeaseReclaiming:
		return c.set(&e.Lease)
	case *markettypes.EventLeaseClosed:
		if e.Lease.Id.Provider == c.cfg.Provider {
			delete(c.leases, e.Lease.Id)
			c.cfg.Log.Info("lease closed", "lease", e.Lease.Id.String(), "reason", e.Lease.Reason.String())
			return true
		}
	}
	return false
}

// set takes what an event says of a lease.
func (c *Controller) set(l *markettypes.Lease) bool {
	id := l.Id
	if id.Provider != c.cfg.Provider {
		return false
	}
	state, known := c.leases[id]
	if !known {
		state.Since = c.cfg.Now()
		c.cfg.Log.Info("lease won", "lease", id.String())
	}
	c.leases[id] = state.of(l)
	return true
}

// Run keeps cluster and chain in step until ctx ends; then it returns nil. Failures are retried, ever more slowly up
// to the resync interval.
func (c *Controller) Run(ctx context.Context) error {
	const first = time.Second
	wait, next := time.Duration(0), first
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-c.wake:
			timer.Stop()
		}
		wait = c.nextWait()
		err := c.Reconcile(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			next = first
		case errors.Is(err, chain.ErrStale): // the block's events came a moment before its state
			wait = 200 * time.Millisecond
		default:
			c.cfg.Log.Warn("chain and cluster could not be brought in step; will try again", "err", err)
			wait, next = next, min(2*next, c.cfg.Resync)
		}
	}
}

// nextWait is the time to the next resync, or to the next manifest that is overdue.
func (c *Controller) nextWait() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := c.cfg.Resync
	now := c.cfg.Now()
	for id, state := range c.leases {
		if _, ok := c.accepted[id]; !ok && state.Closing.IsZero() {
			wait = min(wait, max(time.Second, state.closable(state.Since.Add(c.cfg.ManifestTimeout)).Sub(now)))
		}
	}
	return wait
}

// Reconcile compares chain and cluster once and acts on the differences. Until the chain's leases are known it does
// nothing. It goes on after a failure with one lease and returns all failures together.
func (c *Controller) Reconcile(ctx context.Context) error {
	if !c.isSynced() {
		return nil
	}
	err := c.reconcile(ctx)
	c.cfg.Observer.Reconciled(err)
	return err
}

func (c *Controller) isSynced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.synced
}

func (c *Controller) reconcile(ctx context.Context) error {
	observed, err := c.runner.List(ctx)
	c.setHealthy(err == nil)
	if err != nil {
		return fmt.Errorf("list workloads: %w", err)
	}
	c.lookForFailures(ctx)
	actions := Diff(c.view(observed))
	var errs []error
	for _, a := range actions {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, c.act(ctx, a))
	}
	return errors.Join(errs...)
}

// actTimeout bounds one step with one lease, so that it can't keep the others waiting for long.
const actTimeout = 30 * time.Second

// setHealthy notes whether the cluster answered. After an outage the wait for manifests starts anew: nobody could have
// delivered one meanwhile.
func (c *Controller) setHealthy(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && !c.healthy && c.listed {
		for id, state := range c.leases {
			state.Since = c.cfg.Now()
			c.leases[id] = state
		}
	}
	c.healthy = ok
}

// view takes what is known now. Workloads that run already when this process first lists them are adopted with the
// manifests that the cluster keeps.
func (c *Controller) view(observed []cluster.Deployed) View {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	running := make(map[markettypes.LeaseID]bool, len(observed))
	for i := range observed {
		d := &observed[i]
		running[d.Lease] = true
		_, known := c.accepted[d.Lease]
		if _, ours := c.leases[d.Lease]; ours && !known && !d.Terminating {
			c.adopt(d)
		}
	}
	c.forgetEnded(running)
	// A new process does not apply everything anew: the cluster holds what it was last given.
	refresh := c.listed && now.Sub(c.refresh) >= c.cfg.Refresh
	if refresh || !c.listed {
		c.refresh = now
	}
	c.listed = true
	return View{
		Provider: c.cfg.Provider, Leases: maps.Clone(c.leases), Observed: observed, Accepted: maps.Clone(c.accepted),
		Remembered: maps.Clone(c.memory.had), Refresh: refresh, Now: now, ManifestTimeout: c.cfg.ManifestTimeout,
		Failing: maps.Clone(c.failing), CloseFailingAfter: c.cfg.CloseFailingAfter,
	}
}

// adopt makes the workload that the cluster remembers the accepted one, if it is whole. c.mu is held.
func (c *Controller) adopt(d *cluster.Deployed) {
	if d.Damaged || len(d.ManifestHash) == 0 {
		return
	}
	if err := c.cfg.Check(d.Workload); err != nil {
		c.cfg.Log.Warn("what the cluster remembers of a lease is not what was accepted", "lease", d.Lease.String(), "err", err)
		d.Damaged = true
		return
	}
	c.accepted[d.Lease] = d.Workload
	c.remember(d.Lease)
}

// lookForFailures notes which leases have a service that failed, if the operator wants such leases closed. What can't be
// learned ends the time that a lease was seen to fail.
func (c *Controller) lookForFailures(ctx context.Context) {
	if c.cfg.CloseFailingAfter <= 0 {
		return
	}
	ids, _ := c.Leases()
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		failed := c.fails(ctx, id)
		c.mu.Lock()
		_, before := c.failing[id]
		switch {
		case !failed:
			delete(c.failing, id)
		case !before:
			c.failing[id] = c.cfg.Now()
		}
		c.mu.Unlock()
	}
}

func (c *Controller) fails(ctx context.Context, id markettypes.LeaseID) bool {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	services, err := c.runner.Status(ctx, id)
	return err == nil && slices.ContainsFunc(services, func(s cluster.ServiceStatus) bool { return s.Failed })
}

// forgetEnded drops what is known of leases that are neither active nor running.
func (c *Controller) forgetEnded(running map[markettypes.LeaseID]bool) {
	ended := func(id markettypes.LeaseID) bool {
		_, ours := c.leases[id]
		return !ours && !running[id]
	}
	maps.DeleteFunc(c.accepted, func(id markettypes.LeaseID, _ cluster.Workload) bool { return ended(id) })
	maps.DeleteFunc(c.failing, func(id markettypes.LeaseID, _ time.Time) bool { return ended(id) })
	maps.DeleteFunc(c.refused, func(id markettypes.LeaseID, _ Refusal) bool { return ended(id) })
	for id := range maps.Clone(c.memory.had) {
		if ended(id) {
			c.forget(id)
		}
	}
}

func (c *Controller) forget(id markettypes.LeaseID) {
	if err := c.memory.Forget(id); err != nil {
		c.cfg.Log.Error("can't forget an ended lease", "lease", id.String(), "err", err)
	}
}

func (c *Controller) remember(id markettypes.LeaseID) {
	if err := c.memory.Remember(id); err != nil {
		c.cfg.Log.Error("can't remember that the lease has a manifest", "lease", id.String(), "err", err)
	}
}

func (c *Controller) act(ctx context.Context, a Action) error {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	switch a.Kind {
	case Verify:
		return c.verify(ctx, a.Lease)
	case Apply:
		return c.reapply(ctx, a.Workload)
	case Announce:
		return c.end(ctx, a, "announcing the close of a lease", &markettypes.MsgStartReclaim{
			Provider: c.cfg.Provider, Id: a.Lease, Reason: a.Reason,
		})
	case Close:
		return c.end(ctx, a, "closing a lease", &markettypes.MsgCloseLease{Signer: c.cfg.Provider, Id: a.Lease, Reason: a.Reason})
	case Lost:
		c.warnLost(a.Lease)
	}
	return nil
}

// verify removes a workload whose lease is positively closed.
func (c *Controller) verify(ctx context.Context, id markettypes.LeaseID) error {
	defer c.applies.lock(id)()
	presence, err := c.chain.LeasePresence(ctx, id, c.Height())
	if err != nil {
		return fmt.Errorf("ask whether lease %s is closed: %w", id, err)
	}
	if presence != chain.Absent {
		c.cfg.Log.Warn("a workload's lease is not among the active ones, yet the chain does not say that it is closed; it keeps running",
			"lease", id.String(), "presence", presence.String())
		return nil
	}
	err = c.runner.Remove(ctx, id)
	c.cfg.Observer.Removed(err)
	if err != nil {
		return fmt.Errorf("remove the workload of closed lease %s: %w", id, err)
	}
	c.cfg.Log.Info("workload removed", "lease", id.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.accepted, id)
	delete(c.warned, id)
	return nil
}

// reapply runs what was accepted, unless a newer manifest was accepted or the lease closed since the view was taken.
func (c *Controller) reapply(ctx context.Context, w cluster.Workload) error {
	defer c.applies.lock(w.Lease)()
	c.mu.Lock()
	now, ok := c.accepted[w.Lease]
	state, ours := c.leases[w.Lease]
	c.mu.Unlock()
	if !ok || !ours {
		return nil
	}
	now.Suspended = state.Suspended
	return c.run(ctx, now)
}

func (c *Controller) run(ctx context.Context, w cluster.Workload) error {
	err := c.runner.Apply(ctx, w)
	c.cfg.Observer.Applied(err)
	if err != nil {
		return fmt.Errorf("apply the workload of lease %s: %w", w.Lease, err)
	}
	return nil
}

// end takes a step towards the end of a lease. A step whose outcome is unknown, or that the chain refuses because its
// clock is behind ours, is taken again after a while, as the lease still shows then. A lease whose manifest never came is
// one of which the cluster says, asked for it by name, that it does not hold it: a list may have left it out.
func (c *Controller) end(ctx context.Context, a Action, what string, msg sdk.Msg) error {
	id := a.Lease
	if a.Reason == markettypes.CLOSE_REASON_MANIFEST_TIMEOUT {
		if _, err := c.runner.Status(ctx, id); !errors.Is(err, cluster.ErrNotFound) {
			return fmt.Errorf("%s: lease %s: the cluster does not say that it holds nothing of it: %w", what, id, err)
		}
	}
	c.mu.Lock()
	state, ok := c.leases[id]
	state.Closing = c.cfg.Now()
	if ok {
		c.leases[id] = state
	}
	c.mu.Unlock()
	if !ok {
		return nil
	}
	c.cfg.Log.Info(what, "lease", id.String(), "reason", a.Reason.String(), "notice", state.Notice.String())
	if _, err := c.sender.Send(ctx, msg); err != nil {
		return fmt.Errorf("%s: lease %s: %w", what, id, err)
	}
	return nil
}

func (c *Controller) warnLost(id markettypes.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.warned[id] {
		c.warned[id] = true
		c.cfg.Log.Error("the cluster no longer holds the workload of an active lease; its tenant has to send the manifest again", "lease", id.String())
	}
}

// Accept runs a manifest that was checked against the chain, and makes it the one that the lease keeps running. A
// lease that has closed since the check is cleaned up by the next reconciliation.
func (c *Controller) Accept(ctx context.Context, w cluster.Workload) error {
	defer c.applies.lock(w.Lease)()
	c.mu.Lock()
	w.Suspended = c.leases[w.Lease].Suspended
	c.mu.Unlock()
	err := c.run(ctx, w)
	c.mu.Lock()
	defer c.mu.Unlock()
	if text, refused := cluster.Refusal(err); refused {
		c.refused[w.Lease] = Refusal{ManifestHash: w.ManifestHash, Reason: text}
	}
	if err != nil {
		return err
	}
	c.accepted[w.Lease] = w
	delete(c.warned, w.Lease)
	delete(c.failing, w.Lease)
	delete(c.refused, w.Lease)
	c.remember(w.Lease)
	c.poke()
	return nil
}

// Accepted returns what was last accepted for a lease of ours; ok is false when there is none. known is false until
// the cluster, which keeps the manifests across restarts, has been read.
func (c *Controller) Accepted(id markettypes.LeaseID) (w cluster.Workload, ok, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ours := c.leases[id]; !ours {
		return cluster.Workload{}, false, c.synced
	}
	w, ok = c.accepted[id]
	return w, ok, ok || c.listed
}

// Refused returns the manifest that the cluster refused since the last one that was accepted for a lease, if there was
// one. It is forgotten with the process.
func (c *Controller) Refused(id markettypes.LeaseID) (r Refusal, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok = c.refused[id]
	return r, ok
}

// Suspended reports whether a lease is one of ours that nobody pays for at the moment.
func (c *Controller) Suspended(id markettypes.LeaseID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases[id].Suspended
}

// Has reports whether the lease is one of our active or suspended ones. known is false before the chain was read.
func (c *Controller) Has(id markettypes.LeaseID) (has, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, has = c.leases[id]
	return has, c.synced
}

// Leases lists our leases, and how many of them are suspended.
func (c *Controller) Leases() (ids []markettypes.LeaseID, suspended int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range c.leases {
		ids = append(ids, id)
		if s.Suspended {
			suspended++
		}
	}
	return ids, suspended
}

// Height is the last height that was acted on.
func (c *Controller) Height() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.height
}

// ClusterHealthy reports whether the cluster answered when it was last asked.
func (c *Controller) ClusterHealthy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.healthy
}

// keyedMutex locks by lease, so that one slow apply does not hold up the others.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[markettypes.LeaseID]*keyLock
}

type keyLock struct {
	sync.Mutex
	users int
}

// lock waits for the lease's lock and returns what gives it back.
func (k *keyedMutex) lock(id markettypes.LeaseID) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[markettypes.LeaseID]*keyLock)
	}
	l := k.locks[id]
	if l == nil {
		l = &keyLock{}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, id)
		}
	}
}
