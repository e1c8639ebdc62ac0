package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth.dev/berth/provider/cluster"
)

// PortPair leads a local port to a port of an instance.
type PortPair struct {
	// Local is 0 for any that is free.
	Local, Remote uint16
}

// ParsePortPair reads LOCAL:REMOTE, :REMOTE for any local port, or PORT for the same of both.
func ParsePortPair(s string) (PortPair, error) {
	local, remote, two := strings.Cut(s, ":")
	if !two {
		remote = local
	}
	r, err := strconv.ParseUint(remote, 10, 16)
	if err != nil || r == 0 {
		return PortPair{}, fmt.Errorf("%q is not LOCAL:REMOTE with ports from 1 to 65535", s)
	}
	if two && local == "" {
		return PortPair{0, uint16(r)}, nil
	}
	l, err := strconv.ParseUint(local, 10, 16)
	if err != nil || l == 0 {
		return PortPair{}, fmt.Errorf("%q is not LOCAL:REMOTE with ports from 1 to 65535", s)
	}
	return PortPair{uint16(l), uint16(r)}, nil
}

// Forwarding is a local address that leads to a port of a service.
type Forwarding struct {
	Local   string `json:"local"`
	Service string `json:"service"`
	Remote  uint16 `json:"remote"`
}

const (
	// forwardTries is how often a connection is tried anew when the provider or its instance is away for a moment, and
	// forwardRetry how long after.
	forwardTries = 10
	forwardRetry = time.Second
	// maxForwarded is how many connections are forwarded at once.
	maxForwarded = 256
)

// PortForward listens on an address of this machine and leads each connection to an instance of a service, until ctx ends.
// Connections are made anew each time, so that an instance or a provider that was started again is found again; what is
// refused is a warning. ready is told of what listens before the first connection is taken.
func (m *Machine) PortForward(ctx context.Context, p Place, address string, pairs []PortPair, ready func([]Forwarding) error) error {
	found, err := m.find(ctx, p)
	if err != nil {
		return asFailure(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var listeners []net.Listener
	var all []Forwarding
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // it takes nothing any more
		}
	}()
	for _, pair := range pairs {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(pair.Local))))
		if err != nil {
			return failf(KindUsage, nil, "%w", err)
		}
		listeners = append(listeners, l)
		all = append(all, Forwarding{Local: l.Addr().String(), Service: found.Service, Remote: pair.Remote})
	}
	if err := ready(all); err != nil {
		return err
	}
	f := &forwarder{machine: m, place: found, slots: make(chan struct{}, maxForwarded)}
	defer f.group.Wait()
	defer cancel()
	failed := make(chan error, len(listeners))
	for i, l := range listeners {
		context.AfterFunc(ctx, func() { _ = l.Close() })
		f.group.Go(func() { failed <- f.accept(ctx, l, uint32(pairs[i].Remote)) })
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Failure{Kind: KindOther, Dseq: p.ID.Dseq, Err: err}
	}
}

type forwarder struct {
	machine *Machine
	place   place
	slots   chan struct{}
	group   sync.WaitGroup
}

// accept takes connections until the listener is closed.
func (f *forwarder) accept(ctx context.Context, l net.Listener, port uint32) error {
	for {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("take connections at %s: %w", l.Addr(), err)
		}
		f.group.Go(func() {
			defer func() { <-f.slots }()
			f.serve(ctx, conn, port)
		})
	}
}

// serve leads one connection.
func (f *forwarder) serve(ctx context.Context, near net.Conn, port uint32) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer near.Close()
	far, err := f.dial(ctx, port)
	if err == nil {
		err = join(ctx, near, far)
	}
	if err != nil && ctx.Err() == nil {
		f.machine.tell(Warned{fmt.Sprintf("port %d of service %s: %s", port, f.place.Service, err)})
	}
}

// dial connects to the service, and again while its provider or its instances are away for a moment.
func (f *forwarder) dial(ctx context.Context, port uint32) (net.Conn, error) {
	for try := 1; ; try++ {
		g, err := f.machine.gateway(ctx, f.place.lease.Provider)
		if err != nil {
			return nil, err
		}
		conn, err := g.Forward(ctx, f.place.lease, cluster.ForwardOptions{Target: f.place.target(), Port: port})
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrNotHere) || ctx.Err() != nil || try == forwardTries {
			return nil, err
		}
		if err := f.machine.Clock.Sleep(ctx, forwardRetry); err != nil {
			return nil, err
		}
	}
}

// join copies both ways until both directions have ended or one broke. What breaks the near one is nobody's concern.
func join(ctx context.Context, near, far net.Conn) error {
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	go func() {
		if _, err := io.Copy(far, near); err == nil {
			if half, ok := far.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
				return
			}
		}
		_ = far.Close() // ends the other direction too
	}()
	_, err := io.Copy(onlyWriter{near}, far)
	if half, ok := near.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // who is near may have gone already
	}
	if errors.Is(err, errNear) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// errNear is what breaks a connection of this machine.
var errNear = errors.New("the local connection broke")

// onlyWriter tells its errors from those of what is read.
type onlyWriter struct{ w io.Writer }

// Write implements io.Writer.
func (o onlyWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNear, err)
	}
	return n, err
}
