package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"

	"berth.dev/berth/provider/doctor"
)

const (
	// probeLimit is how long the probe may take, the pull of its image included.
	probeLimit = 2 * time.Minute
	// probeCleanup is how long the removal of its namespace may take.
	probeCleanup = 15 * time.Second
	// probeStale is the age from which on the namespace of a probe that was killed is removed by the next one.
	probeStale = 10 * time.Minute
	probePort  = 8080
	// probeUser is a user that no image gives rights to.
	probeUser = 65532
	probeName = "berth-doctor"
)

// The pods of a probe.
const (
	probePeer       = "peer"       // listens, and nothing confines it
	probeFree       = "free"       // listens and connects, and nothing confines it
	probeTenant     = "tenant"     // listens and connects, under the policies of a lease
	probePrivileged = "privileged" // must not run
)

// ProbeRound is what a pod of the probe says of one round of attempts, as a line of JSON on its output.
type ProbeRound struct {
	// Open says of each target whether a connection came about, Resolved of each name whether it was answered for.
	Open     map[string]bool `json:"open"`
	Resolved map[string]bool `json:"resolved"`
}

// probeResult is what a probe found.
type probeResult struct {
	free, tenant ProbeRound
	// refused says why the privileged pod was not made; empty if it was.
	refused string
	// firstPort and lastPort are the range of node ports; 0 if it was not told.
	firstPort, lastPort int64
}

// errNoImage means that no probe was asked for.
var errNoImage = errors.New("no probe was asked for")

// probeNamespace is the namespace of a probe, in which pods must be as confined as those of leases.
func probeNamespace(suffix string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: strings.TrimSuffix(probeName+"-"+suffix, "-"),
		Labels: map[string]string{
			"app.kubernetes.io/name": probeName, "pod-security.kubernetes.io/enforce": "restricted",
			"pod-security.kubernetes.io/enforce-version": "latest",
		},
	}}
}

// probe runs pods in a namespace of its own and watches which connections come about. The namespace is removed whatever
// happens.
func (l *look) probe(ctx context.Context) (out probeResult, err error) {
	if l.ProbeImage == "" {
		return out, errNoImage
	}
	s, err := l.settled(ctx)
	if err != nil {
		return out, err
	}
	if err := l.removeStaleProbes(ctx); err != nil {
		return out, err
	}
	ns := probeNamespace(rand.String(6))
	defer func() {
		// The caller's time may be up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
		defer cancel()
		if gone := l.typed.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); gone != nil && !apierrors.IsNotFound(gone) {
			err = errors.Join(err, fmt.Errorf("remove the probe: kubectl delete namespace %s: %w", ns.Name, gone))
		}
	}()
	if _, err := l.typed.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return out, fmt.Errorf("make the probe's namespace: %w", err)
	}
	if err := l.startProbe(ctx, ns.Name, s); err != nil {
		return out, err
	}
	first, last, err := l.probePorts(ctx, ns.Name)
	if err != nil {
		return out, err
	}
	out, err = l.awaitProbe(ctx, ns.Name)
	out.firstPort, out.lastPort = first, last
	return out, err
}

// portRange is how the API server names the range of node ports when it refuses another one.
var portRange = regexp.MustCompile(`range of valid ports is (\d+)-(\d+)`)

// probePorts asks for a Service with a port that cannot be had: the refusal tells the range.
func (l *look) probePorts(ctx context.Context, ns string) (first, last int64, err error) {
	_, err = l.typed.CoreV1().Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "ports"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 1, NodePort: 1}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsInvalid(err) {
		return 0, 0, fmt.Errorf("ask for the range of node ports: %w", err)
	}
	if m := portRange.FindStringSubmatch(fmt.Sprint(err)); m != nil {
		first, _ = strconv.ParseInt(m[1], 10, 32)
		last, _ = strconv.ParseInt(m[2], 10, 32)
	}
	return first, last, nil
}

func (l *look) removeStaleProbes(ctx context.Context) error {
	all, err := l.typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + probeName})
	if err != nil {
		return fmt.Errorf("look for former probes: %w", err)
	}
	for _, ns := range all.Items {
		if !strings.HasPrefix(ns.Name, probeName+"-") || ns.DeletionTimestamp != nil || l.now().Sub(ns.CreationTimestamp.Time) < probeStale {
			continue
		}
		if err := l.typed.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove a former probe: %w", err)
		}
	}
	return nil
}

