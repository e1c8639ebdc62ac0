package kube

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

var update = flag.Bool("update", false, "write the golden files anew")

var testLease = markettypes.LeaseID{
	Owner: "berth1tenant", Dseq: 42, Gseq: 1, Oseq: 1, Provider: "berth1provider",
}

func testSettings() settings {
	return settings{
		Domain: "east.test", Routes: RouteGateway, GatewayName: "gw", GatewayNamespace: "ingress",
		IngressNamespaces: []string{"ingress"}, DNSNamespace: "kube-system", DNSLabels: map[string]string{"k8s-app": "kube-dns"},
		DenyCIDRs: []string{"10.244.0.0/16", "203.0.113.7/32", "2001:db8::/64"}, UserNamespaces: true,
		GPUs: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}, Devices: []device{{Resource: "nvidia.com/gpu", Class: cluster.GPU{Vendor: "nvidia"}}},
		DrainSeconds: 5,
		Entries: []entry{{
			Namespace: "ingress", Labels: map[string]string{"app": "proxy"}, Ports: []networkingv1.NetworkPolicyPort{policyPort(8000, corev1.ProtocolTCP)},
		}},
		Able: routeAbilities{TLSRoute: "v1alpha3", Passthrough: []string{"*"}}, MaxBody: manifest.MaxBodyBytes, MaxTimeout: time.Minute,
	}
}

func allStart(string) bool { return true }

func anyone() []manifesttypes.To { return []manifesttypes.To{{Global: true}} }

type goldenCase struct {
	settings settings
	services []manifesttypes.Service
	starts   func(string) bool
}

