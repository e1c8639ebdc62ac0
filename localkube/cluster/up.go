package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/localkube/addons"
	"berth.dev/berth/localkube/addresses"
	"berth.dev/berth/localkube/proc"
	"berth.dev/berth/localkube/progress"
	"berth.dev/berth/localkube/registry"
)

const (
	// look is how often a condition that nothing announces is looked at.
	look = 25 * time.Millisecond
	// patience is how long a whole start may take.
	patience = 3 * time.Minute
)

// Cluster starts and stops a cluster.
type Cluster struct {
	Config
	Programs Programs
	// Images are the programs that run as pods: pause, coredns, traefik.
	Images map[string]string
	// CRDs is the directory of the Gateway API's definitions.
	CRDs     string
	Progress *progress.Printer
}

// Up starts what does not run, and returns when the node is ready and the
// add-ons are available. On a cluster that runs it changes nothing; after a
// crash or a reboot it repairs.
func (c *Cluster) Up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if err := c.startFirst(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	images := newImages()
	if !c.ControlPlane {
		g.Go(func() error { return c.pushImages(ctx, images) })
	}
	g.Go(func() error { return c.startRest(ctx, images) })
	if err := g.Wait(); err != nil {
		return c.explain(err)
	}
	return c.writeInfo()
}

// prepare makes everything that is not a process.
func (c *Cluster) prepare(ctx context.Context) error {
	if _, err := os.Stat(c.netns()); err != nil {
		if err := c.taken(ctx); err != nil {
			return err
		}
	}
	steps := []func() error{
		c.keep,
		c.directories,
		c.remember,
		func() error { return c.networkUp(ctx) },
		c.cgroupsUp,
		func() error { return c.keys(time.Now()) },
		c.writeConfigs,
		c.installSelf,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	c.Progress.Say("network, keys and configuration")
	return nil
}

// directories makes the state directory's tree. Keys are for root alone; what
// containers run from must be passable for the users that they map to.
func (c *Cluster) directories() error {
	modes := map[string]os.FileMode{
		"": 0o755, "bin": 0o755, "cni": 0o755, "registry-hosts/_default": 0o755, "kubelet": 0o755, "pod-logs": 0o755,
		"containerd": 0o711, "volumes": 0o711, "run": 0o700, "pki": 0o700, "kubeconfig": 0o700, "etcd": 0o700,
	}
	for dir, mode := range modes {
		if err := errors.Join(os.MkdirAll(c.path(dir), mode), os.Chmod(c.path(dir), mode)); err != nil {
			return fmt.Errorf("make the state directory: %w", err)
		}
	}
	return nil
}

func (c *Cluster) writeConfigs() error {
	containerd, err1 := c.containerdConfig(c.Programs)
	kubelet, err2 := c.kubeletYAML()
	proxy, err3 := c.proxyYAML()
	cni, err4 := c.cniConflist()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("render the configuration: %w", err)
	}
	for name, data := range map[string][]byte{
		"containerd.toml": containerd, "kubelet.yaml": kubelet, "proxy.yaml": proxy,
		"cni/10-pods.conflist": cni, "registry-hosts/_default/hosts.toml": c.hostsTOML(),
	} {
		if err := os.WriteFile(c.path(name), data, 0o644); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	return nil
}

// installSelf copies this program into the state directory: what runs there
// must not change or vanish when the program is built anew.
func (c *Cluster) installSelf() error {
	self, plugin := c.path("bin", "localkube"), c.path("bin", PolicyPlugin)
	if _, ok := c.Processes().Running("policy"); ok {
		return nil
	}
	in, err := os.Open(c.Programs.Self)
	if err != nil {
		return fmt.Errorf("install the node's helper: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(self+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("install the node's helper: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close(), os.Rename(self+".new", self)); err != nil {
		return fmt.Errorf("install the node's helper: %w", err)
	}
	if err := os.Symlink(self, plugin); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("install the policy plugin: %w", err)
	}
	return nil
}

// startFirst starts what needs nothing else.
func (c *Cluster) startFirst() error {
	specs := []proc.Spec{
		c.spec("etcd", c.Programs.Kube, c.etcdArgs()),
		c.spec("apiserver", c.Programs.Kube, c.apiserverArgs()),
	}
	if !c.ControlPlane {
		containerd := c.spec("containerd", c.Programs.Containerd, []string{"-c", c.path("containerd.toml"), "-l", "info"})
		containerd.Env = []string{"PATH=" + filepath.Dir(c.Programs.Containerd) + ":" + os.Getenv("PATH")} // finds its shim there
		// The registry is the host's: pushes come from there.
		reg := proc.Spec{Name: "registry", Argv: []string{
			c.path("bin", "localkube"), "serve-registry", "--listen", c.Registry(), "--dir", c.path("registry"), "--writer", c.HostIP().String(),
		}}
		specs = append(specs, containerd, reg)
	}
	return c.startAll(specs...)
}

func (c *Cluster) spec(name, program string, args []string) proc.Spec {
	return proc.Spec{Name: name, Argv: append([]string{program}, args...), NetNS: c.netns(), Dir: c.State}
}

// images tells how far the registry is filled.
type images struct {
	pause  chan struct{}      // closed when the pause image is there
	addons chan addons.Values // holds the add-ons' references when all are
}

func newImages() images {
	return images{pause: make(chan struct{}), addons: make(chan addons.Values, 1)}
}

// pushImages fills the registry. The pause image goes first: no pod starts
// without it.
func (c *Cluster) pushImages(ctx context.Context, to images) error {
	err := c.await(ctx, "the registry", []string{"registry"}, func() error { return get("http://" + c.Registry() + "/v2/") })
	if err != nil {
		return err
	}
	refs := map[string]string{}
	for _, name := range []string{"pause", "coredns", "traefik"} {
		digest, err := registry.Push(ctx, c.Registry()+"/"+name+":1", registry.Image{Path: c.Images[name]})
		if err != nil {
			return err
		}
		refs[name] = ImageHost + "/" + name + "@" + digest
		if name == "pause" {
			close(to.pause)
		}
	}
	c.Progress.Say("images in the registry")
	to.addons <- addons.Values{CoreDNS: refs["coredns"], Traefik: refs["traefik"], DNS: c.DNSService().String(), Node: c.NodeIP().String()}
	return nil
}

// startRest starts what needs the API server, and waits for everything.
func (c *Cluster) startRest(ctx context.Context, from images) error {
	cfg, client, err := c.clients()
	if err != nil {
		return err
	}
	err = c.await(ctx, "the API server", []string{"etcd", "apiserver"}, func() error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	if err != nil {
		return err
	}
	c.Progress.Say("API server ready")
	if err := c.startAll(
		c.spec("controllers", c.Programs.Kube, c.controllerArgs()),
		c.spec("scheduler", c.Programs.Kube, c.schedulerArgs()),
	); err != nil {
		return err
	}
	if c.ControlPlane {
		return c.awaitAccount(ctx, client)
	}
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.startNode(ctx, client, from) })
	g.Go(func() error { return c.applyAddons(ctx, objects, client, from) })
	return g.Wait()
}

