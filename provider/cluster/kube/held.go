package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/provider/cluster"
)

// held is what a lease has already in the cluster and keeps: rendering must fit it.
type held struct {
	claims []claim
	// affinity is where the instances of a service with devices may run, by service.
	affinity map[string]*corev1.NodeSelector
}

func holdingsOf(l live) held {
	h := held{claims: claimsOf(l), affinity: map[string]*corev1.NodeSelector{}}
	for k, u := range l {
		if !keepsInstances(k.kind) {
			continue
		}
		m, found, err := unstructured.NestedMap(u.Object, affinityPath...)
		if !found || err != nil {
			continue
		}
		var s corev1.NodeSelector
		if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &s) == nil {
			h.affinity[u.GetLabels()[labelService]] = &s
		}
	}
	return h
}

var affinityPath = []string{"spec", "template", "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"}

// changesFor computes what has to be written so that the cluster runs a workload where it holds have.
func (c *Cluster) changesFor(ns string, w cluster.Workload, s settings, have live, seen sight) (changes, error) {
	s.LeaseKey, s.Held = leaseKey(have), holdingsOf(have)
	if w.Suspended {
		s.SuspendedAt = or(stampIn(secretData(have, manifestSecret, keySuspended)), c.now().UnixNano())
	}
	var err error
	if s.Restarts, err = restartsIn(secretData(have, manifestSecret, keyRestarts)); err != nil {
		return changes{}, err
	}
	if s.Restart != nil {
		s.Restarts = s.Restarts.with(s.Restart.service, s.Restart.at)
	}
	links, known := c.links.of(ns)
	have = s.takeLinks(links, known, have)
	return changesFor(w, s, have, seen, links)
}

// parseBytes reads an amount of storage; 0 if it is none.
func parseBytes(s string) int64 {
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0
	}
	return max(0, amount(q, 1))
}
