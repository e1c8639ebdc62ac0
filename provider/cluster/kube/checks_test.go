package kube

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/provider/doctor"
)

// sick is what a test changes of a cluster that lacks nothing.
type sick struct {
	api     *apiServer
	cfg     *Config
	options *CheckOptions
	version string
	offset  time.Duration   // of the API server's clock
	denied  map[string]bool // "verb group/resource"
	granted map[string]bool
	taken   bool              // namespaces of levels that do not exist are taken
	kubelet map[string]any    // its configuration
	cgroup  string            // its version
	groups  map[string]string // of the API, with a resource of each
	refuse  string            // a path that is forbidden
	rounds  map[string]ProbeRound
	refused string // of the privileged pod
	ports   string // how the range of node ports is told
}

func healthy(api *apiServer, cfg *Config, options *CheckOptions) *sick {
	return &sick{
		api: api, cfg: cfg, options: options, version: "v1.36.1", cgroup: "2", denied: map[string]bool{}, granted: map[string]bool{},
		kubelet: map[string]any{
			"podPidsLimit": 4096, "containerLogMaxSize": "5Mi", "containerLogMaxFiles": 3,
			"evictionHard": map[string]any{"memory.available": "100Mi", "nodefs.available": "10%"},
		},
		groups: map[string]string{"metrics.k8s.io": "pods", "gateway.networking.k8s.io": "tlsroutes"},
		rounds: map[string]ProbeRound{
			probeFree:   {Open: map[string]bool{targetPeer: true, targetTenant: false}},
			probeTenant: {Open: map[string]bool{targetPeer: false, targetAPI: false, targetKubelet: false}, Resolved: map[string]bool{"kubernetes.default.svc": true}},
		},
		refused: "violates PodSecurity", ports: "The range of valid ports is 30000-32767",
	}
}

// answer is the part of the API server that the store does not have.
func (s *sick) answer(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	body := func() map[string]any {
		var m map[string]any
		data, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(data, &m)
		return m
	}
	switch {
	case s.refuse != "" && strings.Contains(path, s.refuse):
		answerStatus(w, http.StatusForbidden)
	case path == "/version":
		answer(w, map[string]any{"gitVersion": s.version})
	case strings.HasSuffix(path, "/selfsubjectaccessreviews"):
		spec, _, _ := unstructured.NestedStringMap(body(), "spec", "resourceAttributes")
		resource := spec["resource"]
		if spec["subresource"] != "" {
			resource += "/" + spec["subresource"]
		}
		p := spec["verb"] + " " + spec["group"] + "/" + resource
		ok := (allowed()[p] || s.granted[p]) && !s.denied[p]
		answer(w, map[string]any{"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": map[string]any{"allowed": ok}})
	case strings.Contains(path, "/proxy/"):
		s.answerKubelet(w, path)
	case path == "/api":
		answer(w, map[string]any{"kind": "APIVersions", "versions": []any{"v1"}})
	case strings.HasPrefix(path, "/apis") && len(strings.Split(path, "/")) <= 4:
		s.answerGroups(w, path)
	case r.Method == http.MethodPost:
		return s.create(w, r, body())
	case strings.HasSuffix(path, "/log"):
		name := strings.TrimSuffix(path[:strings.LastIndexByte(path, '/')], "-pod")
		line, _ := json.Marshal(s.rounds[name[strings.LastIndexByte(name, '/')+1:]])
		_, _ = w.Write(append(line, '\n'))
	default:
		return false
	}
	return true
}

func (s *sick) answerKubelet(w http.ResponseWriter, path string) {
	if strings.HasSuffix(path, "/configz") {
		answer(w, map[string]any{"kubeletconfig": s.kubelet})
		return
	}
	_, _ = io.WriteString(w, "# HELP\nkubelet_cgroup_version "+s.cgroup+"\n")
}

func (s *sick) answerGroups(w http.ResponseWriter, path string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) == 1 {
		var all []any
		for g := range s.groups {
			v := map[string]any{"groupVersion": g + "/v1", "version": "v1"}
			all = append(all, map[string]any{"name": g, "versions": []any{v}, "preferredVersion": v})
		}
		answer(w, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
		return
	}
	answer(w, map[string]any{
		"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": parts[1] + "/v1", "resources": []any{map[string]any{"name": s.groups[parts[1]]}},
	})
}

