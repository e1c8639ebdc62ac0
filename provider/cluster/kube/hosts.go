package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// A host name that a tenant asked for belongs to one lease at a time. Whose it is stands beside the manifest of each
// lease that asked for it, so that the cluster is the memory of it: the lease has it, or has lost it to another one.
// A manifest that is accepted takes a host from another lease of its owner, and from another owner's lease if a TXT
// record names its owner. Nothing else ever takes a host from a lease: an update that keeps it asks for no proof.

// hostClaim is what became of a lease's wish for a host name.
type hostClaim struct {
	// At is when the lease got it, in nanoseconds of the Unix epoch; later than when any other lease had got it before.
	At int64 `json:"at"`
	// Lost is the lease that has it now; empty while this one has.
	Lost string `json:"lost,omitempty"`
}

// claims are those of a lease, by host. What is missing was never disputed.
type claims map[string]hostClaim

func (c claims) has(host string) bool { return c[host].Lost == "" }

// claimsIn reads the claims beside a manifest.
func claimsIn(secret *corev1.Secret) (claims, error) {
	data := secret.Data[keyHosts]
	if len(data) == 0 {
		return nil, nil
	}
	var c claims
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read the host names in namespace %s: %w", secret.Namespace, err)
	}
	return c, nil
}

// recall takes what stands beside the manifest that a lease has.
func (s *settings) recall(have live) error {
	u, ok := have[key{kindSecret, manifestSecret}]
	if !ok {
		return nil
	}
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, secret); err != nil {
		return fmt.Errorf("read the manifest in namespace %s: %w", u.GetNamespace(), err)
	}
	var err error
	s.Claims, err = claimsIn(secret)
	s.Accepted = acceptedIn(secret)
	return err
}

// acceptedIn is when the manifest in a Secret was sent; 0 if that is not known.
func acceptedIn(secret *corev1.Secret) int64 {
	return stampIn(secret.Data[keyAccepted])
}

// stampIn reads a time in nanoseconds of the Unix epoch; 0 if it is none.
func stampIn(data []byte) int64 {
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// acceptance is when the manifest of a workload was sent, as it is to be remembered: an earlier manifest that is applied
// again does not become the newer one.
func acceptance(w cluster.Workload, have live) int64 {
	var at int64
	if !w.Accepted.IsZero() {
		at = w.Accepted.UnixNano()
	}
	return max(at, stampIn(secretData(have, manifestSecret, keyAccepted)))
}

// sentAgain tells whether the tenant has sent a manifest once more that the lease has already.
func sentAgain(w cluster.Workload, have live) bool {
	return !w.Accepted.IsZero() && w.Accepted.UnixNano() > stampIn(secretData(have, manifestSecret, keyAccepted)) &&
		bytes.Equal(secretData(have, manifestSecret, keyHash), w.ManifestHash)
}

// wantedHosts are the hosts that a workload asks for, by the first field that names them.
func wantedHosts(w cluster.Workload) map[string]string {
	out := map[string]string{}
	for _, sv := range w.Group.Services {
		for i, e := range sv.Expose {
			if !cluster.Routed(e) {
				continue
			}
			for j, host := range e.Accept {
				if _, ok := out[host]; !ok {
					out[host] = fmt.Sprintf("services.%s.expose[%d].accept[%d]", sv.Name, i, j)
				}
			}
		}
	}
	return out
}

// holding is what a lease of any provider on this cluster has.
type holding struct {
	ns     string
	lease  markettypes.LeaseID
	secret *corev1.Secret
	hosts  map[string]string // as wantedHosts
	claims claims
}

func (h holding) has(host string) bool {
	_, wants := h.hosts[host]
	return wants && h.claims.has(host)
}

// holdings reads whose the hosts are. A lease that is being removed has none any more.
func (c *Cluster) holdings(ctx context.Context) (map[string]holding, error) {
	labelled := func(pairs ...string) metav1.ListOptions {
		return metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{
			MatchLabels: with(map[string]string{labelManagedBy: manager}, pairs...),
		})}
	}
	namespaces, err := c.resource(kindNamespace, "").List(ctx, labelled())
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	secrets, err := c.resource(kindSecret, "").List(ctx, labelled(labelRole, roleManifest))
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	going := map[string]bool{}
	for _, ns := range namespaces.Items {
		going[ns.GetName()] = ns.GetDeletionTimestamp() != nil
	}
	out := map[string]holding{}
	for _, u := range secrets.Items {
		if gone, known := going[u.GetNamespace()]; gone || !known || u.GetDeletionTimestamp() != nil {
			continue
		}
		h, err := holdingOf(u)
		if err != nil {
			return nil, err
		}
		out[h.ns] = h
	}
	return out, nil
}

