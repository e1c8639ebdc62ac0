package kube

import (
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// howMany reads a number of cases from the environment, for campaigns that take longer than a test should.
func howMany(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// bountiful draws settings of a cluster that has all that a manifest may ask for, one way or another.
func bountiful(t *rapid.T) settings {
	s := testSettings()
	s.Metrics, s.Archs = true, []string{"amd64", "arm64"}
	s.StorageClasses = map[string]storageClass{"default": {Name: "disk"}, "beta1": {Name: "hdd"}, "beta2": {Name: "ssd"}, "beta3": {Name: "nvme"}}
	s.GPUs = []gpuKind{{Vendor: "amd", Resource: "amd.com/gpu"}, {Vendor: "nvidia", Resource: "nvidia.com/gpu", RuntimeClass: rapid.SampledFrom([]string{"", "nvidia"}).Draw(t, "class of devices")}}
	s.Devices = []device{
		nvidiaDevice("NVIDIA-A100-SXM4-80GB", "81920"), nvidiaDevice("Tesla-T4", "15360"), {Resource: "amd.com/gpu", Class: cluster.GPU{Vendor: "amd"}},
	}
	s.RuntimeClass = rapid.SampledFrom([]string{"", "gvisor"}).Draw(t, "runtime class")
	s.Overheads = map[string]usage{"gvisor": {cpu: 10, memory: 16 << 20}, "nvidia": {memory: 1 << 20}}
	s.LeasedIPs = LeasedIPs{Count: 1000, SharingKey: "pool.example/share"}
	s.Overcommit = rapid.SampledFrom([]Overcommit{{}, {CPU: 2000, Memory: 1500, Storage: 1100}}).Draw(t, "overcommit")
	s.IPv6 = rapid.Bool().Draw(t, "ipv6")
	s.Link.Peers = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "198.51.100.7/32"}}}
	able := routeAbilities{
		Carrier: carrierTraefik, Extensions: true, BackendTimeout: true, BackendH2C: true, TLSRoute: "v1alpha3", Passthrough: []string{"*"}, EdgeTLS: true,
		EdgeListener: "https", HTTPListener: "http",
	}
	s.Able = rapid.SampledFrom([]routeAbilities{able, s.Able}).Draw(t, "able")
	if rapid.Bool().Draw(t, "ingress") {
		s.Routes, s.IngressClass, s.Able = RouteIngress, "traefik", able
	}
	return s
}

// TestManifestsPassPodSecurity holds that every pod of BERTH_MANIFESTS random valid manifests passes the level that its
// namespace enforces: `restricted`, or `baseline` with a user namespace and exactly the six capabilities. Manifests have all
// that they may have, and clusters all that they may be asked for; hooks run, first on an empty cluster and then as an
// update of the manifest without them. What the driver refuses all the same is refused by name.
func TestManifestsPassPodSecurity(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := flag.Set("rapid.checks", strconv.Itoa(howMany(t, "BERTH_MANIFESTS", 300))); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set("rapid.checks", before) }()
	eval := evaluator(t)
	pods, drawn, refusals := map[string]int{}, 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		id, plain := clustertest.Leases().Draw(t, "lease"), clustertest.Groups().Draw(t, "group")
		s := bountiful(t)
		s.ImageUsers = map[string]int64{}
		for _, sv := range plain.Services {
			if rapid.Bool().Draw(t, "user known") {
				s.ImageUsers[sv.Image] = 1000
			}
		}
		adorned := clustertest.Workload(id, clustertest.Adorned(t, plain).Services...)
		drawn++
		look := func(objects []*unstructured.Unstructured) {
			level, err := api.ParseLevel(objects[0].GetLabels()["pod-security.kubernetes.io/enforce"])
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range objects {
				if p := templateOf(t, u); p != nil {
					pods[u.GetKind()]++
					checkConfined(t, eval, level, p, s)
				}
			}
		}
		objects, err := render(adorned, s, allStart)
		if err != nil {
			refusals[brand(err)]++
			if !errors.Is(err, cluster.ErrRefused) || !namesField(err) {
				t.Fatalf("a refusal names no field: %v", err)
			}
			return
		}
		checkObjects(t, id, objects)
		look(objects)
		for _, have := range []live{{}, aliveAs(t, plain, id, s)} {
			ch, err := changesFor(adorned, s, have, sight{now: time.Unix(1, 0)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			look(append([]*unstructured.Unstructured{objects[0]}, ch.apply...))
		}
	})
	t.Logf("pods of %d manifests: %v; refused: %v", drawn, pods, refusals)
	if n := drawn; len(refusals) > 0 && slices.Max(slices.Collect(maps.Values(refusals)))*20 > n {
		t.Errorf("more than one of twenty of %d manifests are refused for one reason: %v", n, refusals)
	}
}

