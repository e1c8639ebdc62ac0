package fake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// The names of the calls of sessions, as given to Intercept.
const (
	OpExec    = "exec"
	OpForward = "forward"
	OpRestart = "restart"
	OpEvents  = "events"
	OpUsage   = "usage"
)

// Program is what a simulated instance can run. It gets its arguments without its name, and streams none of which is nil
// but Sizes; it returns its exit code, soon after ctx has ended.
type Program func(ctx context.Context, args []string, s cluster.Streams) int

// programs are those that every simulated instance has:
//
//	exit CODE      ends with a code
//	cat            writes what it reads
//	write OUT ERR  writes two lines, one to each output
//	size           writes the sizes of its terminal, as WIDTHxHEIGHT, until it is ended
//	wait           runs until it is ended
var programs = map[string]Program{
	"exit": func(_ context.Context, args []string, _ cluster.Streams) int {
		code, err := strconv.Atoi(strings.Join(args, ""))
		if err != nil {
			return 2
		}
		return code
	},
	"cat": func(_ context.Context, _ []string, s cluster.Streams) int {
		if _, err := io.Copy(s.Stdout, s.Stdin); err != nil {
			return 1
		}
		return 0
	},
	"write": func(_ context.Context, args []string, s cluster.Streams) int {
		for i, w := range []io.Writer{s.Stdout, s.Stderr} {
			if i < len(args) {
				if _, err := fmt.Fprintln(w, args[i]); err != nil {
					return 1
				}
			}
		}
		return 0
	},
	"size": func(ctx context.Context, _ []string, s cluster.Streams) int {
		for {
			select {
			case <-ctx.Done():
				return 137
			case size := <-s.Sizes:
				if _, err := fmt.Fprintf(s.Stdout, "%dx%d\r\n", size.Width, size.Height); err != nil {
					return 1
				}
			}
		}
	},
	"wait": func(ctx context.Context, _ []string, _ cluster.Streams) int {
		<-ctx.Done()
		return 137
	},
}

// SetProgram gives all instances a program beside those that every simulated instance has, or in place of one of them.
func (c *Cluster) SetProgram(name string, p Program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.programs[name] = p
}

// errInstanceEnded ends what runs in an instance that is no longer there.
var errInstanceEnded = fmt.Errorf("%w: the instance has ended", cluster.ErrRefused)

// look moves a lease on by a step, as every call does that looks at instances. c.mu is held.
func (c *Cluster) look(id markettypes.LeaseID) {
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return
	}
	l.links = c.links.byLease[id]
	if l.step(c.cfg, c.held) {
		c.notify()
	}
}

// instanceOf finds a running instance. c.mu is held.
func (c *Cluster) instanceOf(id markettypes.LeaseID, t cluster.Target) (*service, string, error) {
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, "", cluster.ErrNotFound
	}
	s := l.find(t.Service)
	if s == nil {
		return nil, "", fmt.Errorf("service %q: %w", t.Service, cluster.ErrNotFound)
	}
	if t.Instance == "" {
		if s.ready == 0 {
			why, _ := l.message(s)
			return nil, "", fmt.Errorf("%w: no instance of service %s runs: %s", cluster.ErrRefused, t.Service, why)
		}
		return s, instance(t.Service, 0), nil
	}
	for i := range s.wanted() {
		if instance(t.Service, i) != t.Instance {
			continue
		}
		if i >= s.ready {
			return nil, "", fmt.Errorf("%w: instance %s does not run", cluster.ErrRefused, t.Instance)
		}
		return s, t.Instance, nil
	}
	return nil, "", fmt.Errorf("instance %q: %w", t.Instance, cluster.ErrNotFound)
}

// whileThere returns a context that ends with ctx or when a run of an instance is over, which is its cause then.
func (c *Cluster) whileThere(ctx context.Context, id markettypes.LeaseID, t cluster.Target, run int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			c.mu.Lock()
			s, _, err := c.instanceOf(id, t)
			over := err != nil || s.run != run
			changed := c.changed
			c.mu.Unlock()
			if over {
				cancel(errInstanceEnded)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Exec implements cluster.Cluster. Instances have no programs but those of SetProgram and a few of their own.
func (c *Cluster) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	if err := c.enter(ctx, OpExec); err != nil {
		return 0, err
	}
	c.look(id)
	sv, name, err := c.instanceOf(id, o.Target)
	run := sv.runs()
	var p Program
	if err == nil && len(o.Command) == 0 {
		err = fmt.Errorf("%w: no program is named", cluster.ErrRefused)
	}
	if err == nil {
		p = c.programs[o.Command[0]]
	}
	c.mu.Unlock()
	if err != nil {
		return 0, fmt.Errorf("simulated cluster: exec in %s: %w", id, err)
	}
	bound, end := s.Bound(o.Terminal)
	defer end()
	if bound.Stdin == nil {
		bound.Stdin = strings.NewReader("")
	}
	if p == nil {
		_, _ = fmt.Fprintf(bound.Stderr, "%s: no such program\n", o.Command[0]) // who does not read it has the code
		return 127, nil
	}
	running, cancel := c.whileThere(ctx, id, cluster.Target{Service: o.Service, Instance: name}, run)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- p(running, o.Command[1:], bound) }()
	select {
	case n := <-code:
		if err := context.Cause(running); err == nil {
			return n, nil
		}
	case <-running.Done():
	}
	return 0, fmt.Errorf("simulated cluster: exec in %s: %w", id, context.Cause(running))
}

