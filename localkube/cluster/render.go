package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"text/template"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/localkube/addons"
)

// Programs are the paths of the programs that a cluster runs.
type Programs struct {
	Kube       string
	Containerd string
	Runc       string
	// CNI is the directory of the network plugins. The shim lies beside
	// containerd.
	CNI string
	// Self is this program: it serves the registry and enforces policies.
	Self string
}

// etcdArgs are etcd's. Its data is thrown away with the cluster, so it need
// not reach the disk.
func (c Config) etcdArgs() []string {
	const client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	return []string{
		"etcd", "--data-dir=" + c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
	}
}

func (c Config) apiserverArgs() []string {
	pki := func(name string) string { return c.path("pki", name) }
	return []string{
		"kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + c.NodeIP().String(), "--bind-address=" + c.NodeIP().String(), "--secure-port=6443",
		"--service-cluster-ip-range=" + c.Services.String(),
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"), "--cert-dir=" + c.path("pki"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("sa.crt"), "--service-account-signing-key-file=" + pki("sa.key"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + pki("ca.crt"), "--requestheader-allowed-names=" + frontProxy,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key"),
		"--enable-aggregator-routing=true", "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--profiling=false",
	}
}

// controllerArgs raises the request rates: at the default ones a new cluster
// waits five seconds longer for its service accounts. Numbers of instances
// follow their load every five seconds instead of fifteen, as people watch.
func (c Config) controllerArgs() []string {
	kc := c.kubeconfig("controllers")
	return []string{
		"kube-controller-manager", "--kubeconfig=" + kc, "--authentication-kubeconfig=" + kc, "--authorization-kubeconfig=" + kc,
		"--bind-address=127.0.0.1", "--use-service-account-credentials",
		"--service-account-private-key-file=" + c.path("pki", "sa.key"), "--root-ca-file=" + c.path("pki", "ca.crt"),
		"--cluster-signing-cert-file=" + c.path("pki", "ca.crt"), "--cluster-signing-key-file=" + c.path("pki", "ca.key"),
		"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
		"--service-cluster-ip-range=" + c.Services.String(), "--cluster-cidr=" + c.Pods.String(), "--allocate-node-cidrs=false",
		"--horizontal-pod-autoscaler-sync-period=5s",
	}
}

func (c Config) schedulerArgs() []string {
	kc := c.kubeconfig("scheduler")
	return []string{
		"kube-scheduler", "--kubeconfig=" + kc, "--authentication-kubeconfig=" + kc, "--authorization-kubeconfig=" + kc,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (c Config) kubeletArgs() []string {
	return []string{
		"kubelet", "--config=" + c.path("kubelet.yaml"), "--kubeconfig=" + c.kubeconfig("kubelet"),
		"--hostname-override=" + NodeName, "--node-ip=" + c.NodeIP().String(),
		"--root-dir=" + c.path("kubelet"), "--cert-dir=" + c.path("pki"),
	}
}

// usageArgs are those of the part that tells what pods use.
func (c Config) usageArgs() []string {
	pki := func(name string) string { return c.path("pki", name) }
	return []string{
		"measure", "--kubeconfig", c.kubeconfig("usage"), "--kubelet", fmt.Sprintf("https://%s:10250", c.NodeIP()),
		"--listen", netip.AddrPortFrom(c.NodeIP(), addons.UsagePort).String(), "--certificate", pki("usage.crt"), "--key", pki("usage.key"),
		"--authority", pki("ca.crt"), "--caller", frontProxy,
	}
}

func (c Config) proxyArgs() []string {
	return []string{"kube-proxy", "--config=" + c.path("proxy.yaml")}
}

// podPids is how many processes and threads the containers of a pod may have
// together.
const podPids = 1024

// kubeletYAML is the kubelet's configuration. It keeps its pods in a control
// group of this cluster, so that two clusters do not take each other's away,
// and accepts control groups of version 1. Pods get no name servers of the
// host's: the namespace leads nowhere outside.
func (c Config) kubeletYAML() ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": c.cgroup(),
		"containerRuntimeEndpoint": "unix://" + c.socket(),
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": c.path("pki", "ca.crt")},
		},
		"authorization":     map[string]any{"mode": "Webhook"},
		"tlsCertFile":       c.path("pki", "kubelet.crt"),
		"tlsPrivateKeyFile": c.path("pki", "kubelet.key"),
		"address":           c.NodeIP().String(), "healthzBindAddress": "127.0.0.1",
		"clusterDomain": "cluster.local", "clusterDNS": []string{c.DNSService().String()}, "resolvConf": "",
		"podLogsDir": c.path("pod-logs"), "volumePluginDir": c.path("kubelet", "volume-plugins"),
		"enforceNodeAllocatable": []string{"pods"},
		"evictionHard": map[string]string{
			"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100, "failSwapOn": false, "serializeImagePulls": false,
		// What one pod may take of the node besides what it asks for: processes,
		// the disk under its log, and how late a volume that has grown too large
		// is noticed.
		"podPidsLimit": podPids, "containerLogMaxSize": "5Mi", "containerLogMaxFiles": 3, "containerLogMonitorInterval": "3s", "volumeStatsAggPeriod": "10s",
		"registerWithTaints": []any{}, "nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s",
	})
}

