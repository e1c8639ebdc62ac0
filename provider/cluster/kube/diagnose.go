package kube

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/provider/cluster"
)

const (
	// maxMessage bounds what a status says of one service, in bytes.
	maxMessage = 1 << 10
	// maxEvents bounds the events of a lease that are read.
	maxEvents = 500
	// maxLogged bounds the services of a lease whose last lines are read for one status.
	maxLogged = 8
	// maxFailureBytes bounds what is read of an instance's output for its last lines.
	maxFailureBytes = 128 << 10
	// evictions is how many instances of one manifest have to be ended for what they wrote until waiting does not help.
	evictions = 3
	// probeKill is how long after a failed probe an instance has ended that was ended for it, its grace included.
	probeKill = (graceSeconds + 15) * time.Second
)

// finding is what is known to be wrong with a service.
type finding struct {
	reason  cluster.Reason
	message string
	failed  bool
	// culprit is an instance whose last lines tell more; previous says that they are of its former container.
	culprit  *corev1.Pod
	previous bool
	count    int // of evictions
}

// diagnosed is a status with what it was made of.
type diagnosed struct {
	cluster.ServiceStatus
	finding finding
}

// worse takes a finding unless a former one says more: the first that waiting does not help with, else the last.
func (d *diagnosed) worse(f finding) {
	if f.message != "" && !d.finding.failed && (d.finding.message == "" || f.failed || f.culprit != nil || d.finding.culprit == nil) {
		d.finding = f
	}
}

// conclude writes the finding into the status.
func (d *diagnosed) conclude() {
	d.Message, d.Reason, d.Failed = cut(withoutCodes(d.finding.message), maxMessage), d.finding.reason, d.finding.failed
}

// runtimeCodes are how errors of the container runtime begin, again at each part that has passed them on.
var runtimeCodes = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// withoutCodes is a message without what only the runtime's protocol makes of it.
func withoutCodes(s string) string { return runtimeCodes.ReplaceAllString(s, "") }

// cut is the beginning of a text, as whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// again counts one more instance that was evicted.
func (f finding) again(p *corev1.Pod) finding {
	if p.Status.Reason != "Evicted" {
		return f
	}
	reason := cluster.ReasonNode
	if m := strings.ToLower(p.Status.Message); strings.Contains(m, "ephemeral") || strings.Contains(m, "emptydir") {
		reason = cluster.ReasonStorage
	}
	n := f.count + 1
	return finding{
		reason: reason, message: "an instance was ended: " + p.Status.Message, count: n,
		failed: reason == cluster.ReasonStorage && n >= evictions,
	}
}

// trouble says why a pod is not ready; the message is empty if nothing is known.
func (o observation) trouble(p *corev1.Pod) finding {
	for i := range p.Status.ContainerStatuses {
		if f := o.containerTrouble(p, &p.Status.ContainerStatuses[i]); f.message != "" {
			return f
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return finding{reason: cluster.ReasonCapacity, message: "no room on the nodes: " + c.Message}
		}
	}
	return o.reported(p)
}

func (o observation) containerTrouble(p *corev1.Pod, c *corev1.ContainerStatus) finding {
	last := c.LastTerminationState.Terminated
	switch w, t := c.State.Waiting, c.State.Terminated; {
	case w != nil:
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable":
			message := fmt.Sprintf("image %s cannot be pulled: %s", imageOf(p, c.Name), w.Message)
			if unauthorized(w.Message) {
				message = fmt.Sprintf("image %s cannot be pulled: its registry wants credentials, or does not accept those of the service: %s", imageOf(p, c.Name), w.Message)
			}
			return finding{reason: cluster.ReasonImage, message: message, failed: noSuchImage(w.Message) || unauthorized(w.Message)}
		case "InvalidImageName":
			return finding{reason: cluster.ReasonImage, message: fmt.Sprintf("image %s: not the name of an image", imageOf(p, c.Name)), failed: true}
		case "CrashLoopBackOff":
			if last == nil {
				return finding{reason: cluster.ReasonCrash, message: "keeps ending", failed: true}
			}
			return o.ended(p, last, fmt.Sprintf("ended %d times, last with ", c.RestartCount+1), true, true)
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return finding{reason: cluster.ReasonImage, message: fmt.Sprintf("%s: %s", w.Reason, w.Message)}
		}
	case t != nil && (t.ExitCode != 0 || c.RestartCount > 0):
		return o.ended(p, t, "ended with ", false, false)
	case c.State.Running != nil && last != nil:
		return o.ended(p, last, "was started again after it ended with ", false, true)
	case c.State.Running != nil && c.RestartCount > 0: // the kubelet has forgotten how it ended
		f := finding{reason: cluster.ReasonCrash, message: fmt.Sprintf("was started again, %d times by now", c.RestartCount)}
		return o.killed(p, f, c.State.Running.StartedAt.Time)
	}
	return finding{}
}

