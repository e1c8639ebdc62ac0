package tenant

import (
	"context"
	"errors"
	"io"

	manifesttypes "berth.dev/berth/manifest/types"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// ErrRefused means that a provider was reached and will not do what was asked, however often; other errors of a
// Gateway may pass.
var ErrRefused = errors.New("the provider refused")

// Gateway is one provider, as a tenant speaks to it.
type Gateway interface {
	PutManifest(ctx context.Context, id markettypes.LeaseID, e manifesttypes.Envelope) error
	Manifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error)
	LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error)
	// Logs opens a stream of log lines, which the caller closes.
	Logs(ctx context.Context, id markettypes.LeaseID, o LogOptions) (LogStream, error)
	io.Closer
}

// LogOptions select log lines.
type LogOptions struct {
	// Service narrows to one service; empty means all.
	Service string
	Follow  bool
	// Tail is the number of last lines of each instance; 0 means all.
	Tail uint32
}

// LogStream gives log lines until io.EOF.
type LogStream interface {
	Next() (gatewaytypes.LogLine, error)
	io.Closer
}

// Dial reaches a provider by its record on chain, and trusts none but the keys that the record names.
type Dial func(ctx context.Context, p providertypes.Provider) (Gateway, error)
