package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/doctor"
)

func (l *look) nodeChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "nodes", What: "at least one node takes workloads, and all nodes are ready", Run: l.checkNodes,
			Mend: "kubectl describe node NODE; kubectl uncordon NODE"},
		{Name: "pressure", What: "no node is short of memory, disk or process ids", Run: l.checkPressure,
			Mend: "free what is short, or add nodes; keep some back with reserve in provider.yaml"},
		{Name: "user-namespaces", What: "the nodes' runtimes can map users, which images that run as root need", Run: l.checkUserNamespaces,
			Mend: "use containerd 2.0 or CRI-O 1.25 or later on Linux 6.3 or later with cgroup v2; or list what runs as another user under cluster.image_users"},
		{Name: "cgroups", What: "the kubelets use cgroup v2", Run: l.checkCgroups,
			Mend: "boot the nodes with cgroup v2: systemd.unified_cgroup_hierarchy=1"},
		{Name: "pid-limit", What: "the kubelets limit the processes of a pod", Run: l.checkPids,
			Mend: "set podPidsLimit: 4096 in the KubeletConfiguration of every node"},
		{Name: "log-size", What: "an instance's log cannot outgrow the storage that the smallest instance has", Run: l.checkLogs,
			Mend: "set containerLogMaxSize: 5Mi and containerLogMaxFiles: 3 in the KubeletConfiguration of every node"},
		{Name: "eviction", What: "the kubelets evict pods before the node runs out of memory or disk", Run: l.checkEviction,
			Mend: "set evictionHard: {memory.available: 100Mi, nodefs.available: 10%, imagefs.available: 10%} in the KubeletConfiguration"},
	}
}

func (l *look) checkNodes(ctx context.Context) doctor.Finding {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return unread("the nodes", err)
	}
	var out []string
	for i := range nodes {
		if !schedulable(&nodes[i]) {
			out = append(out, nodes[i].Name)
		}
	}
	switch {
	case len(out) == len(nodes):
		return doctor.Failf("none of %d nodes takes workloads", len(nodes))
	case len(out) > 0:
		return doctor.Warnf("%d of %d nodes take no workloads: %s", len(out), len(nodes), brief(out))
	}
	return doctor.Okf("%d take workloads", len(nodes))
}

func (l *look) checkPressure(ctx context.Context) doctor.Finding {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return unread("the nodes", err)
	}
	var out []string
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if strings.HasSuffix(string(c.Type), "Pressure") && c.Status == corev1.ConditionTrue {
				out = append(out, n.Name+" "+string(c.Type))
			}
		}
	}
	if len(out) > 0 {
		return doctor.Warnf("%s", brief(out))
	}
	return doctor.Okf("none of %d nodes is short of anything", len(nodes))
}

func (l *look) checkUserNamespaces(ctx context.Context) doctor.Finding {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return unread("the nodes", err)
	}
	able := haveUserNamespaces(nodes)
	switch {
	case able && l.cfg.UserNamespaces == UserNamespacesOff:
		return doctor.Warnf("the nodes have them, and the configuration does not use them: images that run as root are refused").
			By("set cluster.user_namespaces: auto in provider.yaml")
	case able:
		return doctor.Okf("every node that takes workloads has them")
	case l.cfg.UserNamespaces == UserNamespacesOn:
		return doctor.Failf("the configuration says that nodes have them, and not all say so themselves")
	}
	return doctor.Warnf("not every node has them: images that may run as root are refused")
}

// kubelet is what was learned from a node's kubelet.
type kubelet struct {
	PodPidsLimit         *int64            `json:"podPidsLimit"`
	ContainerLogMaxSize  string            `json:"containerLogMaxSize"`
	ContainerLogMaxFiles *int64            `json:"containerLogMaxFiles"`
	EvictionHard         map[string]string `json:"evictionHard"`
	cgroup               string
}

// asked is how many nodes are asked for their configuration: the rest is taken to be alike.
const askedNodes = 16

