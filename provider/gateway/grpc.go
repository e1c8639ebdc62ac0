package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	protov2 "google.golang.org/protobuf/proto"

	"berth.dev/berth/provider/gateway/internal/wire"
	markettypes "berth.dev/berth/x/market/types"
)

// isGRPC tells gRPC requests from JSON ones. grpc-web is neither.
func isGRPC(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return r.ProtoMajor == 2 && ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// newGRPC serves the routes by gRPC. Requests come through ServeHTTP, with their call in the context.
func (s *Server) newGRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.ForceServerCodec(wire.Codec{Strict: true}),
		grpc.MaxRecvMsgSize(int(s.cfg.Limits.MaxBody)),
		grpc.WaitForHandlers(true),
	)
	desc := grpc.ServiceDesc{ServiceName: service.ServiceName, Metadata: service.Metadata}
	for _, rt := range s.router.all {
		if rt.stream {
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName: rt.method, ServerStreams: true, ClientStreams: rt.talk, Handler: s.grpcStream(rt),
			})
			continue
		}
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: rt.method, Handler: s.grpcUnary(rt)})
	}
	g.RegisterService(&desc, nil)
	return g
}

func (s *Server) grpcUnary(rt *route) grpc.MethodHandler {
	return func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		req := rt.request(markettypes.LeaseID{})
		if err := dec(req); err != nil {
			return nil, undecodable(ctx, rt, err)
		}
		var reply proto.Message
		err := s.dispatch(ctx, rt, req, answer{
			begin: func() error { return nil },
			send:  func(m proto.Message) error { reply = m; return nil },
		})
		return reply, err
	}
}

func (s *Server) grpcStream(rt *route) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		c := callFrom(stream.Context())
		next := func(m proto.Message) error { return c.gate.receive(rt, stream, m) }
		req := rt.request(markettypes.LeaseID{})
		if err := next(req); err != nil {
			return undecodable(stream.Context(), rt, err)
		}
		out := answer{
			begin: func() error { return stream.SendHeader(metadata.Pairs(wire.StreamHeader, "open")) },
			send:  func(m proto.Message) error { return stream.SendMsg(m) },
		}
		if rt.talk {
			c.heard()
			out.next = next
		}
		return s.dispatch(stream.Context(), rt, req, out)
	}
}

// undecodable explains why a request could not be read.
func undecodable(ctx context.Context, rt *route, err error) error {
	p := unreadable(rt, err)
	callFrom(ctx).outcome.set(string(p.Code))
	return p
}

func unreadable(rt *route, err error) *wire.Problem {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p
	}
	p = wire.Errorf(wire.Invalid, "the request of %s cannot be read: %s", rt.method, status.Convert(err).Message())
	switch status.Code(err) {
	case codes.ResourceExhausted:
		p.Code = wire.TooLarge
	case codes.Canceled:
		p.Code = wire.Canceled
	}
	return p
}

// failGRPC answers a gRPC request before gRPC sees it: a status and no message.
func failGRPC(w http.ResponseWriter, p *wire.Problem) {
	st := p.GRPCStatus()
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(st.Code())))
	h.Set("Grpc-Message", escapeGRPC(st.Message()))
	if details, err := protov2.Marshal(st.Proto()); err == nil {
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
	w.WriteHeader(http.StatusOK)
}

// escapeGRPC encodes a message as the gRPC protocol wants it in a header.
func escapeGRPC(msg string) string {
	var b strings.Builder
	for i := range len(msg) {
		if c := msg[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
