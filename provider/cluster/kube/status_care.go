package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// labelJob is what Kubernetes puts on the pods of a job: its name.
const labelJob = "job-name"

// care is what is observed of a lease besides its instances.
type care struct {
	hooks hookRecords
	// rolling says that a former manifest still runs in place of services that are held back.
	rolling bool
	tasks   map[string]*batchv1.CronJob // by service
	jobs    map[string][]*batchv1.Job   // by service: runs of tasks, the newest first
	runs    map[string]*corev1.Pod      // by job
	// verdicts are what services that are asked answer.
	verdicts map[string]verdict
}

// observeCare reads what a manifest with hooks or tasks has of them.
func (c *Cluster) observeCare(ctx context.Context, ns string, o *observation) error {
	services := o.workload.Group.Services
	o.verdicts = c.gate.judged(ctx, c.now(), services, func(sv manifesttypes.Service) []*corev1.Pod {
		return current(o.pods[sv.Name], sv.Name, o.instances[workloadKey(sv)].revision)
	})
	if slices.ContainsFunc(services, func(sv manifesttypes.Service) bool { return len(sv.Hooks) > 0 }) {
		if err := c.observeHooks(ctx, ns, o); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(services, func(sv manifesttypes.Service) bool { return sv.Cron != nil }) {
		return nil
	}
	o.tasks, o.jobs = map[string]*batchv1.CronJob{}, map[string][]*batchv1.Job{}
	crons, err := c.typed.BatchV1().CronJobs(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return fmt.Errorf("list tasks: %w", err)
	}
	for i := range crons.Items {
		o.tasks[crons.Items[i].Labels[labelService]] = &crons.Items[i]
	}
	jobs, err := c.typed.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{LabelSelector: labelRole + "=" + roleTask})
	if err != nil {
		return fmt.Errorf("list runs of tasks: %w", err)
	}
	for i := range jobs.Items {
		name := jobs.Items[i].Labels[labelService]
		o.jobs[name] = append(o.jobs[name], &jobs.Items[i])
	}
	for _, all := range o.jobs {
		slices.SortFunc(all, func(a, b *batchv1.Job) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	}
	return nil
}

func (c *Cluster) observeHooks(ctx context.Context, ns string, o *observation) error {
	secret, err := c.typed.CoreV1().Secrets(ns).Get(ctx, manifestSecret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read what is remembered of hooks: %w", err)
	}
	if o.hooks, err = readHooks(secret.Data[keyHooks]); err != nil {
		return err
	}
	_, err = c.typed.CoreV1().Secrets(ns).Get(ctx, formerSecret, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the former manifest: %w", err)
	}
	o.rolling = err == nil
	return nil
}

// desired is how many instances a service wants now.
func (o observation) desired(sv manifesttypes.Service) uint32 {
	switch in, ok := o.instances[workloadKey(sv)]; {
	case sv.Cron != nil:
		return 0
	case sv.Scale == nil:
		return sv.Count
	case !ok || in.replicas <= 0:
		return sv.Scale.Min
	default:
		return min(max(uint32(in.replicas), sv.Scale.Min), sv.Count)
	}
}

// look adds what there is to say of a service's hooks, its task and its rollout.
func (o observation) look(sv manifesttypes.Service, st *cluster.ServiceStatus) {
	if sv.Cron != nil {
		st.Task = o.task(sv)
		return
	}
	st.Hooks = o.hooksOf(sv)
	if in := o.instances[workloadKey(sv)]; st.Message == "" && st.Updated < st.Desired {
		if in.cramped != "" && in.cramped == in.revision {
			st.Message, st.Reason = "no room for an instance more: instances are ended before others start", cluster.ReasonCapacity
		}
	}
	if v, asked := o.verdicts[sv.Name]; asked {
		if st.Updated = min(st.Updated, v.passed); st.Updated < st.Desired && st.Message == "" {
			st.Message, st.Reason = v.wrong, cluster.ReasonUnhealthy
		}
	}
	if held, message, failed := o.heldBack(sv); held && !o.workload.Suspended {
		st.Updated, st.Message, st.Reason, st.Failed = 0, message, cluster.ReasonHook, failed
	}
}

// heldBack tells whether a service still runs a former manifest, or nothing, because of hooks, and what for.
func (o observation) heldBack(sv manifesttypes.Service) (held bool, message string, failed bool) {
	hash := manifestHash(o.workload)
	services := o.workload.Group.Services
	waits := o.hooks.held(services, hash)
	if len(waits) == 0 {
		// The hooks are through; what was held is about to be replaced.
		return o.rolling, "starting", false
	}
	if !waits[sv.Name] {
		return false, "", false
	}
	for _, other := range services {
		h := o.hooks.pending(other, manifesttypes.WHEN_BEFORE_ROLLOUT, hash)
		if h == nil {
			continue
		}
		if rec := o.hooks[hookKey(other.Name, h.Name)]; rec.Manifest == hash && rec.State == hookFailed {
			return true, fmt.Sprintf("hook %s of service %s failed: %s", h.Name, other.Name, rec.Message), true
		}
		if message == "" {
			message = fmt.Sprintf("waiting for hook %s of service %s", h.Name, other.Name)
			// A job waits for its image, or for room, until its time is over.
			if p := o.runs[o.hooks.job(other.Name, h.Name, hash)]; p != nil && !terminal(p) {
				if f := o.trouble(p); f.message != "" {
					message = cut(message+": "+f.message, maxMessage)
				}
			}
		}
	}
	return true, message, false
}

func (o observation) hooksOf(sv manifesttypes.Service) []cluster.HookStatus {
	var out []cluster.HookStatus
	hash := manifestHash(o.workload)
	for _, h := range sv.Hooks {
		st := cluster.HookStatus{Name: h.Name, State: cluster.HookWaiting}
		rec, known := o.hooks[hookKey(sv.Name, h.Name)]
		switch {
		case known && rec.Manifest == hash && rec.State == hookSucceeded:
			st.State = cluster.HookSucceeded
		case known && rec.Manifest == hash && rec.State == hookFailed:
			st.State, st.Message, st.Log = cluster.HookFailed, rec.Message, rec.Log
		case known && rec.Manifest == hash && rec.State == hookAgain:
		case known && (rec.Manifest == hash && rec.State != hookPassed):
			st.State = cluster.HookRunning
		case known && h.Once:
			st.State = cluster.HookSkipped
		}
		out = append(out, st)
	}
	return out
}

// task is what there is to know of a task's runs.
func (o observation) task(sv manifesttypes.Service) *cluster.TaskStatus {
	t := &cluster.TaskStatus{Suspended: sv.Cron.Suspended}
	c := o.tasks[sv.Name]
	if c == nil {
		return t
	}
	t.Suspended = c.Spec.Suspend != nil && *c.Spec.Suspend
	t.Active = uint32(len(c.Status.Active))
	t.Succeeded = timeOf(c.Status.LastSuccessfulTime)
	if len(o.jobs[sv.Name]) == 0 {
		return t
	}
	job := o.jobs[sv.Name][0]
	t.Last, t.Started, t.Ended = cluster.HookRunning, timeOf(job.Status.StartTime), timeOf(job.Status.CompletionTime)
	for _, cond := range job.Status.Conditions {
		switch {
		case cond.Status != corev1.ConditionTrue:
		case cond.Type == batchv1.JobComplete:
			t.Last = cluster.HookSucceeded
		case cond.Type == batchv1.JobFailed:
			t.Last, t.Message, t.Ended = cluster.HookFailed, runFailure(job, cond, o.runs[job.Name]), cond.LastTransitionTime.Time
		}
	}
	return t
}

func runFailure(job *batchv1.Job, cond batchv1.JobCondition, p *corev1.Pod) string {
	if cond.Reason == batchv1.JobReasonDeadlineExceeded && job.Spec.ActiveDeadlineSeconds != nil {
		return fmt.Sprintf("it took longer than %d s", *job.Spec.ActiveDeadlineSeconds)
	}
	if p != nil {
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Terminated != nil {
				return "it ended with " + ending(s.State.Terminated)
			}
		}
	}
	return cond.Message
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
