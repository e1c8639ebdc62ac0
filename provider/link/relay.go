package link

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// duplex is an end of a connection that can be closed for each direction apart.
type duplex interface {
	io.Reader
	io.Writer
	CloseWrite() error
	Close() error
}

// aborter ends a connection so that the other end sees that it was cut off.
type aborter interface{ Reset() error }

// tcpEnd makes a TCP connection abortable.
type tcpEnd struct{ *net.TCPConn }

// Reset ends the connection without the orderly close.
func (c tcpEnd) Reset() error {
	return errors.Join(c.SetLinger(0), c.Close())
}

func abort(c io.Closer) {
	if a, ok := c.(aborter); ok {
		_ = a.Reset() // it is over either way
		return
	}
	_ = c.Close()
}

const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// buffers are lent to directions that have much to carry: a connection that is idle holds a small buffer only.
var buffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// pump copies until the end of r or an error. seen is told of the bytes after they were written.
func pump(w io.Writer, r io.Reader, seen func(n int)) error {
	small := make([]byte, smallBuffer)
	buf := small
	var large *[]byte
	defer func() {
		if large != nil {
			buffers.Put(large)
		}
	}()
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr //nolint:wrapcheck // counted, never shown
			}
			seen(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err //nolint:wrapcheck // counted, never shown
		case large == nil && n == len(buf):
			large, _ = buffers.Get().(*[]byte)
			buf = *large
		case large != nil && n < smallBuffer:
			buffers.Put(large)
			large, buf = nil, small
		}
	}
}

// idler calls over when nothing was seen for a while.
type idler struct {
	last  atomic.Int64
	after time.Duration
	timer *time.Timer
}

func newIdler(after time.Duration, over func()) *idler {
	i := &idler{after: after}
	i.seen()
	ready := make(chan struct{})
	i.timer = time.AfterFunc(after, func() {
		<-ready
		rest := i.after - time.Duration(time.Now().UnixNano()-i.last.Load())
		if rest <= 0 {
			over()
			return
		}
		i.timer.Reset(rest)
	})
	close(ready)
	return i
}

func (i *idler) seen() { i.last.Store(time.Now().UnixNano()) }
func (i *idler) stop() { i.timer.Stop() }

// relay carries a connection between its two ends, a being the one that asked for it, until both directions are closed,
// one fails, or nothing came for too long. It closes both ends.
func relay(a, b duplex, idle time.Duration, sent, received func(n int)) {
	i := newIdler(idle, func() { abort(a); abort(b) })
	defer i.stop()
	var wg sync.WaitGroup
	direction := func(to, from duplex, count func(int)) {
		err := pump(to, from, func(n int) { i.seen(); count(n) })
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			abort(a)
			abort(b)
		}
	}
	wg.Go(func() { direction(b, a, sent) })
	direction(a, b, received)
	wg.Wait()
	_ = a.Close() // both directions have ended
	_ = b.Close()
}

// packets is an end of a flow of datagrams.
type packets interface {
	// ReadPacket reads one datagram into a buffer of maxDatagram bytes.
	ReadPacket(buf []byte) (int, error)
	WritePacket(p []byte) error
	Close() error
}

// framed carries datagrams in a stream.
type framed struct {
	duplex
	in  io.Reader
	mu  sync.Mutex
	out []byte
}

// ReadPacket implements packets.
func (f *framed) ReadPacket(buf []byte) (int, error) { return readDatagram(f.in, buf) }

// WritePacket implements packets.
func (f *framed) WritePacket(p []byte) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out, err = appendDatagram(f.out[:0], p); err != nil {
		return err
	}
	_, err = f.Write(f.out)
	return err //nolint:wrapcheck // counted, never shown
}

// Reset ends the stream.
func (f *framed) Reset() error {
	abort(f.duplex)
	return nil
}

// udpEnd is a socket that is connected to an instance.
type udpEnd struct{ *net.UDPConn }

// ReadPacket implements packets. That nobody listens is learned by an error of the socket, after which it goes on.
func (u udpEnd) ReadPacket(buf []byte) (int, error) {
	for {
		n, err := u.Read(buf)
		if err == nil || !temporary(err) {
			return n, err //nolint:wrapcheck // counted, never shown
		}
	}
}

// WritePacket implements packets.
func (u udpEnd) WritePacket(p []byte) error {
	if _, err := u.Write(p); err != nil && !temporary(err) {
		return err //nolint:wrapcheck // counted, never shown
	}
	return nil
}

// exchange carries datagrams between two ends until one fails or nothing came for too long. It closes both.
func exchange(a, b packets, idle time.Duration, sent, received func(n int)) {
	i := newIdler(idle, func() { abort(a); abort(b) })
	defer i.stop()
	var wg sync.WaitGroup
	direction := func(to, from packets, count func(int)) {
		buf := make([]byte, maxDatagram)
		for {
			n, err := from.ReadPacket(buf)
			if err == nil {
				err = to.WritePacket(buf[:n])
			}
			if err != nil {
				abort(a)
				abort(b)
				return
			}
			i.seen()
			count(n)
		}
	}
	wg.Go(func() { direction(b, a, sent) })
	direction(a, b, received)
	wg.Wait()
}
