package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/internal/strictjson"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
)

const (
	// maxLeaves is more groups than a deployment can have.
	maxLeaves = 1024
	leafLen   = 32
	// maxLine is the longest log line in one message; a longer one is sent in pieces.
	maxLine = 64 << 10
	// maxServiceName is the length of a DNS label.
	maxServiceName = 63
)

func runStatus(ctx context.Context, b Backend, _ proto.Message, out answer) error {
	st, err := b.Status(ctx)
	if err != nil {
		return err
	}
	return out.send(&st)
}

// fillPutManifest reads the JSON form of an Envelope.
func fillPutManifest(m proto.Message, q url.Values, body []byte) error {
	if err := onlyKeys(q); err != nil {
		return err
	}
	if err := strictjson.Check(body, "group", "gseq", "leaves"); err != nil {
		return err
	}
	return jsonpb.Unmarshal(bytes.NewReader(body), &m.(*gatewaytypes.PutManifestRequest).Envelope)
}

func (s *Server) runPutManifest(ctx context.Context, b Backend, m proto.Message, out answer) error {
	req := m.(*gatewaytypes.PutManifestRequest)
	if err := s.checkEnvelope(req); err != nil {
		return err
	}
	hash, err := b.PutManifest(ctx, req.Id, req.Envelope)
	if err != nil {
		return err
	}
	return out.send(&gatewaytypes.PutManifestResponse{ManifestHash: hash})
}

// checkEnvelope refuses what cannot be a manifest of the lease, before anything is hashed or looked up.
func (s *Server) checkEnvelope(req *gatewaytypes.PutManifestRequest) error {
	env := req.Envelope
	switch {
	case len(env.Group) == 0:
		return wire.Errorf(wire.Invalid, "the manifest is empty")
	case int64(len(env.Group)) > s.cfg.Limits.MaxManifest:
		return wire.Errorf(wire.TooLarge, "the manifest has %d bytes, at most %d are allowed", len(env.Group), s.cfg.Limits.MaxManifest)
	case env.Gseq != req.Id.Gseq:
		return wire.Errorf(wire.Refused, "the manifest is that of group %d, the lease is for group %d", env.Gseq, req.Id.Gseq)
	case len(env.Leaves) == 0 || len(env.Leaves) > maxLeaves:
		return wire.Errorf(wire.Invalid, "the manifest comes with %d leaves, want 1 to %d", len(env.Leaves), maxLeaves)
	}
	for i, leaf := range env.Leaves {
		if len(leaf) != leafLen {
			return wire.Errorf(wire.Invalid, "leaf %d has %d bytes, want %d", i+1, len(leaf), leafLen)
		}
	}
	return nil
}

func runGetManifest(ctx context.Context, b Backend, m proto.Message, out answer) error {
	env, err := b.Manifest(ctx, m.(*gatewaytypes.GetManifestRequest).Id)
	if err != nil {
		return err
	}
	return out.send(&gatewaytypes.GetManifestResponse{Envelope: env})
}

func runLeaseStatus(ctx context.Context, b Backend, m proto.Message, out answer) error {
	st, err := b.LeaseStatus(ctx, m.(*gatewaytypes.LeaseStatusRequest).Id)
	if err != nil {
		return err
	}
	return out.send(&st)
}

// fillLogs reads the query of a JSON request.
func fillLogs(m proto.Message, q url.Values, _ []byte) error {
	req := m.(*gatewaytypes.LogsRequest)
	if err := onlyKeys(q, "service", "follow", "tail", "since_unix_nano", "previous"); err != nil {
		return err
	}
	req.Service = q.Get("service")
	var err error
	if req.Follow, err = parseBool(q, "follow"); err != nil {
		return err
	}
	if req.Previous, err = parseBool(q, "previous"); err != nil {
		return err
	}
	if q.Has("tail") {
		n, err := parseNumber(q.Get("tail"), 32)
		if err != nil {
			return fmt.Errorf("tail: %w", err)
		}
		req.Tail = uint32(n)
	}
	req.SinceUnixNano, err = parseSince(q)
	return err
}

// parseBool reads a parameter that is true, false or absent.
func parseBool(q url.Values, name string) (bool, error) {
	switch v := q.Get(name); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, fmt.Errorf("%s is %.20q, want true or false", name, v)
	}
}

func parseSince(q url.Values) (int64, error) {
	if !q.Has("since_unix_nano") {
		return 0, nil
	}
	n, err := parseNumber(q.Get("since_unix_nano"), 63)
	if err != nil {
		return 0, fmt.Errorf("since_unix_nano: %w", err)
	}
	return int64(n), nil
}

// onlyKeys refuses parameters that are unknown or stand twice.
func onlyKeys(q url.Values, known ...string) error {
	left := len(q)
	for _, k := range known {
		switch len(q[k]) {
		case 0:
		case 1:
			left--
		default:
			return fmt.Errorf("parameter %s stands %d times", k, len(q[k]))
		}
	}
	if left > 0 {
		return fmt.Errorf("unknown parameter; known here: %s", strings.Join(known, ", "))
	}
	return nil
}

func (s *Server) runLogs(ctx context.Context, b Backend, m proto.Message, out answer) error {
	req := m.(*gatewaytypes.LogsRequest)
	since, err := checkStream(req.Service, req.SinceUnixNano)
	if err != nil {
		return err
	}
	o := cluster.LogOptions{Service: req.Service, Follow: req.Follow && !req.Previous, Tail: int64(req.Tail), Since: since, Previous: req.Previous}
	lines, err := b.Logs(ctx, req.Id, o)
	if err != nil {
		return err
	}
	closeLines := sync.OnceFunc(func() { _ = lines.Close() }) // the lines were read; how it closes matters to nobody
	defer closeLines()
	// A Next that waits for a quiet service must end with the request.
	defer context.AfterFunc(ctx, closeLines)()
	if err := out.begin(); err != nil {
		return err
	}
	return s.copyLines(ctx, lines, out)
}

// checkStream refuses what no stream can be narrowed to, and returns the time of since; zero for no limit.
func checkStream(service string, sinceUnixNano int64) (time.Time, error) {
	switch {
	case len(service) > maxServiceName:
		return time.Time{}, wire.Errorf(wire.Invalid, "service name is longer than %d", maxServiceName)
	case sinceUnixNano < 0:
		return time.Time{}, wire.Errorf(wire.Invalid, "since_unix_nano is negative")
	case sinceUnixNano == 0:
		return time.Time{}, nil
	}
	return time.Unix(0, sinceUnixNano), nil
}

// copyLines sends lines one by one: what the client has not taken yet stays in the cluster, not in our memory.
func (s *Server) copyLines(ctx context.Context, lines cluster.LogStream, out answer) error {
	for {
		l, err := lines.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read log lines: %w", err)
		}
		msg := gatewaytypes.LogLine{Service: l.Service, Instance: l.Instance}
		if !l.Time.IsZero() {
			msg.TimeUnixNano = l.Time.UnixNano()
		}
		for rest := validText(l.Line); ; {
			msg.Line, rest = cutLine(rest)
			if err := out.send(&msg); err != nil {
				return err
			}
			s.metrics.lines.Inc()
			if rest == "" {
				break
			}
		}
	}
}

// validText replaces bytes that are no UTF-8, which no message of protobuf may hold.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// cutLine takes at most maxLine bytes off the front of a line, without cutting a character in two.
func cutLine(line string) (head, rest string) {
	if len(line) <= maxLine {
		return line, ""
	}
	n := maxLine
	for !utf8.RuneStart(line[n]) {
		n--
	}
	return line[:n], line[n:]
}
