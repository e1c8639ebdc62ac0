package client

import (
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// IsNotFound reports whether a query was answered, and the answer was that the thing does not exist.
func IsNotFound(err error) bool { return status.Code(err) == codes.NotFound }

// IsUnavailable reports whether the node could not be reached, so that nothing was learned.
func IsUnavailable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	default:
		return false
	}
}

// plainError is an error with a text for people; programs see the original.
type plainError struct {
	text string
	error
}

func (p plainError) Error() string { return p.text }
func (p plainError) Unwrap() error { return p.error }

var (
	rpcPrefix   = regexp.MustCompile(`rpc error: code = \w+ desc = `)
	queryPrefix = regexp.MustCompile(`^query /[\w./]+: `)
	failedAt    = regexp.MustCompile(`^failed to execute message; message index: \d+: `)
	gasSuffix   = regexp.MustCompile(`( \[[^\]\n]*:\d+\])?( with gas used: '\d+')?: unknown request$`)
)

// Plain takes off an error of a node what says nothing to people: gRPC's wrapping, and where in the node's source it came
// from. The error stays what it is for errors.Is and status.Code.
func Plain(err error) error {
	if err == nil {
		return nil
	}
	text := rpcPrefix.ReplaceAllString(err.Error(), "")
	for _, noise := range []*regexp.Regexp{queryPrefix, failedAt, gasSuffix} {
		text = noise.ReplaceAllString(text, "")
	}
	if text == err.Error() || text == "" {
		return err
	}
	return plainError{text, err}
}
