// Package cluster is the boundary between the provider and what runs workloads. Two implementations stand below it:
// kube (the real thing) and fake (simulated); clustertest holds the conformance suite that both must pass.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// ErrNotFound means that the cluster was reached and positively does not hold what was asked for. Any other error
// means that nothing was learned.
var ErrNotFound = errors.New("not found in the cluster")

// ErrRefused means that the cluster was reached and cannot run what was asked for; repeating the call will not help.
// What stands behind it in an error's text is meant for the tenant; see Refusal.
var ErrRefused = errors.New("refused by the cluster")

// Refusal is what an error says to the tenant, if it wraps ErrRefused.
func Refusal(err error) (text string, refused bool) {
	if !errors.Is(err, ErrRefused) {
		return "", false
	}
	_, text, _ = strings.Cut(err.Error(), ErrRefused.Error()+": ")
	return text, true
}

// ErrNotNow means that something beside the cluster, such as a name server, kept it from being found out whether it can
// run what was asked for. Nothing was changed; the error's text is for the tenant, and repeating the call may help.
var ErrNotNow = errors.New("could not be checked, try again")

type (
	// MilliCPU is an amount of processor time, in thousandths of a core.
	MilliCPU int64
	// Bytes is an amount of memory or storage.
	Bytes int64
)

// Workload is what should run for one lease.
type Workload struct {
	Lease markettypes.LeaseID
	// Envelope is the manifest as it was accepted; the cluster stores it, so that it can be read back by List.
	Envelope manifesttypes.Envelope
	// Group is the decoded Envelope.Group.
	Group manifesttypes.Group
	// ManifestHash is the deployment's hash that Envelope was accepted against, 32 bytes.
	ManifestHash []byte
	// Suspended says that no instance is to run, while everything else of the lease stays: its persistent volumes,
	// host names and ports. The cluster keeps this with the manifest.
	Suspended bool
	// Accepted is when the tenant sent the manifest; zero if that is not known. A host name that several leases of one
	// owner ask for leads to the one that was accepted last. With the hash that the lease has and a later time, the tenant
	// has sent its manifest again: hooks that failed run again, and those of them that run once only are passed over.
	Accepted time.Time
}

// Deployed is a workload that the cluster holds. Its ManifestHash is empty if no manifest is there, because what made
// it was cut short.
type Deployed struct {
	Workload
	// Damaged says that there is a manifest that cannot be read; only Lease is known then.
	Damaged bool
	// Terminating is true while its removal is under way.
	Terminating bool
}

// Node is the allocatable capacity of one node and what the pods on it have requested. Lease pods and foreign pods
// are counted apart, as the provider's own reservations stand for the former.
type Node struct {
	Name    string
	CPU     MilliCPU
	Memory  Bytes
	Storage Bytes
	// Pods is the most pods that the node runs; 0 in a kind of cluster that has no such limit.
	Pods int64
	// GPUs are the devices, those of one class together.
	GPUs []GPU
	// Arch is the architecture of the node's processors as Go names it; empty if it is not known.
	Arch           string
	ForeignCPU     MilliCPU
	ForeignMemory  Bytes
	ForeignStorage Bytes
	ForeignPods    int64
}

// GPU is a number of equal graphics processors of a node, named as documents name them; what is not known is empty.
type GPU struct {
	Vendor, Model, RAM, Interface string
	Count, Foreign                int64
}

// Pool is an amount that the cluster as a whole can give, of which others than leases have taken Foreign.
type Pool struct {
	// Known is false where the cluster does not tell; the amounts then say nothing.
	Known          bool
	Total, Foreign int64
}

// Pools is what the cluster gives beside its nodes.
type Pools struct {
	// Persistent are the classes of persistent storage by the names that documents use, in bytes. A class that is not
	// listed is not there.
	Persistent map[string]Pool
	// Ports are ports that lead to services from outside, Addresses those that can be leased.
	Ports, Addresses Pool
	// Overhead is what each instance takes of its node beside what it asks for.
	Overhead Overhead
}

// Overhead is what the runtime of an instance takes of a node.
type Overhead struct {
	CPU             MilliCPU
	Memory, Storage Bytes
}

// MinStorage is the ephemeral storage that an instance takes when it asks for none or for less: its log counts as well.
const MinStorage Bytes = 32 << 20

// ServiceStatus is the observed state of one service.
type ServiceStatus struct {
	Name    string
	Desired uint32
	Ready   uint32
	// Updated counts the ready instances of the present manifest: a rollout is complete when it equals Desired.
	Updated uint32
	URLs    []string
	Ports   []ForwardedPort
	// Message says why instances are not ready, or else what clients from outside cannot reach, for people; empty when
	// all is as the manifest has it.
	Message string
	// Reason is the kind of what Message says; empty when Message is.
	Reason Reason
	// Failed means that waiting will not help: the tenant has to change the manifest.
	Failed bool
	// Log are the last lines that an instance wrote before it ended, at most MaxFailureLog of them and each at most
	// MaxFailureLine bytes long; empty if none ended.
	Log []string
	// Hooks are the hooks of the present manifest, in its order.
	Hooks []HookStatus
	// Task is set for a service that is a task; it wants no instances.
	Task *TaskStatus
}