// goldenCases are workloads that between them use everything that can be rendered.
func goldenCases() map[string]goldenCase {
	type c = goldenCase
	ingress := testSettings()
	ingress.Routes, ingress.IngressClass, ingress.IngressCIDRs = RouteIngress, "nginx", []string{"192.0.2.1/32"}
	restricted := testSettings()
	restricted.IPv6, restricted.UserNamespaces, restricted.ImageUsers, restricted.RuntimeClass = true, false, map[string]int64{"app:1": 1000}, "gvisor"
	restricted.Overheads = map[string]usage{"gvisor": {cpu: 10, memory: 16 << 20}}

	api := clustertest.Service("api", "api:2")
	api.Expose = []manifesttypes.Expose{{Port: 8080, As: 80, Proto: manifesttypes.PROTO_HTTP, To: []manifesttypes.To{{Service: "web"}}}}
	api.Env = []manifesttypes.EnvVar{{Name: "TOKEN", Value: "s3cret", Secret: true}, {Name: "MODE", Value: "$(x)"}}
	web := clustertest.Service("web", "web:1")
	web.DependsOn, web.Count = []string{"api"}, 3
	web.Args = []string{"--pid", "$$", "$(HOME)"}
	web.Expose[0].Accept = []string{"www.example.com"}

	db := clustertest.Service("db", "app:1")
	db.Gpu = 1
	db.Volumes = []manifesttypes.Volume{
		{Name: "root", Bytes: 1 << 30},
		{Name: "data", Bytes: 5 << 30, Mount: "/data"},
		{Name: "tmp", Bytes: 1 << 20, Mount: "/tmp", Attributes: []manifesttypes.Attribute{{Key: "class", Value: "ram"}}},
	}
	db.Expose = []manifesttypes.Expose{
		{Port: 5432, As: 5432, Proto: manifesttypes.PROTO_TCP, To: anyone()},
		{Port: 5353, As: 53, Proto: manifesttypes.PROTO_UDP, To: anyone()},
		{Port: 8443, As: 443, Proto: manifesttypes.PROTO_HTTPS, To: anyone()},
	}
	worker := clustertest.Service("worker", "worker:1")
	worker.Expose, worker.Volumes = nil, nil

	stored, devices := testSettings(), testSettings()
	stored.StorageClasses = map[string]storageClass{"beta2": {Name: "fast"}}
	stored.UserNamespaces, stored.ImageUsers, stored.Archs = true, map[string]int64{"db:1": 999}, []string{"amd64", "arm64"}
	keeper := database(2)
	keeper.Arch = "arm64"
	keeper.Credentials = &manifesttypes.Credentials{Host: "https://registry.test/", Username: "reader", Password: "secret"}
	keeper.Volumes = append(keeper.Volumes, manifesttypes.Volume{
		Name: "shm", Bytes: 1 << 20, Mount: "/dev/shm", Attributes: []manifesttypes.Attribute{{Key: "class", Value: "ram"}, {Key: "persistent", Value: "false"}},
	})
	keeper.Volumes[1].ReadOnly = true
	devices.GPUs = []gpuKind{{"amd", "amd.com/gpu", ""}, {"nvidia", "nvidia.com/gpu", "nvidia"}}
	devices.Overheads = map[string]usage{"nvidia": {memory: 64 << 20}}
	devices.Devices = []device{
		nvidiaDevice("NVIDIA-A100-SXM4-80GB", "81920"), nvidiaDevice("NVIDIA-A100-PCIE-40GB", "40960"), nvidiaDevice("Tesla-T4", "15360"),
	}
	trainer := clustertest.Service("trainer", "train:1")
	trainer.Gpu, trainer.GpuAttributes = 2, []manifesttypes.Attribute{
		{Key: "vendor/amd/model/mi300x", Value: "true"}, {Key: "vendor/nvidia/model/a100", Value: "true"},
	}

	edge := clustertest.Service("edge", "edge:1")
	edge.Expose[0].Accept = []string{"shop.east.test", "shop.example.com"}
	edge.Expose[0].HttpOptions = &manifesttypes.HTTPOptions{
		MaxBodyBytes: 1 << 20, ReadTimeoutMs: 90_500, SendTimeoutMs: 60_000, NextTries: 4, NextCases: []string{"503", "error"},
	}
	edge.Expose = append(edge.Expose,
		manifesttypes.Expose{Port: 8081, As: 8081, Proto: manifesttypes.PROTO_HTTP, To: anyone()},
		manifesttypes.Expose{Port: 9090, As: 9090, Proto: manifesttypes.PROTO_HTTP, HttpOptions: &manifesttypes.HTTPOptions{H2C: true}, To: anyone()},
		manifesttypes.Expose{Port: 8443, As: 443, Proto: manifesttypes.PROTO_HTTPS, Accept: []string{"secure.example.com"}, To: anyone()})
	traefik := testSettings()
	traefik.Able = routeAbilities{
		Carrier: carrierTraefik, Extensions: true, TLSRoute: "v1alpha3", Passthrough: []string{"*"}, EdgeTLS: true, EdgeListener: "https", HTTPListener: "http",
	}
	traefik.HTTPSRedirect, traefik.HTTPSPort, traefik.MaxTimeout = true, 8443, 10*time.Minute
	traefikIngress := traefik
	traefikIngress.Routes, traefikIngress.IngressClass, traefikIngress.HTTPSRedirect = RouteIngress, "traefik", false
	nginx := traefikIngress
	nginx.IngressClass, nginx.Able = "nginx", routeAbilities{Carrier: carrierNginx, Passthrough: []string{"*"}}

	leased, also := clustertest.Service("leased", "dns:1"), clustertest.Service("also", "web:1")
	at := func(ip string) []manifesttypes.To { return []manifesttypes.To{{Global: true, Ip: ip}} }
	leased.Expose = []manifesttypes.Expose{
		{Port: 5353, As: 53, Proto: manifesttypes.PROTO_UDP, To: at("one")}, {Port: 5353, As: 53, Proto: manifesttypes.PROTO_TCP, To: at("one")},
		{Port: 22, As: 22, Proto: manifesttypes.PROTO_TCP, To: at("two")},
	}
	also.Expose[0].To = at("one")
	addresses := testSettings()
	addresses.LeasedIPs = LeasedIPs{Count: 8, Class: "metal", Annotations: map[string]string{"pool.example/name": "leased"}, SharingKey: "pool.example/share"}

	out := map[string]c{
		"database":        {stored, []manifesttypes.Service{keeper}, allStart},
		"gpu":             {devices, []manifesttypes.Service{trainer}, allStart},
		"edge":            {traefik, []manifesttypes.Service{edge}, allStart},
		"traefik-ingress": {traefikIngress, []manifesttypes.Service{edge}, allStart},
		"nginx":           {nginx, []manifesttypes.Service{edge}, allStart},
		"addresses":       {addresses, []manifesttypes.Service{also, leased}, allStart},
		"web":             {testSettings(), []manifesttypes.Service{clustertest.Service("web", "hello:1")}, allStart},
		"depends":         {testSettings(), []manifesttypes.Service{api, web}, func(s string) bool { return s != "web" }},
		"ingress":         {ingress, []manifesttypes.Service{web}, allStart},
		"restricted":      {restricted, []manifesttypes.Service{db}, allStart},
		"worker":          {testSettings(), []manifesttypes.Service{worker}, allStart},
	}
	maps.Copy(out, caredGolden())
	return out
}

