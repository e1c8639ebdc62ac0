// Package gateway is the door through which tenants reach a provider: one HTTPS port with gRPC and JSON of the same
// service. It decides who may do what, bounds what strangers can cost, and hands the rest to a Backend.
package gateway

import (
	"context"
	"errors"
	"net"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

var (
	// ErrNotFound means that the provider knows for sure that it does not hold what was asked for. The error's text is
	// shown to the tenant.
	ErrNotFound = errors.New("not found at this provider")
	// ErrRefused means that the request was understood and will not pass as it is. The error's text is shown to the
	// tenant and should say why.
	ErrRefused = errors.New("refused")
	// ErrUnavailable means that nothing was learned or changed, as chain or cluster cannot be reached now. The text is
	// logged, not shown.
	ErrUnavailable = errors.New("unavailable")
)

// Backend is what the gateway needs of the provider behind it. Its methods are called from several goroutines and end
// early when ctx does. The gateway has checked before that the caller owns the lease and that the lease names this
// provider; whether the lease exists is the backend's to know. Errors wrap ErrNotFound, ErrRefused or ErrUnavailable;
// any other error is a fault of the provider, is logged and not shown.
type Backend interface {
	// Status returns who the provider is and how it fares.
	Status(ctx context.Context) (gatewaytypes.StatusResponse, error)
	// WouldBid says of each group what would become of an order for it now. The groups are as the chain would take them.
	WouldBid(ctx context.Context, req gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error)
	// PutManifest checks the manifest against the chain and runs it. It returns the deployment's hash that it was
	// accepted against. A repeat changes nothing.
	PutManifest(ctx context.Context, id markettypes.LeaseID, env manifesttypes.Envelope) (hash []byte, err error)
	// Manifest returns the manifest last accepted for the lease.
	Manifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error)
	// LeaseStatus returns what runs for the lease.
	LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error)
	// Logs opens a stream of log lines, which ends when ctx does. The gateway closes it, from another goroutine if
	// need be, which must end a Next that waits.
	Logs(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error)
	// Events opens a stream of events; the rest is as with Logs.
	Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error)
	// Exec runs a program in an instance of the lease until it ends, ctx does or the lease does, and returns its exit
	// code. All that it wrote has been written to the streams by then.
	Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (exitCode int, err error)
	// Forward connects to a port of an instance of the lease. The connection breaks when ctx or the lease ends; the
	// gateway closes it.
	Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error)
	// Restart replaces the instances of a service of the lease. It returns when the cluster has taken it.
	Restart(ctx context.Context, id markettypes.LeaseID, service string) error
	// GatewayKey returns the key that signs an account's tokens beside its own, as the chain has it; ErrNotFound means
	// that it has none.
	GatewayKey(ctx context.Context, owner string) ([]byte, error)
}
