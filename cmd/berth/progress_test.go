package main

import (
	"testing"

	"berth.dev/berth/tenant"
)

func TestServiceText(t *testing.T) {
	for want, s := range map[string]tenant.ServiceStatus{
		"web 2/2 ready":                          {Name: "web", Desired: 2, Ready: 2, Updated: 2},
		"web 2/2 ready, 1/2 updated: waiting":    {Name: "web", Desired: 2, Ready: 2, Updated: 1, Message: "waiting"},
		"web 0/1 ready, failed: exit code 1":     {Name: "web", Desired: 1, Failed: true, Message: "exit code 1"},
		"web 1/1 ready, hook clean is running":   {Name: "web", Desired: 1, Ready: 1, Updated: 1, Hooks: []tenant.HookStatus{{Name: "release", State: "succeeded"}, {Name: "clean", State: "running"}}},
		"web 0/1 ready, hook release is waiting": {Name: "web", Desired: 1, Hooks: []tenant.HookStatus{{Name: "release", State: "waiting"}}},
	} {
		if got := serviceText(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
