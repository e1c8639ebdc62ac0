package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// What happened to a lease is told by two: Kubernetes, whose events of the lease's namespace are read and then watched,
// and what the driver remembers of the lease itself, which is looked at again while a stream follows. Neither is kept
// here: Kubernetes forgets its events after an hour.

const (
	// eventPage is how many events are read at once.
	eventPage = 500
	// eventBuffer is how many events may wait for a slow reader; after that the watch waits.
	eventBuffer = 64
	// maxTold is how many events a stream remembers to have given.
	maxTold = 4 * cluster.MaxEvents
)

// Events implements cluster.Cluster.
func (c *Cluster) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
	first, err := c.openEvents(ctx, id, o)
	if err != nil {
		return nil, fmt.Errorf("kube: events of %s: %w", id, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &eventStream{
		cluster: c, lease: id, namespace: namespaceOf(id), options: o, ctx: ctx, cancel: cancel,
		events: make(chan cluster.Event, eventBuffer), told: map[types.UID]int32{}, owns: map[string]bool{},
	}
	s.group.Go(func() {
		defer close(s.events)
		s.err = s.read(first)
	})
	return s, nil
}

// openEvents makes sure that there is something to tell of, and reads what is remembered of it.
func (c *Cluster) openEvents(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var err error
	if o.Service != "" {
		_, _, err = c.service(ctx, id, o.Service)
	} else {
		_, _, err = c.held(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return c.manifest(ctx, id)
}

// manifest reads the Secret that a lease is remembered by.
func (c *Cluster) manifest(ctx context.Context, id markettypes.LeaseID) (*corev1.Secret, error) {
	secret, err := c.typed.CoreV1().Secrets(namespaceOf(id)).Get(ctx, manifestSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("manifest: %w", cluster.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return secret, nil
}

type eventStream struct {
	cluster   *Cluster
	lease     markettypes.LeaseID
	namespace string
	options   cluster.EventOptions
	ctx       context.Context // ends with the caller's or with Close
	cancel    context.CancelFunc
	group     sync.WaitGroup
	events    chan cluster.Event
	err       error // written before events is closed

	// told are the events of Kubernetes that were given, with their counts, and owns what was given of our own. Only the
	// goroutine that reads uses them.
	told map[types.UID]int32
	owns map[string]bool
}

// Next implements cluster.EventStream.
func (s *eventStream) Next() (cluster.Event, error) {
	e, ok := <-s.events
	switch {
	case ok:
		return e, nil
	case s.err == nil || errors.Is(s.err, context.Canceled) || errors.Is(s.err, cluster.ErrNotFound):
		return e, io.EOF
	default:
		return e, fmt.Errorf("kube: events of %s: %w", s.lease, s.err)
	}
}

// Close implements cluster.EventStream. It returns when the watch has stopped.
func (s *eventStream) Close() error {
	s.cancel()
	s.group.Wait()
	return nil
}

// read gives what has happened and, where it follows, what happens.
func (s *eventStream) read(secret *corev1.Secret) error {
	for {
		at, err := s.readPast(secret)
		if err != nil || !s.options.Follow {
			return err
		}
		// A watch ends now and then, and may have missed something: what was not given is read again.
		if err := s.watch(at); err != nil {
			return err
		}
		if err := pause(s.ctx, logRetry); err != nil {
			return err
		}
		if secret, err = s.cluster.manifest(s.ctx, s.lease); err != nil {
			return err
		}
	}
}

// readPast gives the newest of what has happened in the order of its times, and returns from where to watch.
func (s *eventStream) readPast(secret *corev1.Secret) (resourceVersion string, err error) {
	told, err := s.cluster.teller(s.ctx, secret)
	if err != nil {
		return "", err
	}
	all := s.ours(secret)
	next := ""
	for page := true; page; page = next != "" {
		list, err := s.cluster.typed.CoreV1().Events(s.namespace).List(s.ctx, metav1.ListOptions{Limit: eventPage, Continue: next})
		if err != nil {
			return "", fmt.Errorf("list events: %w", err)
		}
		for i := range list.Items {
			if e, ok := s.take(told, &list.Items[i]); ok {
				all = append(all, e)
			}
		}
		sortEvents(all)
		all = all[max(0, len(all)-cluster.MaxEvents):]
		resourceVersion, next = list.ResourceVersion, list.Continue
	}
	for _, e := range all {
		if err := s.give(e); err != nil {
			return "", err
		}
	}
	return resourceVersion, nil
}

func sortEvents(all []cluster.Event) {
	slices.SortStableFunc(all, func(a, b cluster.Event) int { return a.Time.Compare(b.Time) })
}

// watch gives what happens until the watch ends, or returns an error when the stream has to end.
func (s *eventStream) watch(from string) error {
	w, err := s.cluster.typed.CoreV1().Events(s.namespace).Watch(s.ctx, metav1.ListOptions{ResourceVersion: from})
	if err != nil {
		if s.ctx.Err() == nil && (apierrors.IsGone(err) || apierrors.IsResourceExpired(err)) {
			return nil
		}
		return fmt.Errorf("watch events: %w", err)
	}
	defer w.Stop()
	look := time.NewTicker(logPoll)
	defer look.Stop()
	var told *teller
	for {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-look.C:
			if err := s.look(); err != nil {
				return err
			}
			told = nil // instances come and go
		case got, ok := <-w.ResultChan():
			if !ok || got.Type == watch.Error {
				return nil
			}
			if told, err = s.changed(told, got); err != nil {
				return err
			}
		}
	}
}

// look gives what the lease itself tells of, and returns ErrNotFound once it has ended.
func (s *eventStream) look() error {
	if _, _, err := s.cluster.held(s.ctx, s.lease); err != nil {
		return err
	}
	secret, err := s.cluster.manifest(s.ctx, s.lease)
	if err != nil {
		return err
	}
	for _, e := range s.ours(secret) {
		if err := s.give(e); err != nil {
			return err
		}
	}
	return nil
}

// changed takes what was watched; told is as for tell.
func (s *eventStream) changed(told *teller, got watch.Event) (*teller, error) {
	e, ok := got.Object.(*corev1.Event)
	switch {
	case !ok: // a bookmark
		return told, nil
	case got.Type == watch.Deleted:
		delete(s.told, e.UID)
		return told, nil
	default:
		return s.tell(told, e)
	}
}

// tell gives an event that was watched. told is what its words are made by, or nil if that is to be looked up.
func (s *eventStream) tell(told *teller, e *corev1.Event) (*teller, error) {
	if told == nil || !told.knows(e) {
		secret, err := s.cluster.manifest(s.ctx, s.lease)
		if err != nil {
			return nil, err
		}
		if told, err = s.cluster.teller(s.ctx, secret); err != nil {
			return nil, err
		}
	}
	if out, ok := s.take(told, e); ok {
		return told, s.give(out)
	}
	return told, nil
}

// take makes an event of one of Kubernetes, unless it was given before or is not wanted.
func (s *eventStream) take(told *teller, e *corev1.Event) (cluster.Event, bool) {
	count := max(e.Count, 1)
	if e.Series != nil {
		count = max(count, e.Series.Count)
	}
	if s.told[e.UID] >= count {
		return cluster.Event{}, false
	}
	if len(s.told) >= maxTold {
		clear(s.told) // of those that would come again when the watch ends, the old ones are not wanted then
		if recent := s.cluster.now().Add(-time.Minute); recent.After(s.options.Since) {
			s.options.Since = recent
		}
	}
	s.told[e.UID] = count
	out := told.event(e)
	out.Count = uint32(count)
	return out, s.wants(out)
}

func (s *eventStream) wants(e cluster.Event) bool {
	return (s.options.Service == "" || s.options.Service == e.Service) && !e.Time.Before(s.options.Since)
}

func (s *eventStream) give(e cluster.Event) error {
	select {
	case s.events <- e:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// ours are the events that the lease itself tells of and that were not given yet, in the order of their times.
func (s *eventStream) ours(secret *corev1.Secret) []cluster.Event {
	var out []cluster.Event
	for _, e := range remembrances(secret) {
		k := fmt.Sprint(e.Kind, " ", e.Service, " ", e.Time.UnixNano(), " ", e.Message)
		if !s.owns[k] && s.wants(e) {
			s.owns[k] = true
			out = append(out, e)
		}
	}
	sortEvents(out)
	return out
}

// remembrances are the events that the Secret of a lease's manifest tells of. What cannot be read tells of nothing: the
// lease's status says so.
func remembrances(secret *corev1.Secret) []cluster.Event {
	var out []cluster.Event
	if at := acceptedIn(secret); at != 0 {
		out = append(out, cluster.Event{Time: time.Unix(0, at), Kind: cluster.EventManifest, Message: "a manifest was accepted", Count: 1})
	}
	if at := stampIn(secret.Data[keySuspended]); at != 0 && secret.Annotations[annotationSuspended] == "true" {
		out = append(out, cluster.Event{Time: time.Unix(0, at), Kind: cluster.EventSuspended, Warning: true, Message: cluster.SuspendedMessage, Count: 1})
	}
	marks, _ := restartsIn(secret.Data[keyRestarts])
	for service, at := range marks {
		out = append(out, cluster.Event{Time: time.Unix(0, at), Service: service, Kind: cluster.EventRestarted, Message: "the tenant restarted it", Count: 1})
	}
	records, _ := readHooks(secret.Data[keyHooks])
	for k, rec := range records {
		service, hook, _ := strings.Cut(k, "/")
		e := cluster.Event{Time: time.Unix(rec.At, 0), Service: service, Kind: cluster.EventHookStarted, Message: "hook " + hook + " was started", Count: 1}
		out = append(out, e)
		e.Time = time.Unix(rec.Ended, 0)
		switch {
		case rec.Ended == 0: // it goes on, or was recorded by a provider that did not note the time
			continue
		case rec.State == hookFailed:
			e.Kind, e.Warning, e.Message = cluster.EventHookFailed, true, printable("hook "+hook+" failed: "+rec.Message, maxMessage)
		default:
			e.Kind, e.Message = cluster.EventHookSucceeded, "hook "+hook+" succeeded"
		}
		out = append(out, e)
	}
	return out
}

// teller tells the events of Kubernetes in the words of a lease: of services and instances, without names and addresses of
// nodes.
type teller struct {
	services map[string]bool
	// names are the services of objects by their kind and name, as far as they are not told by their names alone.
	names map[string]string
	pods  map[string]string
	nodes map[string]bool
}

// teller learns what the events of a lease are about.
func (c *Cluster) teller(ctx context.Context, secret *corev1.Secret) (*teller, error) {
	w, err := remembered(secret)
	if err != nil {
		return nil, err
	}
	t := &teller{services: map[string]bool{}, names: map[string]string{}, pods: map[string]string{}, nodes: map[string]bool{}}
	records, err := readHooks(secret.Data[keyHooks])
	if err != nil {
		return nil, err
	}
	for _, sv := range w.Group.Services {
		t.services[sv.Name] = true
		for _, name := range []string{statefulName(sv.Name), cronName(sv.Name), portsName(sv.Name)} {
			t.names[name] = sv.Name
		}
		for _, h := range sv.Hooks {
			t.names[records.job(sv.Name, h.Name, manifestHash(w))] = sv.Name
		}
	}
	pods, err := c.typed.CoreV1().Pods(secret.Namespace).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	for i := range pods.Items {
		t.pods[pods.Items[i].Name] = pods.Items[i].Labels[labelService]
	}
	nodes, err := c.nodeNames(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		t.nodes[n] = true
	}
	return t, nil
}

// nodeNames are the names and addresses of the nodes.
func (c *Cluster) nodeNames(ctx context.Context) ([]string, error) {
	s, err := c.settings(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range s.NodeAddresses {
		out = append(out, a.String())
	}
	if w := c.cache.current.Load(); w != nil && w.nodes.HasSynced() {
		for _, n := range fromStore[*corev1.Node](w.nodes.GetStore()) {
			out = append(out, n.Name)
		}
		return out, nil
	}
	list, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out, nil
}

// knows tells whether the instance that an event is about is known.
func (t *teller) knows(e *corev1.Event) bool {
	return e.InvolvedObject.Kind != "Pod" || t.pods[e.InvolvedObject.Name] != ""
}

// event tells an event of Kubernetes; its count is left out.
func (t *teller) event(e *corev1.Event) cluster.Event {
	out := cluster.Event{
		Time: or(eventTime(*e), e.CreationTimestamp.Time), Kind: printable(e.Reason, maxKind), Warning: e.Type == corev1.EventTypeWarning,
		Service: t.service(e.InvolvedObject.Kind, e.InvolvedObject.Name),
	}
	if e.InvolvedObject.Kind == "Pod" && out.Service != "" {
		out.Instance = e.InvolvedObject.Name
	}
	if own, ok := ownWords[e.Reason]; ok {
		out.Message = own
	} else {
		out.Message = printable(t.withoutNodes(taints.ReplaceAllString(withoutCodes(e.Message), "$1")), maxMessage)
	}
	return out
}

// taints are what operators set nodes apart by, as the scheduler names them.
var taints = regexp.MustCompile(`(untolerated taint(?:\(s\))?) \{[^}]*\}`)

// maxKind bounds the kind of an event, in bytes.
const maxKind = 64

// ownWords stand for messages that say nothing but what a tenant is not told, by their reasons.
var ownWords = map[string]string{
	"Scheduled":             "a node has room for it",
	"Preempted":             "it was ended to make room on its node",
	"TaintManagerEviction":  "it is ended, as its node is no longer in order",
	"NodeNotReady":          "its node is not ready",
	"FailedDaemonPod":       "it cannot run on a node",
	"NodeAffinity":          "its node may no longer run it",
	"TopologyAffinityError": "its node has no room for it as it is laid out",
}

// service is the service that an object is of, empty for none: an object's name begins with that of its service, and what
// Kubernetes adds is one part for each that stands between them.
func (t *teller) service(kind, name string) string {
	if kind == "Pod" && t.pods[name] != "" {
		return t.pods[name]
	}
	if kind == kindClaim {
		_, name, _ = strings.Cut(name, "-") // the template
	}
	for range 3 {
		if t.services[name] {
			return name
		}
		if sv := t.names[name]; sv != "" {
			return sv
		}
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			break
		}
		name = name[:i]
	}
	return ""
}

// withoutNodes is a text in which the names and addresses of nodes do not stand.
func (t *teller) withoutNodes(text string) string {
	part := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".-_", r)
	}
	var b strings.Builder
	flush := func(word string) {
		bare := strings.TrimRight(word, ".-_")
		if t.nodes[bare] {
			b.WriteString("a-node")
			word = word[len(bare):]
		}
		b.WriteString(word)
	}
	for name := range t.nodes {
		if strings.Contains(name, ":") { // an address of IPv6, which is more than a word
			text = strings.ReplaceAll(text, name, "a-node")
		}
	}
	start := -1
	for i, r := range text {
		switch {
		case part(r) && start < 0:
			start = i
		case !part(r):
			if start >= 0 {
				flush(text[start:i])
				start = -1
			}
			b.WriteRune(r)
		}
	}
	if start >= 0 {
		flush(text[start:])
	}
	return b.String()
}

// printable is the beginning of a text as one line that can be shown: what controls a terminal or the order of characters
// is left out.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(strings.TrimSpace(s), n)
}
