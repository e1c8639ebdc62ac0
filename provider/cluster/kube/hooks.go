package kube

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// Hooks run as jobs, each once for a manifest. What came of them stands beside the manifest in the lease's Secret, as jobs
// do not stay: a hook is marked there before its job is made, so that no restart and no repair runs it twice. One that failed
// runs again when its tenant sends the same manifest again.
//
// While hooks before a rollout are not through, the services of the new manifest are held: those that the hooks' own
// services depend on go on to the new manifest, as hooks may need them, all others go on as the former manifest has them,
// which is kept in a Secret of its own, or do not start.

const (
	keyHooks = "hooks"

	formerSecret = "former"
	roleFormer   = "former"
	keyGroup     = "group"

	// labelManifest is the manifest that a hook's job was made for.
	labelManifest = "berth.dev/manifest"

	// maxOnce is how many hooks that ran once are remembered.
	maxOnce = 1000
	// maxHookLogBytes bounds what is kept of the output of a hook that failed.
	maxHookLogBytes = 8 << 10
)

// hookState is how far a hook has come.
type hookState string

const (
	hookMarked    hookState = "marked" // its job is about to be made
	hookRunning   hookState = "running"
	hookSucceeded hookState = "succeeded"
	hookFailed    hookState = "failed"
	// hookAgain is one that failed and is to be started anew, hookPassed one that failed and is never to be.
	hookAgain  hookState = "again"
	hookPassed hookState = "passed"

	// hooksStay is how long the job of a hook that succeeded stays where instances are counted by their load, unless the
	// configuration says otherwise.
	hooksStay = time.Minute
)

// hookRecord is what is remembered of a hook.
type hookRecord struct {
	// Manifest is the hash of the manifest that it was started for, in hexadecimal.
	Manifest string    `json:"manifest"`
	State    hookState `json:"state"`
	// Once says that it runs for the first manifest only that has it.
	Once bool `json:"once,omitempty"`
	// Again counts how often it was started anew for its manifest.
	Again int `json:"again,omitempty"`
	// At is when it was marked, in seconds of the Unix epoch.
	At int64 `json:"at"`
	// Ended is when it was seen to have ended; 0 if it has not, or that was not noted.
	Ended int64 `json:"ended,omitempty"`
	// Message says why it failed; Log are the last lines that it wrote then.
	Message string   `json:"message,omitempty"`
	Log     []string `json:"log,omitempty"`
}

// hookRecords are by SERVICE/HOOK.
type hookRecords map[string]hookRecord

func hookKey(service, hook string) string { return service + "/" + hook }

// ended is how a job ended, as far as it can be told.
type ended struct {
	message string
	log     []string
}

// hookRun is a hook to be started.
type hookRun struct {
	service manifesttypes.Service
	hook    manifesttypes.Hook
}

func manifestHash(w cluster.Workload) string { return hex.EncodeToString(w.ManifestHash) }

// shortHash is a hash as it stands in labels, which hold 63 characters.
func shortHash(hash string) string { return hash[:min(len(hash), 32)] }

// hookJobName is the name of the job of a hook for a manifest, for which it was started anew so many times. No part of it
// is chosen by a tenant.
func hookJobName(service, hook, hash string, again int) string {
	id := hookKey(service, hook) + "/" + hash
	if again > 0 {
		id += "/" + strconv.Itoa(again)
	}
	return "hook-" + digest([]byte(id), 12)
}

// job is the name of the job of a hook for a manifest.
func (r hookRecords) job(service, hook, hash string) string {
	if rec := r[hookKey(service, hook)]; rec.Manifest == hash {
		return hookJobName(service, hook, hash, rec.Again)
	}
	return hookJobName(service, hook, hash, 0)
}

// readHooks reads what is remembered of the hooks of a lease.
func readHooks(data []byte) (hookRecords, error) {
	records := hookRecords{}
	if len(data) == 0 {
		return records, nil
	}
	if err := json.Unmarshal(data, &records); err != nil {
		return nil, fmt.Errorf("read what is remembered of hooks: %w", err)
	}
	return records, nil
}

// encode is what is written into the Secret; nil if there is nothing to remember.
func (r hookRecords) encode() []byte {
	if len(r) == 0 {
		return nil
	}
	return mustJSON(r)
}

// due tells whether a hook still has to run for a manifest, or to be through with it.
func (r hookRecords) due(service string, h manifesttypes.Hook, hash string) bool {
	rec, known := r[hookKey(service, h.Name)]
	if known && (h.Once && rec.Manifest != hash || rec.State == hookPassed && rec.Manifest == hash) {
		return false
	}
	return !known || rec.Manifest != hash || rec.State != hookSucceeded
}

