package kube

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// requested collects what the driver asks of an API server: "verb group/resource".
type requested struct {
	mu  sync.Mutex
	all map[string]bool
}

// asked is everything that the driver asked of the fake API server in the tests of this package.
var asked = &requested{all: map[string]bool{}}

// note adds a request, named as the API server's authorization does.
func (r *requested) note(req *http.Request) {
	p, ok := permissionOf(req)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[p] = true
}

func (r *requested) lacks(p string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.all[p]
}

func (r *requested) sorted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for p := range r.all {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// permissionOf is the verb and resource of a request; ok is false for paths that are no resource's.
func permissionOf(req *http.Request) (string, bool) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	group := ""
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		group, parts = parts[1], parts[3:]
	default:
		return "", false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	verb := map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[req.Method]
	if len(parts) == 1 {
		switch watch := req.URL.Query().Get("watch"); {
		case watch == "true" || watch == "1":
			verb = "watch"
		case verb == "get":
			verb = "list"
		case verb == "delete":
			verb = "deletecollection"
		}
	}
	return verb + " " + group + "/" + resource, true
}

func allowed() map[string]bool {
	out := map[string]bool{}
	for _, p := range permissions() {
		for _, v := range p.verbs {
			out[v+" "+p.group+"/"+p.resource] = true
		}
	}
	return out
}

// TestMain holds, after all tests have run, that the driver's role allows each request that they made the driver make,
// and that what it allows beyond making objects is used by one of them.
func TestMain(m *testing.M) {
	code := m.Run()
	may := allowed()
	for _, p := range asked.sorted() {
		if !may[p] {
			fmt.Printf("FAIL: the driver asked for %q, which its role does not allow: see rbac.go\n", p)
			code = 1
		}
	}
	if code == 0 && everyTest() {
		code = unused(may)
	}
	os.Exit(code)
}

// everyTest tells whether all tests of the package ran here.
func everyTest() bool {
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if f := flag.Lookup("test." + name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	worker := flag.Lookup("test.fuzzworker")
	return worker == nil || worker.Value.String() != "true"
}

func unused(may map[string]bool) (code int) {
	for _, p := range reads {
		for _, v := range p.verbs {
			if name := v + " " + p.group + "/" + p.resource; asked.lacks(name) {
				fmt.Printf("FAIL: the role allows %q, which no test makes the driver ask for: see rbac.go\n", name)
				code = 1
			}
		}
	}
	return code
}

// roleFile is the golden file, which is also what an operator installs.
var roleFile = filepath.Join("..", "..", "..", "deploy", "kubernetes", "clusterrole.yaml")

const roleHeader = "# What the Kubernetes driver needs, and nothing else. Written from the table in provider/cluster/kube/rbac.go:\n" +
	"# go test ./provider/cluster/kube -run TestRole -update\n"

func TestRole(t *testing.T) {
	y, err := yaml.Marshal(Role())
	if err != nil {
		t.Fatal(err)
	}
	got := append([]byte(roleHeader), y...)
	if *update {
		if err := os.WriteFile(roleFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(roleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the driver needs other permissions than %s gives: look at it with -update and git diff. "+
			"Every line is a right over the whole cluster: add what is used and no more", roleFile)
	}
}

// TestRoleIsNarrow holds what an operator relies on: nothing is a wildcard, and nothing gives a way to more rights or
// into a pod but those that sessions of tenants take.
func TestRoleIsNarrow(t *testing.T) {
	for _, rule := range Role().Rules {
		for _, s := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
			if strings.Contains(s, "*") {
				t.Errorf("rule %+v has a wildcard", rule)
			}
		}
		for _, v := range rule.Verbs {
			if slices.Contains([]string{"escalate", "bind", "impersonate", "deletecollection", "approve", "sign"}, v) {
				t.Errorf("rule %+v has the verb %s", rule, v)
			}
		}
		for _, r := range rule.Resources {
			if slices.Contains([]string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "pods/attach",
				"pods/ephemeralcontainers", "nodes/proxy", "serviceaccounts/token", "certificatesigningrequests"}, r) {
				t.Errorf("rule %+v has the resource %s", rule, r)
			}
			if r == "pods" && slices.ContainsFunc(rule.Verbs, func(v string) bool { return v == "create" || v == "patch" }) {
				t.Errorf("rule %+v makes pods, which go around what confines workloads", rule)
			}
		}
		if len(rule.NonResourceURLs) > 0 {
			t.Errorf("rule %+v has paths", rule)
		}
	}
}

// TestRunIsAllowed makes the driver watch, so that what Run asks for is among the requests that TestMain looks at.
func TestRunIsAllowed(t *testing.T) {
	api, c := serve(t, Config{StorageClasses: map[string]StorageClass{"beta1": {Name: "slow"}}, RuntimeClass: "r"})
	api.put("runtimeclasses", map[string]any{"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": map[string]any{"name": "r"}, "handler": "h"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for _, p := range []string{"watch /nodes", "watch /pods", "watch /services", "watch apps/deployments", "watch apps/statefulsets"} {
		for asked.lacks(p) {
			if err := pause(t.Context(), 1e6); err != nil {
				t.Fatalf("never asked for %s", p)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Pools(t.Context()); err != nil {
		t.Error(err)
	}
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	api.put("pods", map[string]any{
		"apiVersion": "v1", "kind": "Pod", "status": map[string]any{"phase": "Succeeded"},
		"metadata": map[string]any{"name": "web-1", "namespace": namespaceOf(testLease), "labels": map[string]any{
			labelManagedBy: manager, labelProvider: testLease.Provider, labelService: "web",
		}},
	})
	s, err := c.Logs(t.Context(), testLease, cluster.LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	for asked.lacks("get /pods") {
		if err := pause(t.Context(), 1e6); err != nil {
			t.Fatal("the pod was never asked for")
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
