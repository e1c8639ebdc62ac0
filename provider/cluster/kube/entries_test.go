package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

// describe writes entries in one line each.
func describe(all []entry) string {
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, "%s %v:", e.Namespace, e.Labels)
		for _, p := range e.Ports {
			fmt.Fprintf(&b, " %s/%s", p.Port, *p.Protocol)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestServiceEntries(t *testing.T) {
	service := func(name string, kind corev1.ServiceType, ports ...corev1.ServicePort) corev1.Service {
		return corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ingress", Name: name},
			Spec:       corev1.ServiceSpec{Type: kind, Selector: map[string]string{"app": name}, Ports: ports},
		}
	}
	external := service("external", corev1.ServiceTypeClusterIP, corev1.ServicePort{Port: 8443})
	external.Spec.ExternalIPs = []string{"203.0.113.5"}
	blind := service("blind", corev1.ServiceTypeLoadBalancer, corev1.ServicePort{Port: 80})
	blind.Spec.Selector = nil
	got := describe(serviceEntries([]corev1.Service{
		service("public", corev1.ServiceTypeLoadBalancer,
			corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("web")},
			corev1.ServicePort{Port: 443, TargetPort: intstr.FromInt32(8443)},
			corev1.ServicePort{Port: 443, TargetPort: intstr.FromInt32(8443), Protocol: corev1.ProtocolUDP}),
		service("metrics", corev1.ServiceTypeClusterIP, corev1.ServicePort{Port: 9000}),
		service("node", corev1.ServiceTypeNodePort, corev1.ServicePort{Port: 80}),
		external, blind,
	}))
	want := `ingress map[app:external]: 8443/TCP
ingress map[app:node]: 80/TCP
ingress map[app:public]: web/TCP 8443/TCP 8443/UDP
`
	if got != want {
		t.Errorf("entries\n%swant\n%s", got, want)
	}
}

// TestHostEntries holds that only ports on the host are entries, that a rollout of the controller changes nothing, and
// neither does a moment without it.
func TestHostEntries(t *testing.T) {
	proxy := func(hash string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "proxy", "pod-template-hash": hash}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
				{ContainerPort: 8000, HostPort: 80}, {ContainerPort: 9000},
			}}}},
		}
	}
	node := proxy("x")
	node.Spec.HostNetwork = true
	nameless := proxy("x")
	nameless.Labels = nil
	var d discovered
	if got := d.hostEntries("ingress", []corev1.Pod{node, nameless}); len(got) != 0 {
		t.Errorf("pods that no policy can name give %s", describe(got))
	}
	const want = "ingress map[app:proxy]: 8000/TCP\n"
	for _, pods := range [][]corev1.Pod{{proxy("a")}, {proxy("b"), proxy("a")}, {proxy("b")}, nil} {
		if got := describe(d.hostEntries("ingress", pods)); got != want {
			t.Errorf("%d pods give %s, want %s", len(pods), got, want)
		}
	}
	if got := d.hostEntries("elsewhere", nil); len(got) != 0 {
		t.Errorf("another namespace gives %s", describe(got))
	}
}

