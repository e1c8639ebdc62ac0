package gatewayclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// patience bounds waits for what must happen; nothing is expected to take nearly as long.
const patience = 60 * time.Second

var owner = gatewaytest.NewAccount("owner")

// counting is a signer that counts its signatures.
type counting struct {
	gatewaytest.Account
	n *atomic.Int64
}

func (c counting) PublicKey() ([]byte, error) { return c.Key.PubKey().Bytes(), nil }

func (c counting) Sign(data []byte) (sig, pub []byte, err error) {
	c.n.Add(1)
	return c.Account.Sign(data)
}

func newSigner() counting { return counting{owner, new(atomic.Int64)} }

func provider(g *gatewaytest.Gateway) gatewayclient.Provider {
	return gatewayclient.Provider{HostURI: g.URI, Pins: [][]byte{make([]byte, 32), g.Pin}, Address: g.Account.Address}
}

func dial(t *testing.T, p gatewayclient.Provider, s gatewayclient.Signer, o ...gatewayclient.Options) *gatewayclient.Client {
	t.Helper()
	c, err := gatewayclient.Dial(context.Background(), p, gatewaytest.ChainID, s, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wait(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsWithOneSignature(t *testing.T) {
	backend := gatewaytest.Obliging(cluster.LogLine{Service: "web", Instance: "web-0", Line: "hello", Time: time.Unix(7, 0)})
	env := manifesttypes.Envelope{Group: bytes.Repeat([]byte{7}, 512<<10), Gseq: 1, Leaves: [][]byte{make([]byte, 32)}}
	var put manifesttypes.Envelope
	backend.PutManifestFunc = func(_ context.Context, _ markettypes.LeaseID, e manifesttypes.Envelope) ([]byte, error) {
		put = e
		return []byte("hash"), nil
	}
	g := gatewaytest.Start(t, backend)
	signer := newSigner()
	c, ctx, id := dial(t, provider(g), signer), wait(t), g.Lease(owner)

	if st, err := c.Status(ctx); err != nil || st.Height != 7 {
		t.Errorf("Status = %v, %v", st, err)
	}
	if n := signer.n.Load(); n != 0 {
		t.Errorf("%d signatures before any was needed", n)
	}
	if hash, err := c.PutManifest(ctx, id, env); err != nil || string(hash) != "hash" || !bytes.Equal(put.Group, env.Group) {
		t.Errorf("PutManifest = %q, %v", hash, err)
	}
	if e, err := c.GetManifest(ctx, id); err != nil || string(e.Group) != "group" {
		t.Errorf("GetManifest = %v, %v", e, err)
	}
	if st, err := c.LeaseStatus(ctx, id); err != nil || len(st.Services) != 1 {
		t.Errorf("LeaseStatus = %v, %v", st, err)
	}
	s, err := c.Logs(ctx, id, gatewayclient.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := gatewayclient.LogLine{Service: "web", Instance: "web-0", Line: "hello", Time: time.Unix(7, 0)}
	if l, err := s.Next(); err != nil || l != want {
		t.Errorf("Next = %+v, %v, want %+v", l, err, want)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end = %v", err)
	}
	if n := signer.n.Load(); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want error
	}{
		"not found": {gateway.ErrNotFound, gatewayclient.ErrNotFound},
		"refused":   {fmt.Errorf("no image: %w", gateway.ErrRefused), gatewayclient.ErrRefused},
		"fault":     {errors.New("boom"), gatewayclient.ErrFaulty},
	} {
		t.Run(name, func(t *testing.T) {
			backend := gatewaytest.Obliging()
			backend.LeaseStatusFunc = func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
				return gatewaytypes.LeaseStatusResponse{}, tc.err
			}
			backend.LogsFunc = func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error) {
				return nil, tc.err
			}
			g := gatewaytest.Start(t, backend)
			c, ctx := dial(t, provider(g), owner), wait(t)
			_, err := c.LeaseStatus(ctx, g.Lease(owner))
			_, serr := c.Logs(ctx, g.Lease(owner), gatewayclient.LogOptions{Follow: true})
			for what, err := range map[string]error{"LeaseStatus": err, "Logs": serr} {
				var e *gatewayclient.Error
				if !errors.Is(err, tc.want) || !errors.As(err, &e) || e.Message == "" || e.Host == "" {
					t.Errorf("%s = %#v, want %v", what, err, tc.want)
				}
			}
		})
	}
}

func TestNotAuthorised(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	stranger := gatewaytest.NewAccount("stranger")
	elsewhere := provider(g)
	elsewhere.Address = stranger.Address // signs for another audience
	for name, c := range map[string]*gatewayclient.Client{
		"a stranger":         dial(t, provider(g), stranger),
		"no signer":          dial(t, provider(g), nil),
		"scopes too small":   dial(t, provider(g), owner, gatewayclient.Options{Scopes: []token.Scope{token.Logs}}),
		"other lease":        dial(t, provider(g), owner, gatewayclient.Options{Leases: []token.Lease{{Dseq: 8}}}),
		"another provider":   dial(t, elsewhere, owner),
		"clock far ahead":    dial(t, provider(g), owner, gatewayclient.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}),
		"clock far behind":   dial(t, provider(g), owner, gatewayclient.Options{Now: func() time.Time { return time.Now().Add(-time.Hour) }}),
		"a signer that errs": dial(t, provider(g), broken{}),
	} {
		_, err := c.LeaseStatus(wait(t), g.Lease(owner))
		if !errors.Is(err, gatewayclient.ErrUnauthorized) {
			t.Errorf("%s: %v, want ErrUnauthorized", name, err)
		}
		if strings.HasPrefix(name, "clock") {
			var e *gatewayclient.Error
			if !errors.As(err, &e) || !strings.Contains(e.Next, "clock") {
				t.Errorf("%s: the advice does not speak of the clock: %+v", name, e)
			}
		}
		if _, err := c.Status(wait(t)); err != nil {
			t.Errorf("%s: Status needs no token: %v", name, err)
		}
	}
}

