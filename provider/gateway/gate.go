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
// only while less than talkWindow of them are waiting.
type gate struct {
	body io.ReadCloser

	mu      sync.Mutex
	taken   *sync.Cond // signalled when messages were taken, and on Close
	closed  bool
	waiting int   // bytes that were let through and belong to messages that were not taken yet
	sizes   []int // of those messages whose frame was seen, frames included
	frame   [frameLen]byte
	have    int // bytes of frame that are there
	rest    int // bytes of the present message that are to come
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
	if err != nil {
		return 0, err
	}
	n, err = g.body.Read(p[:n])
	if bad := g.passed(p[:n]); bad != nil {
		return 0, bad
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

// passed notes bytes that are let through, and where messages begin in them.
func (g *gate) passed(p []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += len(p)
	for len(p) > 0 {
		if g.rest > 0 {
			n := min(g.rest, len(p))
			g.rest -= n
			p = p[n:]
			continue
		}
		n := copy(g.frame[g.have:], p)
		g.have += n
		p = p[n:]
		if g.have < frameLen {
			return nil
		}
		g.have = 0
		size := binary.BigEndian.Uint32(g.frame[1:])
		switch {
		case g.frame[0] != 0:
			g.problem = wire.Errorf(wire.UnsupportedMedia, "messages must not be compressed here")
		case size > maxTalk-frameLen:
			g.problem = wire.Errorf(wire.TooLarge, "a message has %d bytes, at most %d are allowed", size, maxTalk-frameLen).
				Then("send the data in smaller pieces")
		default:
			g.rest = int(size)
			g.sizes = append(g.sizes, int(size)+frameLen)
			continue
		}
		return g.problem
	}
	return nil
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
// that does not talk, it just reads.
func (g *gate) receive(rt *route, stream grpc.ServerStream, m proto.Message) error {
	err := stream.RecvMsg(m)
	if g == nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case g.problem != nil:
		return g.problem
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
