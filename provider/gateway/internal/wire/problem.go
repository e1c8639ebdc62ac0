package wire

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kind says what is wrong with a request, for programs. Its text stands in JSON answers and in the reason of the
// google.rpc.ErrorInfo of gRPC answers.
type Kind string

// The kinds of problems.
const (
	Invalid          Kind = "invalid"            // the request has a wrong form
	Unauthenticated  Kind = "unauthenticated"    // no valid token
	Forbidden        Kind = "forbidden"          // a valid token that does not allow this
	NotFound         Kind = "not_found"          // the lease, or the route, does not exist here
	MethodNotAllowed Kind = "method_not_allowed" // the path exists, with another verb
	TooLarge         Kind = "too_large"          // beyond a limit on size
	UnsupportedMedia Kind = "unsupported_media"  // a body in another form than asked for
	UpgradeRequired  Kind = "upgrade_required"   // a route that JSON reaches by WebSocket only
	Refused          Kind = "refused"            // understood, and not accepted
	TooMany          Kind = "too_many_requests"  // beyond a limit on rate or number; later it may pass
	Unavailable      Kind = "unavailable"        // not now; the same request may pass later
	Unimplemented    Kind = "unimplemented"      // a gRPC method that does not exist here
	Internal         Kind = "internal"           // a fault of the provider
	Canceled         Kind = "canceled"           // the client left
)

// domain marks our error details among others'.
const domain = "gateway.berth.dev"

var kinds = map[Kind]struct {
	code codes.Code
	http int
}{
	Invalid:          {codes.InvalidArgument, http.StatusBadRequest},
	Unauthenticated:  {codes.Unauthenticated, http.StatusUnauthorized},
	Forbidden:        {codes.PermissionDenied, http.StatusForbidden},
	NotFound:         {codes.NotFound, http.StatusNotFound},
	MethodNotAllowed: {codes.Unimplemented, http.StatusMethodNotAllowed},
	TooLarge:         {codes.OutOfRange, http.StatusRequestEntityTooLarge},
	UnsupportedMedia: {codes.InvalidArgument, http.StatusUnsupportedMediaType},
	UpgradeRequired:  {codes.Unimplemented, http.StatusUpgradeRequired},
	Refused:          {codes.FailedPrecondition, http.StatusUnprocessableEntity},
	TooMany:          {codes.ResourceExhausted, http.StatusTooManyRequests},
	Unavailable:      {codes.Unavailable, http.StatusServiceUnavailable},
	Unimplemented:    {codes.Unimplemented, http.StatusNotImplemented},
	Internal:         {codes.Internal, http.StatusInternalServerError},
	Canceled:         {codes.Canceled, 499},
}

// Problem is an answer other than the one asked for. It is an error, and the body of JSON answers.
type Problem struct {
	Code Kind `json:"code"`
	// Message says what is wrong, for people.
	Message string `json:"message"`
	// Next says what to do about it; it may be empty.
	Next string `json:"next,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Message }

// HTTPStatus is the status code of the JSON answer.
func (p *Problem) HTTPStatus() int {
	if k, ok := kinds[p.Code]; ok {
		return k.http
	}
	return http.StatusInternalServerError
}

// GRPCStatus is the problem as gRPC sends it; package status finds it by this name.
func (p *Problem) GRPCStatus() *status.Status {
	code := codes.Internal
	if k, ok := kinds[p.Code]; ok {
		code = k.code
	}
	st := status.New(code, p.Message)
	info := &errdetails.ErrorInfo{Reason: string(p.Code), Domain: domain}
	if p.Next != "" {
		info.Metadata = map[string]string{"next": p.Next}
	}
	if with, err := st.WithDetails(info); err == nil {
		return with
	}
	return st
}

// FromError returns the problem that a gRPC call ended with, or nil if there was none. A status that did not come from
// a gateway, as of a proxy or of gRPC itself, is given the nearest kind.
func FromError(err error) *Problem {
	if err == nil {
		return nil
	}
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	st, ok := status.FromError(err)
	if !ok {
		return &Problem{Code: Internal, Message: err.Error()}
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == domain {
			return &Problem{Code: Kind(info.Reason), Message: st.Message(), Next: info.Metadata["next"]}
		}
	}
	return &Problem{Code: nearest(st.Code()), Message: st.Message()}
}

func nearest(c codes.Code) Kind {
	switch c {
	case codes.InvalidArgument, codes.AlreadyExists, codes.OutOfRange:
		return Invalid
	case codes.Unauthenticated:
		return Unauthenticated
	case codes.PermissionDenied:
		return Forbidden
	case codes.NotFound:
		return NotFound
	case codes.ResourceExhausted:
		// gRPC itself answers so when a message is too large; the gateway's own limits carry their kind.
		return TooLarge
	case codes.FailedPrecondition:
		return Refused
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted:
		return Unavailable
	case codes.Unimplemented:
		return Unimplemented
	case codes.Canceled:
		return Canceled
	default:
		return Internal
	}
}

// Errorf makes a problem with a formatted message.
func Errorf(k Kind, format string, args ...any) *Problem {
	return &Problem{Code: k, Message: fmt.Sprintf(format, args...)}
}

// Then returns the problem with advice on what to do next.
func (p *Problem) Then(next string) *Problem {
	q := *p
	q.Next = next
	return &q
}