// aliveAs is what a cluster holds of a lease that runs a group; nothing if the group cannot be rendered.
func aliveAs(t rapid.TB, g manifesttypes.Group, id markettypes.LeaseID, s settings) live {
	objects, err := render(clustertest.Workload(id, slices.Clone(g.Services)...), s, allStart)
	if err != nil && !errors.Is(err, cluster.ErrRefused) {
		t.Fatal(err)
	}
	l := live{}
	for _, u := range objects {
		l[keyOf(u)] = u
	}
	return l
}

// brand is what a refusal says first, without what differs from manifest to manifest.
func brand(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return regexp.MustCompile(`services\.[^ :.]*|"[^"]*"|[0-9]+`).ReplaceAllString(line, "*")
}

// templateOf is the pod template of a workload of any kind; nil for what has none.
func templateOf(t rapid.TB, u *unstructured.Unstructured) *corev1.PodTemplateSpec {
	for _, path := range [][]string{{"spec", "jobTemplate", "spec", "template"}, {"spec", "template"}} {
		if m, ok, _ := unstructured.NestedMap(u.Object, path...); ok {
			var p corev1.PodTemplateSpec
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &p); err != nil {
				t.Fatal(err)
			}
			return &p
		}
	}
	return nil
}

func checkConfined(t rapid.TB, eval policy.Evaluator, level api.Level, p *corev1.PodTemplateSpec, s settings) {
	for _, r := range eval.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &p.ObjectMeta, &p.Spec) {
		if !r.Allowed {
			t.Fatalf("pod of %s is refused at level %s: %s: %s", p.Labels[labelService], level, r.ForbiddenReason, r.ForbiddenDetail)
		}
	}
	if p.Spec.AutomountServiceAccountToken == nil || *p.Spec.AutomountServiceAccountToken || p.Spec.EnableServiceLinks == nil || *p.Spec.EnableServiceLinks {
		t.Fatalf("pod of %s gets a token or links", p.Labels[labelService])
	}
	mapped := p.Spec.HostUsers != nil && !*p.Spec.HostUsers
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil || *c.SecurityContext.AllowPrivilegeEscalation ||
			!slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Fatalf("container %s: %+v", c.Name, c.SecurityContext)
		}
		added := slices.Clone(c.SecurityContext.Capabilities.Add)
		slices.Sort(added)
		_, known := s.ImageUsers[c.Image]
		switch {
		case known && len(added) > 0, level == api.LevelRestricted && (len(added) > 0 || !known):
			t.Fatalf("container %s of a known user, at level %s, has capabilities %v", c.Name, level, added)
		case !known && (!mapped || !slices.Equal(added, rootCapabilities)):
			t.Fatalf("container %s may be root: user namespace %v, capabilities %v", c.Name, mapped, added)
		}
		for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			if limit := c.Resources.Limits[r]; limit.Sign() <= 0 {
				t.Fatalf("container %s has no limit of %s", c.Name, r)
			}
		}
	}
}

// namesField tells whether a refusal says which part of the manifest it is about.
func namesField(err error) bool {
	return strings.Contains(err.Error(), "services") || strings.Contains(err.Error(), "rename a service")
}

// hostileTexts are what has broken programs that put the words of strangers into names, paths and documents.
var hostileTexts = []string{
	"", " ", ".", "..", "/", "../../etc/passwd", "kube-system", "default", "-", "--", "-v=9", "$(PATH)", "$$", "${IFS}", "`id`", "{{.Values}}", "%s%n", "a\x00b",
	"a\nb: c", "\r\n", "\t", "\u202e", "\u200b", "日本", "é", "\xff\xfe", "'; DROP TABLE", "\"", "\\", "<script>", "&amp;", "*", "*.example.com", "null", "true", "~", "0", "-1",
	"1e9", "18446744073709551616", "web", "WEB", "web.", "xn--80ak6aa92e", "lease-0123456789abcdef0123456789abcdef", "deny-all", "manifest", "workload", "allow-internet",
	"web-0123abcd.east.test", "east.test", "localhost", "169.254.169.254", "::1", "kubernetes.default.svc", "berth.dev/lease", "app.kubernetes.io/managed-by",
	"/var/run/secrets/kubernetes.io", "/proc/self/root", "/dev/../etc", "/data/.", "//", "LD_PRELOAD", "A=B", "KUBERNETES_SERVICE_HOST",
}

