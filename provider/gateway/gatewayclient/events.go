package gatewayclient

import (
	"context"
	"maps"
	"time"

	"google.golang.org/grpc"

	"berth.dev/berth/provider/cluster"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// EventOptions select events.
type EventOptions struct {
	cluster.EventOptions
	// OnBreak is as in LogOptions.
	OnBreak func(error)
}

// EventStream gives what happened to a lease. It outlives the connection and the token: when either ends, it goes on
// where it was. One goroutine calls Next.
type EventStream struct {
	f    *followed[gatewaytypes.Event]
	seen happened
}

const eventsOp = "read events"

// Events opens a stream of events. It returns once the provider has accepted the request. The caller closes the stream;
// it also ends with ctx.
func (c *Client) Events(ctx context.Context, id markettypes.LeaseID, o EventOptions) (*EventStream, error) {
	s := &EventStream{seen: happened{since: o.Since}}
	var err error
	s.f, err = follow(ctx, c, followed[gatewaytypes.Event]{
		op: eventsOp, endless: o.Follow, onBreak: o.OnBreak,
		ask: func(ctx context.Context) (grpc.ServerStreamingClient[gatewaytypes.Event], error) {
			req := &gatewaytypes.EventsRequest{Id: id, Service: o.Service, Follow: o.Follow}
			if since := s.seen.resume(); !since.IsZero() {
				req.SinceUnixNano = since.UnixNano()
			}
			return c.api.Events(ctx, req)
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Next returns the next event, or io.EOF when there will be none, or an error that ended the stream.
func (s *EventStream) Next() (cluster.Event, error) {
	for {
		m, err := s.f.next()
		if err != nil {
			return cluster.Event{}, err
		}
		e := cluster.Event{Service: m.Service, Instance: m.Instance, Kind: m.Kind, Warning: m.Warning, Message: m.Message, Count: max(1, m.Count)}
		if m.TimeUnixNano != 0 {
			e.Time = time.Unix(0, m.TimeUnixNano)
		}
		if s.seen.take(e) {
			s.f.news()
			return e, nil
		}
	}
}

// Close ends the stream and a Next that waits.
func (s *EventStream) Close() error {
	s.f.cancel()
	return nil
}

// happened is how far a stream of events has come: the newest time, and what happened shortly before it, as events of
// several sources do not come in the order of their times.
type happened struct {
	// since is what was asked for at first.
	since, newest time.Time
	// recent counts the events of the last slack; again are those of them that a stream that was opened anew will bring
	// once more.
	recent, again map[cluster.Event]int
}

// maxRecent bounds what a provider can make a client remember; with more at once, some may come twice.
const maxRecent = 4096

// take notes an event; it returns false for one that was given before the stream broke.
func (h *happened) take(e cluster.Event) bool {
	if h.again[e] > 0 {
		h.again[e]--
		return false
	}
	if e.Time.After(h.newest) {
		h.newest = e.Time
	}
	if len(h.recent) >= maxRecent {
		h.forget()
	}
	if len(h.recent) >= maxRecent {
		h.recent = nil
	}
	if h.recent == nil {
		h.recent = map[cluster.Event]int{}
	}
	h.recent[e]++
	return true
}

// forget drops what a stream that is opened anew does not bring again.
func (h *happened) forget() {
	maps.DeleteFunc(h.recent, func(e cluster.Event, _ int) bool { return !e.Time.IsZero() && e.Time.Before(h.newest.Add(-slack)) })
}

// resume returns the time to ask for events from; zero means all.
func (h *happened) resume() time.Time {
	if h.newest.IsZero() {
		h.again = maps.Clone(h.recent)
		return h.since
	}
	h.forget()
	h.again = maps.Clone(h.recent)
	if from := h.newest.Add(-slack); from.After(h.since) {
		return from
	}
	return h.since
}
