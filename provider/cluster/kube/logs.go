package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	// maxLogLine is the length of a line in bytes from which on the rest of it is dropped.
	maxLogLine = 16 << 10
	// logBuffer is how many lines may wait for a slow reader; after that the instances' streams wait.
	logBuffer = 256
	// logPoll is how often a stream that follows looks for new instances.
	logPoll = 2 * time.Second
	// logRetry is how long it waits before it asks an instance that has no log yet again.
	logRetry = 500 * time.Millisecond
	// maxFollowed is how many instances a stream follows at once.
	maxFollowed = 64
)

// Logs implements cluster.Cluster. Without Follow the instances come one after the other, in the order of services and
// instances. With Follow they are merged as they come, and instances that start later join in.
func (c *Cluster) Logs(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	w, _, err := c.held(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("kube: logs of %s: %w", id, err)
	}
	if o.Service != "" && !slices.ContainsFunc(w.Group.Services, func(sv manifesttypes.Service) bool { return sv.Name == o.Service }) {
		return nil, fmt.Errorf("kube: logs of %s: service %q: %w", id, o.Service, cluster.ErrNotFound)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &logStream{
		cluster: c, lease: id, namespace: namespaceOf(id), options: o,
		ctx: ctx, cancel: cancel, lines: make(chan cluster.LogLine, logBuffer),
	}
	s.group.Go(func() {
		defer close(s.lines)
		if o.Follow && !o.Previous {
			s.err = s.follow()
		} else {
			s.err = s.readOnce()
		}
	})
	return s, nil
}

type logStream struct {
	cluster   *Cluster
	lease     markettypes.LeaseID
	namespace string
	options   cluster.LogOptions
	ctx       context.Context // ends with the caller's or with Close
	cancel    context.CancelFunc
	group     sync.WaitGroup
	lines     chan cluster.LogLine
	err       error // written before lines is closed
}

// Next implements cluster.LogStream.
func (s *logStream) Next() (cluster.LogLine, error) {
	line, ok := <-s.lines
	switch {
	case ok:
		return line, nil
	case s.err == nil || errors.Is(s.err, context.Canceled):
		return line, io.EOF
	default:
		return line, fmt.Errorf("kube: logs of %s: %w", s.lease, s.err)
	}
}

// Close implements cluster.LogStream. It returns when all streams have stopped.
func (s *logStream) Close() error {
	s.cancel()
	s.group.Wait()
	return nil
}

// pods are the instances that are wanted, in the order of services and names.
func (s *logStream) pods() ([]corev1.Pod, error) {
	pairs := []string(nil)
	if s.options.Service != "" {
		pairs = []string{labelService, s.options.Service}
	}
	all, err := s.cluster.typed.CoreV1().Pods(s.namespace).List(s.ctx, metav1.ListOptions{LabelSelector: s.cluster.ourLabels(pairs...)})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	slices.SortFunc(all.Items, func(a, b corev1.Pod) int {
		if d := strings.Compare(a.Labels[labelService], b.Labels[labelService]); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all.Items, nil
}

func (s *logStream) readOnce() error {
	pods, err := s.pods()
	if err != nil {
		return err
	}
	for i := range pods {
		in := s.instance(&pods[i])
		if err := in.read(false); err != nil && !noLogYet(err) {
			return err
		}
	}
	return nil
}

// follow reads all instances at once until the lease is gone.
func (s *logStream) follow() error {
	var readers sync.WaitGroup
	defer readers.Wait()
	known := map[string]bool{}
	for {
		pods, err := s.pods()
		if err != nil {
			return err
		}
		for i := range pods {
			uid := string(pods[i].UID)
			if known[uid] || len(known) >= maxFollowed && !forget(known, pods) {
				continue
			}
			known[uid] = true
			in := s.instance(&pods[i])
			readers.Go(in.follow)
		}
		if _, _, err := s.cluster.held(s.ctx, s.lease); errors.Is(err, cluster.ErrNotFound) {
			return nil
		}
		if err := pause(s.ctx, logPoll); err != nil {
			return err
		}
	}
}

// forget drops instances that are gone, and tells whether there were any.
func forget(known map[string]bool, pods []corev1.Pod) bool {
	before := len(known)
	present := map[string]bool{}
	for i := range pods {
		present[string(pods[i].UID)] = true
	}
	for uid := range known {
		if !present[uid] {
			delete(known, uid)
		}
	}
	return len(known) < before
}

// instance is the log of one pod.
type instance struct {
	stream  *logStream
	pod     string
	service string
	// last is the time of the last line that was given, so that a stream that is opened again goes on after it.
	last time.Time
}

func (s *logStream) instance(p *corev1.Pod) *instance {
	return &instance{stream: s, pod: p.Name, service: p.Labels[labelService]}
}

// follow reads until the pod is gone or the stream ends; a container that was started again is read on.
func (in *instance) follow() {
	for {
		err := in.read(true)
		if in.stream.ctx.Err() != nil || apierrors.IsNotFound(err) || in.ended() {
			return
		}
		if pause(in.stream.ctx, logRetry) != nil {
			return
		}
	}
}

// ended tells whether the pod will write no more.
func (in *instance) ended() bool {
	p, err := in.stream.cluster.typed.CoreV1().Pods(in.stream.namespace).Get(in.stream.ctx, in.pod, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	return terminal(p)
}

func (in *instance) read(follow bool) error {
	s := in.stream
	opts := &corev1.PodLogOptions{Container: in.service, Follow: follow, Timestamps: true, Previous: s.options.Previous}
	if !in.last.IsZero() {
		opts.SinceTime = new(metav1.NewTime(in.last))
	} else {
		if !s.options.Since.IsZero() {
			opts.SinceTime = new(metav1.NewTime(s.options.Since))
		}
		if s.options.Tail > 0 {
			opts.TailLines = &s.options.Tail
		}
	}
	body, err := s.cluster.typed.CoreV1().Pods(s.namespace).GetLogs(in.pod, opts).Stream(s.ctx)
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", in.pod, err)
	}
	defer func() { _ = body.Close() }()
	r := bufio.NewReaderSize(body, 4<<10)
	for {
		line, err := readLine(r)
		if err == nil {
			err = in.give(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", in.pod, err)
		}
	}
}

// give passes a line on, unless it was given before.
func (in *instance) give(line string) error {
	stamp, text, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		text = line // a message of the kubelet's own
	} else if !at.After(in.last) || at.Before(in.stream.options.Since) {
		// The kubelet looks at whole seconds only.
		return nil
	} else {
		in.last = at
	}
	select {
	case in.stream.lines <- cluster.LogLine{Service: in.service, Instance: in.pod, Line: strings.ToValidUTF8(text, "\uFFFD"), Time: at}:
		return nil
	case <-in.stream.ctx.Done():
		return in.stream.ctx.Err()
	}
}

// readLine reads a line without its end; of a line that is too long it gives the beginning. It returns io.EOF after the
// last one.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxLogLine-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)):
			return "", err
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
}

// noLogYet tells whether an instance has no log to read, because it was not started or is gone.
func noLogYet(err error) bool { return apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
