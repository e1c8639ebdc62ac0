package gatewayclient_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/provider/gateway/gatewayclient"
)

// FuzzAnswers: whatever a provider with the right key puts into a gRPC answer, and into the frames of HTTP/2 after it, each
// question ends, and without a panic. The client is the same all the while, as one that has met trash must not be worse for it.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0}, false)
	f.Add(message(0, 4, "\x0a\x02\x0a\x00"), false)
	f.Add(message(1, 3, "abc"), false)
	f.Add(message(0, 1<<31, "abc"), false)
	f.Add(frame(frameHeaders, endHeaders|endStream, 1, fields("grpc-status", "5", "grpc-message", "%ff")), true)
	f.Add(frame(frameContinuation, endHeaders, 1, []byte{0x80}), true)
	l := newLiar(f)
	var raw atomic.Bool
	var data atomic.Pointer[[]byte]
	serve := l.speaks(func(c net.Conn, stream uint32) {
		_, _ = c.Write(frame(frameHeaders, endHeaders, stream, fields(":status", "200", "content-type", "application/grpc", "berth-stream", "1")))
		if raw.Load() {
			_, _ = c.Write(*data.Load())
			return
		}
		_, _ = c.Write(frame(frameData, 0, stream, *data.Load()))
		_, _ = c.Write(frame(frameHeaders, endHeaders|endStream, stream, fields("grpc-status", "0")))
	})
	const short = 20 * time.Millisecond
	c, err := gatewayclient.Dial(context.Background(), gatewayclient.Provider{HostURI: listen(f, serve), Pins: [][]byte{l.pin}, Address: owner.Address}, "c", owner,
		gatewayclient.Options{Waits: gatewayclient.Waits{Call: short, Put: short, Pause: time.Microsecond, Quiet: short, Session: short, Outage: time.Microsecond}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, answer []byte, frames bool) {
		answer = answer[:min(len(answer), 16<<10)] // what a frame holds
		raw.Store(frames)
		data.Store(&answer)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, ask := range []string{"LeaseStatus", "Logs", "Events", "WouldBid"} {
			_ = asks[ask](ctx, c) // an answer may happen to be good
		}
		if ctx.Err() != nil {
			t.Error("a question did not end")
		}
	})
}