func holdingOf(u unstructured.Unstructured) (holding, error) {
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, secret); err != nil {
		return holding{}, fmt.Errorf("read the manifest in namespace %s: %w", u.GetNamespace(), err)
	}
	w, err := remembered(secret)
	if err != nil {
		return holding{}, err
	}
	had, err := claimsIn(secret)
	return holding{ns: secret.Namespace, lease: w.Lease, secret: secret, hosts: wantedHosts(w), claims: had}, err
}

// claimant is a lease whose manifest asks for hosts.
type claimant struct {
	ns       string
	workload cluster.Workload
	wanted   map[string]string
	accepted int64
	// plan are the writes that remain once it is decided which hosts the lease has, write makes some of them.
	plan  func(claims) (changes, error)
	write func(changes) error
}

// renewed tells whether the manifest was sent since the one that the cluster holds.
func (c claimant) renewed(held *corev1.Secret) bool {
	if c.accepted != acceptedIn(held) {
		return true
	}
	envelope, err := c.workload.Envelope.Marshal()
	return err == nil && !bytes.Equal(envelope, held.Data[keyEnvelope])
}

// decision is who gets the hosts that a manifest asks for.
type decision struct {
	claims claims
	// prove are the hosts that need a proof.
	prove []string
	// from are the leases that lose hosts, by namespace, with who gets them.
	from map[string]map[string]markettypes.LeaseID
}

func (d *decision) take(ns, host string, to markettypes.LeaseID) {
	if d.from[ns] == nil {
		d.from[ns] = map[string]markettypes.LeaseID{}
	}
	d.from[ns][host] = to
}

// displace takes a host from all leases that have it. It returns the claim, later than any of theirs, and whether some of
// them are the owner's own, and some others'.
func (d *decision) displace(of claimant, all map[string]holding, host string, next hostClaim) (claim hostClaim, mine, others bool) {
	for ns, h := range all {
		if ns == of.ns || !h.has(host) {
			continue
		}
		mine = mine || h.lease.Owner == of.workload.Lease.Owner
		others = others || h.lease.Owner != of.workload.Lease.Owner
		d.take(ns, host, of.workload.Lease)
		next.At = max(next.At, h.claims[host].At+1)
	}
	return next, mine, others
}

// decide says what becomes of the hosts that a manifest asks for. It refuses those that no proof could bring.
func (c *Cluster) decide(of claimant, all map[string]holding) (decision, error) {
	d := decision{claims: claims{}, from: map[string]map[string]markettypes.LeaseID{}}
	own, known := all[of.ns]
	renewed := !known || of.renewed(own.secret)
	var p problems
	for _, host := range slices.Sorted(maps.Keys(of.wanted)) {
		had := own.claims[host]
		if _, asked := own.hosts[host]; known && asked && (had.Lost == "" || !renewed) {
			d.claims[host] = had
			continue
		}
		next, mine, others := d.displace(of, all, host, hostClaim{At: c.now().UnixNano()})
		switch free := c.cfg.Hosts.NeedNoProof || strings.HasSuffix(host, "."+c.cfg.Domain); {
		case free && others:
			p.add(of.wanted[host], "host %s belongs to another tenant", host)
		case !free && (others || !mine):
			d.prove = append(d.prove, host)
		}
		d.claims[host] = next
	}
	if len(p) > 0 {
		return d, fmt.Errorf("%w: %w", cluster.ErrRefused, errors.Join(p...))
	}
	return d, nil
}

