package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	markettypes "berth.dev/berth/x/market/types"
)

// ErrUnknown means that the cluster was reached and does not measure what was asked for.
var ErrUnknown = errors.New("not known to the cluster")

// Target is an instance of a service. Without an instance any ready one is meant, the first by name, and without a ready
// one any that runs.
type Target struct {
	Service  string
	Instance string
}

// ExecOptions say what is run in an instance.
type ExecOptions struct {
	Target
	// Command is the program with its arguments; it is not given to a shell.
	Command []string
	// Terminal gives the program a terminal, whose output is all on Stdout.
	Terminal bool
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Width, Height uint16 }

// Streams are what a program reads and writes. Those that are nil are not there: the program then reads nothing, or what
// it writes is dropped.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Sizes gives the size of the terminal at the start and whenever it changes.
	Sizes <-chan TerminalSize
}

// ForwardOptions say what a connection is made to.
type ForwardOptions struct {
	Target
	// Port is a tcp port of the instance, whether the manifest exposes it or not.
	Port uint32
}

// EventOptions select events.
type EventOptions struct {
	// Service narrows to one service; empty means all.
	Service string
	Follow  bool
	// Since leaves out older events; the zero time means no limit.
	Since time.Time
}

// The kinds of events that are the provider's own.
const (
	// EventManifest is a manifest that was accepted.
	EventManifest = "ManifestAccepted"
	// EventSuspended is a lease that is suspended.
	EventSuspended = "Suspended"
	// EventRestarted is a service that its tenant restarted.
	EventRestarted = "Restarted"
	// EventHookStarted is a hook that was started; the others are its end.
	EventHookStarted   = "HookStarted"
	EventHookSucceeded = "HookSucceeded"
	EventHookFailed    = "HookFailed"
)

// MaxEvents is how many events of the past a stream gives, the newest.
const MaxEvents = 500

// Event is something that happened to a lease's workload in its cluster.
type Event struct {
	Time time.Time
	// Service and Instance are what it happened to; both empty for the lease as a whole, Instance empty for a service.
	Service, Instance string
	// Kind is what happened, for programs, in the words of the cluster, for example Pulled or BackOff.
	Kind string
	// Warning tells what should not happen from what should.
	Warning bool
	// Message says it for people. It names nothing of other tenants, and no node.
	Message string
	// Count is how often it happened until Time; at least 1.
	Count uint32
}

// EventStream gives events until io.EOF, those that are known at the start in the order of their times.
type EventStream interface {
	Next() (Event, error)
	io.Closer
}

// Usage is what an instance was measured to use, lately.
type Usage struct {
	Service, Instance string
	CPU               MilliCPU
	Memory            Bytes
	// Time is when it was measured.
	Time time.Time
}

// Sessions is what a tenant does with running instances. Every method returns ErrNotFound for a lease, service or instance
// that is not there, and an error that wraps ErrRefused, with a text for the tenant, for one that cannot do what is asked.
type Sessions interface {
	// Exec runs a program in an instance until it ends or ctx does, and returns its exit code. All that it wrote has been
	// written to the streams by then, and nothing is written to them afterwards; Stdin may be read once more. As in shells,
	// the code is 127 for a program that is not there and 126 for one that cannot be run; what is written to Stderr, or with
	// a terminal to Stdout, says which.
	Exec(ctx context.Context, lease markettypes.LeaseID, o ExecOptions, s Streams) (exitCode int, err error)
	// Forward connects to a port of an instance, from inside of the instance's own network, so that no policy has to
	// allow it; ctx bounds the connecting alone. The connection can be closed for writing alone by CloseWrite where the
	// cluster carries that. That nobody listens on the port may turn out later: Read then returns the error that wraps
	// ErrRefused.
	Forward(ctx context.Context, lease markettypes.LeaseID, o ForwardOptions) (net.Conn, error)
	// Restart replaces the instances of a service by new ones of the same manifest, as an update would. It returns when
	// the cluster has taken it. Drift repair does not take it back.
	Restart(ctx context.Context, lease markettypes.LeaseID, service string) error
	// Events opens a stream of what happened to a lease. The caller closes it.
	Events(ctx context.Context, lease markettypes.LeaseID, o EventOptions) (EventStream, error)
	// Usage returns what the running instances use, by service and instance, or ErrUnknown where the cluster does not
	// measure it.
	Usage(ctx context.Context, lease markettypes.LeaseID) ([]Usage, error)
}