type broken struct{}

func (broken) Sign([]byte) (sig, pub []byte, err error) {
	return nil, nil, errors.New("keyring is locked")
}

// Clocks may differ by a minute or so in either direction.
func TestClocksMayDiffer(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	for _, d := range []time.Duration{-10 * time.Minute, -time.Minute, 80 * time.Second} {
		c := dial(t, provider(g), owner, gatewayclient.Options{Now: func() time.Time { return time.Now().Add(d) }})
		if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil {
			t.Errorf("clock off by %s: %v", d, err)
		}
	}
}

func TestWrongKeyIsNoticedBeforeAnythingIsSent(t *testing.T) {
	var asked atomic.Int64
	backend := gatewaytest.Obliging()
	backend.StatusFunc = func(context.Context) (gatewaytypes.StatusResponse, error) {
		asked.Add(1)
		return gatewaytypes.StatusResponse{}, nil
	}
	g := gatewaytest.Start(t, backend)
	p := provider(g)
	other := sha256.Sum256([]byte("other"))
	p.Pins = [][]byte{other[:]}
	signer := newSigner()
	c := dial(t, p, signer)
	_, err := c.Status(wait(t))
	if !errors.Is(err, gatewayclient.ErrWrongKey) || !strings.Contains(err.Error(), g.Account.Address) {
		t.Errorf("Status = %v, want ErrWrongKey that names the provider", err)
	}
	if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); !errors.Is(err, gatewayclient.ErrWrongKey) {
		t.Errorf("LeaseStatus = %v, want ErrWrongKey", err)
	}
	if asked.Load() != 0 {
		t.Error("a request was sent to a server with the wrong key")
	}
}

func TestDialChecksTheRecord(t *testing.T) {
	pin := make([]byte, 32)
	for name, p := range map[string]gatewayclient.Provider{
		"no pins":        {HostURI: "https://h"},
		"short pin":      {HostURI: "https://h", Pins: [][]byte{pin[:31]}},
		"http":           {HostURI: "http://h", Pins: [][]byte{pin}},
		"no scheme":      {HostURI: "h:8443", Pins: [][]byte{pin}},
		"no host":        {HostURI: "https://:8443", Pins: [][]byte{pin}},
		"with a path":    {HostURI: "https://h/api", Pins: [][]byte{pin}},
		"with a user":    {HostURI: "https://u@h", Pins: [][]byte{pin}},
		"with a query":   {HostURI: "https://h?x", Pins: [][]byte{pin}},
		"not an address": {HostURI: "https://[h", Pins: [][]byte{pin}},
	} {
		if c, err := gatewayclient.Dial(context.Background(), p, "c", owner); err == nil {
			c.Close()
			t.Errorf("%s: Dial accepts it", name)
		}
	}
	for _, uri := range []string{"https://h", "https://h/", "https://h:1", "https://[::1]:8443"} {
		c, err := gatewayclient.Dial(context.Background(), gatewayclient.Provider{HostURI: uri, Pins: [][]byte{pin}}, "c", owner)
		if err != nil {
			t.Errorf("Dial(%s): %v", uri, err)
			continue
		}
		c.Close()
	}
}

