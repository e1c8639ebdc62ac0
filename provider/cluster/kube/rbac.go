package kube

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoleName is the name of the ClusterRole that the driver needs and of its binding.
const RoleName = "berth-provider"

// permission is what the driver may do with a resource of the API.
type permission struct {
	group, resource string
	verbs           []string
}

// makes are the verbs for every kind in resources: leases come and go in namespaces of their own, so none can be
// narrowed to a namespace. Server-side apply of an object that is not there needs both patch and create.
var makes = []string{"create", "delete", "list", "patch"}

// further are the verbs beyond makes for some of the kinds.
var further = map[string][]string{
	kindNamespace:  {"get"},
	kindSecret:     {"get"},
	kindService:    {"watch"},
	kindDeployment: {"watch"},
	// Whether one has let go of its instances is asked before the next is made.
	kindStatefulSet: {"get", "watch"},
	kindJob:         {"watch"},
}

// changesOnly are the verbs for kinds that others make and the driver only changes: volumes grow and are marked, and nothing
// but the end of their lease deletes them.
var changesOnly = map[string][]string{kindClaim: {"list", "patch"}}

// reads are the resources that the driver reads and never writes.
var reads = []permission{
	{"", "nodes", []string{"list", "watch"}},
	{"", "pods", []string{"get", "list", "watch"}},
	{"", "pods/log", []string{"get"}},
	{"", "events", []string{"list", "watch"}},
	// Sessions of tenants in their own instances; a session is made by get over WebSocket, which newer API servers want
	// create for as well, and by create over SPDY.
	{"", "pods/exec", []string{"create", "get"}},
	{"", "pods/portforward", []string{"create", "get"}},
	{"metrics.k8s.io", "pods", []string{"list"}},
	{"discovery.k8s.io", "endpointslices", []string{"list"}},
	{"gateway.networking.k8s.io", "gateways", []string{"get", "list"}},
	{"gateway.networking.k8s.io", "gatewayclasses", []string{"get"}},
	{"networking.k8s.io", "ingressclasses", []string{"list"}},
	{"networking.k8s.io", "servicecidrs", []string{"list"}},
	{"node.k8s.io", "runtimeclasses", []string{"get"}},
	{"storage.k8s.io", "storageclasses", []string{"list"}},
	{"storage.k8s.io", "csistoragecapacities", []string{"list"}},
}

// permissions is everything that the driver asks of the API server, each resource once.
func permissions() []permission {
	verbs := map[[2]string][]string{}
	for kind, r := range resources {
		at := [2]string{r.Group, r.Resource}
		if only, ok := changesOnly[kind]; ok {
			verbs[at] = slices.Concat(verbs[at], only)
			continue
		}
		verbs[at] = slices.Concat(verbs[at], makes, further[kind])
	}
	for _, p := range reads {
		at := [2]string{p.group, p.resource}
		verbs[at] = append(verbs[at], p.verbs...)
	}
	var out []permission
	for at, v := range verbs {
		slices.Sort(v)
		out = append(out, permission{at[0], at[1], slices.Compact(v)})
	}
	slices.SortFunc(out, func(a, b permission) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.resource, b.resource))
	})
	return out
}

// Role is the ClusterRole with everything that the driver needs and nothing else.
func Role() *rbacv1.ClusterRole {
	type at struct{ group, verbs string }
	rules := map[at]*rbacv1.PolicyRule{}
	for _, p := range permissions() {
		k := at{p.group, strings.Join(p.verbs, " ")}
		if rules[k] == nil {
			rules[k] = &rbacv1.PolicyRule{APIGroups: []string{p.group}, Verbs: p.verbs}
		}
		rules[k].Resources = append(rules[k].Resources, p.resource)
	}
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: RoleName, Labels: map[string]string{"app.kubernetes.io/name": manager}},
	}
	for _, k := range slices.SortedFunc(maps.Keys(rules), func(a, b at) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(rules[a].Resources[0], rules[b].Resources[0]))
	}) {
		role.Rules = append(role.Rules, *rules[k])
	}
	return role
}
