package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"berth.dev/berth/provider/doctor"
)

// CheckOptions say what the checks of a cluster look at besides its configuration.
type CheckOptions struct {
	// Attributes are those that the provider claims: what they promise must be there.
	Attributes map[string]string
	// ProbeImage is an image of this program. Without one the checks make nothing in the cluster; with one, some of
	// them run pods in a namespace of their own and remove it.
	ProbeImage string
	// InstallRole is the command that installs the driver's role.
	InstallRole string

	poll time.Duration // pause between two looks at the probe; probePoll if 0
}

// Checks are what must hold of a cluster for the driver to run leases on it as promised. They change nothing but for
// the probe's namespace.
func (c *Cluster) Checks(o CheckOptions) []doctor.Check {
	l := c.newLook(o)
	return slices.Concat(l.accessChecks(), l.nodeChecks(), l.networkChecks(), l.routeChecks(), l.featureChecks())
}

// look is what several checks read, each part once.
type look struct {
	*Cluster
	CheckOptions
	version  func(context.Context) (*version.Info, error)
	nodes    func(context.Context) ([]corev1.Node, error)
	pods     func(context.Context) ([]corev1.Pod, error)
	settled  func(context.Context) (settings, error)
	probed   func(context.Context) (probeResult, error)
	kubelets func(context.Context) (map[string]kubelet, error)
}

func (c *Cluster) newLook(o CheckOptions) *look {
	l := &look{Cluster: c, CheckOptions: o}
	l.version = once(func(context.Context) (*version.Info, error) { return c.typed.Discovery().ServerVersion() })
	l.nodes = once(func(ctx context.Context) ([]corev1.Node, error) {
		all, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return all.Items, nil
	})
	l.pods = once(func(ctx context.Context) ([]corev1.Pod, error) {
		all, err := c.typed.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return all.Items, nil
	})
	l.settled = once(c.settings)
	l.kubelets = once(l.askKubelets)
	l.probed = once(l.probe)
	return l
}

// once makes the first call of f count for all; the context is that of the first.
func once[T any](f func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var done bool
	var v T
	var err error
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if !done {
			v, err = f(ctx)
			done = true
		}
		return v, err
	}
}

// unread is the finding when something could not be read at all, which says nothing of whether it is there.
func unread(what string, err error) doctor.Finding {
	f := doctor.Failf("%s could not be read: %v", what, err)
	if apierrors.IsForbidden(err) {
		f.Level = doctor.Warn
		return f.By("ask with more rights: berth-provider doctor --kubeconfig ADMIN_KUBECONFIG")
	}
	return f
}

func (l *look) accessChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "api", What: "the API server answers", Run: l.checkAPI,
			Mend: "set cluster.kubeconfig in provider.yaml, or leave it empty inside of the cluster"},
		{Name: "version", What: "Kubernetes is 1.30 or later, better 1.33, and no kubelet is newer than the API server or more than three minors older",
			Run: l.checkVersion, Mend: "upgrade the cluster: https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/"},
		{Name: "permissions", What: "the driver may do everything that its role names", Run: l.checkPermissions, Mend: l.InstallRole},
		{Name: "rights", What: "the driver may not do more than its role names", Run: l.checkRights,
			Mend: "use a service account with that role alone: kubectl apply -k deploy/kubernetes"},
		{Name: "clock", What: "the API server's clock and this one agree within 5 s", Run: l.checkClock,
			Mend: "run a time service on the nodes and here: systemctl enable --now systemd-timesyncd"},
		{Name: "pod-security", What: "Pod Security admission is on", Run: l.checkPodSecurity,
			Mend: "start the API server without --disable-admission-plugins=PodSecurity"},
		{Name: "pod-refused", What: "a privileged pod is refused in a namespace with the level of leases (probe)", Limit: probeLimit, Grace: probeCleanup, Run: l.checkPodRefused,
			Mend: "start the API server with --enable-admission-plugins=PodSecurity and without exemptions for leases"},
	}
}

func (l *look) checkAPI(ctx context.Context) doctor.Finding {
	v, err := l.version(ctx)
	if err != nil {
		return doctor.Failf("no answer: %v", err)
	}
	return doctor.Okf("Kubernetes %s answers", v.GitVersion)
}

// The minors of Kubernetes that leases need: probes' sleep before the end came with 1.30, user namespaces and the ranges
// of Services that the cluster tells came with 1.33.
const (
	oldestMinor = 30
	fullMinor   = 33
	kubeletSkew = 3
)

