package cluster

import "time"

// HookState is how far a hook or a run of a task has come, for programs.
type HookState string

// The states of hooks and runs.
const (
	// HookWaiting is a hook that has not started.
	HookWaiting HookState = "waiting"
	HookRunning HookState = "running"
	// HookSucceeded is a program that ended with exit code 0, HookFailed one that did not, or took too long.
	HookSucceeded HookState = "succeeded"
	HookFailed    HookState = "failed"
	// HookSkipped is a hook that runs once only and did so for an earlier manifest, or failed before its manifest was sent again.
	HookSkipped HookState = "skipped"
)

// HookStatus is the observed state of a hook for the present manifest.
type HookStatus struct {
	Name  string
	State HookState
	// Message says why it failed, for people.
	Message string
	// Log are the last lines that it wrote before it failed: at most 50, and 8 KiB in all.
	Log []string
}

// TaskStatus is the observed state of a service that is a task.
type TaskStatus struct {
	// Suspended says that no runs are started.
	Suspended bool
	// Active counts the runs that go on.
	Active uint32
	// Last is the last run that is known, Message says why it failed, and Started and Ended are when; a time is zero, and
	// Last empty, where nothing is known, as runs are kept for an hour only.
	Last           HookState
	Message        string
	Started, Ended time.Time
	// Succeeded is when a run last succeeded.
	Succeeded time.Time
}