// proxyYAML is kube-proxy's configuration. It must not set connection-tracking
// limits: those are read-only in a network namespace.
func (c Config) proxyYAML() ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection": map[string]any{"kubeconfig": c.kubeconfig("proxy")},
		"mode":             "nftables", "clusterCIDR": c.Pods.String(), "hostnameOverride": NodeName,
		"bindAddress": "0.0.0.0", "metricsBindAddress": "127.0.0.1:10249", "healthzBindAddress": "127.0.0.1:10256",
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"nftables":  map[string]any{"minSyncPeriod": "100ms", "syncPeriod": "30s"},
	})
}

// containerdTOML is containerd's configuration. restrict_oom_score_adj keeps
// it from asking for a score below its own, which a machine that lacks
// CAP_SYS_RESOURCE refuses, and with it every pod.
var containerdTOML = template.Must(template.New("containerd").Funcs(template.FuncMap{"q": strconv.Quote}).Parse(`version = 3
root = {{q .Root}}
state = {{q .State}}
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = {{q .Socket}}

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = {{q .Pause}}
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = {{q .Certs}}

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [{{range $i, $d := .CNI}}{{if $i}}, {{end}}{{q $d}}{{end}}]
    conf_dir = {{q .CNIConf}}
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = {{q .Runc}}
        SystemdCgroup = false
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.sandboxed]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.sandboxed.options]
        BinaryName = {{q .Runc}}
        SystemdCgroup = false
        Root = {{q .Sandboxed}}
`))

func (c Config) containerdConfig(p Programs) ([]byte, error) {
	var out bytes.Buffer
	err := containerdTOML.Execute(&out, map[string]any{
		"Root": c.path("containerd", "root"), "State": c.path("containerd", "state"), "Socket": c.socket(),
		"Pause": ImageHost + "/pause:1", "Certs": c.path("registry-hosts"),
		"CNI": []string{p.CNI, c.path("bin")}, "CNIConf": c.path("cni"), "Runc": p.Runc, "Sandboxed": c.path("run", "sandboxed"),
	})
	return out.Bytes(), err
}

// hostsTOML sends every image reference, whatever registry it names, to the
// local registry.
func (c Config) hostsTOML() []byte {
	url := "http://" + c.Registry()
	return fmt.Appendf(nil, "server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
}

// PolicyPlugin is the name of the network plugin that makes a pod's policies
// hold before its first container starts.
const PolicyPlugin = "localkube-policy"

// cniConflist is the pod network: a bridge, host ports, and the policy plugin,
// which runs last so that it sees the address.
func (c Config) cniConflist() ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0", "name": c.cniNetwork(),
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
				"ipam": map[string]any{
					"type": "host-local", "dataDir": c.path("cni-addresses"),
					"ranges": [][]map[string]string{{{"subnet": c.Pods.String()}}},
					"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
			map[string]any{"type": PolicyPlugin, "socket": c.PolicySocket()},
		},
	}, "", "  ")
}