// startProbe makes the objects: the policies before the pods, so that none runs without them.
func (l *look) startProbe(ctx context.Context, ns string, s settings) error {
	r := rendering{settings: s, namespace: ns}
	for _, p := range []*networkingv1.NetworkPolicy{r.denyAll(), r.allowDNS(), r.allowInternet()} {
		p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: probeLabels(probeTenant)}
		if _, err := l.typed.NetworkingV1().NetworkPolicies(ns).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("make the probe's policies: %w", err)
		}
	}
	for _, name := range []string{probePeer, probeTenant} {
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: probeLabels(name)},
			Spec:       corev1.ServiceSpec{Selector: probeLabels(name), Ports: []corev1.ServicePort{{Port: probePort}}},
		}
		if _, err := l.typed.CoreV1().Services(ns).Create(ctx, svc, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("make the probe's services: %w", err)
		}
	}
	for _, name := range []string{probePeer, probeFree, probeTenant, probePrivileged} {
		d := probeDeployment(name, l.ProbeImage, l.probeArgs(ctx, name))
		if _, err := l.typed.AppsV1().Deployments(ns).Create(ctx, d, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("make the probe's pods: %w", err)
		}
	}
	return nil
}

func probeLabels(name string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": probeName, "berth.dev/probe": name}
}

// The targets of the probe's connections.
const (
	targetPeer     = "another pod"
	targetTenant   = "a pod of a lease"
	targetAPI      = "the API server"
	targetKubelet  = "a kubelet"
	targetMetadata = "the metadata service"
)

func (l *look) probeArgs(ctx context.Context, name string) []string {
	args := []string{"netprobe", "--listen", fmt.Sprintf(":%d", probePort)}
	dial := func(what, host string, port int) {
		args = append(args, "--dial", what+"="+net.JoinHostPort(host, fmt.Sprint(port)))
	}
	if name == probeFree || name == probeTenant {
		dial(targetPeer, probePeer, probePort)
	}
	if name == probeFree {
		dial(targetTenant, probeTenant, probePort)
	}
	if name == probeTenant {
		dial(targetAPI, "kubernetes.default.svc", 443)
		dial(targetMetadata, "169.254.169.254", 80)
		args = append(args, "--resolve", "kubernetes.default.svc")
		if nodes, err := l.nodes(ctx); err == nil && len(nodes) > 0 {
			for _, a := range nodes[0].Status.Addresses {
				if a.Type == corev1.NodeInternalIP {
					dial(targetKubelet, a.Address, 10250)
				}
			}
		}
	}
	return args
}

func probeDeployment(name, image string, args []string) *appsv1.Deployment {
	labels := probeLabels(name)
	container := corev1.Container{
		Name: name, Image: image, Args: args,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(probePort)}},
			PeriodSeconds: 1,
		},
	}
	spec := corev1.PodSpec{
		AutomountServiceAccountToken: new(false), TerminationGracePeriodSeconds: new(int64(0)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(probeUser)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	if name == probePrivileged {
		container.SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	}
	spec.Containers = []corev1.Container{container}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// forbidden are the connections that must not come about.
func (r probeResult) forbidden() []string {
	var out []string
	for target, open := range r.tenant.Open {
		if open {
			out = append(out, "a lease reaches "+target)
		}
	}
	if r.free.Open[targetTenant] {
		out = append(out, "any pod reaches "+targetTenant)
	}
	slices.Sort(out)
	return out
}

// good tells whether everything is as it must be, so that nothing can come of waiting.
func (r probeResult) good() bool {
	return len(r.forbidden()) == 0 && r.free.Open[targetPeer] && r.refused != "" && !slices.Contains(values(r.tenant.Resolved), false)
}

func values(m map[string]bool) []bool {
	var out []bool
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

const (
	probePoll = 500 * time.Millisecond
	// probeRounds is how many looks what is not as it must be may stay so: an enforcer learns of new pods a moment later.
	probeRounds = 30
)

// awaitProbe waits until the pods connect, and then until what they report is as it must be or stays otherwise.
func (l *look) awaitProbe(ctx context.Context, ns string) (probeResult, error) {
	trouble, rounds, goodRounds := "the pods had not started", 0, 0
	for {
		r, what, err := l.readProbe(ctx, ns)
		switch {
		case err != nil:
			return r, fmt.Errorf("%w (%s)", err, trouble)
		case what != "":
			trouble = what
		default:
			rounds++
			if goodRounds++; !r.good() {
				goodRounds = 0
			}
			if goodRounds == 3 || rounds == probeRounds {
				return r, nil
			}
		}
		if err := pause(ctx, or(l.poll, probePoll)); err != nil {
			return r, fmt.Errorf("the probe came to nothing: %s", trouble)
		}
	}
}

// readProbe reads the last rounds of the pods; why says why there is none yet.
func (l *look) readProbe(ctx context.Context, ns string) (r probeResult, why string, err error) {
	pods, err := l.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return r, "", fmt.Errorf("read the probe's pods: %w", err)
	}
	if r.refused, err = l.probeRefusal(ctx, ns); err != nil {
		return r, "", err
	}
	ready := map[string]*corev1.Pod{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if podReady(p) {
			ready[p.Labels["berth.dev/probe"]] = p
		} else if what := (observation{}).trouble(p).message; what != "" && p.Labels["berth.dev/probe"] != probePrivileged {
			why = what
		}
	}
	for name, into := range map[string]*ProbeRound{probeFree: &r.free, probeTenant: &r.tenant} {
		p := ready[name]
		if p == nil || ready[probePeer] == nil {
			return r, or(why, "the pods have not started"), nil
		}
		data, err := l.typed.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: new(int64(1))}).DoRaw(ctx)
		if err != nil {
			return r, "", fmt.Errorf("read what the probe says: %w", err)
		}
		if len(data) == 0 {
			return r, "the pods have not said anything", nil
		}
		if err := json.Unmarshal(data, into); err != nil {
			return r, fmt.Sprintf("pod %s says %.100q: is the image one of berth-provider?", name, data), nil
		}
	}
	return r, "", nil
}

