//go:build e2e

package kube

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

// writes counts the requests of a driver that change something.
type writes struct {
	next http.RoundTripper
	n    atomic.Int64
}

func (w *writes) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		w.n.Add(1)
	}
	return w.next.RoundTrip(r)
}

// counting returns a driver whose writes are counted.
func counting(t *testing.T, cfg Config) (*Cluster, *writes) {
	t.Helper()
	w := &writes{}
	c, err := connectVia(cfg, qps, burst, func(rt http.RoundTripper) http.RoundTripper {
		w.next = rt
		return w
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// TestDrift changes and deletes every object of a lease that runs, one after the other, as somebody with rights in the
// cluster would, and waits for the running driver to bring each back: the promise is 60 seconds, and the driver looks
// every 30. What others add without our labels stays, as do their labels and annotations.
func TestDrift(t *testing.T) {
	t.Parallel()
	c, _ := start(t, config(t))
	web := clustertest.Service("web", image())
	web.Env = []manifesttypes.EnvVar{{Name: "GREETING", Value: "hi"}}
	web.Expose = append(web.Expose, exposed(9000, manifesttypes.PROTO_TCP, manifesttypes.To{Global: true}))
	id, _ := deploy(t, c, 1, web)
	ns := namespaceOf(id)

	// Somebody else's hands: another client, under another name.
	rc, err := restConfig(c.cfg.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	other := func(kind string) dynamic.ResourceInterface {
		if kind == kindNamespace {
			return dyn.Resource(resources[kind])
		}
		return dyn.Resource(resources[kind]).Namespace(ns)
	}
	patch := func(kind, name, patch string) {
		t.Helper()
		_, err := other(kind).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
		if err != nil {
			t.Fatalf("patch %s %s: %v", kind, name, err)
		}
	}
	have, err := c.readLease(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	for k, u := range have {
		if strays(u) {
			t.Errorf("%s %s has fields of others from the start: %v", k.kind, k.name, u.GetManagedFields())
		}
	}
	foreign := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": kindSecret, "metadata": map[string]any{"name": "theirs", "namespace": ns},
	}}
	if _, err := other(kindSecret).Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ours := foreign.DeepCopy()
	ours.SetName("looks-like-ours")
	ours.SetLabels(have[key{kindSecret, manifestSecret}].GetLabels())
	if _, err := other(kindSecret).Create(t.Context(), ours, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch(kindNamespace, ns, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged","theirs":"stays"}}}`)
	patch(kindNetworkPolicy, "deny-all", `{"spec":{"egress":[{}],"ingress":[{}]}}`)
	patch(kindQuota, "lease", `{"spec":{"hard":{"pods":"999"}}}`)
	patch(kindLimitRange, "lease", `{"metadata":{"labels":{"`+labelManagedBy+`":"nobody"}}}`)
	patch(kindServiceAccount, serviceAccountName, `{"automountServiceAccountToken":true}`)
	patch(kindDeployment, "web", `{"spec":{"replicas":3,"template":{"spec":{"nodeSelector":{"theirs":"no"}}}}}`)
	patch(kindService, "web", `{"spec":{"selector":{"`+labelService+`":"other"}}}`)
	for k := range have {
		if k.kind == kindSecret && k.name != manifestSecret {
			patch(kindSecret, k.name, `{"data":{"v0":"YWx0ZXJlZA==","more":"YQ=="}}`)
		}
	}
	repaired := func(round string) {
		t.Helper()
		began := time.Now()
		awaitFor(t, 60*time.Second, "the repair of "+round, func() (bool, string) {
			now, err := c.readLease(t.Context(), ns)
			if err != nil {
				return false, err.Error()
			}
			s, err := c.settings(t.Context())
			if err != nil {
				return false, err.Error()
			}
			seen, err := c.see(t.Context(), ns, now)
			if err != nil {
				return false, err.Error()
			}
			ch, err := c.plan(ns, now, s, seen)
			if err != nil || len(now) < len(have) {
				return false, fmt.Sprintf("%d of %d objects, %v", len(now), len(have), err)
			}
			var left []string
			for _, u := range ch.apply {
				left = append(left, u.GetKind()+" "+u.GetName())
			}
			return len(ch.apply)+len(ch.remove) == 0, strings.Join(left, ", ")
		})
		t.Logf("%s: repaired after %s", round, time.Since(began).Round(100*time.Millisecond))
	}
	repaired("changes")
	if _, err := other(kindSecret).Get(t.Context(), "looks-like-ours", metav1.GetOptions{}); err == nil {
		t.Error("an object with our labels that no manifest asks for is left")
	}
	u, err := other(kindNamespace).Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil || u.GetLabels()["theirs"] != "stays" || u.GetLabels()["pod-security.kubernetes.io/enforce"] == "privileged" {
		t.Errorf("labels of the namespace: %v, %v", u.GetLabels(), err)
	}

	for k := range have {
		if k.kind == kindNamespace || k == (key{kindSecret, manifestSecret}) {
			continue // the lease controller brings these back, from what it accepted
		}
		if err := other(k.kind).Delete(t.Context(), k.name, metav1.DeleteOptions{}); err != nil {
			t.Fatalf("delete %v: %v", k, err)
		}
	}
	repaired("deletions")
	await(t, "the service", func() (bool, string) {
		st, err := c.Status(t.Context(), id)
		if err != nil {
			return false, err.Error()
		}
		return clustertest.Complete(st)
	})
	if _, err := other(kindSecret).Get(t.Context(), "theirs", metav1.GetOptions{}); err != nil {
		t.Errorf("an object of others: %v", err)
	}
}
