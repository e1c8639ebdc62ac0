package kube

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

const (
	// progressSeconds is how long Kubernetes gives a rollout before it notes that nothing moves; nothing follows from it,
	// but it must be longer than an instance has to stay ready.
	progressSeconds = 600

	// maxCronName leaves room for what Kubernetes adds to the names of runs.
	maxCronName = 52
	// keptRuns is how many runs of a task Kubernetes keeps of those that succeeded and of those that failed, endedSeconds
	// how long it keeps what has ended, so that its log can be read.
	keptRuns     = 10
	endedSeconds = 3600
	// maxRuns bounds the runs of a task that exist at once, those that have ended included.
	maxRuns = 2*keptRuns + 12

	// roleTask marks what belongs to runs of a task, roleHook what belongs to a hook.
	roleTask = "task"
	roleHook = "hook"
)

// checkCare refuses what cannot be rendered of how instances are looked after. Manifests were validated before; what ends
// in an object of the API server is looked at again all the same.
func checkCare(p *problems, field string, sv manifesttypes.Service, s settings) {
	if err := manifest.CheckCare(sv); err != nil {
		p.addAll(field, strings.Split(err.Error(), "\n"))
	}
	if stateful(sv) && sv.Scale != nil {
		p.add(field+".scale", "a service with persistent volumes does not scale by load")
	}
	if stateful(sv) && sv.Rollout != nil {
		p.add(field+".rollout", "a service with persistent volumes replaces an instance before it starts the next")
	}
	if sv.Scale != nil && !s.Metrics {
		p.add(field+".scale", "this cluster has no resource metrics, by which instances would be counted")
	}
}

// probes are the checks of an instance. Kubernetes makes them of the instance's own address: none names a host.
func probes(c *corev1.Container, sv manifesttypes.Service) {
	if sv.Probes == nil {
		c.ReadinessProbe = readiness(sv)
		return
	}
	c.StartupProbe = probe(sv.Probes.Startup)
	c.ReadinessProbe = probe(sv.Probes.Readiness)
	c.LivenessProbe = probe(sv.Probes.Liveness)
}

// probe renders a check with every number written out, whatever Kubernetes takes for its default.
func probe(p *manifesttypes.Probe) *corev1.Probe {
	if p == nil {
		return nil
	}
	out := &corev1.Probe{
		InitialDelaySeconds: int32(p.InitialDelaySeconds),
		PeriodSeconds:       int32(or(p.PeriodSeconds, manifest.DefaultProbePeriodSeconds)),
		TimeoutSeconds:      int32(or(p.TimeoutSeconds, manifest.DefaultProbeTimeoutSeconds)),
		SuccessThreshold:    int32(or(p.SuccessThreshold, manifest.DefaultProbeSuccessThreshold)),
		FailureThreshold:    int32(or(p.FailureThreshold, manifest.DefaultProbeFailureThreshold)),
	}
	switch {
	case p.Http != nil:
		get := &corev1.HTTPGetAction{Path: p.Http.Path, Port: intstr.FromInt32(int32(p.Http.Port)), Scheme: corev1.URISchemeHTTP}
		if p.Http.Tls {
			get.Scheme = corev1.URISchemeHTTPS
		}
		for _, h := range p.Http.Headers {
			get.HTTPHeaders = append(get.HTTPHeaders, corev1.HTTPHeader{Name: h.Name, Value: h.Value})
		}
		out.HTTPGet = get
	case len(p.Exec) > 0:
		out.Exec = &corev1.ExecAction{Command: literal(p.Exec)}
	default:
		out.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(int32(p.TcpPort))}
	}
	return out
}

// least is how many instances of a service run at least.
func least(sv manifesttypes.Service) uint32 {
	if sv.Scale != nil {
		return sv.Scale.Min
	}
	return sv.Count
}

// rollout sets how a Deployment replaces its instances, and how many it may have.
func (r *rendering) rollout(d *appsv1.Deployment, sv manifesttypes.Service) {
	surge, unavailable := uint32(1), uint32(0)
	if sv.Rollout != nil {
		surge, unavailable = sv.Rollout.MaxSurge, sv.Rollout.MaxUnavailable
	}
	if revision := d.Spec.Template.Labels[labelRevision]; r.Stage.Cramped[sv.Name] == revision {
		d.Annotations = with(d.Annotations, annotationCramped, revision)
		surge, unavailable = 0, max(1, surge, unavailable)
	}
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{
		MaxSurge: new(intstr.FromInt32(int32(surge))), MaxUnavailable: new(intstr.FromInt32(int32(unavailable))),
	}
	if sv.MinReadySeconds > 0 {
		d.Spec.MinReadySeconds = int32(sv.MinReadySeconds)
		d.Spec.ProgressDeadlineSeconds = new(int32(sv.MinReadySeconds + progressSeconds))
	}
	if sv.Scale != nil && r.starts(sv.Name) {
		d.Spec.Replicas = r.Stage.Counts[sv.Name]
	}
}

