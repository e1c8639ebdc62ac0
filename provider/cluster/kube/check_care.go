package kube

import (
	manifesttypes "berth.dev/berth/manifest/types"
)

// checkCare refuses what this driver cannot do yet of how instances are looked after.
func checkCare(p *problems, field string, sv manifesttypes.Service) {
	for _, x := range []struct {
		name  string
		given bool
	}{
		{"probes", sv.Probes != nil}, {"min_ready_seconds", sv.MinReadySeconds > 0}, {"scale", sv.Scale != nil},
		{"rollout", sv.Rollout != nil}, {"hooks", len(sv.Hooks) > 0}, {"cron", sv.Cron != nil},
	} {
		if x.given {
			p.add(field+"."+x.name, "this provider does not support it")
		}
	}
}