func TestGolden(t *testing.T) {
	for name, tc := range goldenCases() {
		t.Run(name, func(t *testing.T) {
			objects, err := render(clustertest.Workload(testLease, tc.services...), tc.settings, tc.starts)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, u := range objects {
				y, err := yaml.Marshal(u.Object)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "---\n%s", y)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the rendering differs from %s; look at it with -update and git diff", file)
			}
		})
	}
}

// order is the place of a kind in an apply: what confines comes before what runs.
var order = []string{
	kindNamespace, kindSecret, kindServiceAccount, kindNetworkPolicy, kindQuota, kindLimitRange, kindService, kindDeployment, kindStatefulSet,
	kindAutoscaler, kindCronJob, kindHTTPRoute, kindTLSRoute, kindIngress, kindMiddleware, kindServersTransport, kindTraefikService, kindIngressRoute,
	kindIngressRouteTCP, kindJob,
}

// checkObjects holds what is true of every rendering: allow-listed kinds, all in the lease's namespace, legal names
// that are used once, limits before workloads.
func checkObjects(t rapid.TB, id markettypes.LeaseID, objects []*unstructured.Unstructured) {
	ns := namespaceOf(id)
	if len(validation.IsDNS1123Label(ns)) > 0 {
		t.Fatalf("namespace %q", ns)
	}
	seen := map[key]bool{}
	deployments := false
	for i, u := range objects {
		k := keyOf(u)
		switch {
		case !slices.Contains(order, k.kind):
			t.Fatalf("kind %s is not allowed", k.kind)
		case i == 0 && (k.kind != kindNamespace || k.name != ns), i > 0 && (k.kind == kindNamespace || u.GetNamespace() != ns):
			t.Fatalf("object %d is %v in namespace %q, want it in %s", i, k, u.GetNamespace(), ns)
		case seen[k]:
			t.Fatalf("%v is rendered twice", k)
		case len(k.name) > 63 || len(validation.IsDNS1123Subdomain(k.name)) > 0:
			t.Fatalf("name %q", k.name)
		case k.kind == kindService && len(validation.IsDNS1035Label(k.name)) > 0:
			t.Fatalf("service name %q", k.name)
		case deployments && (k.kind == kindNetworkPolicy || k.kind == kindQuota || k.kind == kindLimitRange):
			t.Fatalf("%v comes after a workload", k)
		case u.GetLabels()[labelManagedBy] != manager || u.GetLabels()[labelLease] != ns:
			t.Fatalf("%v lacks the labels by which it is found again", k)
		}
		seen[k] = true
		deployments = deployments || k.kind == kindDeployment
		for key, v := range u.GetLabels() {
			if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(v)) > 0 {
				t.Fatalf("%v: label %s=%s", k, key, v)
			}
		}
	}
}