// prove looks for the proofs of hosts, of which some are known already.
func (c *Cluster) prove(ctx context.Context, of claimant, hosts []string, known map[string]bool) error {
	var missing problems
	owner := of.workload.Lease.Owner
	for _, host := range hosts {
		if known[host] {
			continue
		}
		ok, err := proven(ctx, c.proofs, host, c.cfg.Hosts.ChainID, owner)
		if err != nil {
			c.cfg.Logger.Warn("whose a host name is could not be found out", "host", host, "owner", owner, "err", err)
			return fmt.Errorf("%s: host %s: whether the DNS record %s%s names you %w", of.wanted[host], host, proofPrefix, host, cluster.ErrNotNow)
		}
		if known[host] = ok; !ok {
			missing.add(of.wanted[host], "host %s is not known to be yours: make the DNS record %s%s TXT %q and send the manifest again",
				host, proofPrefix, host, proofText(c.cfg.Hosts.ChainID, owner))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %w", cluster.ErrRefused, errors.Join(missing...))
	}
	return nil
}

// claimHosts gives hosts to a lease and applies what is rendered with them. It returns the namespaces of this provider
// that lost hosts. Records are looked up before others are kept waiting, and what is decided is decided anew then.
func (c *Cluster) claimHosts(ctx context.Context, of claimant) (displaced []string, err error) {
	all, err := c.holdings(ctx)
	if err != nil {
		return nil, err
	}
	d, err := c.decide(of, all)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	if err := c.prove(ctx, of, d.prove, known); err != nil {
		return nil, err
	}
	ch, displaced, err := c.writeClaims(ctx, of, known)
	if err != nil {
		return nil, err
	}
	return displaced, of.write(ch)
}

// writeClaims decides whose the hosts are and makes the cluster remember it. What is left to apply is returned.
func (c *Cluster) writeClaims(ctx context.Context, of claimant, known map[string]bool) (ch changes, displaced []string, err error) {
	c.hosts.Lock()
	defer c.hosts.Unlock()
	all, err := c.holdings(ctx)
	if err != nil {
		return ch, nil, err
	}
	d, err := c.decide(of, all)
	if err != nil {
		return ch, nil, err
	}
	if err := c.prove(ctx, of, d.prove, known); err != nil {
		return ch, nil, err
	}
	if ch, err = of.plan(d.claims); err != nil {
		return ch, nil, err
	}
	n := slices.IndexFunc(ch.apply, func(u *unstructured.Unstructured) bool { return keyOf(u) == key{kindSecret, manifestSecret} })
	if err := of.write(changes{apply: ch.apply[:n+1]}); err != nil {
		return ch, nil, err
	}
	for ns, lost := range d.from {
		// What fails here is a dispute that the next pass settles the same way.
		if err := c.markLost(ctx, all[ns], lost); err != nil {
			c.cfg.Logger.Warn("host names have moved, and the former lease does not know yet", "hosts", slices.Sorted(maps.Keys(lost)), "err", err)
		} else if all[ns].lease.Provider == c.cfg.Provider {
			displaced = append(displaced, ns)
		}
	}
	ch.apply = ch.apply[n+1:]
	return ch, displaced, nil
}

// markLost writes beside the manifest of a lease that hosts have gone to another one. A manifest that changed since it
// was read is left alone: the next pass looks at it again.
func (c *Cluster) markLost(ctx context.Context, h holding, hosts map[string]markettypes.LeaseID) error {
	next := maps.Clone(h.claims)
	if next == nil {
		next = claims{}
	}
	for host, to := range hosts {
		next[host] = hostClaim{At: next[host].At, Lost: to.String()}
	}
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the host names: %w", err)
	}
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kindSecret},
		ObjectMeta: metav1.ObjectMeta{
			Name: h.secret.Name, Namespace: h.ns, Labels: h.secret.Labels, Annotations: h.secret.Annotations, ResourceVersion: h.secret.ResourceVersion,
		},
		Type: h.secret.Type, Data: maps.Clone(h.secret.Data),
	}
	secret.Data[keyHosts] = data
	m, _, err := unstructuredOf(secret, nil)
	if err != nil {
		return fmt.Errorf("convert the manifest: %w", err)
	}
	u := &unstructured.Unstructured{Object: m}
	_, err = c.resource(kindSecret, h.ns).Apply(ctx, h.secret.Name, u, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("take hosts from namespace %s: %w", h.ns, err)
	}
	return nil
}

// settleHosts ends disputes that two providers of one cluster can have, as each decides by itself: a host that two
// leases have is the one's that got it later. It returns the namespaces that lost one.
func (c *Cluster) settleHosts(ctx context.Context, leases map[string]live) (map[string]bool, error) {
	disputed := false
	for _, have := range leases {
		if u, ok := have[key{kindSecret, manifestSecret}]; ok {
			_, claims, _ := unstructured.NestedString(u.Object, "data", keyHosts)
			disputed = disputed || claims
		}
	}
	if !disputed {
		return nil, nil
	}
	c.hosts.Lock()
	defer c.hosts.Unlock()
	all, err := c.holdings(ctx)
	if err != nil {
		return nil, err
	}
	lost := map[string]bool{}
	var errs []error
	for ns := range leases {
		gone := map[string]markettypes.LeaseID{}
		for host := range all[ns].hosts {
			if to, ok := later(all, all[ns], host); ok {
				gone[host] = to
			}
		}
		if len(gone) > 0 {
			lost[ns] = true
			errs = append(errs, c.markLost(ctx, all[ns], gone))
		}
	}
	return lost, errors.Join(errs...)
}

// later finds a lease that got a host after another one that still has it.
func later(all map[string]holding, own holding, host string) (markettypes.LeaseID, bool) {
	if !own.has(host) {
		return markettypes.LeaseID{}, false
	}
	for ns, h := range all {
		if ns == own.ns || !h.has(host) {
			continue
		}
		a, b := h.claims[host].At, own.claims[host].At
		if a > b || a == b && ns > own.ns {
			return h.lease, true
		}
	}
	return markettypes.LeaseID{}, false
}