// SuspendedMessage is the message of the services of a suspended lease.
const SuspendedMessage = "suspended: the deposit is used up"

// The bounds of ServiceStatus.Log.
const (
	MaxFailureLog  = 50
	MaxFailureLine = 1 << 10
)

// Reason is why a service is not as its manifest wants it, for programs. Clients must expect others than these.
type Reason string

// The reasons.
const (
	// ReasonStarting is an instance that nothing is known to be wrong with.
	ReasonStarting Reason = "starting"
	// ReasonDependency is a service that waits for those it depends on.
	ReasonDependency Reason = "dependency"
	// ReasonHook is a service that waits for a hook, or whose hook failed.
	ReasonHook Reason = "hook"
	// ReasonSuspended is a lease that nobody pays for.
	ReasonSuspended Reason = "suspended"
	// ReasonImage is an image that cannot be pulled or run.
	ReasonImage Reason = "image"
	// ReasonCrash is a program that ends, ReasonMemory one that was ended for the memory that it took.
	ReasonCrash  Reason = "crash"
	ReasonMemory Reason = "memory"
	// ReasonStorage is an instance that was ended for what it wrote.
	ReasonStorage Reason = "storage"
	// ReasonUnhealthy is an instance whose probes fail.
	ReasonUnhealthy Reason = "unhealthy"
	// ReasonCapacity is an instance that finds no room on the nodes.
	ReasonCapacity Reason = "capacity"
	// ReasonVolume is a volume that cannot be had.
	ReasonVolume Reason = "volume"
	// ReasonRefused is an instance that the cluster does not take, for a quota or for its form.
	ReasonRefused Reason = "refused"
	// ReasonOutside is a service that is well, and that clients from outside cannot reach in a way that the manifest has.
	ReasonOutside Reason = "outside"
	// ReasonNode is an instance that a node could not start, for a reason of its own.
	ReasonNode Reason = "node"
)

// ForwardedPort is a tcp or udp port of the provider that leads to a service.
type ForwardedPort struct {
	Host         string
	Port         uint32
	ExternalPort uint32
	Proto        string
}

// Volume is the persistent volume of an instance.
type Volume struct {
	// Service and Name are those of the manifest, Instance counts the instances of the service from 0.
	Service  string
	Instance int
	Name     string
	// Class is the class as documents name it.
	Class string
	Bytes Bytes
	// ID tells the volume from one that is made later in its place.
	ID string
	// Kept says that no instance of the present manifest uses the volume.
	Kept bool
}

// SortVolumes puts volumes into the order of services, instances and names.
func SortVolumes(all []Volume) {
	slices.SortFunc(all, func(a, b Volume) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Name, b.Name))
	})
}

// LogOptions select log lines.
type LogOptions struct {
	// Service narrows to one service; empty means all.
	Service string
	Follow  bool
	// Tail is the number of last lines of each instance; 0 means all.
	Tail int64
	// Since leaves out older lines; the zero time means no limit. Lines of exactly this time are given.
	Since time.Time
	// Previous gives what the instances wrote before they were started last, instead of what they write now; Follow is
	// then without effect.
	Previous bool
}

// LogLine is one line of an instance's output, without its line end.
type LogLine struct {
	Service  string
	Instance string
	Line     string
	// Time is when the line was written; zero where that is not known.
	Time time.Time
}

// LogStream gives log lines until io.EOF.
type LogStream interface {
	Next() (LogLine, error)
	io.Closer
}

// Cluster runs workloads. All methods may be called from several goroutines.
type Cluster interface {
	// Nodes returns the schedulable nodes in the order of their names.
	Nodes(ctx context.Context) ([]Node, error)
	// Pools returns what the cluster gives beside its nodes. What can't be learned is unknown, never absent.
	Pools(ctx context.Context) (Pools, error)
	// Apply makes the cluster run w and returns when the cluster has taken it, not when it is ready. It is
	// idempotent, and it replaces what the lease ran before without a gap where it can. It returns an error that
	// wraps ErrRefused when the cluster was reached and will never take w as it is; what the lease ran before goes on
	// then, and if it ran nothing it still does.
	Apply(ctx context.Context, w Workload) error
	// Remove ends everything of a lease. It returns nil once removal is under way or complete, also for a lease
	// that the cluster never held.
	Remove(ctx context.Context, lease markettypes.LeaseID) error
	// List returns all workloads, with the manifests that they were applied with, in the order of lease ids.
	List(ctx context.Context) ([]Deployed, error)
	// Status returns the services of a lease in the order of their names, or ErrNotFound.
	Status(ctx context.Context, lease markettypes.LeaseID) ([]ServiceStatus, error)
	// Volumes returns the persistent volumes of a lease by service, instance and name, or ErrNotFound. A volume lasts as
	// long as its lease: an update, a restart or a service that leaves the manifest never deletes one. An instance finds
	// its own again, also after its service has left and come back. Apply refuses what would shrink one or change its class.
	Volumes(ctx context.Context, lease markettypes.LeaseID) ([]Volume, error)
	// Logs opens a stream of log lines, or returns ErrNotFound. The caller closes it.
	Logs(ctx context.Context, lease markettypes.LeaseID, o LogOptions) (LogStream, error)
	Sessions
}
