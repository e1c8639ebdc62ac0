package tenant

import (
	"time"

	gatewaytypes "berth.dev/berth/provider/gateway/types"
)

// HookStatus is how far a hook has come for the present manifest.
type HookStatus struct {
	Name string `json:"name"`
	// State is waiting, running, succeeded, failed or skipped; there may be others.
	State   string   `json:"state"`
	Message string   `json:"message,omitempty"`
	Log     []string `json:"log,omitempty"`
}

// Over tells whether nothing more is to be expected of the hook.
func (h HookStatus) Over() bool { return h.State != hookWaiting && h.State != hookRunning }

// The states of hooks that matter to a rollout.
const (
	hookWaiting = "waiting"
	hookRunning = "running"
	hookFailed  = "failed"
)

// TaskStatus is the state of a service that is a task.
type TaskStatus struct {
	Suspended bool `json:"suspended,omitempty"`
	// Active counts the runs that go on.
	Active uint32 `json:"active"`
	// Last is the state of the last run, empty where none is known.
	Last    string `json:"last,omitempty"`
	Message string `json:"message,omitempty"`
	// Started and Ended are of that run, Succeeded of the last that did; zero where that is not known.
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Succeeded time.Time `json:"succeeded,omitzero"`
}

// InstanceUsage is what an instance was measured to use.
type InstanceUsage struct {
	Instance string `json:"instance"`
	// CPUMilli is processor time in thousandths of a core.
	CPUMilli    int64     `json:"cpu_milli"`
	MemoryBytes int64     `json:"memory_bytes"`
	Time        time.Time `json:"time"`
}

// Volume is the persistent volume of an instance.
type Volume struct {
	Service string `json:"service"`
	// Instance counts the instances of the service from 0.
	Instance uint32 `json:"instance"`
	Name     string `json:"name"`
	Class    string `json:"class"`
	Bytes    int64  `json:"bytes"`
	// Kept says that no instance of the present manifest uses it.
	Kept bool `json:"kept,omitempty"`
}

// momentOf is a time in seconds since 1970, zero for 0.
func momentOf(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

func newHooks(list []gatewaytypes.HookStatus) []HookStatus {
	var out []HookStatus
	for _, h := range list {
		out = append(out, HookStatus{Name: h.Name, State: h.State, Message: h.Message, Log: h.Log})
	}
	return out
}

func newTask(t *gatewaytypes.TaskStatus) *TaskStatus {
	if t == nil {
		return nil
	}
	return &TaskStatus{
		Suspended: t.Suspended, Active: t.Active, Last: t.Last, Message: t.Message,
		Started: momentOf(t.StartedUnix), Ended: momentOf(t.EndedUnix), Succeeded: momentOf(t.SucceededUnix),
	}
}

func newUsage(list []gatewaytypes.InstanceUsage) []InstanceUsage {
	var out []InstanceUsage
	for _, u := range list {
		out = append(out, InstanceUsage{Instance: u.Instance, CPUMilli: u.CpuMilli, MemoryBytes: u.MemoryBytes, Time: momentOf(u.TimeUnix)})
	}
	return out
}

func newVolumes(list []gatewaytypes.Volume) []Volume {
	var out []Volume
	for _, v := range list {
		out = append(out, Volume{Service: v.Service, Instance: v.Instance, Name: v.Name, Class: v.Class, Bytes: v.Bytes, Kept: v.Kept})
	}
	return out
}