// probeRefusal is why Kubernetes does not make the privileged pod; empty if it does, or has not tried.
func (l *look) probeRefusal(ctx context.Context, ns string) (string, error) {
	all, err := l.typed.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("read the probe's deployments: %w", err)
	}
	for i := range all.Items {
		if all.Items[i].Name == probePrivileged {
			return refusal(&all.Items[i]), nil
		}
	}
	return "", nil
}

// probeFinding makes a finding of the probe, or says why there is none.
func (l *look) probeFinding(ctx context.Context, of func(probeResult) doctor.Finding) doctor.Finding {
	r, err := l.probed(ctx)
	switch {
	case errors.Is(err, errNoImage):
		return doctor.Warnf("not tried: that takes pods").By("berth-provider doctor --probe IMAGE, with an image of this program (deploy/kubernetes/README.md), or cluster.probe_image in provider.yaml")
	case err != nil:
		return doctor.Warnf("not known: %v", err).By("see that the nodes can pull %s, then berth-provider doctor --probe %s", l.ProbeImage, l.ProbeImage)
	}
	return of(r)
}

func (l *look) checkPodRefused(ctx context.Context) doctor.Finding {
	return l.probeFinding(ctx, func(r probeResult) doctor.Finding {
		if r.refused == "" {
			return doctor.Failf("a privileged pod was taken in a namespace of level restricted")
		}
		return doctor.Okf("a privileged pod is refused")
	})
}

func (l *look) checkPolicies(ctx context.Context) doctor.Finding {
	return l.probeFinding(ctx, func(r probeResult) doctor.Finding {
		switch {
		case r.tenant.Open[targetPeer] && r.free.Open[targetTenant]:
			return doctor.Failf("policies are not enforced at all: leases reach each other")
		case r.tenant.Open[targetPeer]:
			return doctor.Failf("policies for outgoing connections are not enforced: a lease reaches other pods")
		case r.free.Open[targetTenant]:
			return doctor.Failf("policies for incoming connections are not enforced: any pod reaches a lease")
		case !r.free.Open[targetPeer]:
			return doctor.Warnf("not known: pods without policies do not reach each other either").By("look into the cluster's network: kubectl get pods -A -o wide")
		}
		return doctor.Okf("a pod under the policies of a lease reaches no other pod, and none reaches it")
	})
}

func (l *look) checkIsolation(ctx context.Context) doctor.Finding {
	return l.probeFinding(ctx, func(r probeResult) doctor.Finding {
		var out []string
		for _, target := range []string{targetAPI, targetKubelet, targetMetadata} {
			if r.tenant.Open[target] {
				out = append(out, target)
			}
		}
		if len(out) > 0 {
			return doctor.Failf("a lease reaches %s", strings.Join(out, ", "))
		}
		return doctor.Okf("a lease reaches neither the API server nor a kubelet nor the metadata service")
	})
}

func (l *look) checkNames(ctx context.Context) doctor.Finding {
	return l.probeFinding(ctx, func(r probeResult) doctor.Finding {
		for name, answered := range r.tenant.Resolved {
			if !answered {
				return doctor.Failf("a lease gets no answer for %s", name)
			}
		}
		return doctor.Okf("a lease gets answers")
	})
}