// pending is the first hook of a service that a rollout waits for, or that waits for the rollout.
func (r hookRecords) pending(sv manifesttypes.Service, when manifesttypes.When, hash string) *manifesttypes.Hook {
	for i := range sv.Hooks {
		if h := &sv.Hooks[i]; h.When == when && r.due(sv.Name, *h, hash) {
			return h
		}
	}
	return nil
}

// observe updates the records of a manifest's hooks by the jobs that are there, and forgets those of former manifests,
// except for hooks that run once only.
func (r hookRecords) observe(services []manifesttypes.Service, hash string, l live, seen sight) {
	for _, sv := range services {
		for _, h := range sv.Hooks {
			k := hookKey(sv.Name, h.Name)
			if rec, ok := r[k]; ok && rec.Manifest == hash {
				name := r.job(sv.Name, h.Name, hash)
				r[k] = rec.observed(l[key{kindJob, name}], name, seen)
			}
		}
	}
	for k, rec := range r {
		if rec.Manifest == hash {
			continue
		}
		if !rec.Once {
			delete(r, k)
			continue
		}
		rec.Message, rec.Log = "", nil
		r[k] = rec
	}
	r.bound()
}

// renew lets what failed of a manifest's hooks run again. One that runs once only has done so, and is passed over as it is by
// the next manifest.
func (r hookRecords) renew(hash string) {
	for k, rec := range r {
		switch {
		case rec.Manifest != hash || rec.State != hookFailed:
			continue
		case rec.Once:
			rec.State = hookPassed
		default:
			rec.State = hookAgain
		}
		rec.Ended, rec.Message, rec.Log = 0, "", nil
		r[k] = rec
	}
}

// bound forgets the oldest records where there are too many.
func (r hookRecords) bound() {
	if len(r) <= maxOnce {
		return
	}
	names := slices.SortedFunc(maps.Keys(r), func(a, b string) int { return int(r[a].At - r[b].At) })
	for _, k := range names[:len(names)-maxOnce] {
		delete(r, k)
	}
}

// observed is a record with what its job tells. A job that was made and is gone is not made again: what came of it is not
// known.
func (r hookRecord) observed(job *unstructured.Unstructured, name string, seen sight) hookRecord {
	rec := r
	switch {
	case rec.State != hookMarked && rec.State != hookRunning:
	case job == nil:
		if rec.State == hookRunning || seen.now.Unix()-rec.At >= endedSeconds {
			rec.State, rec.Message = hookFailed, "its end was not seen"
		}
	case jobCondition(job, string(batchv1.JobComplete)) != nil:
		rec.State = hookSucceeded
	case jobCondition(job, string(batchv1.JobFailed)) != nil:
		rec.State, rec.Message = hookFailed, jobFailure(job)
		if e, ok := seen.endings[name]; ok {
			rec.Message, rec.Log = or(e.message, rec.Message), e.log
		}
	default:
		rec.State = hookRunning
	}
	if before := r.State; before != rec.State && (rec.State == hookSucceeded || rec.State == hookFailed) {
		rec.Ended = seen.now.Unix()
	}
	return rec
}

// jobCondition is a condition of a job that holds; nil if it does not.
func jobCondition(job *unstructured.Unstructured, kind string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == kind && m["status"] == string(corev1.ConditionTrue) {
			return m
		}
	}
	return nil
}

func jobFailure(job *unstructured.Unstructured) string {
	c := jobCondition(job, string(batchv1.JobFailed))
	if c["reason"] == batchv1.JobReasonDeadlineExceeded {
		return fmt.Sprintf("it took longer than %d s", number(job, "spec", "activeDeadlineSeconds"))
	}
	message, _ := c["message"].(string)
	return or(message, "it failed")
}

// hooks reads how far the hooks of a workload are, and which of its services have to wait for them.
// again says that the tenant has sent the manifest once more.
func (st *stage) hooks(w cluster.Workload, l live, seen sight, again bool) error {
	stored, had, err := heldBy(namespaceOf(w.Lease), l)
	if err != nil {
		return err
	}
	st.Hooks, err = readHooks(secretData(l, manifestSecret, keyHooks))
	if err != nil {
		return err
	}
	former, err := formerServices(l)
	if err != nil {
		return err
	}
	if had && !bytes.Equal(stored.ManifestHash, w.ManifestHash) {
		held := st.Hooks.held(stored.Group.Services, manifestHash(stored))
		started := slices.DeleteFunc(slices.Clone(stored.Group.Services), func(sv manifesttypes.Service) bool {
			return held[sv.Name] && !contains(former, sv.Name)
		})
		former = compose(started, held, former)
	}
	hash := manifestHash(w)
	st.Hooks.observe(w.Group.Services, hash, l, seen)
	if again {
		st.Hooks.renew(hash)
	}
	st.Held = st.Hooks.held(w.Group.Services, hash)
	if len(st.Held) == 0 {
		return nil
	}
	st.Former = former
	for _, sv := range w.Group.Services {
		if st.Hooks.pending(sv, manifesttypes.WHEN_BEFORE_ROLLOUT, hash) != nil {
			st.Awaited = append(st.Awaited, sv)
		}
	}
	for k, u := range l {
		name := u.GetLabels()[labelService]
		if keepsInstances(k.kind) && st.Held[name] && number(u, "spec", "replicas") > 0 && !contains(former, name) {
			return fmt.Errorf("service %s waits for a hook, and what it ran before is not known", name)
		}
	}
	return nil
}

