package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/informers"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	manifesttypes "berth.dev/berth/manifest/types"
)

// flags is a set of namespaces.
type flags struct {
	mu         sync.Mutex
	namespaces map[string]bool
}

func (f *flags) set(ns string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.namespaces == nil {
		f.namespaces = map[string]bool{}
	}
	if on {
		f.namespaces[ns] = true
	} else {
		delete(f.namespaces, ns)
	}
}

// all are the namespaces of the set.
func (f *flags) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.namespaces))
}

func (f *flags) has(ns string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.namespaces[ns]
}

// watchJobs asks for a look at a lease when the job of one of its hooks has ended or is gone.
func watchJobs(ours informers.SharedInformerFactory, queue workqueue.TypedDelayingInterface[string]) error {
	look := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if j, ok := o.(*batchv1.Job); ok {
			queue.AddAfter(j.Namespace, settleFor)
		}
	}
	_, err := ours.Batch().V1().Jobs().Informer().AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, o any) {
			if j, ok := o.(*batchv1.Job); ok && len(j.Status.Conditions) > 0 {
				look(o)
			}
		},
		DeleteFunc: look,
	})
	if err != nil {
		return fmt.Errorf("kube: watch jobs: %w", err)
	}
	return nil
}

// glance looks at the instances of a lease where one of its rollouts stands still, and at nothing else.
func (c *Cluster) glance(ctx context.Context, ns string, have live) (sight, error) {
	seen := sight{now: c.now(), roomAfter: c.cfg.RoomAfter, hooksStay: c.cfg.HooksStay}
	for k, u := range have {
		if k.kind != kindDeployment || rolledOut(u) || number(u, "status", "replicas") <= number(u, "status", "updatedReplicas") {
			continue
		}
		pods, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
		if err != nil {
			return seen, fmt.Errorf("list instances: %w", err)
		}
		seen.pods = pointers(pods.Items)
		break
	}
	return seen, nil
}

// see looks at what a lease has besides the objects that the driver makes: its instances, how its hooks ended, and
// whether those that hooks wait for are well.
func (c *Cluster) see(ctx context.Context, ns string, have live) (sight, error) {
	seen, err := c.glance(ctx, ns, have)
	if err != nil {
		return seen, err
	}
	w, ok, err := heldBy(ns, have)
	if err != nil || !ok {
		return seen, err
	}
	records, err := readHooks(secretData(have, manifestSecret, keyHooks))
	if err != nil {
		return seen, err
	}
	for _, sv := range w.Group.Services {
		if records.pending(sv, manifesttypes.WHEN_AFTER_ROLLOUT, manifestHash(w)) != nil {
			if seen.unhealthy, err = c.unhealthy(ctx, ns, w.Group.Services, have); err != nil {
				return seen, err
			}
			break
		}
	}
	seen.endings = map[string]ended{}
	hash := manifestHash(w)
	for _, sv := range w.Group.Services {
		for _, h := range sv.Hooks {
			name := records.job(sv.Name, h.Name, hash)
			job, there := have[key{kindJob, name}]
			rec := records[hookKey(sv.Name, h.Name)]
			if !there || rec.State == hookFailed || jobCondition(job, "Failed") == nil {
				continue
			}
			if seen.endings[name], err = c.endingOf(ctx, ns, job); err != nil {
				return seen, err
			}
		}
	}
	return seen, nil
}

// endingOf reads how the pod of a job that failed has ended and what it wrote last. A pod that is gone tells nothing.
func (c *Cluster) endingOf(ctx context.Context, ns string, job *unstructured.Unstructured) (ended, error) {
	pods, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + job.GetName()})
	if err != nil {
		return ended{}, fmt.Errorf("list the pods of job %s: %w", job.GetName(), err)
	}
	var e ended
	for i := range pods.Items {
		p := &pods.Items[i]
		for _, s := range p.Status.ContainerStatuses {
			if t := s.State.Terminated; t != nil {
				e.message = "it ended with " + ending(t)
			}
		}
		e.log, err = c.lastLines(ctx, p, p.Labels[labelService], false)
		if err != nil && !noLogYet(err) && !apierrors.IsInternalError(err) {
			return e, err
		}
		e.log = lastBytes(e.log, maxHookLogBytes)
	}
	return e, nil
}

// lastBytes are the last lines that together have so many bytes at most: what was written last tells most.
func lastBytes(lines []string, most int) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if most -= len(lines[i]); most < 0 {
			return lines[i+1:]
		}
	}
	return lines
}
