package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
)

// CheckCare returns everything that is wrong with how the instances of a service are looked after, for those who got a
// service in another way than in a group that was validated.
func CheckCare(s manifesttypes.Service) error {
	var v validator
	v.care(fmt.Sprintf("service %q", s.Name), s)
	return errors.Join(v.errs...)
}

// care checks how the instances of a service are looked after: what Kubernetes would refuse is refused here, with the
// name of the field, and every number and text has a bound.
func (v *validator) care(where string, s manifesttypes.Service) {
	if p := s.Probes; p != nil {
		v.probe(where+": probes.startup", p.Startup, false)
		v.probe(where+": probes.readiness", p.Readiness, true)
		v.probe(where+": probes.liveness", p.Liveness, false)
		if l := p.Liveness; l != nil && l.Http != nil {
			v.require(l.Http.Status == 0 && l.Http.Content == "",
				"%s: probes.liveness.http: status and content are asked of startup and readiness only", where)
		}
	}
	v.require(s.MinReadySeconds <= MaxMinReadySeconds, "%s: min_ready_seconds %d, at most %d are allowed", where, s.MinReadySeconds, MaxMinReadySeconds)
	v.scale(where, s)
	if r := s.Rollout; r != nil {
		v.require(r.MaxSurge <= MaxCount, "%s: rollout.max_surge %d, at most %d are allowed", where, r.MaxSurge, MaxCount)
		v.require(r.MaxUnavailable <= MaxCount, "%s: rollout.max_unavailable %d, at most %d are allowed", where, r.MaxUnavailable, MaxCount)
		v.require(r.MaxSurge > 0 || r.MaxUnavailable > 0, "%s: rollout: max_surge and max_unavailable are both 0, so that no instance could be replaced", where)
	}
	v.hooks(where, s.Hooks)
	v.cron(where, s)
}

// probe checks a probe. Only readiness may ask for several passes in a row: so does Kubernetes.
func (v *validator) probe(at string, p *manifesttypes.Probe, readiness bool) {
	if p == nil {
		return
	}
	kinds := 0
	for _, given := range []bool{p.Http != nil, p.TcpPort != 0, len(p.Exec) > 0} {
		if given {
			kinds++
		}
	}
	v.require(kinds == 1, "%s: exactly one of http, tcp_port and exec is wanted, %d are given", at, kinds)
	v.require(p.TcpPort <= MaxPort, "%s.tcp_port: %d is not from 1 to %d", at, p.TcpPort, MaxPort)
	v.words(at, "exec", p.Exec)
	v.httpGet(at+".http", p.Http)
	for _, n := range []struct {
		name  string
		value uint32
	}{
		{"initial_delay_seconds", p.InitialDelaySeconds}, {"period_seconds", p.PeriodSeconds}, {"timeout_seconds", p.TimeoutSeconds},
	} {
		v.require(n.value <= MaxProbeSeconds, "%s.%s: %d, at most %d are allowed", at, n.name, n.value, MaxProbeSeconds)
	}
	v.require(p.SuccessThreshold <= MaxProbeThreshold, "%s.success_threshold: %d, at most %d are allowed", at, p.SuccessThreshold, MaxProbeThreshold)
	v.require(p.FailureThreshold <= MaxProbeThreshold, "%s.failure_threshold: %d, at most %d are allowed", at, p.FailureThreshold, MaxProbeThreshold)
	v.require(readiness || p.SuccessThreshold <= 1, "%s.success_threshold: %d, only readiness may ask for more than 1", at, p.SuccessThreshold)
}

func (v *validator) httpGet(at string, h *manifesttypes.HTTPGet) {
	if h == nil {
		return
	}
	v.require(IsProbePath(h.Path), "%s.path: %q is not a path that starts with one / and holds printable ASCII without spaces or #, of at most %d bytes", at, h.Path, MaxPathBytes)
	v.require(h.Port >= 1 && h.Port <= MaxPort, "%s.port: %d is not from 1 to %d", at, h.Port, MaxPort)
	v.require(h.Status == 0 || h.Status >= MinProbeStatus && h.Status <= MaxProbeStatus,
		"%s.status: %d is not from %d to %d, which are what a probe passes", at, h.Status, MinProbeStatus, MaxProbeStatus)
	v.require(len(h.Content) <= MaxContentBytes && isText(h.Content), "%s.content: not text of at most %d bytes", at, MaxContentBytes)
	if !v.count(at, "headers", len(h.Headers), MaxHeaders) {
		return
	}
	for i, f := range h.Headers {
		v.require(IsHeaderName(f.Name), "%s.headers[%d].name: %q cannot name a header", at, i, f.Name)
		v.require(IsHeaderValue(f.Value), "%s.headers[%d].value: not printable text of at most %d bytes", at, i, MaxHeaderValueBytes)
	}
}