func TestManifestThatIsTooLargeIsNotSent(t *testing.T) {
	c := dial(t, gatewayclient.Provider{HostURI: "https://127.0.0.1:1", Pins: [][]byte{make([]byte, 32)}}, owner)
	_, err := c.PutManifest(wait(t), markettypes.LeaseID{}, manifesttypes.Envelope{Group: make([]byte, 512<<10+1)})
	if !errors.Is(err, gatewayclient.ErrRefused) {
		t.Errorf("PutManifest = %v, want ErrRefused", err)
	}
}

func TestUnavailableIsTriedAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	backend := gatewaytest.Obliging()
	backend.LeaseStatusFunc = func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
		if calls.Add(1) < 3 {
			return gatewaytypes.LeaseStatusResponse{}, gateway.ErrUnavailable
		}
		return gatewaytypes.LeaseStatusResponse{}, nil
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), owner)
	if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil || calls.Load() != 3 {
		t.Errorf("LeaseStatus = %v after %d calls, want the third to pass", err, calls.Load())
	}
	backend.PutManifestFunc = func(context.Context, markettypes.LeaseID, manifesttypes.Envelope) ([]byte, error) {
		calls.Add(1)
		return nil, gateway.ErrRefused
	}
	calls.Store(0)
	env := manifesttypes.Envelope{Group: []byte("g"), Gseq: 1, Leaves: [][]byte{make([]byte, 32)}}
	if _, err := c.PutManifest(wait(t), g.Lease(owner), env); !errors.Is(err, gatewayclient.ErrRefused) || calls.Load() != 1 {
		t.Errorf("PutManifest = %v after %d calls, want one refusal", err, calls.Load())
	}
}

// clock is a clock that tests set.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func TestTokensAreRenewed(t *testing.T) {
	var both clock
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Now = both.now })
	signer := newSigner()
	c := dial(t, provider(g), signer, gatewayclient.Options{Now: both.now})
	for i, want := range []int64{1, 1, 2, 3} {
		if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if n := signer.n.Load(); n != want {
			t.Errorf("after call %d: %d signatures, want %d", i, n, want)
		}
		both.advance([]time.Duration{10 * time.Minute, 2 * time.Minute, 24 * time.Hour, 0}[i])
	}
}

// A provider whose clock runs ahead ends tokens early; the client makes another and the caller notices nothing.
func TestTokenThatEndsEarlyIsRenewed(t *testing.T) {
	var theirs, ours clock
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Now = theirs.now })
	signer := newSigner()
	c := dial(t, provider(g), signer, gatewayclient.Options{Now: ours.now})
	if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil {
		t.Fatal(err)
	}
	ours.advance(8 * time.Minute)
	theirs.advance(18 * time.Minute)
	if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil || signer.n.Load() != 2 {
		t.Errorf("LeaseStatus = %v after %d signatures, want the second token to pass", err, signer.n.Load())
	}
}

// logSource is a backend's log that grows while streams come and go; streams begin where they are asked to.
type logSource struct {
	mu      sync.Mutex
	lines   []cluster.LogLine
	changed chan struct{}
	opened  []cluster.LogOptions
	// breakAt breaks the stream that is about to give one of these lines, once each.
	breakAt map[int]bool
}

func (s *logSource) add(lines ...cluster.LogLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, lines...)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *logSource) open(ctx context.Context, _ markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, o)
	return &logReader{src: s, ctx: ctx, o: o}, nil
}

type logReader struct {
	src  *logSource
	ctx  context.Context
	o    cluster.LogOptions
	next int
}