// startNode starts the node's programs and waits until it is ready.
func (c *Cluster) startNode(ctx context.Context, client kubernetes.Interface, from images) error {
	err := c.await(ctx, "containerd", []string{"containerd"}, func() error { return dial(ctx, c.socket()) })
	if err != nil {
		return err
	}
	select {
	case <-from.pause:
	case <-ctx.Done():
		return ctx.Err()
	}
	policy := c.spec("policy", c.path("bin", "localkube"), []string{
		"enforce", "--kubeconfig", c.kubeconfig("policy"), "--socket", c.PolicySocket(), "--pods", c.Pods.String(),
	})
	volumes := c.spec("volumes", c.path("bin", "localkube"), []string{"provision", "--kubeconfig", c.kubeconfig("volumes"), "--dir", c.path("volumes")})
	measure := c.spec("usage", c.path("bin", "localkube"), c.usageArgs())
	specs := []proc.Spec{policy, volumes, measure, c.spec("kubelet", c.Programs.Kube, c.kubeletArgs())}
	if c.Addresses.IsValid() {
		specs = append(specs, c.spec("addresses", c.path("bin", "localkube"), []string{
			"give-addresses", "--kubeconfig", c.kubeconfig("addresses"), "--pool", c.Addresses.String(),
		}))
	}
	if err := c.startAll(specs...); err != nil {
		return err
	}
	node := func(ready bool) func() error {
		return func() error { return nodeIs(ctx, client, ready) }
	}
	if err := c.await(ctx, "the node to register", []string{"kubelet"}, node(false)); err != nil {
		return err
	}
	if err := c.startAll(c.spec("proxy", c.Programs.Kube, c.proxyArgs())); err != nil {
		return err
	}
	if err := c.await(ctx, "the node to be ready", []string{"kubelet", "containerd"}, node(true)); err != nil {
		return err
	}
	c.Progress.Say("node ready")
	return c.awaitAccount(ctx, client)
}

