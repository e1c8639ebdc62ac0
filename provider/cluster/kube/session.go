package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Sessions go through the API server and the kubelet into an instance, as those of kubectl do: there is no other way in,
// and it works wherever the provider runs. What is reached is looked up anew each time, in the namespace of the lease and
// by the lease's labels, so that no name that a tenant gives leads anywhere else.

// inside is the way into instances.
type inside struct {
	config *rest.Config
	client rest.Interface
}

// service finds a service in what a lease runs.
func (c *Cluster) service(ctx context.Context, id markettypes.LeaseID, name string) (cluster.Workload, manifesttypes.Service, error) {
	w, _, err := c.held(ctx, id)
	if err != nil {
		return w, manifesttypes.Service{}, err
	}
	i := slices.IndexFunc(w.Group.Services, func(sv manifesttypes.Service) bool { return sv.Name == name })
	if i < 0 {
		return w, manifesttypes.Service{}, fmt.Errorf("service %q: %w", name, cluster.ErrNotFound)
	}
	return w, w.Group.Services[i], nil
}

// target finds the instance that a session is meant for, or the run of a task or a hook that is named.
func (c *Cluster) target(ctx context.Context, id markettypes.LeaseID, t cluster.Target) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w, sv, err := c.service(ctx, id, t.Service)
	if err != nil {
		return nil, err
	}
	ns := namespaceOf(id)
	list, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels(labelLease, ns, labelService, sv.Name)})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	return choose(w, sv, t.Instance, pointers(list.Items))
}

// choose picks an instance of a service by its name or, without one, the first that is ready, or else that runs.
func choose(w cluster.Workload, sv manifesttypes.Service, named string, pods []*corev1.Pod) (*corev1.Pod, error) {
	if named != "" {
		i := slices.IndexFunc(pods, func(p *corev1.Pod) bool { return p.Name == named })
		if i < 0 {
			return nil, fmt.Errorf("instance %q of service %s: %w", named, sv.Name, cluster.ErrNotFound)
		}
		if !running(pods[i]) {
			return nil, fmt.Errorf("%w: instance %s does not run", cluster.ErrRefused, named)
		}
		return pods[i], nil
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	var found *corev1.Pod
	for _, p := range pods {
		if p.DeletionTimestamp != nil || p.Labels[labelJob] != "" || !running(p) {
			continue
		}
		if podReady(p) {
			return p, nil
		}
		if found == nil {
			found = p
		}
	}
	switch {
	case found != nil:
		return found, nil
	case w.Suspended:
		return nil, fmt.Errorf("%w: service %s has no instances, as the lease is %s", cluster.ErrRefused, sv.Name, cluster.SuspendedMessage)
	case sv.Cron != nil:
		return nil, fmt.Errorf("%w: service %s is a task: name one of its runs as the instance while it goes on", cluster.ErrRefused, sv.Name)
	default:
		return nil, fmt.Errorf("%w: no instance of service %s runs; its status says why", cluster.ErrRefused, sv.Name)
	}
}

// running tells whether the program of an instance runs.
func running(p *corev1.Pod) bool {
	if terminal(p) {
		return false
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == p.Labels[labelService] {
			return s.State.Running != nil
		}
	}
	return false
}

// Exec implements cluster.Cluster.
func (c *Cluster) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	code, err := c.exec(ctx, id, o, s)
	if err != nil {
		return 0, fmt.Errorf("kube: exec in %s: %w", id, err)
	}
	return code, nil
}

func (c *Cluster) exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	if len(o.Command) == 0 {
		return 0, fmt.Errorf("%w: no program is named", cluster.ErrRefused)
	}
	pod, err := c.target(ctx, id, o.Target)
	if err != nil {
		return 0, err
	}
	bound, end := s.Bound(o.Terminal)
	defer end()
	err = c.inside.run(ctx, pod, o, bound)
	var ended utilexec.CodeExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &ended):
		return ended.Code, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	if code, why := notStarted(err.Error()); code != 0 {
		_, _ = fmt.Fprintf(bound.Stderr, "%s: %s\n", printable(o.Command[0], maxMessage), why) // who does not read it has the code
		return code, nil
	}
	if stopped(err.Error()) {
		return 0, fmt.Errorf("%w: instance %s has ended", cluster.ErrRefused, pod.Name)
	}
	return 0, fmt.Errorf("run a program in instance %s: %w", pod.Name, err)
}

// run runs a program in a pod. The end of the program ends it, whatever of the input was not read, if the image has a shell.
func (in inside) run(ctx context.Context, pod *corev1.Pod, o cluster.ExecOptions, s cluster.Streams) error {
	if byShell(o, s) {
		if ran, err := in.runByShell(ctx, pod, o, s); ran {
			return err
		}
	}
	return in.stream(ctx, pod, o, s)
}

// stream opens a session: over WebSocket or, where something on the way does not carry that, over SPDY.
func (in inside) stream(ctx context.Context, pod *corev1.Pod, o cluster.ExecOptions, s cluster.Streams) error {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard())) // what a session meets is not for the provider's log
	defer cancel()
	options := &corev1.PodExecOptions{
		Container: pod.Labels[labelService], Command: o.Command, TTY: o.Terminal,
		Stdin: s.Stdin != nil, Stdout: true, Stderr: !o.Terminal,
	}
	streams := remotecommand.StreamOptions{Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Tty: o.Terminal}
	if o.Terminal {
		streams.Stderr, streams.TerminalSizeQueue = nil, sizeQueue{ctx, s.Sizes}
	}
	url := in.client.Get().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(options, scheme.ParameterCodec).URL()
	first, err := remotecommand.NewWebSocketExecutor(in.config, "GET", url.String())
	if err != nil {
		return fmt.Errorf("prepare a session: %w", err)
	}
	second, err := remotecommand.NewSPDYExecutor(in.config, "POST", url)
	if err != nil {
		return fmt.Errorf("prepare a session: %w", err)
	}
	either, err := remotecommand.NewFallbackExecutor(first, second, notCarried)
	if err != nil {
		return fmt.Errorf("prepare a session: %w", err)
	}
	return either.StreamWithContext(ctx, streams)
}

// notCarried tells whether a connection could not be made because something on the way does not carry WebSocket.
func notCarried(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// sizeQueue gives the sizes of a terminal until its session ends.
type sizeQueue struct {
	ctx   context.Context // the session's
	sizes <-chan cluster.TerminalSize
}

// Next implements remotecommand.TerminalSizeQueue.
func (q sizeQueue) Next() *remotecommand.TerminalSize {
	select {
	case <-q.ctx.Done():
		return nil
	case s, ok := <-q.sizes:
		if !ok {
			return nil
		}
		return &remotecommand.TerminalSize{Width: s.Width, Height: s.Height}
	}
}

// notStarted tells what container runtimes say of a program that cannot be started, as they pass it on in text alone: the
// exit code that shells give, and why; 0 for anything else.
func notStarted(message string) (code int, why string) {
	m := strings.ToLower(message)
	if !strings.Contains(m, "exec") {
		return 0, ""
	}
	for _, s := range []string{"executable file not found", "not found in $path", "no such file or directory"} {
		if strings.Contains(m, s) {
			return 127, "the image has no such program"
		}
	}
	for _, s := range []string{"permission denied", "is a directory", "exec format error", "argument list too long"} {
		if strings.Contains(m, s) {
			return 126, "it cannot be run: " + s
		}
	}
	return 0, ""
}

// stopped tells whether the container of a session was no longer there.
func stopped(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{"container not found", "container is not created or running", "cannot exec in a stopped", "is not running", "pod does not exist"} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}
