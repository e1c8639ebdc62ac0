package kube

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// observation is what Status is computed from.
type observation struct {
	workload    cluster.Workload
	deployments map[string]*appsv1.Deployment // by service
	ports       map[string]*corev1.Service    // by service: those that open ports of the provider
	pods        map[string][]*corev1.Pod      // by service
	domain      string
	nodeHost    string
	ingressPort int
	links       []cluster.Link
}

// statusOf gives the state of every service of the manifest, in the order of their names.
func statusOf(o observation) []cluster.ServiceStatus {
	local := map[string]manifesttypes.Service{}
	for _, sv := range o.workload.Group.Services {
		local[sv.Name] = sv
	}
	var out []cluster.ServiceStatus
	for _, sv := range o.workload.Group.Services {
		st := o.service(sv)
		if d := o.deployments[sv.Name]; st.Message == "" && (d == nil || replicas(d) == 0) {
			waiting := slices.Concat(waitingFor(sv, local, o.ready), cluster.MissingLinks(o.workload.Group, sv, o.links))
			if len(waiting) > 0 {
				st.Message = "waiting for " + strings.Join(waiting, ", ")
			}
		}
		if st.Message == "" && (st.Ready < st.Desired || st.Updated < st.Desired) {
			st.Message = "starting"
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b cluster.ServiceStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func (o observation) ready(service string) bool {
	d := o.deployments[service]
	return d != nil && replicas(d) > 0 && d.Status.ObservedGeneration >= d.Generation && d.Status.ReadyReplicas >= replicas(d)
}

func (o observation) service(sv manifesttypes.Service) cluster.ServiceStatus {
	st := cluster.ServiceStatus{Name: sv.Name, Desired: sv.Count}
	for _, r := range cluster.Routes(o.workload.Lease, sv, o.domain) {
		for _, host := range hostsOf(r) {
			st.URLs = append(st.URLs, cluster.URL(host, o.ingressPort))
		}
	}
	st.Ports = o.forwardedPorts(sv)
	d := o.deployments[sv.Name]
	if d == nil {
		return st
	}
	revision := d.Spec.Template.Labels[labelRevision]
	for _, p := range o.pods[sv.Name] {
		if p.DeletionTimestamp != nil || terminal(p) {
			continue
		}
		present := p.Labels[labelRevision] == revision
		if podReady(p) {
			st.Ready++
			if present {
				st.Updated++
			}
			continue
		}
		if present && !st.Failed {
			st.Message, st.Failed = trouble(p)
		}
	}
	// A rollout or a scaling down may have one instance more.
	st.Ready, st.Updated = min(st.Ready, st.Desired), min(st.Updated, st.Desired)
	if st.Updated == st.Desired {
		st.Message, st.Failed = "", false
	} else if st.Message == "" {
		st.Message = refusal(d)
	}
	return st
}

func (o observation) forwardedPorts(sv manifesttypes.Service) []cluster.ForwardedPort {
	svc := o.ports[sv.Name]
	if svc == nil {
		return nil
	}
	var out []cluster.ForwardedPort
	for _, p := range svc.Spec.Ports {
		if p.NodePort == 0 {
			continue
		}
		out = append(out, cluster.ForwardedPort{
			Host: o.nodeHost, Port: uint32(p.Port), ExternalPort: uint32(p.NodePort),
			Proto: strings.ToLower(string(p.Protocol)),
		})
	}
	return out
}

func terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// refusal says why Kubernetes makes no pods for a Deployment; empty if it does.
func refusal(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return "instances are refused: " + c.Message
		}
	}
	return ""
}

// trouble says for people why a pod is not ready, and whether waiting will not help.
func trouble(p *corev1.Pod) (message string, failed bool) {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			if message, failed = waitingTrouble(p, c, w); message != "" {
				return message, failed
			}
		}
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return fmt.Sprintf("ended with %s", ending(t)), false
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "no room on the nodes: " + c.Message, false
		}
	}
	return "", false
}

func waitingTrouble(p *corev1.Pod, c corev1.ContainerStatus, w *corev1.ContainerStateWaiting) (string, bool) {
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		return fmt.Sprintf("image %s cannot be pulled: %s", imageOf(p, c.Name), w.Message), noSuchImage(w.Message)
	case "InvalidImageName":
		return fmt.Sprintf("image %s: not the name of an image", imageOf(p, c.Name)), true
	case "CrashLoopBackOff":
		if t := c.LastTerminationState.Terminated; t != nil {
			return fmt.Sprintf("ended %d times, last with %s", c.RestartCount+1, ending(t)), true
		}
		return "keeps ending", true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return fmt.Sprintf("%s: %s", w.Reason, w.Message), false
	}
	return "", false
}

// imageOf is the image as the manifest has it: the status may hold another form of it, or none yet.
func imageOf(p *corev1.Pod, container string) string {
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// noSuchImage tells a registry's positive answer from trouble on the way to it. The kubelet passes it on as text alone;
// a form that is not known here only means that the tenant waits longer.
func noSuchImage(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{
		"not found", "manifest unknown", "manifest_unknown", "name_unknown", "name unknown", "does not exist",
		"invalid reference format", "no matching manifest", "no match for platform",
	} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
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