func as[T any](t rapid.TB, u *unstructured.Unstructured) T {
	var out T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func evaluator(t testing.TB) policy.Evaluator {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestPodSecurity holds that instances pass the level which their namespace enforces, whatever a valid manifest says,
// and that those of unknown images run in a user namespace.
func TestPodSecurity(t *testing.T) {
	eval := evaluator(t)
	rapid.Check(t, func(t *rapid.T) {
		id, g := clustertest.Leases().Draw(t, "lease"), clustertest.Groups().Draw(t, "group")
		s := testSettings()
		s.ImageUsers = map[string]int64{}
		for _, sv := range g.Services {
			if rapid.Bool().Draw(t, "user known") {
				s.ImageUsers[sv.Image] = 1000
			}
		}
		if rapid.Bool().Draw(t, "ingress") {
			s.Routes = RouteIngress
		}
		objects, err := render(clustertest.Workload(id, g.Services...), s, allStart)
		if errors.Is(err, cluster.ErrRefused) {
			t.Skip("refused")
		}
		if err != nil {
			t.Fatal(err)
		}
		checkObjects(t, id, objects)
		level, err := api.ParseLevel(objects[0].GetLabels()["pod-security.kubernetes.io/enforce"])
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range objects {
			if u.GetKind() == kindDeployment {
				d := as[deployment](t, u)
				checkPod(t, eval, level, &d.Spec.Template, s)
			}
		}
	})
}

// deployment is what the tests need of one.
type deployment struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas int32                  `json:"replicas"`
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

func checkPod(t rapid.TB, eval policy.Evaluator, level api.Level, p *corev1.PodTemplateSpec, s settings) {
	for _, r := range eval.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &p.ObjectMeta, &p.Spec) {
		if !r.Allowed {
			t.Fatalf("pod of %s is refused at level %s: %s: %s", p.Labels[labelService], level, r.ForbiddenReason, r.ForbiddenDetail)
		}
	}
	c := p.Spec.Containers[0]
	_, known := s.ImageUsers[c.Image]
	if mapped := p.Spec.HostUsers != nil && !*p.Spec.HostUsers; !mapped && !known {
		t.Fatalf("image %s runs with the host's users", c.Image)
	}
	if known && len(c.SecurityContext.Capabilities.Add) > 0 {
		t.Fatalf("image %s of a known user has capabilities", c.Image)
	}
	if *p.Spec.AutomountServiceAccountToken || *p.Spec.EnableServiceLinks || *c.SecurityContext.AllowPrivilegeEscalation {
		t.Fatalf("pod %+v", p.Spec)
	}
	for name, limit := range c.Resources.Limits {
		if request := c.Resources.Requests[name]; request.Cmp(limit) != 0 || limit.Sign() <= 0 {
			t.Fatalf("%s: request %s, limit %s", name, request.String(), limit.String())
		}
	}
}

// TestRefusals holds that each refusal names its field.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*manifesttypes.Service, *settings)
		field  string
	}{
		"name with a digit first": {func(s *manifesttypes.Service, _ *settings) { s.Name = "1web" }, "services.1web.name"},
		"name with a slash":       {func(s *manifesttypes.Service, _ *settings) { s.Name = "../x" }, "services.../x.name"},
		"no image":                {func(s *manifesttypes.Service, _ *settings) { s.Image = "" }, "services.web.image"},
		"image with a space":      {func(s *manifesttypes.Service, _ *settings) { s.Image = "a b" }, "services.web.image"},
		"no user namespaces":      {func(_ *manifesttypes.Service, s *settings) { s.UserNamespaces = false }, "no user namespaces"},
		"no instances":            {func(s *manifesttypes.Service, _ *settings) { s.Count = 0 }, "services.web.count"},
		"no cpu":                  {func(s *manifesttypes.Service, _ *settings) { s.CpuMilli = 0 }, "services.web.cpu"},
		"no memory":               {func(s *manifesttypes.Service, _ *settings) { s.MemoryBytes = 1<<60 + 1 }, "services.web.memory"},
		"env without a name":      {func(s *manifesttypes.Service, _ *settings) { s.Env = []manifesttypes.EnvVar{{}} }, "services.web.env[0]"},
		"env twice": {func(s *manifesttypes.Service, _ *settings) {
			s.Env = []manifesttypes.EnvVar{{Name: "A"}, {Name: "A"}}
		}, "services.web.env[1]"},
		"persistent volume": {func(s *manifesttypes.Service, _ *settings) {
			s.Volumes[0].Attributes = []manifesttypes.Attribute{{Key: "persistent", Value: "true"}}
		}, "services.web.volumes[0]"},
		"mount outside":     {func(s *manifesttypes.Service, _ *settings) { s.Volumes[0].Mount = "/a/../.." }, "services.web.volumes[0].mount"},
		"mount of the root": {func(s *manifesttypes.Service, _ *settings) { s.Volumes[0].Mount = "/" }, "services.web.volumes[0].mount"},
		"port 0":            {func(s *manifesttypes.Service, _ *settings) { s.Expose[0].Port = 0 }, "services.web.expose[0].port"},
		"as 65536":          {func(s *manifesttypes.Service, _ *settings) { s.Expose[0].As = 65536 }, "services.web.expose[0].as"},
		"unknown protocol":  {func(s *manifesttypes.Service, _ *settings) { s.Expose[0].Proto = 9 }, "services.web.expose[0].proto"},
		"two ports as one": {func(s *manifesttypes.Service, _ *settings) {
			s.Expose = append(s.Expose, manifesttypes.Expose{Port: 1, As: 80, Proto: manifesttypes.PROTO_TCP})
		}, "services.web.expose[1].as"},
		"host of another lease": {func(s *manifesttypes.Service, _ *settings) {
			s.Expose[0].Accept = []string{"web-0123abcd.east.test"}
		}, "services.web.expose[0].accept[0]"},
		"host that is none": {func(s *manifesttypes.Service, _ *settings) { s.Expose[0].Accept = []string{"*.x"} }, "services.web.expose[0].accept[0]"},
		"https without passthrough": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].Proto, x.Able.Passthrough = manifesttypes.PROTO_HTTPS, nil
		}, "services.web.expose[0].proto"},
		"https of a host that no listener passes": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].Proto, s.Expose[0].Accept, x.Able.Passthrough = manifesttypes.PROTO_HTTPS, []string{"www.example.com"}, []string{"*.east.test"}
		}, "services.web.expose[0].accept[0]"},
		"leased address": {func(s *manifesttypes.Service, _ *settings) { s.Expose[0].To[0].Ip = "one" }, "services.web.expose[0].to.ip"},
		"options without a route": {func(s *manifesttypes.Service, _ *settings) {
			s.Expose[0].HttpOptions, s.Expose[0].To = &manifesttypes.HTTPOptions{}, []manifesttypes.To{{Service: "a"}}
		}, "services.web.expose[0].http_options"},
		"body":           {refusedOption(manifesttypes.HTTPOptions{MaxBodyBytes: 1}), "services.web.expose[0].http_options.max_body_size"},
		"read timeout":   {refusedOption(manifesttypes.HTTPOptions{ReadTimeoutMs: 1}), "services.web.expose[0].http_options.read_timeout"},
		"send timeout":   {refusedOption(manifesttypes.HTTPOptions{SendTimeoutMs: 1}), "services.web.expose[0].http_options.send_timeout"},
		"tries":          {refusedOption(manifesttypes.HTTPOptions{NextTries: 2}), "services.web.expose[0].http_options.next_tries"},
		"cases":          {refusedOption(manifesttypes.HTTPOptions{NextCases: []string{"off"}}), "services.web.expose[0].http_options.next_cases"},
		"time for tries": {refusedOption(manifesttypes.HTTPOptions{NextTimeoutMs: 1}), "services.web.expose[0].http_options.next_timeout"},
		"buffer":         {refusedOption(manifesttypes.HTTPOptions{ProxyBufferBytes: 1}), "services.web.expose[0].http_options.proxy_buffer_size"},
		"h2c":            {refusedOption(manifesttypes.HTTPOptions{H2C: true}), "services.web.expose[0].http_options.h2c"},
		"unknown case":   {refusedOption(manifesttypes.HTTPOptions{NextCases: []string{"418) || IsNetworkError("}}), "services.web.expose[0].http_options.next_cases[0]"},
		"read timeout of h2c": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].HttpOptions, x.Able.Extensions = &manifesttypes.HTTPOptions{H2C: true, ReadTimeoutMs: 1}, true
		}, "services.web.expose[0].http_options.read_timeout"},
		"longer than allowed": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].HttpOptions, x.Able.Extensions = &manifesttypes.HTTPOptions{ReadTimeoutMs: 60_001}, true
		}, "services.web.expose[0].http_options.read_timeout: 1m0.001s, this provider allows at most 1m0s"},
		"more than allowed": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].HttpOptions, x.Able.Extensions, x.MaxBody = &manifesttypes.HTTPOptions{MaxBodyBytes: 1001}, true, 1000
		}, "services.web.expose[0].http_options.max_body_size"},
		"more tries than traefik makes": {func(s *manifesttypes.Service, x *settings) {
			s.Expose[0].HttpOptions, x.Able.Extensions = &manifesttypes.HTTPOptions{NextTries: 11}, true
		}, "services.web.expose[0].http_options.next_tries"},
		"nothing to route with": {func(_ *manifesttypes.Service, s *settings) { s.Routes = "" }, "services.web.expose"},
	} {
		t.Run(name, func(t *testing.T) {
			sv, s := clustertest.Service("web", "hello:1"), testSettings()
			tc.change(&sv, &s)
			_, err := render(clustertest.Workload(testLease, sv), s, allStart)
			if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), tc.field) {
				t.Errorf("got %v, want a refusal that names %s", err, tc.field)
			}
		})
	}
}