// autoscaler keeps the number of a service's instances between its bounds. Percentages are parts of what an instance may
// use; where the operator sells more than there is, instances ask the scheduler for less, of which it is more per cent.
func (r *rendering) autoscaler(sv manifesttypes.Service) *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: kindAutoscaler},
		ObjectMeta: r.meta(sv.Name, labelService, sv.Name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kindDeployment, Name: sv.Name},
			MinReplicas:    new(int32(sv.Scale.Min)),
			MaxReplicas:    int32(sv.Count),
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{
				StabilizationWindowSeconds: new(int32(or(sv.Scale.CooldownSeconds, manifest.DefaultCooldownSeconds))),
			}},
		},
	}
	for _, t := range sv.Scale.Triggers {
		name, sold := corev1.ResourceCPU, r.Overcommit.CPU
		value := resource.NewMilliQuantity(int64(t.AverageValue), resource.DecimalSI)
		if t.Resource == manifest.TriggerMemory {
			name, sold = corev1.ResourceMemory, r.Overcommit.Memory
			value = bytesQuantity(int64(t.AverageValue))
		}
		target := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: value}
		if t.UtilizationPercent > 0 {
			percent := int32(uint64(t.UtilizationPercent) * uint64(max(sold, 1000)) / 1000)
			target = autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent}
		}
		h.Spec.Metrics = append(h.Spec.Metrics, autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: name, Target: target},
		})
	}
	return h
}

// cronName is the name of a task's CronJob.
func cronName(service string) string {
	if len(service) <= maxCronName {
		return service
	}
	return strings.TrimRight(service[:maxCronName-9], "-") + "-" + digest([]byte(service), 4)
}

var concurrencies = map[manifesttypes.Concurrency]batchv1.ConcurrencyPolicy{
	manifesttypes.CONCURRENCY_ALLOW:   batchv1.AllowConcurrent,
	manifesttypes.CONCURRENCY_FORBID:  batchv1.ForbidConcurrent,
	manifesttypes.CONCURRENCY_REPLACE: batchv1.ReplaceConcurrent,
}

// cronJob renders a task. Its runs have none of our labels but the pods of them have: what Kubernetes makes of a rendered
// object is not taken for something that is there without having been rendered.
func (r *rendering) cronJob(sv manifesttypes.Service) *batchv1.CronJob {
	schedule, err := manifest.ParseSchedule(sv.Cron.Schedule)
	if err != nil {
		schedule = manifest.Schedule{} // checkCare has refused it
	}
	utc := "Etc/UTC"
	job := r.jobSpec(sv, roleTask, or(sv.Cron.DeadlineSeconds, manifest.DefaultTaskSeconds))
	return &batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: kindCronJob},
		ObjectMeta: r.meta(cronName(sv.Name), labelService, sv.Name),
		Spec: batchv1.CronJobSpec{
			Schedule: schedule.String(), TimeZone: &utc,
			ConcurrencyPolicy:          concurrencies[sv.Cron.Concurrency],
			Suspend:                    new(sv.Cron.Suspended || !r.starts(sv.Name)),
			StartingDeadlineSeconds:    new(int64(or(sv.Cron.StartingDeadlineSeconds, manifest.DefaultStartSeconds))),
			SuccessfulJobsHistoryLimit: new(int32(keptRuns)),
			FailedJobsHistoryLimit:     new(int32(keptRuns)),
			JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{labelService: sv.Name, labelRole: roleTask}},
				Spec:       job,
			},
		},
	}
}

// neverReady is a condition that nobody sets: the pods of jobs stand under their service's name, so that they may do what
// it may, and must never get a connection that is meant for an instance.
const neverReady = "berth.dev/serves"

// jobSpec renders a run to its end of what would be an instance of a service: confined in the same way, with the same
// env, but without ports, probes and persistent volumes, and never started again.
func (r *rendering) jobSpec(sv manifesttypes.Service, role string, deadline uint32) batchv1.JobSpec {
	sv = transient(sv)
	template := r.podTemplate(sv)
	template.Labels = with(template.Labels, labelRole, role)
	delete(template.Labels, labelRevision)
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: neverReady}}
	failed := batchv1.Failed
	return batchv1.JobSpec{
		BackoffLimit:            new(int32(0)),
		ActiveDeadlineSeconds:   new(int64(deadline)),
		TTLSecondsAfterFinished: new(int32(endedSeconds)),
		PodReplacementPolicy:    &failed,
		Template:                template,
	}
}

// transient is a service without what only instances that go on can have.
func transient(sv manifesttypes.Service) manifesttypes.Service {
	sv.Expose, sv.Probes, sv.Scale, sv.Rollout, sv.Hooks, sv.Cron = nil, nil, nil, nil, nil, nil
	var volumes []manifesttypes.Volume
	for _, v := range sv.Volumes {
		if attribute(v.Attributes, "persistent") != "true" {
			volumes = append(volumes, v)
		}
	}
	sv.Volumes = volumes
	return sv
}

// room is how many instances of a service may exist at once: a rollout holds one instance more and those that are
// ending. A run of a task is one instance; runs beside it, and hooks, take the room of the others' rollouts.
func room(sv manifesttypes.Service) int64 {
	switch {
	case sv.Cron == nil:
		return 2*int64(sv.Count) + 1
	case sv.Cron.Suspended:
		return 0
	default:
		return int64(sv.Count)
	}
}

// jobs is how many jobs a lease may have at once: the runs of its tasks, and its hooks twice, as those of the former
// manifest may still be ending. A service that is held back is rendered as it was, and its hooks run all the same.
func (r *rendering) jobs() int64 {
	n := int64(0)
	for _, sv := range r.workload.Group.Services {
		hooks := len(sv.Hooks)
		for _, next := range r.Stage.Awaited {
			if next.Name == sv.Name {
				hooks = max(hooks, len(next.Hooks))
			}
		}
		n += 2 * int64(hooks)
		if sv.Cron != nil {
			n += maxRuns
		}
	}
	return n
}