// askKubelets reads the configuration of kubelets through the API server, which the driver's own role does not allow.
func (l *look) askKubelets(ctx context.Context) (map[string]kubelet, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]kubelet{}
	for _, n := range nodes {
		if len(out) == askedNodes {
			break
		}
		if !schedulable(&n) {
			continue
		}
		k, err := l.askKubelet(ctx, n.Name)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
		out[n.Name] = k
	}
	return out, nil
}

func (l *look) askKubelet(ctx context.Context, node string) (kubelet, error) {
	get := func(path string) ([]byte, error) {
		return l.typed.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", node, "proxy", path).DoRaw(ctx)
	}
	data, err := get("configz")
	if err != nil {
		return kubelet{}, err
	}
	var answer struct {
		Config kubelet `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return kubelet{}, fmt.Errorf("read the kubelet's configuration: %w", err)
	}
	k := answer.Config
	if metrics, err := get("metrics"); err == nil {
		for line := range strings.Lines(string(metrics)) {
			if version, ok := strings.CutPrefix(line, "kubelet_cgroup_version "); ok {
				k.cgroup = strings.TrimSpace(version)
			}
		}
	}
	return k, nil
}

// eachKubelet holds something against the kubelets that could be asked: wrong says what is, or nothing.
func (l *look) eachKubelet(ctx context.Context, right string, wrong func(kubelet) string) doctor.Finding {
	all, err := l.kubelets(ctx)
	if apierrors.IsForbidden(err) {
		return doctor.Warnf("the driver's role does not allow to read the kubelets' configuration").
			By("ask with more rights: berth-provider doctor --kubeconfig ADMIN_KUBECONFIG")
	}
	if err != nil {
		return doctor.Warnf("the kubelets' configuration could not be read: %v", err)
	}
	var out []string
	for name, k := range all {
		if what := wrong(k); what != "" {
			out = append(out, name+": "+what)
		}
	}
	if len(out) > 0 {
		slices.Sort(out)
		return doctor.Failf("%s", brief(out))
	}
	return doctor.Okf("%s on %d nodes", right, len(all))
}

func (l *look) checkCgroups(ctx context.Context) doctor.Finding {
	return atMostWarn(l.eachKubelet(ctx, "cgroup v2", func(k kubelet) string {
		if k.cgroup != "" && k.cgroup != "2" {
			return "cgroup v" + k.cgroup + ", which Kubernetes is about to drop"
		}
		return ""
	}))
}

func (l *look) checkPids(ctx context.Context) doctor.Finding {
	return l.eachKubelet(ctx, "a limit", func(k kubelet) string {
		if k.PodPidsLimit == nil || *k.PodPidsLimit <= 0 {
			return "no podPidsLimit, so one lease can take all process ids"
		}
		return ""
	})
}

func (l *look) checkLogs(ctx context.Context) doctor.Finding {
	return atMostWarn(l.eachKubelet(ctx, "bounded", func(k kubelet) string {
		size, err := resource.ParseQuantity(or(k.ContainerLogMaxSize, "10Mi"))
		if err != nil {
			return fmt.Sprintf("containerLogMaxSize %q", k.ContainerLogMaxSize)
		}
		files := int64(5)
		if k.ContainerLogMaxFiles != nil {
			files = *k.ContainerLogMaxFiles
		}
		if total := size.Value() * files; total > int64(cluster.MinStorage) {
			return fmt.Sprintf("a log may take %s, and the smallest instance %s for all that it writes: it is evicted first",
				bytesQuantity(total), bytesQuantity(int64(cluster.MinStorage)))
		}
		return ""
	}))
}

// atMostWarn makes a failure a warning.
func atMostWarn(f doctor.Finding) doctor.Finding {
	if f.Level == doctor.Fail {
		f.Level = doctor.Warn
	}
	return f
}

func (l *look) checkEviction(ctx context.Context) doctor.Finding {
	return l.eachKubelet(ctx, "thresholds", func(k kubelet) string {
		var out []string
		for _, signal := range []string{"memory.available", "nodefs.available"} {
			if threshold, ok := k.EvictionHard[signal]; !ok || strings.Trim(threshold, "0.%MGiKk") == "" {
				out = append(out, signal)
			}
		}
		if len(out) > 0 {
			return "no threshold for " + strings.Join(out, ", ")
		}
		return ""
	})
}