// refusedOption sets an option, which a Gateway with no settings of its own cannot honour.
func refusedOption(h manifesttypes.HTTPOptions) func(*manifesttypes.Service, *settings) {
	return func(s *manifesttypes.Service, _ *settings) { s.Expose[0].HttpOptions = &h }
}

// TestRefusedAddresses: an address has a port once, and is shared between services only where the cluster can do that.
func TestRefusedAddresses(t *testing.T) {
	service := func(name string, as uint32) manifesttypes.Service {
		s := clustertest.Service(name, "hello:1")
		s.Expose[0] = manifesttypes.Expose{Port: 80, As: as, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Global: true, Ip: "one"}}}
		return s
	}
	shared, own := testSettings(), testSettings()
	shared.LeasedIPs, own.LeasedIPs = LeasedIPs{Count: 2, SharingKey: "example.com/share"}, LeasedIPs{Count: 2}
	for name, tc := range map[string]struct {
		settings settings
		second   uint32
		err      string
	}{
		"shared":             {shared, 81, ""},
		"one port twice":     {shared, 80, "services.b.expose[0].to.ip: the address has port 80"},
		"cannot be shared":   {own, 81, "services.b.expose[0].to.ip: the address is that of service a"},
		"leases no address ": {testSettings(), 81, "services.a.expose[0].to.ip: this provider leases no addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(clustertest.Workload(testLease, service("a", 80), service("b", tc.second)), tc.settings, allStart)
			if tc.err == "" && err != nil || tc.err != "" && (!errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}

func TestRefusalNamesEverything(t *testing.T) {
	sv := clustertest.Service("web", "")
	sv.Count, sv.Expose[0].Port = 0, 0
	_, err := render(clustertest.Workload(testLease, sv), testSettings(), allStart)
	for _, field := range []string{"image", "count", "expose[0].port"} {
		if err == nil || !strings.Contains(err.Error(), "services.web."+field) {
			t.Errorf("refusal %v does not name %s", err, field)
		}
	}
	if _, err := render(clustertest.Workload(testLease), testSettings(), allStart); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("a workload without services: %v", err)
	}
}

// TestNameClash holds that a service that is named as an object of another one is refused and overwrites nothing.
func TestNameClash(t *testing.T) {
	web := clustertest.Service("web", "hello:1")
	web.Expose[0].Proto = manifesttypes.PROTO_TCP
	twin := clustertest.Service(portsName("web"), "hello:1")
	_, err := render(clustertest.Workload(testLease, twin, web), testSettings(), allStart)
	if !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// FuzzHostile gives strings of all kinds to every place that a tenant fills: the rendering is in order or refused.
func FuzzHostile(f *testing.F) {
	f.Add("web", "hello:1", "A", "x", "/data", "www.example.com", uint32(80), uint32(8080), int32(1))
	f.Add("../kube-system", "a\nb", "A=B", "\x00", "/proc/../..", "*.east.test", uint32(0), uint32(70000), int32(-1))
	f.Add("web", "hello:1", "LD_PRELOAD", "$(X)", "/var/run/secrets", "web-00000000.east.test", uint32(65535), uint32(1), int32(4))
	f.Fuzz(func(t *testing.T, name, image, env, value, mount, host string, as, port uint32, proto int32) {
		id := testLease
		id.Owner = value
		sv := clustertest.Service(name, image)
		sv.Command, sv.Args = []string{value}, []string{env}
		sv.Env = []manifesttypes.EnvVar{{Name: env, Value: value}}
		sv.Volumes = []manifesttypes.Volume{{Name: name, Bytes: uint64(as), Mount: mount}}
		sv.Expose = []manifesttypes.Expose{{
			Port: port, As: as, Proto: manifesttypes.Proto(proto), Accept: []string{host},
			To: []manifesttypes.To{{Global: true}, {Service: host}},
		}}
		w := cluster.Workload{Lease: id, Group: manifesttypes.Group{Services: []manifesttypes.Service{sv}}}
		objects, err := render(w, testSettings(), allStart)
		if err != nil {
			if !errors.Is(err, cluster.ErrRefused) {
				t.Fatal(err)
			}
			return
		}
		checkObjects(t, id, objects)
	})
}

// TestClosedRanges holds that nothing private or of the cluster is left in what is called the internet, and that no
// exception is written twice, which some enforcers refuse.
func TestClosedRanges(t *testing.T) {
	r := rendering{settings: testSettings()}
	if got := r.allowInternet().Spec.Egress[0].To; len(got) != 1 || got[0].IPBlock.CIDR != anyIPv4 {
		t.Errorf("a cluster without IPv6 opens %+v", got)
	}
	r.IPv6 = true
	p := r.allowInternet()
	blocks := p.Spec.Egress[0].To
	for i, want := range [][]string{
		{"10.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "203.0.113.7/32", "172.16.0.0/12", "192.168.0.0/16"},
		{"fc00::/7", "fe80::/10", "2001:db8::/64"},
	} {
		for _, cidr := range want {
			if !slices.Contains(blocks[i].IPBlock.Except, cidr) {
				t.Errorf("%s is not closed: %v", cidr, blocks[i].IPBlock.Except)
			}
		}
	}
	if slices.Contains(blocks[0].IPBlock.Except, "10.244.0.0/16") {
		t.Error("a range inside of another one is written as well")
	}
}

// TestPoliciesFollowExpose holds the table of expose.to: which policies open which ports to whom.
func TestPoliciesFollowExpose(t *testing.T) {
	for name, tc := range map[string]struct {
		to   []manifesttypes.To
		http bool
		want []string // direction, subject, peer
	}{
		"nobody":                     {nil, false, nil},
		"one service":                {[]manifesttypes.To{{Service: "a"}}, false, []string{"in.db.from.a", "out.db.from.a"}},
		"one service, everywhere":    {[]manifesttypes.To{{Service: "a", Global: true}}, false, []string{"in.db.from.a", "out.db.from.a"}},
		"a service of another lease": {[]manifesttypes.To{{Service: "z", Global: true}}, false, nil},
		"itself":                     {[]manifesttypes.To{{Service: "db"}}, false, []string{"in.db.from.db", "out.db.from.db"}},
		"anyone by port":             {anyone(), false, []string{"in.db.any", "in.db.outside", "out.db.any"}},
		"anyone by host":             {anyone(), true, []string{"in.db.any", "in.db.outside", "out.db.any"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, db := clustertest.Service("a", "hello:1"), clustertest.Service("db", "hello:1")
			a.Expose, db.Expose[0].To = nil, tc.to
			if !tc.http {
				db.Expose[0].Proto = manifesttypes.PROTO_TCP
			}
			objects, err := render(clustertest.Workload(testLease, a, db), testSettings(), allStart)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range objects {
				if u.GetKind() != kindNetworkPolicy || slices.Contains([]string{"deny-all", "allow-dns", "allow-internet", "allow-entries"}, u.GetName()) {
					continue
				}
				got = append(got, u.GetName())
				if u.GetName() == "in.db.outside" {
					checkOutside(t, as[networkingv1.NetworkPolicy](t, u), tc.http)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("policies %v, want %v", got, tc.want)
			}
		})
	}
}

func checkOutside(t *testing.T, p networkingv1.NetworkPolicy, http bool) {
	t.Helper()
	if len(p.Spec.Ingress) != 1 {
		t.Fatalf("rules %+v", p.Spec.Ingress)
	}
	rule := p.Spec.Ingress[0]
	if rule.Ports[0].Port.IntValue() != 8080 {
		t.Errorf("opens port %v, want the container's", rule.Ports[0].Port)
	}
	if byHost := len(rule.From) > 0; byHost != http {
		t.Errorf("opens to %+v, want http=%v", rule.From, http)
	}
}

// tenServices are a workload of usual size.
func tenServices() cluster.Workload {
	var services []manifesttypes.Service
	for i := range 10 {
		sv := clustertest.Service(fmt.Sprintf("s%d", i), "hello:1")
		sv.Env = []manifesttypes.EnvVar{{Name: "A", Value: "b"}}
		sv.Expose = append(sv.Expose, manifesttypes.Expose{Port: 1, As: 1, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "s0"}}})
		services = append(services, sv)
	}
	return clustertest.Workload(testLease, services...)
}

func BenchmarkRender(b *testing.B) {
	w, s := tenServices(), testSettings()
	for b.Loop() {
		if _, err := render(w, s, allStart); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOvercommit: what is sold more than there is is asked of the scheduler for less, and limited as sold.
func TestOvercommit(t *testing.T) {
	r := rendering{settings: settings{GPUs: []gpuKind{{Resource: "nvidia.com/gpu"}}, Devices: []device{{Resource: "nvidia.com/gpu"}}, Overcommit: Overcommit{CPU: 1500, Memory: 2000}}}
	got := r.resources(manifesttypes.Service{CpuMilli: 1000, MemoryBytes: 1 << 30, Gpu: 1, Volumes: []manifesttypes.Volume{
		{Name: "shm", Bytes: 1 << 20, Attributes: []manifesttypes.Attribute{{Key: "class", Value: "ram"}}}, {Name: "tmp", Bytes: 1 << 26},
	}})
	amounts := func(l corev1.ResourceList) usage {
		return accounting{gpus: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}}.amounts(l)
	}
	want, limit := usage{cpu: 666, memory: (1<<30 + 1<<20) / 2, storage: 1 << 26, gpus: [maxDevices]int64{1}}, usage{cpu: 1000, memory: 1<<30 + 1<<20, storage: 1 << 26, gpus: [maxDevices]int64{1}}
	if amounts(got.Requests) != want || amounts(got.Limits) != limit {
		t.Errorf("requests %+v, limits %+v, want %+v, %+v", amounts(got.Requests), amounts(got.Limits), want, limit)
	}
	if p := part(1, 10_000); p != 1 {
		t.Errorf("the least amount becomes %d", p)
	}
}

var restrictedLevel = api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