// applyAddons applies the definitions and rights at once, and the rest when
// its images are known.
func (c *Cluster) applyAddons(ctx context.Context, objects dynamic.Interface, client kubernetes.Interface, from images) error {
	crds, err := addons.ParseDir(c.CRDs)
	if err != nil {
		return err
	}
	if err := addons.Apply(ctx, objects, crds); err != nil {
		return err
	}
	var values addons.Values
	select {
	case values = <-from.addons:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.authorities(&values); err != nil {
		return err
	}
	rest, err := addons.Render(values)
	if err != nil {
		return err
	}
	if err := addons.Apply(ctx, objects, rest); err != nil {
		return err
	}
	err = c.await(ctx, "the metrics API", []string{"apiserver", "usage"}, func() error { return addons.Served(ctx, objects) })
	if err != nil {
		return err
	}
	for _, d := range addons.Deployments() {
		err := c.await(ctx, d.Name, []string{"kubelet", "policy", "proxy"}, func() error {
			ok, err := addons.Available(ctx, client, d)
			if err == nil && !ok {
				err = fmt.Errorf("%s/%s is not available", d.Namespace, d.Name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	c.Progress.Say("name server and proxy ready")
	return nil
}

func (c *Cluster) startAll(specs ...proc.Spec) error {
	cpus, err := c.cpus()
	if err != nil {
		return err
	}
	for _, s := range specs {
		s.CPUs = cpus
		if _, err := c.Processes().Start(s); err != nil {
			return err
		}
	}
	return nil
}

// awaitAccount waits for the service account without which no pod is admitted.
func (c *Cluster) awaitAccount(ctx context.Context, client kubernetes.Interface) error {
	return c.await(ctx, "the default service account", []string{"controllers"}, func() error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func nodeIs(ctx context.Context, client kubernetes.Interface, ready bool) error {
	node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil || !ready {
		return err
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue {
			return nil
		} else if cond.Type == corev1.NodeReady {
			return errors.New(cond.Message)
		}
	}
	return errors.New("the node has not reported yet")
}

// await looks until check succeeds. When one of the processes that it depends
// on has ended, it fails at once with the end of that process's log.
func (c *Cluster) await(ctx context.Context, what string, needs []string, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		for _, name := range needs {
			if _, ok := c.Processes().Running(name); !ok {
				return fmt.Errorf("wait for %s: %s has ended\n%s", what, name, tail(c.Processes().Log(name), 15))
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(err, ctx.Err()))
		case <-time.After(look):
		}
		if !apierrors.IsNotFound(err) {
			c.Progress.Live("waiting for %s", what)
		}
	}
}

func (c *Cluster) clients() (*rest.Config, kubernetes.Interface, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	cfg.QPS, cfg.Burst = 200, 400
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client: %w", err)
	}
	return cfg, client, nil
}

// explain adds where to look.
func (c *Cluster) explain(err error) error {
	return fmt.Errorf("%w\nlogs: %s; `localkube down --state %s` removes what was started", err, c.Processes().Logs, c.State)
}

// Info is what users of a cluster need to know; it is kept as cluster.json.
type Info struct {
	Name       string `json:"name"`
	Kubeconfig string `json:"kubeconfig"`
	// Registry is where images are pushed to: HOST:PORT.
	Registry string `json:"registry"`
	// HTTP is where HTTP is answered by host name: IP:PORT.
	HTTP string `json:"http,omitempty"`
	// HTTPS is where TLS is answered by server name: IP:PORT.
	HTTPS string `json:"https,omitempty"`
	// EdgeAuthority is the certificate to trust for the names of the domains.
	EdgeAuthority string `json:"edge_authority,omitempty"`
	Domains       string `json:"domains,omitempty"`
	// NodeIP is where the tcp ports of workloads answer, 30000 to 32767.
	NodeIP string `json:"node_ip"`
	HostIP string `json:"host_ip"`
	Pods   string `json:"pods"`
	// Services is the network of service addresses.
	Services         string `json:"services"`
	IngressNamespace string `json:"ingress_namespace,omitempty"`
	// Addresses is the network of the addresses that Services of type
	// LoadBalancer get, Share the annotation by which they share one.
	Addresses    string `json:"addresses,omitempty"`
	Share        string `json:"share,omitempty"`
	Gateway      string `json:"gateway,omitempty"`
	IngressClass string `json:"ingress_class,omitempty"`
	ControlPlane bool   `json:"control_plane,omitempty"`
	Link         string `json:"link"`
	RegistryPort int    `json:"registry_port"`
}

func (c *Cluster) writeInfo() error {
	info := Info{
		Name: c.Name, Kubeconfig: c.Kubeconfig(), Registry: c.Registry(), NodeIP: c.NodeIP().String(), HostIP: c.HostIP().String(),
		Pods: c.Pods.String(), Services: c.Services.String(), Link: c.Link.String(), RegistryPort: c.RegistryPort, ControlPlane: c.ControlPlane,
	}
	if !c.ControlPlane {
		info.IngressNamespace, info.Gateway, info.IngressClass = addons.IngressNamespace, addons.GatewayName, addons.GatewayClass
		info.HTTP, info.HTTPS = netip.AddrPortFrom(c.NodeIP(), 80).String(), netip.AddrPortFrom(c.NodeIP(), 443).String()
		if c.Addresses.IsValid() {
			info.Addresses, info.Share = c.Addresses.String(), addresses.Share
		}
		if info.Domains = c.Domains; c.Domains != "" {
			info.EdgeAuthority = c.EdgeAuthority()
		}
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path("cluster.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the cluster's description: %w", err)
	}
	return nil
}

func get(url string) error {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(url) //nolint:noctx // bounded by the client's timeout
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

func dial(ctx context.Context, socket string) error {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// tail returns the last lines of a file.
func tail(file string, lines int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Answers says whether the API server of a running cluster answers.
func (c Config) Answers(ctx context.Context) bool {
	_, client, err := (&Cluster{Config: c}).clients()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}