func (l *look) checkVersion(ctx context.Context) doctor.Finding {
	v, err := l.version(ctx)
	if err != nil {
		return unread("the version", err)
	}
	server, ok := minor(v.GitVersion)
	if !ok {
		return doctor.Warnf("the version %q is not understood", v.GitVersion)
	}
	if server < oldestMinor {
		return doctor.Failf("Kubernetes %s is older than 1.%d", v.GitVersion, oldestMinor)
	}
	nodes, err := l.nodes(ctx)
	if err != nil {
		return unread("the nodes", err)
	}
	for _, n := range nodes {
		k, ok := minor(n.Status.NodeInfo.KubeletVersion)
		if ok && (k > server || server-k > kubeletSkew) {
			return doctor.Failf("node %s runs kubelet %s, the API server %s", n.Name, n.Status.NodeInfo.KubeletVersion, v.GitVersion)
		}
	}
	if server < fullMinor {
		return doctor.Warnf("Kubernetes %s has user namespaces only behind a feature gate, and does not tell the range of its Services", v.GitVersion)
	}
	return doctor.Okf("Kubernetes %s, with kubelets to match", v.GitVersion)
}

// minor reads 33 from v1.33.2-gke.1.
func minor(gitVersion string) (n int, ok bool) {
	var major int
	if _, err := fmt.Sscanf(strings.TrimPrefix(gitVersion, "v"), "%d.%d", &major, &n); err != nil || major != 1 {
		return 0, false
	}
	return n, true
}

func (l *look) may(ctx context.Context, group, resource, verb string) (bool, error) {
	resource, sub, _ := strings.Cut(resource, "/")
	res, err := l.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: group, Resource: resource, Subresource: sub, Verb: verb,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return res.Status.Allowed, nil
}

func (l *look) checkPermissions(ctx context.Context) doctor.Finding {
	var mu sync.Mutex
	var missing []string
	var failed error
	asked := 0
	var group sync.WaitGroup
	for _, p := range permissions() {
		asked += len(p.verbs)
		group.Go(func() {
			for _, verb := range p.verbs {
				ok, err := l.may(ctx, p.group, p.resource, verb)
				mu.Lock()
				if err != nil {
					failed = err
				} else if !ok {
					missing = append(missing, verb+" "+strings.TrimPrefix(p.group+"/"+p.resource, "/"))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(missing)
	switch {
	case len(missing) > 0:
		return doctor.Failf("%d of %d are missing: %s", len(missing), asked, brief(missing))
	case failed != nil:
		return unread("what is allowed", failed)
	}
	return doctor.Okf("all %d that the driver uses", asked)
}

// brief lists a few of many.
func brief(all []string) string {
	const shown = 8
	if len(all) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}

// excess are rights that a provider's credentials should not carry: they lead out of leases.
var excess = []permission{
	{"*", "*", []string{"*"}}, {"", "pods/attach", []string{"create"}}, {"", "pods", []string{"create"}}, {"", "nodes", []string{"patch"}},
	{"rbac.authorization.k8s.io", "clusterrolebindings", []string{"create"}},
}

func (l *look) checkRights(ctx context.Context) doctor.Finding {
	for _, p := range excess {
		for _, verb := range p.verbs {
			ok, err := l.may(ctx, p.group, p.resource, verb)
			switch {
			case err != nil:
				return unread("what is allowed", err)
			case ok && p.group == "*":
				return doctor.Warnf("the credentials may do everything in the cluster: who steals them owns it")
			case ok:
				return doctor.Warnf("the credentials may %s %s, which the driver never does", verb, p.resource)
			}
		}
	}
	return doctor.Okf("the credentials give no way out of leases")
}

const (
	clockWarn = 5 * time.Second
	clockFail = 30 * time.Second
)

// checkClock reads the time from an object that is not made.
func (l *look) checkClock(ctx context.Context) doctor.Finding {
	before := l.now()
	ns, err := l.typed.CoreV1().Namespaces().Create(ctx, probeNamespace(""), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return unread("the API server's clock", err)
	}
	at := ns.CreationTimestamp.Time
	if at.IsZero() {
		return doctor.Warnf("the API server does not tell its time")
	}
	// The server gives whole seconds, taken at some time during the request.
	off := max(before.Sub(at)-time.Second, at.Sub(l.now()), 0)
	switch {
	case off > clockFail:
		return doctor.Failf("the clocks differ by %s: tokens and deadlines do not hold", off.Round(time.Second))
	case off > clockWarn:
		return doctor.Warnf("the clocks differ by %s", off.Round(time.Second))
	}
	return doctor.Okf("the clocks agree")
}

// checkPodSecurity has a namespace tried, without making it, whose level does not exist: only the admission plugin that
// enforces levels refuses it.
func (l *look) checkPodSecurity(ctx context.Context) doctor.Finding {
	ns := probeNamespace("")
	ns.Labels["pod-security.kubernetes.io/enforce"] = "no-such-level"
	_, err := l.typed.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return doctor.Failf("a namespace with a level that does not exist is taken: nothing enforces levels")
	case apierrors.IsInvalid(err):
		return doctor.Okf("levels of namespaces are looked at")
	}
	return unread("whether Pod Security admission is on", err)
}
