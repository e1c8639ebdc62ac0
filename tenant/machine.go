package tenant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Timing holds the deadlines of a deployment's steps and how often they look.
type Timing struct {
	// BidWait is how long to wait for bids.
	BidWait time.Duration
	// QuietBlocks is how many blocks without a new bid end the wait early.
	QuietBlocks int64
	// ManifestWait is how long to try to give a provider its manifest.
	ManifestWait time.Duration
	// ReadyWait is how long services may take to become ready.
	ReadyWait time.Duration
	// AnswerWait is how long URLs may take to answer once all services are ready.
	AnswerWait time.Duration
	// Poll is how often the chain is looked at, PollProvider how often a provider.
	Poll, PollProvider time.Duration
	// LeaseCheck is how often it is checked that leases still stand while services start.
	LeaseCheck time.Duration
	// Call bounds one call to a provider, Put one that hands over a manifest, which the provider checks against the chain
	// and gives to its cluster before it answers, and Look one whose answer can be done without.
	Call, Put, Look time.Duration
}

// DefaultTiming suits blocks between half a second and some seconds.
func DefaultTiming() Timing {
	return Timing{
		BidWait: 30 * time.Second, QuietBlocks: 2, ManifestWait: time.Minute, ReadyWait: 10 * time.Minute, AnswerWait: 5 * time.Second,
		Poll: 150 * time.Millisecond, PollProvider: 250 * time.Millisecond, LeaseCheck: 3 * time.Second,
		Call: 10 * time.Second, Put: 40 * time.Second, Look: 5 * time.Second,
	}
}

// Machine runs deployments. Chain, Dial and Store are required; New fills in the rest.
type Machine struct {
	Chain   Chain
	Dial    Dial
	Store   Store
	Network string
	Observe Observer
	Choose  Chooser
	// Accept says why an offer is not acceptable; empty if it is. Nil accepts all.
	Accept func(Offer) string
	Clock  Clock
	// Rand gives salts; it must be cryptographically secure.
	Rand   io.Reader
	Timing Timing
	// Reach asks the URLs before a deployment counts as done; nil leaves that out.
	Reach Reach

	mu       sync.Mutex // guards gateways
	gateways map[string]Gateway
	told     sync.Mutex // makes Observe be called by one goroutine at a time
}

func (m *Machine) tell(e Event) {
	m.told.Lock()
	defer m.told.Unlock()
	m.Observe(e)
}

// New makes a machine with the system's clock and randomness, that takes the lowest bid and tells nobody of it.
func New(chain Chain, dial Dial, store Store, network string) *Machine {
	return &Machine{
		Chain: chain, Dial: dial, Store: store, Network: network, Observe: func(Event) {}, Choose: Lowest,
		Clock: SystemClock{}, Rand: rand.Reader, Timing: DefaultTiming(),
	}
}

// Select makes the machine take offers by a selection.
func (m *Machine) Select(s Selection) { m.Accept, m.Choose = s.Accept, s.Choose }

// Close ends the connections to providers.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, g := range m.gateways {
		errs = append(errs, g.Close())
	}
	m.gateways = nil
	return errors.Join(errs...)
}

// stepFunc does one step and returns the next. Done twice, it has the effect of once.
type stepFunc func(ctx context.Context, m *Machine, s *State) (Step, error)

// steps are all the steps that do something.
var steps = map[Step]stepFunc{
	StepCreate:   create,
	StepBids:     collectBids,
	StepLease:    createLeases,
	StepUpdate:   sendUpdate,
	StepManifest: sendManifests,
	StepRollout:  awaitRollout,
}

// Run takes a deployment from its present step to StepDone and saves it after each step. Its error is a *Failure; the
// deployment can then be run again from where it stopped.
func (m *Machine) Run(ctx context.Context, s *State) error {
	for !s.Step.Final() {
		m.tell(StepStarted{Dseq: s.Dseq, Step: s.Step})
		next, err := steps[s.Step](ctx, m, s)
		if err != nil {
			return m.failed(ctx, s, err)
		}
		if s.Step = next; next == StepDone {
			s.RolledOut = s.ManifestHash
		}
		if err := m.save(s); err != nil {
			return m.failed(ctx, s, err)
		}
	}
	return nil
}