// ended is the finding of an instance that ended with t.
func (o observation) ended(p *corev1.Pod, t *corev1.ContainerStateTerminated, what string, failed, previous bool) finding {
	f := finding{reason: cluster.ReasonCrash, message: what + ending(t), failed: failed, culprit: p, previous: previous}
	if t.Reason == "OOMKilled" {
		f.reason = cluster.ReasonMemory
		f.message += ", as it took more memory than it may"
		return f
	}
	return o.killed(p, f, t.FinishedAt.Time)
}

// killed adds to the finding of an instance that ended at a time that a check had failed for which it was ended.
func (o observation) killed(p *corev1.Pod, f finding, at time.Time) finding {
	for _, e := range o.events["Pod/"+p.Name] {
		if since := at.Sub(eventTime(e)); isKill(e) && since > -time.Second && since < probeKill {
			f.reason = cluster.ReasonUnhealthy
			f.message += "; it was ended, as a check failed: " + e.Message
			break
		}
	}
	return f
}

// isKill tells whether an event is a check whose failure ends an instance.
func isKill(e corev1.Event) bool {
	return e.Reason == "Unhealthy" && (strings.HasPrefix(e.Message, "Liveness") || strings.HasPrefix(e.Message, "Startup"))
}

// reported is what the newest event of a pod says of it.
func (o observation) reported(p *corev1.Pod) finding {
	for _, e := range o.events["Pod/"+p.Name] {
		switch e.Reason {
		case "FailedCreatePodSandBox", "FailedPodSandBoxStatus", "FailedKillPod":
			return finding{reason: cluster.ReasonNode, message: "the node cannot start it: " + e.Message}
		case "FailedMount", "FailedAttachVolume", "FailedMapVolume":
			return finding{reason: cluster.ReasonVolume, message: "a volume cannot be mounted: " + e.Message}
		case "Unhealthy":
			return finding{reason: cluster.ReasonUnhealthy, message: "a check fails: " + e.Message}
		case "FailedScheduling":
			return finding{reason: cluster.ReasonCapacity, message: "no room on the nodes: " + e.Message}
		}
	}
	return finding{}
}

func ending(t *corev1.ContainerStateTerminated) string {
	out := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		out += " (" + t.Reason + ")"
	}
	if m := strings.TrimSpace(t.Message); m != "" {
		out += ": " + m
	}
	return out
}

// diagnose makes the status out of an observation. Events are read only where something is not as it should be, logs only
// where instances end; neither is worth failing for.
func (c *Cluster) diagnose(ctx context.Context, o observation) []cluster.ServiceStatus {
	all := statusOf(o)
	if slices.ContainsFunc(all, func(d diagnosed) bool { return d.Reason == cluster.ReasonStarting || d.finding.culprit != nil }) {
		events, err := c.warnings(ctx, namespaceOf(o.workload.Lease))
		if err != nil {
			c.cfg.Logger.Warn("the events of a lease could not be read", "lease", o.workload.Lease.String(), "err", err)
		} else {
			o.events = events
			all = statusOf(o)
		}
	}
	out, logged := make([]cluster.ServiceStatus, 0, len(all)), 0
	for _, d := range all {
		if d.finding.culprit != nil && logged < maxLogged {
			logged++
			lines, err := c.lastLines(ctx, d.finding.culprit, d.Name, d.finding.previous)
			if err != nil && !noLogYet(err) {
				c.cfg.Logger.Warn("the last lines of an instance could not be read", "lease", o.workload.Lease.String(), "instance", d.finding.culprit.Name, "err", err)
			}
			d.Log = lines
		}
		out = append(out, d.ServiceStatus)
	}
	return out
}

// warnings are the events of a namespace that tell of trouble, by the object that they are about, the newest first.
func (c *Cluster) warnings(ctx context.Context, ns string) (map[string][]corev1.Event, error) {
	list, err := c.typed.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning", Limit: maxEvents})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	out := map[string][]corev1.Event{}
	for _, e := range list.Items {
		k := e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name
		out[k] = append(out[k], e)
	}
	for _, events := range out {
		slices.SortStableFunc(events, func(a, b corev1.Event) int {
			return cmp.Compare(eventTime(b).UnixNano(), eventTime(a).UnixNano())
		})
	}
	return out, nil
}

// eventTime is when an event came last.
func eventTime(e corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	default:
		return e.EventTime.Time
	}
}

// lastLines are the last lines of an instance's container, or of the one before it.
func (c *Cluster) lastLines(ctx context.Context, p *corev1.Pod, container string, previous bool) ([]string, error) {
	body, err := c.typed.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: new(int64(cluster.MaxFailureLog)), LimitBytes: new(int64(maxFailureBytes)),
	}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", p.Name, err)
	}
	defer func() { _ = body.Close() }()
	var lines []string
	for r := bufio.NewReader(body); ; {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, fmt.Errorf("read the log of %s: %w", p.Name, err)
		}
		lines = append(lines, cut(strings.ToValidUTF8(line, "\uFFFD"), cluster.MaxFailureLine))
		lines = lines[max(0, len(lines)-cluster.MaxFailureLog):]
	}
}

// unauthorized tells a registry's positive answer that the image is not for us.
func unauthorized(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{"401 unauthorized", "403 forbidden", "unauthorized:", "authentication required", "authorization failed", "insufficient_scope"} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}