func contains(services []manifesttypes.Service, name string) bool {
	return slices.ContainsFunc(services, func(sv manifesttypes.Service) bool { return sv.Name == name })
}

// held are the services of a manifest that hooks before its rollout hold back: all but those that the services of such
// hooks depend on, and of those the ones with hooks of their own.
func (r hookRecords) held(services []manifesttypes.Service, hash string) map[string]bool {
	held, free := map[string]bool{}, map[string]bool{}
	byName := map[string]manifesttypes.Service{}
	for _, sv := range services {
		byName[sv.Name] = sv
	}
	for _, sv := range services {
		if r.pending(sv, manifesttypes.WHEN_BEFORE_ROLLOUT, hash) != nil {
			held[sv.Name] = true
			for dep := range dependencies(sv, byName) {
				free[dep] = true
			}
		}
	}
	if len(held) == 0 {
		return nil
	}
	for _, sv := range services {
		if !free[sv.Name] {
			held[sv.Name] = true
		}
	}
	return held
}

// dependencies are the services that a service depends on, those included that these depend on.
func dependencies(sv manifesttypes.Service, byName map[string]manifesttypes.Service) map[string]bool {
	out := map[string]bool{}
	next := slices.Clone(sv.DependsOn)
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if dep, ok := byName[name]; ok && !out[name] {
			out[name] = true
			next = append(next, dep.DependsOn...)
		}
	}
	return out
}

// compose puts together what a lease runs while some services of its manifest are held: those as they were before, with
// the services that the manifest no longer has, and the others as they are to be. A held service that was not there
// before stands as it is to be; it does not start.
func compose(services []manifesttypes.Service, held map[string]bool, former []manifesttypes.Service) []manifesttypes.Service {
	if len(held) == 0 {
		return services
	}
	var out []manifesttypes.Service
	present := map[string]bool{}
	for _, sv := range services {
		present[sv.Name] = true
		if i := slices.IndexFunc(former, func(f manifesttypes.Service) bool { return f.Name == sv.Name }); held[sv.Name] && i >= 0 {
			sv = former[i]
		}
		out = append(out, sv)
	}
	for _, sv := range former {
		if !present[sv.Name] {
			out = append(out, sv)
		}
	}
	slices.SortFunc(out, func(a, b manifesttypes.Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// mayStart narrows what may have instances to what is not held back from its first ones.
func (st *stage) mayStart(starts func(string) bool) func(string) bool {
	return func(name string) bool { return starts(name) && (!st.Held[name] || contains(st.Former, name)) }
}

func formerServices(l live) ([]manifesttypes.Service, error) {
	var g manifesttypes.Group
	if err := g.Unmarshal(secretData(l, formerSecret, keyGroup)); err != nil {
		return nil, fmt.Errorf("read the former manifest: %w", err)
	}
	return g.Services, nil
}

// former is the Secret that keeps what held services run.
func (r *rendering) former() (*corev1.Secret, error) {
	g := manifesttypes.Group{Name: r.workload.Group.Name, Services: r.Stage.Former}
	data, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the former manifest: %w", err)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kindSecret},
		ObjectMeta: r.meta(formerSecret, labelRole, roleFormer),
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{keyGroup: data},
	}, nil
}

// hookJob renders the run of a hook.
func (r *rendering) hookJob(run hookRun) *batchv1.Job {
	sv := run.service
	sv.Command, sv.Args = run.hook.Command, run.hook.Args
	hash := manifestHash(r.workload)
	job := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: kindJob},
		ObjectMeta: r.meta(r.Stage.Hooks.job(run.service.Name, run.hook.Name, hash),
			labelService, sv.Name, labelRole, roleHook, labelManifest, shortHash(hash)),
		Spec: r.jobSpec(sv, roleHook, or(run.hook.DeadlineSeconds, manifest.DefaultHookSeconds)),
	}
	return job
}