func (r *logReader) Next() (cluster.LogLine, error) {
	for {
		r.src.mu.Lock()
		changed := r.src.changed
		for r.next < len(r.src.lines) {
			l := r.src.lines[r.next]
			if r.src.breakAt[r.next] {
				delete(r.src.breakAt, r.next)
				r.src.mu.Unlock()
				return l, gateway.ErrUnavailable
			}
			r.next++
			if l.Time.Before(r.o.Since) {
				continue
			}
			r.src.mu.Unlock()
			return l, nil
		}
		r.src.mu.Unlock()
		if !r.o.Follow {
			return cluster.LogLine{}, io.EOF
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return cluster.LogLine{}, r.ctx.Err()
		}
	}
}

func (r *logReader) Close() error { return nil }

func numbered(from, to int) (lines []cluster.LogLine) {
	for i := from; i < to; i++ {
		// Three lines share each time.
		lines = append(lines, cluster.LogLine{Service: "web", Instance: fmt.Sprintf("web-%d", i%2), Line: fmt.Sprint(i), Time: time.Unix(int64(i/3)+1, 0)})
	}
	return lines
}

// readLines reads lines from..to of numbered, and nothing between.
func readLines(t *testing.T, s *gatewayclient.LogStream, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		l, err := s.Next()
		if err != nil || l.Line != fmt.Sprint(i) {
			t.Fatalf("Next = %+v, %v, want line %d", l, err, i)
		}
	}
}

// A stream whose provider fails now and then gives each line once, with or without follow.
func TestLogsGoOnAfterBreaks(t *testing.T) {
	t.Parallel()
	for _, follow := range []bool{false, true} {
		src := &logSource{changed: make(chan struct{}), lines: numbered(0, 40), breakAt: map[int]bool{7: true, 8: true, 30: true, 39: true}}
		backend := gatewaytest.Obliging()
		backend.LogsFunc = src.open
		g := gatewaytest.Start(t, backend)
		breaks := 0
		c := dial(t, provider(g), owner)
		s, err := c.Logs(wait(t), g.Lease(owner), gatewayclient.LogOptions{Follow: follow, Tail: 1000, OnBreak: func(error) { breaks++ }})
		if err != nil {
			t.Fatal(err)
		}
		readLines(t, s, 0, 40)
		if follow {
			src.add(numbered(40, 43)...)
			readLines(t, s, 40, 43)
		} else if _, err := s.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
		s.Close()
		if breaks != 4 || len(src.opened) != breaks+1 {
			t.Errorf("%d breaks, %d streams", breaks, len(src.opened))
		}
		for i, o := range src.opened {
			if resumed := i > 0; o.Since.IsZero() == resumed || (o.Tail == 0) != resumed {
				t.Errorf("stream %d was asked for %+v", i, o)
			}
		}
	}
}

// tokenEnds is a gateway and a client whose clocks go along, but that the gateway's seems to be shortly before the end of
// the token whenever a stream is opened, so that the stream ends soon. ended is told each time that the token has, when
// both clocks say that its time is over.
func tokenEnds(t *testing.T, backend *gatewaytest.Backend) (c *gatewayclient.Client, id markettypes.LeaseID, signer counting, ended func()) {
	var theirs, ours clock
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Now = theirs.now })
	signer = newSigner()
	c = dial(t, provider(g), signer, gatewayclient.Options{Now: ours.now})
	theirs.advance(13*time.Minute - 3*time.Second)
	return c, g.Lease(owner), signer, func() {
		ours.advance(13 * time.Minute)
		theirs.ahead.Store(ours.ahead.Load() + int64(13*time.Minute-3*time.Second))
	}
}