// create makes objects of the probe, and says what becomes of them.
func (s *sick) create(w http.ResponseWriter, r *http.Request, o map[string]any) bool {
	u := &unstructured.Unstructured{Object: o}
	dry := r.URL.Query().Get("dryRun") != ""
	at := metaTime(time.Now().Add(s.offset))
	_ = unstructured.SetNestedField(o, at, "metadata", "creationTimestamp")
	p := parsePath(r.URL.Path)
	switch {
	case dry && u.GetLabels()["pod-security.kubernetes.io/enforce"] == "no-such-level" && !s.taken:
		answerStatus(w, http.StatusUnprocessableEntity)
		return true
	case dry:
		answer(w, o)
		return true
	case p.resource == "services" && u.GetName() == "ports":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422, "message": s.ports})
		return true
	}
	p.name = u.GetName()
	s.api.objects[p] = u
	if p.resource == "deployments" {
		s.start(p, u)
	}
	answer(w, o)
	return true
}

func metaTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// start runs the pod of a Deployment of the probe.
func (s *sick) start(p objectPath, d *unstructured.Unstructured) {
	if p.name == probePrivileged {
		if s.refused != "" {
			d.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "ReplicaFailure", "status": "True", "message": s.refused}}}
		}
		return
	}
	s.api.objects[objectPath{"pods", p.namespace, p.name + "-pod"}] = &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": p.name + "-pod", "namespace": p.namespace, "labels": map[string]any{"berth.dev/probe": p.name}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}}
}

// examineCluster runs the checks of a cluster that lacks nothing but for what change takes from it.
func examineCluster(t *testing.T, change func(*sick), only ...string) map[string]doctor.Report {
	t.Helper()
	cfg := Config{StorageClasses: map[string]StorageClass{"beta1": {Name: "slow"}}}
	options := CheckOptions{poll: time.Microsecond, ProbeImage: "berth-provider:1", InstallRole: "install it", Attributes: map[string]string{"ability/storage/ram": "true"}}
	api, c := serve(t, cfg)
	// Bodies in JSON can be read here; those of the driver are protobuf.
	rc, err := restConfig(c.cfg.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	rc.QPS, rc.ContentType = -1, "application/json"
	if c.typed, err = kubernetes.NewForConfig(rc); err != nil {
		t.Fatal(err)
	}
	s := healthy(api, &c.cfg, &options)
	c.cfg.Domain, c.cfg.NodeHost = "east.localhost", "192.0.2.1"
	furnish(api)
	change(s)
	api.extra = s.answer
	checks := c.Checks(options)
	if len(only) > 0 {
		checks = slices.DeleteFunc(checks, func(c doctor.Check) bool { return !slices.Contains(only, c.Name) })
	}
	out := map[string]doctor.Report{}
	for _, r := range doctor.Run(t.Context(), checks) {
		out[r.Name] = r
	}
	for p := range api.objects {
		if strings.HasPrefix(p.namespace+p.name, probeName+"-") {
			t.Errorf("%v is left of the probe", p)
		}
	}
	return out
}

// furnish puts into the store what a healthy cluster has.
func furnish(api *apiServer) {
	api.put("pods", map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "dns", "namespace": "kube-system", "labels": map[string]any{"k8s-app": "kube-dns"}},
		"status": map[string]any{"podIPs": []any{map[string]any{"ip": "10.244.0.2"}}, "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	})
	api.put("pods", map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "proxy", "namespace": "ingress"}})
	api.put("gateways", map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw", "namespace": "ingress"},
		"spec": map[string]any{"listeners": []any{
			map[string]any{"name": "http", "protocol": "HTTP", "allowedRoutes": map[string]any{"namespaces": map[string]any{"from": "All"}}},
			map[string]any{"name": "tls", "protocol": "TLS", "tls": map[string]any{"mode": "Passthrough"}},
		}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Programmed", "status": "True"}}},
	})
	api.put("storageclasses", map[string]any{
		"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": map[string]any{"name": "slow"}, "provisioner": "csi.example", "allowVolumeExpansion": true,
	})
	api.put("csistoragecapacities", map[string]any{
		"apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": map[string]any{"name": "c", "namespace": "kube-system"},
		"storageClassName": "slow", "capacity": "10Gi",
	})
}

// TestChecksOfAHealthyCluster holds that nothing is found where nothing is wrong. Whether the entry of http answers is
// not the cluster's alone.
func TestChecksOfAHealthyCluster(t *testing.T) {
	for name, r := range examineCluster(t, func(*sick) {}) {
		if r.Level != doctor.OK && name != "ingress" {
			t.Errorf("%s: %s: %s", name, r.Level, r.Detail)
		}
	}
}

// node edits the one node.
func node(s *sick, f func(*unstructured.Unstructured)) {
	f(s.api.objects[objectPath{"nodes", "", "n1"}])
}

