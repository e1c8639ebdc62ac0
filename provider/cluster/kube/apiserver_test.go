package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// apiServer is a store of objects that speaks enough of the Kubernetes API for the driver: get, list, server-side apply
// as a merge, and delete. It runs no controllers.
type apiServer struct {
	mu      sync.Mutex
	objects map[objectPath]*unstructured.Unstructured
	writes  []string
	fail    func(method, path string) int // a status code other than 0 fails the request
	absent  map[string]bool               // resources that are not served
	keep    map[string]bool               // resources of which objects that are deleted are ending until they vanish
	groups  map[string][]string           // resources by group and version, as discovery tells them
	// extra answers requests in place of the store, if it returns true; the lock is held. What is asked of it is not the
	// driver's alone, and not noted.
	extra func(w http.ResponseWriter, r *http.Request) bool
	// stream answers requests that take their time, if it returns true; no lock is held.
	stream func(w http.ResponseWriter, r *http.Request) bool
}

type objectPath struct{ resource, namespace, name string }

// serve starts a server and returns it with a driver that uses it.
func serve(t *testing.T, cfg Config) (*apiServer, *Cluster) {
	t.Helper()
	s := &apiServer{objects: map[objectPath]*unstructured.Unstructured{}, absent: map[string]bool{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	kubeconfig := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`, srv.URL)
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Kubeconfig, cfg.Provider, cfg.Domain = file, testLease.Provider, "east.test"
	c, err := connect(cfg, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.put("nodes", map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"},
		"spec": map[string]any{"podCIDRs": []any{"10.244.0.0/24"}},
		"status": map[string]any{
			"allocatable":     map[string]any{"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110"},
			"conditions":      []any{map[string]any{"type": "Ready", "status": "True"}},
			"addresses":       []any{map[string]any{"type": "InternalIP", "address": "203.0.113.9"}},
			"runtimeHandlers": []any{map[string]any{"name": "", "features": map[string]any{"userNamespaces": true}}},
		},
	})
	s.put("gateways", map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw", "namespace": "ingress"},
		"spec": map[string]any{"listeners": []any{map[string]any{"protocol": "HTTP"}}},
	})
	return s, c
}

func (s *apiServer) put(resource string, o map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &unstructured.Unstructured{Object: o}
	s.objects[objectPath{resource, u.GetNamespace(), u.GetName()}] = u
}

// vanish ends an object that is being deleted.
func (s *apiServer) vanish(p objectPath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, p)
}

// edit changes an object behind the driver's back.
func (s *apiServer) edit(t testing.TB, resource, namespace, name string, f func(*unstructured.Unstructured)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.objects[objectPath{resource, namespace, name}]
	if !ok {
		t.Fatalf("no %s %s/%s", resource, namespace, name)
	}
	f(u)
}

// paths are the objects in a namespace, in a stable order.
func (s *apiServer) paths(namespace string) []objectPath {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Keys(s.objects))
	all = slices.DeleteFunc(all, func(p objectPath) bool { return p.namespace != namespace })
	slices.SortFunc(all, func(a, b objectPath) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// takeWrites returns the writes since it was last called.
func (s *apiServer) takeWrites() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writes
	s.writes = nil
	return w
}

func parsePath(path string) objectPath {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	parts = parts[map[string]int{"api": 2, "apis": 3}[parts[0]]:]
	var p objectPath
	if len(parts) == 0 {
		return p // what a group of the API has
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	p.resource = parts[0]
	if len(parts) > 1 {
		p.name = parts[1]
	}
	return p
}

// ServeHTTP implements http.Handler.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.stream != nil {
		asked.note(r)
		if s.stream(w, r) {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		asked.note(r)
	} else if s.extra(w, r) {
		return
	}
	if group, ok := strings.CutPrefix(r.URL.Path, "/apis/"); ok && strings.Count(group, "/") == 1 {
		s.discover(w, group)
		return
	}
	p := parsePath(r.URL.Path)
	if s.fail != nil {
		if code := s.fail(r.Method, r.URL.Path); code != 0 {
			answerStatus(w, code)
			return
		}
	}
	switch {
	case s.absent[p.resource] || p.resource == "":
		answerStatus(w, http.StatusNotFound)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == string(types.JSONPatchType):
		s.patch(w, r, p)
	case r.Method == http.MethodPatch:
		s.apply(w, r, p)
	case p.name == "":
		s.list(w, r, p)
	case s.objects[p] == nil:
		answerStatus(w, http.StatusNotFound)
	case r.Method == http.MethodDelete:
		s.writes = append(s.writes, "delete "+p.resource+"/"+p.name)
		s.remove(p)
		answerStatus(w, http.StatusOK)
	default:
		answer(w, s.objects[p].Object)
	}
}

// discover tells what a group serves.
func (s *apiServer) discover(w http.ResponseWriter, group string) {
	names, ok := s.groups[group]
	if !ok {
		answerStatus(w, http.StatusNotFound)
		return
	}
	list := []any{}
	for _, n := range names {
		list = append(list, map[string]any{"name": n})
	}
	answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": list})
}

// remove deletes an object, and with a namespace all that is in it.
func (s *apiServer) remove(p objectPath) {
	if s.keep[p.resource] {
		now := metav1.Now()
		s.objects[p].SetDeletionTimestamp(&now)
		return
	}
	delete(s.objects, p)
	for q := range s.objects {
		if p.resource == "namespaces" && q.namespace == p.name {
			delete(s.objects, q)
		}
	}
}

// patch takes what the driver sends to take fields back: tests of a value, replacements and removals.
func (s *apiServer) patch(w http.ResponseWriter, r *http.Request, p objectPath) {
	var ops []struct {
		Op, Path string
		Value    any
	}
	have := s.objects[p]
	if err := json.NewDecoder(r.Body).Decode(&ops); err != nil || have == nil {
		answerStatus(w, http.StatusBadRequest)
		return
	}
	for _, op := range ops {
		fields := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
		switch op.Op {
		case "replace":
			if err := unstructured.SetNestedField(have.Object, normal(map[string]any{"apiVersion": "v1", "kind": "Value", "v": op.Value})["v"], fields...); err != nil {
				panic(err)
			}
		case "remove":
			unstructured.RemoveNestedField(have.Object, fields...)
		}
	}
	s.writes = append(s.writes, "patch "+p.resource+"/"+p.name)
	answer(w, have.Object)
}

func (s *apiServer) apply(w http.ResponseWriter, r *http.Request, p objectPath) {
	body, err := io.ReadAll(r.Body)
	var o map[string]any
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	how := map[string]string{string(types.ApplyPatchType): "apply ", string(types.MergePatchType): "patch "}[r.Header.Get("Content-Type")]
	if err != nil || how == "" {
		answerStatus(w, http.StatusBadRequest)
		return
	}
	s.writes = append(s.writes, how+p.resource+"/"+p.name)
	if have := s.objects[p]; how == "patch " && have != nil {
		merge(have.Object, o)
		answer(w, have.Object)
		return
	}
	have, ok := s.objects[p]
	if !ok && how == "patch " {
		answerStatus(w, http.StatusNotFound)
		return
	}
	if !ok {
		have = &unstructured.Unstructured{Object: map[string]any{}}
		s.objects[p] = have
	}
	merge(have.Object, normal(o))
	have.SetUID(types.UID(fmt.Sprint(p)))
	have.SetGeneration(have.GetGeneration() + 1)
	answer(w, have.Object)
}

// normal turns whole floats, which encoding/json makes of all numbers, into integers.
func normal(v any) map[string]any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		panic(err)
	}
	return u.Object
}

func merge(have, want map[string]any) {
	for k, w := range want {
		h, okH := have[k].(map[string]any)
		m, okW := w.(map[string]any)
		if okH && okW {
			merge(h, m)
			continue
		}
		if w == nil {
			delete(have, k)
			continue
		}
		have[k] = w
	}
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request, p objectPath) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		answerStatus(w, http.StatusBadRequest)
		return
	}
	items := []any{}
	for q, u := range s.objects {
		if q.resource == p.resource && (p.namespace == "" || p.namespace == q.namespace) && selector.Matches(labels.Set(u.GetLabels())) {
			items = append(items, u.Object)
		}
	}
	kind, version := listKind(r.URL.Path, p.resource)
	answer(w, map[string]any{"kind": kind, "apiVersion": version, "metadata": map[string]any{}, "items": items})
}

// listKind is what a list of a resource is called.
func listKind(path, resource string) (kind, version string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	version = parts[1]
	if parts[0] == "apis" {
		version += "/" + parts[2]
	}
	for kind, r := range resources {
		if r.Resource == resource {
			return kind + "List", version
		}
	}
	return map[string]string{
		"nodes": "NodeList", "pods": "PodList", "gateways": "GatewayList", "endpointslices": "EndpointSliceList",
		"servicecidrs": "ServiceCIDRList", "storageclasses": "StorageClassList", "csistoragecapacities": "CSIStorageCapacityList",
		"ingressclasses": "IngressClassList",
		"gatewayclasses": "GatewayClassList", "events": "EventList",
	}[resource], version
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func answerStatus(w http.ResponseWriter, code int) {
	reason := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusUnprocessableEntity: metav1.StatusReasonInvalid,
		http.StatusForbidden: metav1.StatusReasonForbidden,
	}[code]
	st := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Code: int32(code), Reason: reason, Status: metav1.StatusFailure}
	if code == http.StatusOK {
		st.Status = metav1.StatusSuccess
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(st); err != nil {
		panic(err)
	}
}