// A stream outlives its tokens: it is opened again with a new one, and brings each line once.
func TestLogsOutliveTheToken(t *testing.T) {
	t.Parallel()
	src := &logSource{changed: make(chan struct{}), lines: numbered(0, 10)}
	backend := gatewaytest.Obliging()
	backend.LogsFunc = src.open
	c, id, signer, ended := tokenEnds(t, backend)
	breaks := 0
	s, err := c.Logs(wait(t), id, gatewayclient.LogOptions{Follow: true, OnBreak: func(err error) {
		if !errors.Is(err, gatewayclient.ErrUnauthorized) {
			t.Errorf("the stream broke: %v", err)
		}
		ended()
		// Lines come while the stream is broken, and once it is open again.
		breaks++
		src.add(numbered(10*breaks, 10*breaks+10)...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readLines(t, s, 0, 30)
	if breaks != 2 || signer.n.Load() != 3 {
		t.Errorf("%d breaks, %d signatures, want one token for each stream", breaks, signer.n.Load())
	}
}

// eventSource gives the events of a lease from the time on that is asked for, as clusters do: in no strict order.
type eventSource struct {
	mu     sync.Mutex
	events []cluster.Event
	asked  []cluster.EventOptions
	// more is what has happened by the next time that somebody asks.
	more [][]cluster.Event
}

func (s *eventSource) open(ctx context.Context, _ markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 && len(s.more) > 0 {
		s.events, s.more = append(s.events, s.more[0]...), s.more[1:]
	}
	s.asked = append(s.asked, o)
	var now []cluster.Event
	for _, e := range s.events {
		if !e.Time.Before(o.Since) {
			now = append(now, e)
		}
	}
	return gatewaytest.NewEvents(ctx, o.Follow, now...), nil
}

func happening(second int64, text string) cluster.Event {
	return cluster.Event{Time: time.Unix(second, 0), Service: "web", Kind: "Told", Message: text, Count: 1}
}

// TestEventsOutliveTheToken: a followed stream of events goes on with a new token, without loss and without repetition:
// neither of events of one time, nor of those that were told late.
func TestEventsOutliveTheToken(t *testing.T) {
	t.Parallel()
	src := &eventSource{
		events: []cluster.Event{happening(100, "a"), happening(900, "b"), happening(900, "c"), happening(900, "c")},
		more: [][]cluster.Event{
			{happening(900, "d"), happening(896, "late"), happening(905, "e")},
			{happening(905, "f"), happening(905, "e")},
		},
	}
	backend := gatewaytest.Obliging()
	backend.EventsFunc = src.open
	c, id, signer, ended := tokenEnds(t, backend)
	s, err := c.Events(wait(t), id, gatewayclient.EventOptions{
		EventOptions: cluster.EventOptions{Follow: true, Since: time.Unix(50, 0)}, OnBreak: func(error) { ended() },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, want := range []string{"a", "b", "c", "c", "d", "late", "e", "f", "e"} {
		e, err := s.Next()
		if err != nil || e.Message != want {
			t.Fatalf("event %d is %+v, %v, want %q", i, e, err, want)
		}
	}
	src.mu.Lock()
	defer src.mu.Unlock()
	if len(src.asked) != 3 || signer.n.Load() != 3 {
		t.Errorf("%d streams, %d signatures, want three of each", len(src.asked), signer.n.Load())
	}
	if first := src.asked[0].Since; !first.Equal(time.Unix(50, 0)) {
		t.Errorf("the first stream was asked for since %v", first)
	}
}

// TestGivenTokenEnds: a stream with somebody else's token ends with it, and says whom to ask.
func TestGivenTokenEnds(t *testing.T) {
	t.Parallel()
	var theirs clock
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Now = theirs.now })
	cert, raw := forAColleague(t, g, time.Minute, token.Logs, token.Status)
	c := dial(t, provider(g), nil, gatewayclient.Options{Certificate: &cert, Token: raw})
	theirs.advance(time.Minute - 2*time.Second)
	s, err := c.Logs(wait(t), g.Lease(owner), gatewayclient.LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Next()
	var e *gatewayclient.Error
	if !errors.Is(err, gatewayclient.ErrUnauthorized) || !errors.As(err, &e) || !strings.Contains(e.Next, "another") {
		t.Errorf("Next = %v, want the end of the token and whom to ask", err)
	}
}

// Closing a stream, or the end of its context, ends a Next that waits.
func TestLogsEnd(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	c := dial(t, provider(g), owner)
	for name, end := range map[string]func(*gatewayclient.LogStream, context.CancelFunc){
		"Close":  func(s *gatewayclient.LogStream, _ context.CancelFunc) { s.Close() },
		"cancel": func(_ *gatewayclient.LogStream, cancel context.CancelFunc) { cancel() },
	} {
		ctx, cancel := context.WithCancel(wait(t))
		s, err := c.Logs(ctx, g.Lease(owner), gatewayclient.LogOptions{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := s.Next()
			got <- err
		}()
		end(s, cancel)
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Next = %v, want context.Canceled", name, err)
		}
		cancel()
	}
}