func set(u *unstructured.Unstructured, v any, path ...string) {
	if err := unstructured.SetNestedField(u.Object, v, path...); err != nil {
		panic(err)
	}
}

func gateway(s *sick) *unstructured.Unstructured {
	return s.api.objects[objectPath{"gateways", "ingress", "gw"}]
}

func TestChecksFindWhatIsMissing(t *testing.T) {
	probe := func(name, target string, open bool) func(*sick) {
		return func(s *sick) { s.rounds[name].Open[target] = open }
	}
	for name, tc := range map[string]struct {
		change func(*sick)
		check  string
		level  doctor.Level
		detail string
	}{
		"no API server":     {func(s *sick) { s.refuse = "/version" }, "api", doctor.Fail, "no answer"},
		"an old cluster":    {func(s *sick) { s.version = "v1.29.4" }, "version", doctor.Fail, "older than 1.30"},
		"an oldish cluster": {func(s *sick) { s.version = "v1.31.0-gke.1" }, "version", doctor.Warn, "feature gate"},
		"a strange version": {func(s *sick) { s.version = "two" }, "version", doctor.Warn, "not understood"},
		"a newer kubelet": {func(s *sick) {
			node(s, func(u *unstructured.Unstructured) { set(u, "v1.37.0", "status", "nodeInfo", "kubeletVersion") })
		}, "version", doctor.Fail, "node n1"},
		"a kubelet left behind": {func(s *sick) {
			node(s, func(u *unstructured.Unstructured) { set(u, "v1.32.9", "status", "nodeInfo", "kubeletVersion") })
		}, "version", doctor.Fail, "node n1"},
		"a right is missing":      {func(s *sick) { s.denied["patch apps/deployments"] = true }, "permissions", doctor.Fail, "patch apps/deployments"},
		"rights are not told":     {func(s *sick) { s.refuse = "selfsubject" }, "permissions", doctor.Warn, "could not be read"},
		"an administrator":        {func(s *sick) { s.granted["* */*"] = true }, "rights", doctor.Warn, "everything"},
		"a way into pods":         {func(s *sick) { s.granted["create /pods/attach"] = true }, "rights", doctor.Warn, "pods/attach"},
		"a slow clock":            {func(s *sick) { s.offset = -time.Minute }, "clock", doctor.Fail, "differ by"},
		"a clock ahead":           {func(s *sick) { s.offset = 15 * time.Second }, "clock", doctor.Warn, "differ by"},
		"levels are not enforced": {func(s *sick) { s.taken = true }, "pod-security", doctor.Fail, "nothing enforces"},
		"a privileged pod runs":   {func(s *sick) { s.refused = "" }, "pod-refused", doctor.Fail, "was taken"},
		"no probe":                {func(s *sick) { s.options.ProbeImage = "" }, "network-policy", doctor.Warn, "not tried"},

		"no node for workloads": {func(s *sick) { node(s, func(u *unstructured.Unstructured) { set(u, true, "spec", "unschedulable") }) }, "nodes", doctor.Fail, "none of 1"},
		"pressure": {func(s *sick) {
			node(s, func(u *unstructured.Unstructured) {
				set(u, []any{map[string]any{"type": "DiskPressure", "status": "True"}}, "status", "conditions")
			})
		}, "pressure", doctor.Warn, "DiskPressure"},
		"no user namespaces": {func(s *sick) {
			node(s, func(u *unstructured.Unstructured) { set(u, []any{}, "status", "runtimeHandlers") })
		}, "user-namespaces", doctor.Warn, "refused"},
		"user namespaces are claimed": {func(s *sick) {
			s.cfg.UserNamespaces = UserNamespacesOn
			node(s, func(u *unstructured.Unstructured) { set(u, []any{}, "status", "runtimeHandlers") })
		}, "user-namespaces", doctor.Fail, "not all say so"},
		"user namespaces off":  {func(s *sick) { s.cfg.UserNamespaces = UserNamespacesOff }, "user-namespaces", doctor.Warn, "does not use"},
		"old control groups":   {func(s *sick) { s.cgroup = "1" }, "cgroups", doctor.Warn, "cgroup v1"},
		"kubelets are closed":  {func(s *sick) { s.refuse = "/proxy/" }, "pid-limit", doctor.Warn, "role does not allow"},
		"no limit of pids":     {func(s *sick) { s.kubelet["podPidsLimit"] = -1 }, "pid-limit", doctor.Fail, "n1: no podPidsLimit"},
		"long logs":            {func(s *sick) { s.kubelet["containerLogMaxSize"] = "50Mi" }, "log-size", doctor.Warn, "evicted first"},
		"logs of strange size": {func(s *sick) { s.kubelet["containerLogMaxSize"] = "lots" }, "log-size", doctor.Warn, "lots"},
		"no eviction":          {func(s *sick) { s.kubelet["evictionHard"] = map[string]any{"memory.available": "0%"} }, "eviction", doctor.Fail, "memory.available, nodefs.available"},

		"policies are not enforced": {func(s *sick) { probe(probeTenant, targetPeer, true)(s); probe(probeFree, targetTenant, true)(s) }, "network-policy", doctor.Fail, "not enforced at all"},
		"no policies outwards":      {probe(probeTenant, targetPeer, true), "network-policy", doctor.Fail, "outgoing"},
		"no policies inwards":       {probe(probeFree, targetTenant, true), "network-policy", doctor.Fail, "incoming"},
		"no network":                {probe(probeFree, targetPeer, false), "network-policy", doctor.Warn, "not known"},
		"the API server is open":    {probe(probeTenant, targetAPI, true), "isolation", doctor.Fail, "the API server"},
		"a kubelet is open":         {probe(probeTenant, targetKubelet, true), "isolation", doctor.Fail, "a kubelet"},
		"no names":                  {func(s *sick) { s.rounds[probeTenant].Resolved["kubernetes.default.svc"] = false }, "dns", doctor.Fail, "no answer"},
		"no pods for names":         {func(s *sick) { s.cfg.DNSLabels = map[string]string{"app": "dns"} }, "dns-pods", doctor.Fail, "no pod in kube-system"},
		"pods for names not ready": {func(s *sick) {
			set(s.api.objects[objectPath{"pods", "kube-system", "dns"}], []any{}, "status", "conditions")
		}, "dns-pods", doctor.Fail, "none of 1"},
		"a public pod": {func(s *sick) {
			set(s.api.objects[objectPath{"pods", "kube-system", "dns"}], []any{map[string]any{"ip": "198.51.100.7"}}, "status", "podIPs")
		}, "ranges", doctor.Fail, "198.51.100.7"},
		"a public service": {func(s *sick) {
			s.api.put("services", map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "s", "namespace": "a"},
				"spec": map[string]any{"clusterIPs": []any{"198.51.100.8"}}})
		}, "ranges", doctor.Fail, "198.51.100.8"},
		"few ports":           {func(s *sick) { s.ports = "The range of valid ports is 30000-30099" }, "node-ports", doctor.Fail, "100 (30000-30099)"},
		"a range not told":    {func(s *sick) { s.ports = "no" }, "node-ports", doctor.Warn, "does not tell"},
		"an unknown host":     {func(s *sick) { s.cfg.NodeHost = "nowhere.invalid" }, "node-host", doctor.Warn, "not found"},
		"no entry":            {func(s *sick) { s.api.absent["gateways"] = true }, "routes", doctor.Fail, "neither"},
		"no wildcard":         {func(s *sick) { s.cfg.Domain = "nowhere.invalid" }, "wildcard-dns", doctor.Fail, "not found"},
		"closed entry":        {func(s *sick) { s.cfg.IngressPort = 1 }, "ingress", doctor.Warn, "no answer"},
		"no metrics":          {func(s *sick) { delete(s.groups, "metrics.k8s.io") }, "metrics", doctor.Warn, "not served"},
		"no TLSRoute":         {func(s *sick) { s.groups["gateway.networking.k8s.io"] = "httproutes" }, "tls-routes", doctor.Warn, "not served"},
		"Gateway in progress": {func(s *sick) { set(gateway(s), []any{}, "status", "conditions") }, "gateway", doctor.Fail, "not programmed"},
		"Gateway for itself": {func(s *sick) {
			set(gateway(s), []any{map[string]any{"protocol": "HTTP"}}, "spec", "listeners")
		}, "gateway", doctor.Fail, "own namespace only"},
		"no listener for TLS": {func(s *sick) {
			set(gateway(s), []any{map[string]any{"protocol": "HTTP"}}, "spec", "listeners")
		}, "tls-routes", doctor.Warn, "no listener"},
		"no class": {func(s *sick) {
			s.cfg.RouteMode, s.cfg.IngressClass, s.cfg.IngressNamespaces = RouteIngress, "nginx", []string{"ingress"}
		}, "ingress-class", doctor.Fail, `no class "nginx"`},
		"no default class": {func(s *sick) { s.cfg.RouteMode, s.cfg.IngressNamespaces = RouteIngress, []string{"ingress"} }, "ingress-class", doctor.Fail, "no default class"},
		"nobody comes in":  {func(s *sick) { s.cfg.IngressNamespaces = []string{"empty"} }, "ingress-peers", doctor.Fail, "empty has no pods"},
		"on the hosts' network": {func(s *sick) {
			set(s.api.objects[objectPath{"pods", "ingress", "proxy"}], true, "spec", "hostNetwork")
		}, "ingress-peers", doctor.Warn, "hosts' network"},

		"a promise of trust":   {func(s *sick) { s.options.Attributes = map[string]string{"ability/tee/sgx": "true"} }, "abilities", doctor.Fail, "tee/sgx: tee"},
		"an unknown promise":   {func(s *sick) { s.options.Attributes = map[string]string{"ability/fly": "true"} }, "abilities", doctor.Fail, "no such ability"},
		"another architecture": {func(s *sick) { s.options.Attributes = map[string]string{"ability/arch/arm64": "true"} }, "abilities", doctor.Fail, "arch/arm64"},
		"a class is missing":   {func(s *sick) { s.cfg.StorageClasses = map[string]StorageClass{"beta1": {Name: "fast"}} }, "storage", doctor.Fail, "no class fast"},
		"a class without drives": {func(s *sick) {
			set(s.api.objects[objectPath{"storageclasses", "", "slow"}], "k8s.io/no-provisioner", "provisioner")
		}, "storage", doctor.Fail, "by itself"},
		"a class that is silent": {func(s *sick) { delete(s.api.objects, objectPath{"csistoragecapacities", "kube-system", "c"}) }, "storage", doctor.Warn, "how much is left"},
		"a class that stays": {func(s *sick) {
			set(s.api.objects[objectPath{"storageclasses", "", "slow"}], false, "allowVolumeExpansion")
		}, "storage", doctor.Warn, "cannot grow"},
		"no devices": {func(s *sick) { s.options.Attributes = map[string]string{"gpu/vendor/nvidia": "true"} }, "gpus", doctor.Fail, "no node has"},
		"unnamed devices": {func(s *sick) {
			node(s, func(u *unstructured.Unstructured) { set(u, "2", "status", "allocatable", "nvidia.com/gpu") })
		}, "gpus", doctor.Warn, "not known on n1"},
		"no runtime class": {func(s *sick) { s.cfg.RuntimeClass = "gvisor" }, "runtime-class", doctor.Fail, "no runtime class gvisor"},
		"no addresses yet": {func(s *sick) { s.options.Attributes = map[string]string{"ability/ip": "true"} }, "leased-addresses", doctor.Warn, "not known"},
		"no addresses": {func(s *sick) {
			s.options.Attributes = map[string]string{"ability/ip": "true"}
			s.api.put("services", map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "s", "namespace": "a"},
				"spec": map[string]any{"type": "LoadBalancer"}})
		}, "leased-addresses", doctor.Fail, "a/s"},
	} {
		t.Run(name, func(t *testing.T) {
			r := examineCluster(t, tc.change, tc.check)[tc.check]
			if r.Level != tc.level || !strings.Contains(r.Detail, tc.detail) || r.Mend == "" {
				t.Errorf("got %+v, want %s with %q and what mends it", r, tc.level, tc.detail)
			}
		})
	}
}