// hostile makes manifests of the words above and of noise.
type hostile struct{ *rand.Rand }

func (h hostile) text() string {
	switch h.IntN(6) {
	case 0:
		b := make([]byte, h.IntN(12))
		for i := range b {
			b[i] = byte(h.Uint32())
		}
		return string(b)
	case 1:
		return strings.Repeat(hostileTexts[h.IntN(len(hostileTexts))], 1+h.IntN(300))
	case 2:
		return hostileTexts[h.IntN(len(hostileTexts))] + hostileTexts[h.IntN(len(hostileTexts))]
	}
	return hostileTexts[h.IntN(len(hostileTexts))]
}

// or is something harmless most of the time, so that one manifest is refused for one thing only.
func (h hostile) or(harmless string) string {
	if h.IntN(12) > 0 {
		return harmless
	}
	return h.text()
}

func (h hostile) number(harmless uint64) uint64 {
	if h.IntN(20) > 0 {
		return harmless
	}
	return []uint64{0, 1, 1 << 31, 1<<32 - 1, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1, 65536}[h.IntN(9)]
}

func (h hostile) service(i int) manifesttypes.Service {
	s := clustertest.Service(h.or("web"+strconv.Itoa(i)), h.or("hello:1"))
	s.Command, s.Args = []string{h.text()}, []string{h.text(), h.text()}
	s.Count, s.CpuMilli, s.MemoryBytes, s.Gpu = uint32(h.number(1)), h.number(100), h.number(1<<20), uint32(h.number(0))
	s.Env = []manifesttypes.EnvVar{{Name: h.or("A"), Value: h.or("b")}, {Name: h.or("C"), Value: h.or("d")}}
	s.DependsOn = []string{h.or("web0")}
	s.Volumes = []manifesttypes.Volume{{
		Name: h.or("v"), Bytes: h.number(1 << 20), Mount: h.or("/data"), Attributes: []manifesttypes.Attribute{{Key: h.or("class"), Value: h.or("ram")}},
	}}
	s.Arch, s.Tee = "", ""
	if h.IntN(30) == 0 {
		s.Arch, s.Tee, s.Permissions = h.text(), h.text(), []string{h.text()}
		s.Credentials = &manifesttypes.Credentials{Host: h.text(), Username: h.text(), Password: h.text(), Email: h.text()}
		s.Hooks = []manifesttypes.Hook{{Name: h.text(), When: 1, Command: []string{h.text()}}}
		s.Probes = &manifesttypes.Probes{Liveness: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{Path: h.text(), Port: uint32(h.number(80))}}}
	}
	s.Expose = []manifesttypes.Expose{{
		Port: uint32(h.number(80)), As: uint32(h.number(80)), Proto: manifesttypes.Proto(h.number(uint64(1 + h.IntN(4)))), Accept: []string{h.or("www.example.com")},
		To: []manifesttypes.To{{Service: h.or("web0"), Global: h.IntN(2) == 0}, {Service: h.or(""), Global: true, Ip: h.or("")}},
	}}
	return s
}

// TestHostileManifests puts hostile text and numbers into every place that a tenant fills, BERTH_HOSTILE times: only
// objects of the driver's kinds come out, in the lease's namespace, with legal names; or a refusal that names a field.
func TestHostileManifests(t *testing.T) {
	n := howMany(t, "BERTH_HOSTILE", 3000)
	rendered := 0
	for seed := range n {
		h := hostile{rand.New(rand.NewPCG(uint64(seed), 6))}
		id := testLease
		id.Owner = h.or(id.Owner)
		var services []manifesttypes.Service
		for i := range 1 + h.IntN(2) {
			services = append(services, h.service(i))
		}
		w := cluster.Workload{Lease: id, Group: manifesttypes.Group{Name: h.text(), Salt: []byte(h.text()), Services: services}}
		objects, err := render(w, testSettings(), allStart)
		if err != nil {
			if !errors.Is(err, cluster.ErrRefused) || !namesField(err) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		rendered++
		checkObjects(t, id, objects)
	}
	t.Logf("%d hostile manifests: %d rendered, %d refused by the name of a field", n, rendered, n-rendered)
	if rendered == 0 || rendered == n {
		t.Errorf("%d of %d were rendered: nothing was tried", rendered, n)
	}
}