// Forward implements cluster.Cluster. A simulated instance answers http on those ports of its manifest that are not udp,
// unless PlaceInstances says where it listens in truth.
func (c *Cluster) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	if err := c.enter(ctx, OpForward); err != nil {
		return nil, err
	}
	c.look(id)
	sv, name, err := c.instanceOf(id, o.Target)
	places, run := slices.Clone(c.links.places[o.Service]), sv.runs()
	c.mu.Unlock()
	if err == nil && (o.Port == 0 || o.Port > 65535) {
		err = fmt.Errorf("%w: %d is not a port", cluster.ErrRefused, o.Port)
	}
	if err != nil {
		return nil, fmt.Errorf("simulated cluster: connect to %s: %w", id, err)
	}
	var conn net.Conn
	listens := slices.ContainsFunc(sv.spec.Expose, func(e manifesttypes.Expose) bool {
		return e.Port == o.Port && e.Proto != manifesttypes.PROTO_UDP
	})
	switch {
	case len(places) > 0:
		if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", places[0].String()); err != nil {
			return nil, fmt.Errorf("simulated cluster: connect to %s: %w: %w", id, cluster.ErrRefused, err)
		}
	case listens:
		near, far := net.Pipe()
		conn = near
		go answer(far, name)
	default:
		near, far := net.Pipe()
		if err := far.Close(); err != nil {
			return nil, fmt.Errorf("simulated cluster: connect to %s: %w", id, err)
		}
		return &deadConn{near, fmt.Errorf("%w: nothing listens on port %d of instance %s", cluster.ErrRefused, o.Port, name)}, nil
	}
	there, cancel := c.whileThere(context.WithoutCancel(ctx), id, cluster.Target{Service: o.Service, Instance: name}, run)
	stop := context.AfterFunc(there, func() { _ = conn.Close() })
	return &leasedConn{Conn: conn, done: func() { stop(); cancel() }}, nil
}

// answer is the http server of a simulated instance, for one connection.
func answer(conn net.Conn, name string) {
	defer func() { _ = conn.Close() }()
	for in := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		text := name + " answers\n"
		resp := http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: req, ContentLength: int64(len(text)),
			Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(text)),
		}
		if err := resp.Write(conn); err != nil || req.Close {
			return
		}
	}
}

// deadConn is a connection to a port that nobody listens on: it says so when it is used.
type deadConn struct {
	net.Conn
	err error
}

// Read implements net.Conn.
func (d *deadConn) Read([]byte) (int, error) { return 0, d.err }

// leasedConn is a connection to an instance, which ends with it.
type leasedConn struct {
	net.Conn
	once sync.Once
	done func()
}

// Close implements net.Conn.
func (l *leasedConn) Close() error {
	l.once.Do(l.done)
	return l.Conn.Close()
}

// CloseWrite closes the connection for writing where it is one that can.
func (l *leasedConn) CloseWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Restart implements cluster.Cluster: the former instances stay until the new ones are ready.
func (c *Cluster) Restart(ctx context.Context, id markettypes.LeaseID, name string) error {
	if err := c.enter(ctx, OpRestart); err != nil {
		return err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return fmt.Errorf("simulated cluster: restart in %s: %w", id, cluster.ErrNotFound)
	}
	s := l.find(name)
	var err error
	switch {
	case s == nil:
		err = fmt.Errorf("service %q: %w", name, cluster.ErrNotFound)
	case s.spec.Cron != nil:
		err = fmt.Errorf("%w: service %s is a task; it has no instances that go on", cluster.ErrRefused, name)
	case l.workload.Suspended:
		err = fmt.Errorf("%w: %s", cluster.ErrRefused, cluster.SuspendedMessage)
	}
	if err != nil {
		return fmt.Errorf("simulated cluster: restart in %s: %w", id, err)
	}
	s.updated, s.age = 0, 0
	if s.failure != "" {
		s.failure, s.reason = "", ""
	}
	l.note(c.cfg.Now(), cluster.Event{Service: name, Kind: cluster.EventRestarted, Message: "the tenant restarted it"})
	c.notify()
	return nil
}

// Usage implements cluster.Cluster: an instance uses a half of what it may, and a service that is not ready nothing.
func (c *Cluster) Usage(ctx context.Context, id markettypes.LeaseID) ([]cluster.Usage, error) {
	if err := c.enter(ctx, OpUsage); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, fmt.Errorf("simulated cluster: usage of %s: %w", id, cluster.ErrNotFound)
	}
	if c.cfg.Unmeasured {
		return nil, fmt.Errorf("simulated cluster: usage of %s: %w", id, cluster.ErrUnknown)
	}
	var out []cluster.Usage
	for _, s := range l.services {
		for i := range s.ready {
			out = append(out, cluster.Usage{
				Service: s.spec.Name, Instance: instance(s.spec.Name, i), Time: c.cfg.Now(),
				CPU: cluster.MilliCPU(s.spec.CpuMilli / 2), Memory: cluster.Bytes(s.spec.MemoryBytes / 2),
			})
		}
	}
	return out, nil
}
