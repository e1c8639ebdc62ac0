package kube

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// A probe passes by any status from 200 to 399, and knows nothing of what an answer holds. A manifest that asks for more is
// asked for it here, of each instance once: through the API server and the kubelet into the instance itself, as
// `kubectl port-forward` does it. That needs no way for packets from the provider to the instance, which network policies
// would have to open, and works wherever the provider runs.

const (
	// maxAskSeconds bounds a question, whatever timeout the probe has.
	maxAskSeconds = 5
	// askAgain is how long an answer that was not the wanted one stands.
	askAgain = 2 * time.Second
	// maxAsked is how many questions are under way at once, maxAnswers how many answers are remembered.
	maxAsked   = 8
	maxAnswers = 10_000
	// maxAnswerBytes is how much of a body is looked at.
	maxAnswerBytes = 64 << 10
)

// gate asks instances what their manifest wants them to answer, and remembers those that did.
type gate struct {
	// ask returns what is wrong with the answer of an instance, empty if nothing is.
	ask func(ctx context.Context, pod *corev1.Pod, get *manifesttypes.HTTPGet, timeout time.Duration) string

	mu      sync.Mutex
	answers map[answerKey]answered
}

type answerKey struct {
	pod      types.UID
	question string
}

type answered struct {
	wrong string
	at    time.Time
}

// questions are the requests whose answers a rollout of a service waits for.
func questions(sv manifesttypes.Service) []*manifesttypes.Probe {
	var out []*manifesttypes.Probe
	if sv.Probes == nil {
		return nil
	}
	for _, p := range []*manifesttypes.Probe{sv.Probes.Startup, sv.Probes.Readiness} {
		if p != nil && p.Http != nil && (p.Http.Status != 0 || p.Http.Content != "") {
			out = append(out, p)
		}
	}
	return out
}

// verdict is how many instances answer as they should, and what is wrong with another one.
type verdict struct {
	passed uint32
	wrong  string
}

// judge asks those instances that have not answered as they should yet.
func (g *gate) judge(ctx context.Context, now time.Time, sv manifesttypes.Service, pods []*corev1.Pod) verdict {
	wrongs := make([]string, len(pods))
	var group errgroup.Group
	group.SetLimit(maxAsked)
	for i, p := range pods {
		group.Go(func() error {
			for _, q := range questions(sv) {
				if wrongs[i] = g.answerOf(ctx, now, p, q); wrongs[i] != "" {
					break
				}
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	var v verdict
	for _, wrong := range wrongs {
		if wrong == "" {
			v.passed++
		} else if v.wrong == "" {
			v.wrong = wrong
		}
	}
	return v
}

func (g *gate) answerOf(ctx context.Context, now time.Time, p *corev1.Pod, q *manifesttypes.Probe) string {
	k := answerKey{p.UID, string(mustJSON(q))}
	g.mu.Lock()
	a, known := g.answers[k]
	g.mu.Unlock()
	if known && (a.wrong == "" || now.Sub(a.at) < askAgain) {
		return a.wrong
	}
	timeout := time.Duration(min(or(q.TimeoutSeconds, manifest.DefaultProbeTimeoutSeconds), maxAskSeconds)) * time.Second
	wrong := g.ask(ctx, p, q.Http, timeout)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answers == nil || len(g.answers) >= maxAnswers {
		g.answers = map[answerKey]answered{}
	}
	g.answers[k] = answered{wrong, now}
	return wrong
}

// judged judges the services of a workload whose rollouts wait for answers, by service. pods gives the ready instances of
// the present manifest.
func (g *gate) judged(ctx context.Context, now time.Time, services []manifesttypes.Service, pods func(manifesttypes.Service) []*corev1.Pod) map[string]verdict {
	out := map[string]verdict{}
	for _, sv := range services {
		if len(questions(sv)) > 0 {
			out[sv.Name] = g.judge(ctx, now, sv, pods(sv))
		}
	}
	return out
}

// ask asks an instance through the API server.
func (in inside) ask(ctx context.Context, pod *corev1.Pod, get *manifesttypes.HTTPGet, timeout time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, timeout+maxAskSeconds*time.Second) // to get there takes time as well
	defer cancel()
	conn, err := in.dial(ctx, pod, get.Port)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			_ = conn.Close()
		}
		return "not healthy (the instance could not be reached in time)"
	case err != nil:
		return fmt.Sprintf("not healthy (the instance could not be reached: %v)", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	return examine(ctx, conn, pod, get)
}

// examine asks an instance and says what is wrong with the answer.
func examine(ctx context.Context, conn net.Conn, pod *corev1.Pod, get *manifesttypes.HTTPGet) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(or(pod.Status.PodIP, "127.0.0.1"), strconv.FormatUint(uint64(get.Port), 10))+get.Path, nil)
	if err != nil {
		return fmt.Sprintf("not healthy (GET %s cannot be asked)", get.Path)
	}
	req.Header.Set("User-Agent", manager)
	for _, h := range get.Headers {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	req.Close = true
	if get.Tls {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as probes do: the certificate is the tenant's own
	}
	if err := req.Write(conn); err != nil {
		return "not healthy (no answer)"
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return "not healthy (no answer)"
	}
	defer func() { _ = resp.Body.Close() }()
	if get.Status != 0 && resp.StatusCode != int(get.Status) {
		return fmt.Sprintf("not healthy (%d, want %d)", resp.StatusCode, get.Status)
	}
	if get.Content == "" {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil && len(body) == 0 {
		return "not healthy (no answer)"
	}
	if !bytes.Contains(body, []byte(get.Content)) {
		return fmt.Sprintf("not healthy (the answer to GET %s does not hold the wanted text)", get.Path)
	}
	return ""
}

// current are the ready instances of the revision that a service's template has.
func current(pods []*corev1.Pod, service, revision string) []*corev1.Pod {
	var out []*corev1.Pod
	for _, p := range pods {
		if p.Labels[labelService] == service && p.Labels[labelRevision] == revision && p.DeletionTimestamp == nil && !terminal(p) && podReady(p) {
			out = append(out, p)
		}
	}
	return out
}

// unhealthy tells which services of a workload have instances that do not answer as they should.
func (c *Cluster) unhealthy(ctx context.Context, ns string, services []manifesttypes.Service, have live) (map[string]string, error) {
	asked := false
	for _, sv := range services {
		asked = asked || len(questions(sv)) > 0
	}
	if !asked {
		return nil, nil
	}
	list, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	out := map[string]string{}
	verdicts := c.gate.judged(ctx, c.now(), services, func(sv manifesttypes.Service) []*corev1.Pod {
		d, ok := have[workloadKey(sv)]
		if !ok {
			return nil
		}
		return current(pointers(list.Items), sv.Name, revisionOf(d))
	})
	for service, v := range verdicts {
		if v.wrong != "" {
			out[service] = v.wrong
		}
	}
	return out, nil
}
