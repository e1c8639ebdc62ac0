package tenant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"berth.dev/berth/manifest"
	"berth.dev/berth/provider/cluster"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
)

// failureLogs is how many lines of a failed service are shown.
const failureLogs = 50

// ServiceStatus is the state of one service at its provider.
type ServiceStatus struct {
	Name    string `json:"name"`
	Desired uint32 `json:"desired"`
	Ready   uint32 `json:"ready"`
	// Updated counts the instances that run the present manifest.
	Updated uint32 `json:"updated"`
	// URLs are where it answers from outside, Ports the forwarded tcp and udp ports.
	URLs  []string `json:"urls"`
	Ports []Port   `json:"ports"`
	// Message says why instances are not ready.
	Message string `json:"message,omitempty"`
	// Reason is the kind of what Message says, such as image, crash or capacity.
	Reason string `json:"reason,omitempty"`
	// Failed means that waiting does not help.
	Failed bool `json:"failed,omitempty"`
	// Log are the last lines that an instance wrote before it ended.
	Log []string `json:"log,omitempty"`
	// Hooks are the hooks of the present manifest, in its order.
	Hooks []HookStatus `json:"hooks,omitempty"`
	// Task is set for a service that is a task; it wants no instances.
	Task *TaskStatus `json:"task,omitempty"`
	// Usage is what instances were measured to use; those of which it is not known are missing.
	Usage []InstanceUsage `json:"usage,omitempty"`
}

// Port is a port of the provider that leads to a service's.
type Port struct {
	Host     string `json:"host"`
	Port     uint32 `json:"port"`
	External uint32 `json:"external_port"`
	Proto    string `json:"proto"`
}

// Complete reports whether all instances are ready and up to date.
func (s ServiceStatus) Complete() bool { return s.Ready >= s.Desired && s.Updated >= s.Desired }

func newServices(list []gatewaytypes.ServiceStatus) []ServiceStatus {
	out := make([]ServiceStatus, len(list))
	for i, s := range list {
		out[i] = ServiceStatus{
			Name: s.Name, Desired: s.Desired, Ready: s.Ready, Updated: s.Updated, URLs: append([]string{}, s.Urls...),
			Ports: []Port{}, Message: advised(s.Message), Reason: s.Reason, Failed: s.Failed, Log: s.Log,
			Hooks: newHooks(s.Hooks), Task: newTask(s.Task), Usage: newUsage(s.Usage),
		}
		for _, p := range s.Ports {
			out[i].Ports = append(out[i].Ports, Port{Host: p.Host, Port: p.Port, External: p.ExternalPort, Proto: p.Proto})
		}
	}
	return out
}

// leaseView is the last that was learned of one lease.
type leaseView struct {
	services []ServiceStatus
	// current is true when the provider runs the manifest of this state.
	current bool
	err     error
}

// awaitRollout waits until every service of every lease is ready with the present manifest, and its hooks have ended.
func awaitRollout(ctx context.Context, m *Machine, s *State) (Step, error) {
	expected, err := serviceCounts(s)
	if err != nil {
		return "", err
	}
	start := m.Clock.Now()
	checked := start
	last := make([]leaseView, len(s.Groups))
	for {
		views, err := m.viewLeases(ctx, s)
		if err != nil {
			return "", err
		}
		m.tellProgress(s, last, views)
		last = views
		if err := m.firstFailure(ctx, s, views); err != nil {
			return "", err
		}
		if rolledOut(views, expected) {
			return StepDone, m.awaitAnswers(ctx, views)
		}
		now := m.Clock.Now()
		if now.Sub(start) >= m.Timing.ReadyWait {
			return "", m.notReady(ctx, s, views)
		}
		if now.Sub(checked) >= m.Timing.LeaseCheck {
			checked = now
			if err := m.checkLeases(ctx, s); err != nil {
				return "", err
			}
		}
		if err := m.Clock.Sleep(ctx, m.Timing.PollProvider); err != nil {
			return "", err
		}
	}
}

// serviceCounts is how many services each group's manifest has.
func serviceCounts(s *State) ([]int, error) {
	counts := make([]int, len(s.Groups))
	for i, g := range s.Groups {
		env, err := g.envelope()
		if err != nil {
			return nil, err
		}
		group, err := manifest.Decode(env.Group)
		if err != nil {
			return nil, fmt.Errorf("read the manifest of group %q of the state: %w", g.Name, err)
		}
		counts[i] = len(group.Services)
	}
	return counts, nil
}

// viewLeases asks all providers at once. A provider that does not answer is a view with an error, not a failure.
func (m *Machine) viewLeases(ctx context.Context, s *State) ([]leaseView, error) {
	views := make([]leaseView, len(s.Groups))
	var all errgroup.Group
	for i := range s.Groups {
		all.Go(func() error {
			views[i] = m.viewLease(ctx, s, i)
			return nil
		})
	}
	_ = all.Wait() // never fails
	return views, ctx.Err()
}

func (m *Machine) viewLease(ctx context.Context, s *State, i int) (v leaseView) {
	lease := s.BidID(i)
	v.err = m.call(ctx, lease.Provider, m.Timing.Call, func(ctx context.Context, g Gateway) error {
		st, err := g.LeaseStatus(ctx, lease)
		v.services, v.current = newServices(st.Services), bytes.Equal(st.ManifestHash, s.Hash())
		for j := range v.services {
			v.services[j].Usage = nil // it changes all the time, and is no progress
		}
		return err
	})
	return v
}

