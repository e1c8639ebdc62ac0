package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"

	"berth.dev/berth/provider/gateway/internal/wire"
)

const (
	// maxChunk is the most data in one message of a session, either way.
	maxChunk = 64 << 10
	// maxTalk is the largest message of a client that talks, with its frame.
	maxTalk = 2 * maxChunk
	// talkWindow is how many bytes a client that talks may have sent that the session has not taken yet. It holds two of
	// the largest messages, so that one can arrive whole while another one waits.
	talkWindow = 2 * maxTalk
	// frameLen is what stands before each message of gRPC: a flag and the length.
	frameLen = 5
)

// gate is the body of a client that talks by gRPC. gRPC's server reads bodies as fast as they come and keeps what its
// handler has not asked for, so the flow control of HTTP/2 ends at it; the gate takes its place. It lets bytes through
// only while less than talkWindow of them are waiting. A message that may not come ends the body before it begins: gRPC
// would answer any other error itself, and not say what is wrong.
type gate struct {
	body io.ReadCloser

	// These are the reader's alone.
	frame [frameLen]byte // of the present message
	due   []byte         // of frame, what was not let through yet
	rest  int            // bytes of the present message that are to come

	mu      sync.Mutex
	taken   *sync.Cond // signalled when messages were taken, and on Close
	closed  bool
	waiting int   // bytes that were let through and belong to messages that were not taken yet
	sizes   []int // of those messages whose frame was let through, frames included
	problem *wire.Problem
}

func newGate(body io.ReadCloser) *gate {
	g := &gate{body: body}
	g.taken = sync.NewCond(&g.mu)
	return g
}

// Read implements io.Reader.
func (g *gate) Read(p []byte) (int, error) {
	n, err := g.await(len(p))
	if n == 0 || err != nil {
		return 0, err
	}
	if len(g.due) == 0 && g.rest == 0 {
		if err := g.begin(); err != nil {
			return 0, err
		}
	}
	if len(g.due) > 0 {
		n = copy(p[:n], g.due)
		g.due = g.due[n:]
		g.passed(n)
		return n, nil
	}
	n, err = g.body.Read(p[:min(n, g.rest)])
	g.rest -= n
	g.passed(n)
	if err != nil && g.rest > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// await returns how many of want bytes may pass, once that is not 0.
func (g *gate) await(want int) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.waiting >= talkWindow && !g.closed {
		g.taken.Wait()
	}
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	return min(want, talkWindow-g.waiting), nil
}

// begin reads the frame of the next message. After a message that may not come, the body is at its end.
func (g *gate) begin() error {
	g.mu.Lock()
	bad := g.problem != nil
	g.mu.Unlock()
	if bad {
		return io.EOF
	}
	if _, err := io.ReadFull(g.body, g.frame[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(g.frame[1:])
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.frame[0] != 0:
		g.problem = wire.Errorf(wire.UnsupportedMedia, "messages must not be compressed here")
	case size > maxTalk-frameLen:
		g.problem = wire.Errorf(wire.TooLarge, "a message has %d bytes, at most %d are allowed", size, maxTalk-frameLen).
			Then("send the data in smaller pieces")
	default:
		g.due, g.rest = g.frame[:], int(size)
		g.sizes = append(g.sizes, int(size)+frameLen)
		return nil
	}
	return io.EOF
}

// passed notes bytes that were let through.
func (g *gate) passed(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += n
}

// Close implements io.Closer.
func (g *gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.taken.Broadcast()
	g.mu.Unlock()
	return g.body.Close()
}

// receive reads the next message of a stream and lets as much more of the body pass. On a nil gate, that of a client
// that does not talk, it just reads. gRPC would answer what cannot be decoded itself, so it is decoded here.
func (g *gate) receive(rt *route, stream grpc.ServerStream, m proto.Message) error {
	var data wire.Raw
	err := stream.RecvMsg(&data)
	if err == nil {
		if err := (wire.Codec{Strict: true}).Unmarshal(data, m); err != nil {
			return wire.Errorf(wire.Invalid, "the request of %s cannot be read: %v", rt.method, err)
		}
	}
	if g == nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil && g.problem != nil:
		return g.problem
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return unreadable(rt, err)
	}
	if len(g.sizes) > 0 {
		g.waiting -= g.sizes[0]
		g.sizes = g.sizes[1:]
		g.taken.Signal()
	}
	return nil
}
