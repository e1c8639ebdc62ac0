package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/doctor"
	markettypes "berth.dev/berth/x/market/types"
)

func (l *look) featureChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "abilities", What: "the driver and the cluster can do what the attributes claim", Run: l.checkAbilities,
			Mend: "remove the attribute from provider.yaml, or give the cluster what it lacks"},
		{Name: "storage", What: "the classes of persistent storage exist, can grow, and tell how much is left", Run: l.checkStorage,
			Mend: "kubectl get storageclasses,csistoragecapacities -A; set allowVolumeExpansion: true on the class"},
		{Name: "metrics", What: "the metrics of pods are served, which scaling needs", Run: l.checkMetrics,
			Mend: "install metrics-server: https://github.com/kubernetes-sigs/metrics-server"},
		{Name: "gpus", What: "the nodes have the graphics processors that the attributes claim, and tell their models", Run: l.checkGPUs,
			Mend: "install the vendor's device plugin and discovery, or label the nodes: kubectl label node NODE berth.dev/gpu.model=a100 berth.dev/gpu.ram=80Gi"},
		{Name: "runtime-class", What: "the runtime class of all pods exists", Run: l.checkRuntimeClass,
			Mend: "kubectl get runtimeclasses; set cluster.runtime_class in provider.yaml"},
		{Name: "leased-addresses", What: "the cluster gives addresses to load balancers, if addresses are leased", Run: l.checkAddresses,
			Mend: "install what gives addresses to load balancers, such as MetalLB, or remove ability/ip from the attributes"},
	}
}

const ability = "ability/"

// abilities are those that are claimed, in order.
func (l *look) abilities() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(l.Attributes)) {
		if name, ok := strings.CutPrefix(k, ability); ok && l.Attributes[k] == "true" {
			out = append(out, name)
		}
	}
	return out
}

// abilityTrials are manifests that ask for one ability each: what the driver refuses must not be claimed.
func abilityTrial(name string) (change func(*manifesttypes.Service), known bool) {
	kind, what, _ := strings.Cut(name, "/")
	switch kind {
	case "http":
		return func(s *manifesttypes.Service) {
			s.Expose[0].HttpOptions = &manifesttypes.HTTPOptions{MaxBodyBytes: 1 << 20}
		}, true
	case "ip":
		return func(s *manifesttypes.Service) {
			s.Expose[0].Proto, s.Expose[0].To[0].Ip = manifesttypes.PROTO_TCP, "address"
		}, true
	case "credentials":
		return func(s *manifesttypes.Service) {
			s.Credentials = &manifesttypes.Credentials{Host: "registry.example", Username: "u", Password: "p"}
		}, true
	case "cron":
		return func(s *manifesttypes.Service) {
			s.Expose, s.Cron = nil, &manifesttypes.Cron{Schedule: "@daily", Concurrency: manifesttypes.CONCURRENCY_FORBID}
		}, true
	case "autoscale":
		return func(s *manifesttypes.Service) {
			s.Count, s.Scale = 2, &manifesttypes.Scale{Min: 1, Triggers: []manifesttypes.Trigger{{Resource: what, UtilizationPercent: 80}}}
		}, true
	case "permissions":
		return func(s *manifesttypes.Service) { s.Permissions = []string{"logs"} }, true
	case "tee":
		return func(s *manifesttypes.Service) { s.Tee = what }, true
	case "arch":
		return func(s *manifesttypes.Service) { s.Arch = what }, true
	case "storage":
		return func(s *manifesttypes.Service) {
			v := manifesttypes.Volume{Name: "data", Bytes: 1 << 30, Mount: "/data", Attributes: []manifesttypes.Attribute{{Key: "class", Value: what}}}
			if what != "ram" {
				v.Attributes = append(v.Attributes, manifesttypes.Attribute{Key: "persistent", Value: "true"})
			}
			s.Volumes = []manifesttypes.Volume{v}
		}, true
	}
	return nil, false
}

// try renders a manifest that asks for an ability, and returns why it is refused, or nil.
func (l *look) try(s settings, change func(*manifesttypes.Service)) error {
	const image = "doctor"
	s.ImageUsers = map[string]int64{image: 1}
	sv := manifesttypes.Service{
		Name: "web", Image: image, Count: 1, CpuMilli: 100, MemoryBytes: 1 << 20, UnitId: 1,
		Expose: []manifesttypes.Expose{{Port: 80, As: 80, Proto: manifesttypes.PROTO_HTTP, To: []manifesttypes.To{{Global: true}}}},
	}
	change(&sv)
	_, err := render(cluster.Workload{
		Lease: markettypes.LeaseID{Owner: l.cfg.Provider, Dseq: 1, Gseq: 1, Oseq: 1, Provider: l.cfg.Provider},
		Group: manifesttypes.Group{Name: "doctor", Salt: make([]byte, 32), Services: []manifesttypes.Service{sv}},
	}, s, func(string) bool { return true })
	return err
}

func (l *look) checkAbilities(ctx context.Context) doctor.Finding {
	claimed := l.abilities()
	if len(claimed) == 0 {
		return doctor.Okf("none is claimed")
	}
	wrong, err := l.unkept(ctx, claimed)
	switch {
	case err != nil:
		return unread("what the cluster can do", err)
	case len(wrong) > 0:
		return doctor.Failf("%s", brief(wrong))
	}
	return doctor.Okf("%s", strings.Join(claimed, ", "))
}

// Unkept are the abilities that attributes claim and that manifests would be refused for, each with the reason.
func (c *Cluster) Unkept(ctx context.Context, attributes map[string]string) ([]string, error) {
	l := c.newLook(CheckOptions{Attributes: attributes})
	claimed := l.abilities()
	if len(claimed) == 0 {
		return nil, nil
	}
	wrong, err := l.unkept(ctx, claimed)
	if err != nil {
		return nil, fmt.Errorf("kube: compare what is claimed with what the cluster can do: %w", err)
	}
	return wrong, nil
}