func (m *Machine) tellProgress(s *State, last, views []leaseView) {
	for i, v := range views {
		if v.err != nil {
			if last[i].err == nil {
				m.tell(Warned{fmt.Sprintf("group %q: %s; trying again", s.Groups[i].Name, v.err)})
			}
			continue
		}
		if v.current && (!last[i].current || !reflect.DeepEqual(v.services, last[i].services)) {
			m.tell(Progress{Lease: leaseText(s.BidID(i)), Group: s.Groups[i].Name, Services: v.services})
		}
	}
}

func rolledOut(views []leaseView, expected []int) bool {
	for i, v := range views {
		if v.err != nil || !v.current || len(v.services) < expected[i] {
			return false
		}
		for _, svc := range v.services {
			if !svc.Complete() || slices.ContainsFunc(svc.Hooks, func(h HookStatus) bool { return !h.Over() }) {
				return false
			}
		}
	}
	return true
}

// firstFailure is the failure of the first hook that failed or, if none did, of the first service that will not become ready,
// with its last log lines.
func (m *Machine) firstFailure(ctx context.Context, s *State, views []leaseView) error {
	for i, v := range views {
		if v.err != nil || !v.current {
			continue
		}
		if f := hookFailure(v.services); f != nil {
			return f
		}
		for _, svc := range v.services {
			if svc.Failed {
				hints := []Hint{HintLogs, HintUpdate, HintClose}
				if svc.Reason == string(cluster.ReasonImage) && len(svc.Log) == 0 { // nothing has run, so nothing was written
					hints[0] = HintEvents
				}
				f := failf(KindRollout, hints, "service %q failed: %s", svc.Name, orUnknown(svc.Message))
				f.Logs = m.failureLogs(ctx, s, i, svc)
				return f
			}
		}
	}
	return nil
}

// hookFailure is the failure of the first hook that failed, or nil.
func hookFailure(services []ServiceStatus) error {
	for _, svc := range services {
		for _, h := range svc.Hooks {
			if h.State != hookFailed {
				continue
			}
			f := failf(KindHook, []Hint{HintAgain, HintStatus, HintClose}, "hook %q of service %q failed: %s", h.Name, svc.Name, orUnknown(h.Message))
			for _, line := range h.Log[max(0, len(h.Log)-failureLogs):] {
				f.Logs = append(f.Logs, LogLine{Service: svc.Name, Instance: h.Name, Line: line})
			}
			return f
		}
	}
	return nil
}

// notReady is the failure of services that did not become ready in time.
func (m *Machine) notReady(ctx context.Context, s *State, views []leaseView) error {
	f := failf(KindRollout, []Hint{HintResume, HintLogs, HintUpdate, HintClose}, "")
	var lines []string
	for i, v := range views {
		switch {
		case v.err != nil:
			lines = append(lines, fmt.Sprintf("group %q: %s", s.Groups[i].Name, v.err))
		case !v.current:
			lines = append(lines, fmt.Sprintf("group %q: the provider has not started the manifest", s.Groups[i].Name))
		}
		for _, svc := range v.services {
			for _, h := range svc.Hooks {
				if !h.Over() {
					lines = append(lines, fmt.Sprintf("hook %q of service %q is %s", h.Name, svc.Name, h.State))
				}
			}
			if svc.Complete() {
				continue
			}
			lines = append(lines, fmt.Sprintf("service %q: %d of %d ready: %s", svc.Name, svc.Ready, svc.Desired, orUnknown(svc.Message)))
			if f.Logs == nil {
				f.Logs = m.failureLogs(ctx, s, i, svc)
			}
		}
	}
	f.Err = fmt.Errorf("not ready after %s\n%s", m.Timing.ReadyWait.Round(time.Second), strings.Join(lines, "\n"))
	return f
}

func orUnknown(message string) string {
	if message == "" {
		return "the provider gives no reason"
	}
	return message
}

// failureLogs are the last lines of the instance that ended or, if none did, of those that run.
func (m *Machine) failureLogs(ctx context.Context, s *State, i int, svc ServiceStatus) []LogLine {
	if len(svc.Log) == 0 {
		return m.lastLogs(ctx, s, i, svc.Name)
	}
	last := svc.Log[max(0, len(svc.Log)-failureLogs):]
	lines := make([]LogLine, len(last))
	for n, text := range last {
		lines[n] = LogLine{Service: svc.Name, Line: text}
	}
	return lines
}

// lastLogs reads the last lines of a service, as many as can be had.
func (m *Machine) lastLogs(ctx context.Context, s *State, i int, service string) []LogLine {
	lease := s.BidID(i)
	var lines []LogLine
	err := m.call(ctx, lease.Provider, m.Timing.Call, func(ctx context.Context, g Gateway) error {
		stream, err := g.Logs(ctx, lease, LogOptions{Service: service, Tail: failureLogs})
		if err != nil {
			return err
		}
		defer stream.Close()
		for {
			line, err := stream.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if lines = append(lines, line); len(lines) > failureLogs {
				lines = lines[1:]
			}
		}
	})
	if err != nil {
		m.tell(Warned{fmt.Sprintf("read the logs of service %q: %s", service, err)})
	}
	return lines
}
