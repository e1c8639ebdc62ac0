package cluster

import (
	"io"
	"sync"
)

// Bound returns the streams of a session as its implementation uses them, and what ends their use: after end, nothing is
// written to s any more. end waits for a write that is under way. Output that nobody wants is dropped, and with a
// terminal all of it goes to Stdout; Stdin and Sizes are those of s.
func (s Streams) Bound(terminal bool) (bound Streams, end func()) {
	out, errs := &boundWriter{w: s.Stdout}, &boundWriter{w: s.Stderr}
	bound = Streams{Stdin: s.Stdin, Stdout: out, Stderr: errs, Sizes: s.Sizes}
	if terminal {
		bound.Stderr = out
	}
	return bound, func() {
		out.end()
		errs.end()
	}
}

// boundWriter writes to w until it has ended.
type boundWriter struct {
	mu    sync.Mutex
	w     io.Writer
	ended bool
}

// Write implements io.Writer.
func (b *boundWriter) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return 0, io.ErrClosedPipe
	case b.w == nil:
		return len(p), nil
	default:
		return b.w.Write(p)
	}
}

func (b *boundWriter) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