// IsProbePath tells whether s may be the path of a probe, with or without a query: what follows the host of a URL.
func IsProbePath(s string) bool {
	return len(s) <= MaxPathBytes && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") &&
		onlyBytes(s, func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' })
}

// IsHeaderName tells whether s may name a header of an HTTP request.
func IsHeaderName(s string) bool {
	return s != "" && len(s) <= MaxHeaderNameBytes && onlyBytes(s, func(c byte) bool { return isAlnum(c) || c == '-' })
}

// IsHeaderValue tells whether s may be the value of a header: ASCII without control characters.
func IsHeaderValue(s string) bool {
	return len(s) <= MaxHeaderValueBytes && onlyBytes(s, func(c byte) bool { return c >= ' ' && c < 0x7f })
}

func (v *validator) scale(where string, s manifesttypes.Service) {
	c := s.Scale
	if c == nil {
		return
	}
	v.require(c.Min >= 1 && c.Min <= s.Count, "%s: scale.min %d is not from 1 to the count %d", where, c.Min, s.Count)
	v.require(c.CooldownSeconds <= MaxCooldownSeconds, "%s: scale.cooldown_seconds %d, at most %d are allowed", where, c.CooldownSeconds, MaxCooldownSeconds)
	v.require(len(c.Triggers) > 0, "%s: scale.triggers: none is given", where)
	if !v.count(where, "scale.triggers", len(c.Triggers), len(triggers)) {
		return
	}
	for i, t := range c.Triggers {
		at := fmt.Sprintf("%s: scale.triggers[%d]", where, i)
		v.require(slices.Contains(triggers, t.Resource), "%s.resource: %q is not %s", at, t.Resource, strings.Join(triggers, " or "))
		v.require(i == 0 || c.Triggers[i-1].Resource < t.Resource, "%s: triggers are not sorted, or %q appears twice", at, t.Resource)
		v.require((t.UtilizationPercent > 0) != (t.AverageValue > 0), "%s: exactly one of utilization_percent and average_value is wanted", at)
		v.require(t.UtilizationPercent <= MaxUtilization, "%s.utilization_percent: %d, at most %d are allowed", at, t.UtilizationPercent, MaxUtilization)
		most := s.CpuMilli
		if t.Resource == TriggerMemory {
			most = s.MemoryBytes
		}
		v.require(t.AverageValue <= most, "%s.average_value: %d is more than the %d of an instance", at, t.AverageValue, most)
	}
}

// The resources that a trigger may look at.
const (
	TriggerCPU    = "cpu"
	TriggerMemory = "memory"
)

var triggers = []string{TriggerCPU, TriggerMemory}

func (v *validator) hooks(where string, hooks []manifesttypes.Hook) {
	if !v.count(where, "hooks", len(hooks), MaxHooks) {
		return
	}
	names := map[string]bool{}
	for i, h := range hooks {
		at := fmt.Sprintf("%s: hooks[%d]", where, i)
		v.require(isLabel(h.Name), "%s.name: %q is not a DNS label", at, h.Name)
		v.require(!names[h.Name], "%s.name: %q appears twice", at, h.Name)
		names[h.Name] = true
		v.require(h.When == manifesttypes.WHEN_BEFORE_ROLLOUT || h.When == manifesttypes.WHEN_AFTER_ROLLOUT, "%s.when: %d is not known", at, h.When)
		v.require(len(h.Command)+len(h.Args) > 0, "%s: neither command nor args is given", at)
		v.words(at, "command", h.Command)
		v.words(at, "args", h.Args)
		v.require(h.DeadlineSeconds <= MaxHookSeconds, "%s.deadline_seconds: %d, at most %d are allowed", at, h.DeadlineSeconds, MaxHookSeconds)
	}
}

// cron checks a task: it has nothing that only instances that run always can have.
func (v *validator) cron(where string, s manifesttypes.Service) {
	c := s.Cron
	if c == nil {
		return
	}
	if _, err := ParseSchedule(c.Schedule); err != nil {
		v.addf("%s: cron.schedule: %v", where, err)
	}
	v.require(c.Concurrency >= manifesttypes.CONCURRENCY_ALLOW && c.Concurrency <= manifesttypes.CONCURRENCY_REPLACE,
		"%s: cron.concurrency: %d is not known", where, c.Concurrency)
	v.require(c.StartingDeadlineSeconds == 0 || c.StartingDeadlineSeconds >= MinStartSeconds && c.StartingDeadlineSeconds <= MaxStartSeconds,
		"%s: cron.starting_deadline_seconds: %d is not from %d to %d", where, c.StartingDeadlineSeconds, MinStartSeconds, MaxStartSeconds)
	v.require(c.DeadlineSeconds <= MaxTaskSeconds, "%s: cron.deadline_seconds: %d, at most %d are allowed", where, c.DeadlineSeconds, MaxTaskSeconds)
	v.require(s.Count == 1, "%s: count %d of a task is not 1", where, s.Count)
	for _, other := range []struct {
		field string
		given bool
	}{
		{"expose", len(s.Expose) > 0}, {"probes", s.Probes != nil}, {"min_ready_seconds", s.MinReadySeconds > 0},
		{"scale", s.Scale != nil}, {"rollout", s.Rollout != nil}, {"hooks", len(s.Hooks) > 0},
	} {
		v.require(!other.given, "%s: %s is not for a task that runs at times", where, other.field)
	}
	for _, x := range s.Volumes {
		v.require(!slices.ContainsFunc(x.Attributes, func(a manifesttypes.Attribute) bool { return a.Key == "persistent" && a.Value == "true" }),
			"%s: volume %q: a task that runs at times has no persistent volumes", where, x.Name)
	}
}
