package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	mediaJSON  = "application/json"
	mediaLines = "application/x-ndjson"
)

// marshaler writes the JSON of protobuf with the names of the .proto file; fields that are zero stand there too.
var marshaler = jsonpb.Marshaler{OrigName: true, EmitDefaults: true}

// serveJSON answers a request that has passed authenticate.
func (s *Server) serveJSON(w *stallWriter, r *http.Request, rt *route, id markettypes.LeaseID) {
	req := rt.request(id)
	c := callFrom(r.Context())
	if err := s.readJSON(w, r, rt, c.claims, req); err != nil {
		p := wire.FromError(s.explain(r.Context(), rt, err))
		c.outcome.set(string(p.Code))
		failJSON(w, p)
		return
	}
	out := answer{begin: func() error { return nil }}
	if rt.stream {
		out = w.lines()
	} else {
		out.send = w.object
	}
	if err := s.dispatch(r.Context(), rt, req, out); err != nil {
		w.failLate(wire.FromError(err))
		return
	}
	if rt.stream {
		_ = out.begin() // a stream without lines still is an answer
	}
}

// readJSON fills the request. A caller who may not use the lease is told so before the body is read.
func (s *Server) readJSON(w *stallWriter, r *http.Request, rt *route, claims token.Claims, req proto.Message) error {
	if err := s.authorise(rt, claims, req); err != nil {
		return err
	}
	if rt.talk {
		return wire.Errorf(wire.UpgradeRequired, "%s is served over a WebSocket, or over gRPC", rt.method).
			Then("send the headers that upgrade the connection, by HTTP/1.1")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return wire.Errorf(wire.Invalid, "the query cannot be read")
	}
	body, err := s.readBody(w, r, rt)
	if err != nil {
		return err
	}
	fill := rt.fill
	if fill == nil {
		fill = func(_ proto.Message, q url.Values, _ []byte) error { return onlyKeys(q) }
	}
	if err := fill(req, q, body); err != nil {
		return wire.Errorf(wire.Invalid, "the request of %s cannot be read: %v", rt.method, err)
	}
	return nil
}

// readBody returns the body of routes that have one, and refuses one elsewhere.
func (s *Server) readBody(w *stallWriter, r *http.Request, rt *route) ([]byte, error) {
	limit := s.cfg.Limits.MaxBody
	switch {
	case r.ContentLength > limit:
		return nil, wire.Errorf(wire.TooLarge, "the body has %d bytes, at most %d are allowed", r.ContentLength, limit)
	case !rt.body && r.ContentLength != 0:
		return nil, wire.Errorf(wire.Invalid, "%s takes no body", rt.method)
	case !rt.body:
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaJSON || r.Header.Get("Content-Encoding") != "" {
		return nil, wire.Errorf(wire.UnsupportedMedia, "the body must be of type %s, not compressed", mediaJSON)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, wire.Errorf(wire.TooLarge, "the body has more than %d bytes", limit)
	case err != nil:
		return nil, wire.Errorf(wire.Invalid, "the body did not arrive whole")
	}
	// In HTTP/1 the deadline is the connection's, and would end the call while the backend works on it.
	_ = w.control.SetReadDeadline(time.Time{})
	return body, nil
}

// object writes one message as the whole answer.
func (w *stallWriter) object(m proto.Message) error {
	text, err := marshaler.MarshalToString(m)
	if err != nil {
		return err
	}
	w.headers(mediaJSON)
	w.WriteHeader(http.StatusOK)
	_, err = io.WriteString(w, text+"\n")
	return err
}

// lines writes one message per line.
func (w *stallWriter) lines() answer {
	begin := func() error {
		if !w.began {
			w.headers(mediaLines)
			w.WriteHeader(http.StatusOK)
			w.Flush()
		}
		return nil
	}
	return answer{begin: begin, send: func(m proto.Message) error {
		text, err := marshaler.MarshalToString(m)
		if err != nil {
			return err
		}
		if err := begin(); err != nil {
			return err
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
		w.Flush()
		return nil
	}}
}

// failLate answers with a problem, as the last line if lines were sent before.
func (w *stallWriter) failLate(p *wire.Problem) {
	if !w.began {
		failJSON(w, p)
		return
	}
	if line, err := json.Marshal(map[string]*wire.Problem{"error": p}); err == nil {
		_, _ = w.Write(append(line, '\n')) // the client may be gone
	}
}

func (w *stallWriter) headers(media string) { setHeaders(w.Header(), media) }

func setHeaders(h http.Header, media string) {
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// failJSON answers a JSON request with a problem.
func failJSON(w http.ResponseWriter, p *wire.Problem) {
	h := w.Header()
	setHeaders(h, mediaJSON)
	switch p.Code {
	case wire.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="berth"`)
	case wire.TooMany, wire.Unavailable:
		h.Set("Retry-After", "1")
	case wire.TooLarge:
		// Reading the rest of such a body to save the connection would be the wrong way to be polite.
		h.Set("Connection", "close")
	}
	w.WriteHeader(p.HTTPStatus())
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// notServed is the problem of a path without a route.
func notServed(r *http.Request, allow []string) *wire.Problem {
	if len(allow) > 0 {
		return wire.Errorf(wire.MethodNotAllowed, "%.20q is not allowed here", r.Method).Then("use " + strings.Join(allow, " or "))
	}
	return wire.Errorf(wire.NotFound, "there is no such path").Then("paths start with /v1/; gRPC needs HTTP/2 and the type application/grpc")
}