// Resume continues a deployment that this machine has a state of. A lease that ended in the meantime is replaced.
func (m *Machine) Resume(ctx context.Context, dseq uint64) (*State, error) {
	s, err := m.Load(dseq)
	if err != nil {
		return nil, err
	}
	if s.Step == StepClosed {
		return s, &Failure{Kind: KindUsage, Dseq: dseq, Err: fmt.Errorf("deployment %d is closed", dseq), Hints: []Hint{HintDeploy, HintList}}
	}
	if err := m.refresh(ctx, s); err != nil {
		return s, m.failed(ctx, s, err)
	}
	return s, m.Run(ctx, s)
}

// Load reads a state and checks that it belongs to this chain and key.
func (m *Machine) Load(dseq uint64) (*State, error) {
	s, err := m.Store.Load(dseq)
	if errors.Is(err, ErrNoState) {
		return nil, &Failure{Kind: KindUsage, Dseq: dseq, Err: fmt.Errorf("%w, so it cannot be resumed here", err), Hints: []Hint{HintList, HintUpdate, HintClose}}
	}
	if err != nil {
		return nil, &Failure{Kind: KindOther, Dseq: dseq, Err: err}
	}
	if s.Owner != m.Chain.Address() {
		return nil, &Failure{Kind: KindUsage, Dseq: dseq, Err: fmt.Errorf("deployment %d belongs to %s, but the key is %s's", dseq, s.Owner, m.Chain.Address()), Hints: []Hint{HintList}}
	}
	return s, nil
}

func (m *Machine) save(s *State) error {
	s.UpdatedAt = m.Clock.Now().UTC()
	if err := m.Store.Save(s); err != nil {
		return fmt.Errorf("keep the state of deployment %d: %w", s.Dseq, err)
	}
	return nil
}

// failed turns a step's error into a Failure that names the step and what to do.
func (m *Machine) failed(ctx context.Context, s *State, err error) error {
	f := *asFailure(err)
	f.Step, f.Dseq = s.Step, s.Dseq
	if ctx.Err() != nil {
		f.Kind, f.Err, f.Hints = KindInterrupted, interruption{fmt.Sprintf("in step %q", s.Step), ctx.Err()}, []Hint{HintResume, HintClose}
	}
	if len(f.Hints) == 0 {
		f.Hints = []Hint{HintResume, HintStatus, HintClose}
	}
	if f.Kind == KindUnreachable {
		f.Hints = []Hint{HintNode, HintResume}
	}
	return &f
}

// refresh looks at what became of a deployment since its state was written.
func (m *Machine) refresh(ctx context.Context, s *State) error {
	if s.Step == StepCreate {
		return nil // the step itself looks whether the deployment is there
	}
	active, err := m.isActive(ctx, s)
	if err != nil {
		return err
	}
	if !active {
		s.Step = StepClosed
		if err := m.save(s); err != nil {
			return err
		}
		return failf(KindLease, []Hint{HintDeploy, HintStatus}, "deployment %d was closed in the meantime", s.Dseq)
	}
	return m.dropEndedLeases(ctx, s)
}

// gateway returns the connection to a provider, made on first use by the provider's present record.
func (m *Machine) gateway(ctx context.Context, provider string) (Gateway, error) {
	m.mu.Lock()
	g, ok := m.gateways[provider]
	m.mu.Unlock()
	if ok {
		return g, nil
	}
	p, err := m.Chain.Provider(ctx, provider)
	if err != nil {
		return nil, err
	}
	if g, err = m.Dial(ctx, p); err != nil {
		return nil, fmt.Errorf("reach provider %s at %s: %w", provider, p.HostUri, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if first, ok := m.gateways[provider]; ok { // another goroutine was faster
		return first, g.Close()
	}
	if m.gateways == nil {
		m.gateways = map[string]Gateway{}
	}
	m.gateways[provider] = g
	return g, nil
}

// hangUp forgets a connection that failed, so that the next use makes a new one by the provider's record of then.
func (m *Machine) hangUp(provider string, g Gateway) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gateways[provider] == g {
		delete(m.gateways, provider)
		_ = g.Close() // it has failed already
	}
}

// blockTime is the mean time between blocks, or 0 while it is unknown.
func (m *Machine) blockTime(ctx context.Context) time.Duration {
	d, err := m.Chain.BlockTime(ctx)
	if err != nil {
		return 0
	}
	return d
}
