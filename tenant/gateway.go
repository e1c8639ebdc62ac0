package tenant

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// ErrRefused means that a provider was reached and will not do what was asked, however often; other errors of a
// Gateway may pass.
var ErrRefused = errors.New("the provider refused")

// ErrNotHere means that a provider was reached and does not have what was asked for, perhaps not yet.
var ErrNotHere = errors.New("the provider does not have it")

// Gateway is one provider, as a tenant speaks to it.
type Gateway interface {
	// WouldBid asks whether the provider would bid on orders for groups; the answers are in the order of the groups.
	WouldBid(ctx context.Context, req *gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error)
	PutManifest(ctx context.Context, id markettypes.LeaseID, e manifesttypes.Envelope) error
	Manifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error)
	LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error)
	// Logs opens a stream of log lines, which the caller closes.
	Logs(ctx context.Context, id markettypes.LeaseID, o LogOptions) (LogStream, error)
	// Exec runs a program in an instance and returns its exit code; see cluster.Sessions. It is asked once only.
	Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error)
	// Forward connects to a port of an instance. The connection ends with ctx; the caller closes it.
	Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error)
	// Restart replaces the instances of a service; it returns when the provider has taken it.
	Restart(ctx context.Context, id markettypes.LeaseID, service string) error
	// Events opens a stream of events, which the caller closes. A stream that breaks is opened again, and goes on where it
	// was; onBreak is told why.
	Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions, onBreak func(error)) (cluster.EventStream, error)
	io.Closer
}

// LogOptions select log lines.
type LogOptions struct {
	// Service narrows to one service; empty means all.
	Service string
	Follow  bool
	// Tail is the number of last lines of each instance; 0 means all.
	Tail uint32
	// Since leaves out older lines; the zero time means no limit.
	Since time.Time
	// Previous gives what the instances wrote before they were started last; Follow is then without effect.
	Previous bool
	// OnBreak, if set, is told why a stream broke before it is opened again.
	OnBreak func(error)
}

// LogLine is one line of an instance's output. It comes from a stranger's program: whoever prints it to a terminal
// takes control characters out.
type LogLine struct {
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Line     string `json:"line"`
	// Time is when the line was written; zero where the provider does not know.
	Time time.Time `json:"time,omitzero"`
}

// LogStream gives log lines until io.EOF.
type LogStream interface {
	Next() (LogLine, error)
	io.Closer
}

// Dial reaches a provider by its record on chain, and trusts none but the keys that the record names.
type Dial func(ctx context.Context, p providertypes.Provider) (Gateway, error)