// TestProbeRemovesWhatWasLeft holds that the namespace of a probe that was killed goes, and no other one.
func TestProbeRemovesWhatWasLeft(t *testing.T) {
	stale := func(name string, age time.Duration) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
			"name": name, "labels": map[string]any{"app.kubernetes.io/name": probeName}, "creationTimestamp": metaTime(time.Now().Add(-age)),
		}}
	}
	var api *apiServer
	examineCluster(t, func(s *sick) {
		api = s.api
		api.put("namespaces", stale(probeName+"-old", time.Hour))
		api.put("namespaces", stale("others", time.Hour))
	}, "network-policy")
	if api.objects[objectPath{"namespaces", "", "others"}] == nil {
		t.Error("a namespace of somebody else is gone")
	}
}

// TestProbePodsAreConfined holds that the probe's pods pass the level that their namespace enforces, but for the one
// that must not.
func TestProbePodsAreConfined(t *testing.T) {
	eval := evaluator(t)
	for _, name := range []string{probePeer, probeFree, probeTenant, probePrivileged} {
		d := probeDeployment(name, "image", nil)
		refused := false
		for _, r := range eval.EvaluatePod(restrictedLevel, &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec) {
			refused = refused || !r.Allowed
		}
		if refused != (name == probePrivileged) {
			t.Errorf("pod %s: refused=%v", name, refused)
		}
		if l := d.Spec.Template.Spec.Containers[0].Resources.Limits; l.Memory().IsZero() {
			t.Errorf("pod %s has no limit", name)
		}
	}
}