// hookJobs renders the hooks that are to start, with the values of their env where nothing else has them yet.
func (r *rendering) hookJobs(services []manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	for _, sv := range r.Stage.Awaited {
		same := slices.ContainsFunc(services, func(other manifesttypes.Service) bool {
			return other.Name == sv.Name && len(other.Env) > 0 && r.envSecretName(other) == r.envSecretName(sv)
		})
		if len(sv.Env) > 0 && !same {
			out = append(out, r.envSecret(sv))
		}
		pulled := slices.ContainsFunc(services, func(other manifesttypes.Service) bool {
			return other.Name == sv.Name && other.Credentials != nil && r.pullSecretName(other) == r.pullSecretName(sv)
		})
		if sv.Credentials != nil && !pulled {
			out = append(out, r.pullSecret(sv))
		}
	}
	for _, run := range r.Stage.Start {
		out = append(out, r.hookJob(run))
	}
	return out
}

// startable are the hooks that can start now, one of each service. ready tells whether a service runs as the manifest has
// it, with as many instances as it needs.
func (st *stage) startable(w cluster.Workload, l live, ready func(service string) bool) []hookRun {
	hash := manifestHash(w)
	byName := map[string]manifesttypes.Service{}
	for _, sv := range w.Group.Services {
		byName[sv.Name] = sv
	}
	through := len(st.Held) == 0
	for _, sv := range w.Group.Services {
		through = through && (sv.Cron != nil || ready(sv.Name))
	}
	var out []hookRun
	for _, sv := range w.Group.Services {
		h := st.Hooks.pending(sv, manifesttypes.WHEN_BEFORE_ROLLOUT, hash)
		if h == nil && through {
			h = st.Hooks.pending(sv, manifesttypes.WHEN_AFTER_ROLLOUT, hash)
		}
		if h == nil {
			continue
		}
		waits := slices.ContainsFunc(slices.Collect(maps.Keys(dependencies(sv, byName))), func(dep string) bool { return !ready(dep) })
		switch rec, begun := st.Hooks.begun(sv.Name, h.Name, hash); {
		case begun && rec.State != hookMarked:
		case begun && l[key{kindJob, st.Hooks.job(sv.Name, h.Name, hash)}] != nil:
		case begun || !waits:
			out = append(out, hookRun{sv, *h})
		}
	}
	return out
}

// begun is the record of a hook that was started for a manifest and is not to be started anew.
func (r hookRecords) begun(service, hook, hash string) (hookRecord, bool) {
	rec, known := r[hookKey(service, hook)]
	return rec, known && rec.Manifest == hash && rec.State != hookAgain
}

// start marks hooks, which are then to be rendered.
func (st *stage) start(runs []hookRun, hash string, now time.Time) {
	st.Start = runs
	st.Hooks = maps.Clone(st.Hooks)
	for _, run := range runs {
		k := hookKey(run.service.Name, run.hook.Name)
		rec, ok := st.Hooks[k]
		switch {
		case !ok || rec.Manifest != hash:
			st.Hooks[k] = hookRecord{Manifest: hash, State: hookMarked, Once: run.hook.Once, At: now.Unix()}
		case rec.State == hookAgain:
			st.Hooks[k] = hookRecord{Manifest: hash, State: hookMarked, Once: run.hook.Once, At: now.Unix(), Again: rec.Again + 1}
		}
	}
}

// waits tells whether a lease has hooks that are not through and can get on.
func (st *stage) waits(w cluster.Workload) bool {
	hash := manifestHash(w)
	for _, sv := range w.Group.Services {
		for _, h := range sv.Hooks {
			if rec := st.Hooks[hookKey(sv.Name, h.Name)]; st.Hooks.due(sv.Name, h, hash) && (rec.Manifest != hash || rec.State != hookFailed) {
				return true
			}
		}
	}
	return false
}

// settled tells whether a job is one of a manifest's hooks that is to be left alone: it is never written again, nor taken for
// one too many, while it is the one that its hook's record is about. Of a service that scales by load, one that succeeded is
// one too many after a while: Kubernetes counts its pod as an instance whose use is not known, and ends none for as long.
func (r hookRecords) settled(u *unstructured.Unstructured, w cluster.Workload, seen sight) bool {
	hash := manifestHash(w)
	if u.GetKind() != kindJob || u.GetLabels()[labelManifest] != shortHash(hash) {
		return false
	}
	for _, sv := range w.Group.Services {
		for _, h := range sv.Hooks {
			if r.job(sv.Name, h.Name, hash) != u.GetName() {
				continue
			}
			rec := r[hookKey(sv.Name, h.Name)]
			done := rec.Manifest == hash && rec.State == hookSucceeded && rec.Ended > 0
			return sv.Scale == nil || !done || seen.now.Sub(time.Unix(rec.Ended, 0)) < seen.hooksStay
		}
	}
	return false
}