// TestEntriesAreOpen holds which doors every lease has to what anyone may reach, and that only leases with ports of the
// provider are marked for it.
func TestEntriesAreOpen(t *testing.T) {
	s := testSettings()
	s.IngressCIDRs, s.DNSCIDRs = []string{"192.0.2.1/32"}, []string{"169.254.20.10/32"}
	for _, proto := range []manifesttypes.Proto{manifesttypes.PROTO_HTTP, manifesttypes.PROTO_TCP} {
		web := clustertest.Service("web", "hello:1")
		web.Expose[0].Proto = proto
		objects, err := render(clustertest.Workload(testLease, web), s, allStart)
		if err != nil {
			t.Fatal(err)
		}
		if marked := objects[0].GetLabels()[labelForwards] == forwardsYes; marked != (proto == manifesttypes.PROTO_TCP) {
			t.Errorf("%s: marked=%v", proto, marked)
		}
		for _, u := range objects {
			switch {
			case u.GetKind() != kindNetworkPolicy:
			case u.GetName() == "allow-entries":
				rules := as[networkingv1.NetworkPolicy](t, u).Spec.Egress
				if len(rules) != 3 || len(rules[0].Ports) != 0 || rules[0].To[0].NamespaceSelector.MatchLabels[labelManagedBy] != manager ||
					rules[1].To[0].PodSelector == nil || rules[1].Ports[0].Port.IntValue() != 8000 || rules[2].To[0].IPBlock.CIDR != "192.0.2.1/32" || len(rules[2].Ports) != 2 {
					t.Errorf("entries are opened by %+v", rules)
				}
			case u.GetName() == "allow-dns":
				rule := as[networkingv1.NetworkPolicy](t, u).Spec.Egress[0]
				if len(rule.To) != 2 || rule.To[1].IPBlock.CIDR != "169.254.20.10/32" || len(rule.Ports) != 2 {
					t.Errorf("names are resolved by %+v", rule)
				}
			}
		}
	}
}

// TestPoliciesBeforeInstances holds the order of writes on which it rests that no packet of an instance goes where it
// may not: all policies are there, and all that no longer hold are gone, before anything is applied that can start one.
func TestPoliciesBeforeInstances(t *testing.T) {
	s, c := serve(t, Config{})
	web, db := clustertest.Service("web", "hello:1"), clustertest.Service("db", "hello:1")
	db.Expose[0].To = []manifesttypes.To{{Service: "web"}}
	closer, wider := db, db
	closer.Image, closer.Expose = "hello:2", []manifesttypes.Expose{{Port: 8080, As: 80, Proto: manifesttypes.PROTO_HTTP}}
	wider.Image, wider.Expose = "hello:3", []manifesttypes.Expose{{Port: 9090, As: 80, Proto: manifesttypes.PROTO_TCP, To: anyone()}}
	for _, step := range []struct {
		name     string
		services []manifesttypes.Service
		policies int // at least so many writes of policies
	}{
		{"a new lease", []manifesttypes.Service{db, web}, 9},
		{"a door is closed", []manifesttypes.Service{closer, web}, 2},
		{"doors are opened", []manifesttypes.Service{wider, web}, 3},
		{"a service goes", []manifesttypes.Service{web}, 3},
	} {
		apply(t, c, clustertest.Workload(testLease, step.services...))
		writes := s.takeWrites()
		policies := 0
		last := -1
		for i, w := range writes {
			if strings.Contains(w, " networkpolicies/") {
				policies, last = policies+1, i
			}
		}
		first := slices.IndexFunc(writes, func(w string) bool { return strings.Contains(w, " deployments/") })
		if policies < step.policies || first < 0 || last > first {
			t.Errorf("%s: %d policies, the last one at %d, the first instances at %d: %v", step.name, policies, last, first, writes)
		}
	}

	// Without a policy that is to be, nothing starts.
	fresh, other := serve(t, Config{})
	fresh.fail = func(method, path string) int {
		if method == http.MethodPatch && strings.Contains(path, "/networkpolicies/allow-internet") {
			return http.StatusInternalServerError
		}
		return 0
	}
	if err := other.Apply(t.Context(), clustertest.Workload(testLease, web)); err == nil {
		t.Error("Apply = nil although a policy was refused")
	}
	// Nor while one is left that is to be no more.
	apply(t, c, clustertest.Workload(testLease, db, web))
	s.takeWrites()
	s.fail = func(method, _ string) int {
		if method == http.MethodDelete {
			return http.StatusInternalServerError
		}
		return 0
	}
	if err := c.Apply(t.Context(), clustertest.Workload(testLease, closer, web)); err == nil {
		t.Error("Apply = nil although a policy could not be removed")
	}
	for _, w := range slices.Concat(fresh.takeWrites(), s.takeWrites()) {
		if strings.Contains(w, " deployments/") {
			t.Errorf("without its policies: %s", w)
		}
	}
}