func (l *look) unkept(ctx context.Context, claimed []string) (wrong []string, err error) {
	s, err := l.settled(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range claimed {
		change, known := abilityTrial(name)
		if !known {
			wrong = append(wrong, name+": there is no such ability")
			continue
		}
		if err := l.try(s, change); err != nil {
			_, why, _ := strings.Cut(err.Error(), "services.web.")
			wrong = append(wrong, fmt.Sprintf("%s: %s", name, or(why, err.Error())))
		}
		if arch, ok := strings.CutPrefix(name, "arch/"); ok && !haveArch(nodes, arch) {
			wrong = append(wrong, name+": no node that takes workloads has it")
		}
	}
	return wrong, nil
}

func haveArch(nodes []corev1.Node, arch string) bool {
	return slices.ContainsFunc(nodes, func(n corev1.Node) bool { return schedulable(&n) && n.Status.NodeInfo.Architecture == arch })
}

func (l *look) checkStorage(ctx context.Context) doctor.Finding {
	if len(l.cfg.StorageClasses) == 0 {
		return doctor.Okf("no persistent storage is sold")
	}
	classes, err := l.typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return unread("the storage classes", err)
	}
	pools, err := l.storagePools(ctx)
	if err != nil {
		return unread("how much storage is left", err)
	}
	var wrong, weak []string
	for _, name := range slices.Sorted(maps.Keys(l.cfg.StorageClasses)) {
		class := l.cfg.StorageClasses[name].Name
		i := slices.IndexFunc(classes.Items, func(c storagev1.StorageClass) bool { return c.Name == class })
		switch {
		case i < 0:
			wrong = append(wrong, fmt.Sprintf("%s: there is no class %s", name, class))
		case classes.Items[i].Provisioner == "" || strings.HasSuffix(classes.Items[i].Provisioner, "/no-provisioner"):
			wrong = append(wrong, fmt.Sprintf("%s: class %s makes no volumes by itself", name, class))
		case !pools[name].Known:
			weak = append(weak, fmt.Sprintf("%s: class %s does not tell how much is left, so none of it is sold", name, class))
		case classes.Items[i].AllowVolumeExpansion == nil || !*classes.Items[i].AllowVolumeExpansion:
			weak = append(weak, fmt.Sprintf("%s: volumes of class %s cannot grow", name, class))
		}
	}
	switch {
	case len(wrong) > 0:
		return doctor.Failf("%s", brief(wrong))
	case len(weak) > 0:
		return doctor.Warnf("%s", brief(weak))
	}
	return doctor.Okf("%d classes", len(l.cfg.StorageClasses))
}

func (l *look) checkMetrics(ctx context.Context) doctor.Finding {
	served, err := l.served(ctx, "metrics.k8s.io", "pods")
	switch {
	case err != nil:
		return doctor.Warnf("they are announced and not served: %v", err)
	case !served:
		return doctor.Warnf("they are not served: services with scale keep the number of instances that they start with")
	}
	return doctor.Okf("served")
}

func (l *look) checkGPUs(ctx context.Context) doctor.Finding {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return unread("the nodes", err)
	}
	devices, unnamed := int64(0), []string(nil)
	for i := range nodes {
		n := l.accounting().node(&nodes[i], usage{})
		for _, g := range n.GPUs {
			devices += g.Count
			if g.Model == "" {
				unnamed = append(unnamed, n.Name)
			}
		}
	}
	claimed := slices.ContainsFunc(slices.Collect(maps.Keys(l.Attributes)), func(k string) bool { return strings.Contains(k, "gpu") })
	switch {
	case claimed && devices == 0:
		return doctor.Failf("the attributes claim graphics processors, and no node has any")
	case len(unnamed) > 0:
		return doctor.Warnf("the model of the devices is not known on %s: orders that name one get no bid", brief(unnamed))
	case devices == 0:
		return doctor.Okf("none, and none is claimed")
	}
	return doctor.Okf("%d devices", devices)
}

func (l *look) checkRuntimeClass(ctx context.Context) doctor.Finding {
	if l.cfg.RuntimeClass == "" {
		return doctor.Okf("the cluster's default is used")
	}
	_, err := l.typed.NodeV1().RuntimeClasses().Get(ctx, l.cfg.RuntimeClass, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return doctor.Failf("there is no runtime class %s: no pod would start", l.cfg.RuntimeClass)
	case err != nil:
		return unread("the runtime class", err)
	}
	return doctor.Okf("%s", l.cfg.RuntimeClass)
}

func (l *look) checkAddresses(ctx context.Context) doctor.Finding {
	if !slices.Contains(l.abilities(), "ip") {
		return doctor.Okf("none are leased")
	}
	services, err := l.typed.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return unread("the services", err)
	}
	given, waiting := 0, []string(nil)
	for _, s := range services.Items {
		switch {
		case s.Spec.Type != corev1.ServiceTypeLoadBalancer:
		case len(s.Status.LoadBalancer.Ingress) > 0:
			given++
		default:
			waiting = append(waiting, s.Namespace+"/"+s.Name)
		}
	}
	switch {
	case len(waiting) > 0 && given == 0:
		return doctor.Failf("load balancers wait for an address: %s", brief(waiting))
	case len(waiting) > 0:
		return doctor.Warnf("%d load balancers have an address, others wait for one: %s", given, brief(waiting))
	case given == 0:
		return doctor.Warnf("no load balancer has an address yet, so it is not known whether the cluster gives any")
	}
	return doctor.Okf("%d load balancers have an address", given)
}
