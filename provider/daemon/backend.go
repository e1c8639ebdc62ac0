package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	"berth.dev/berth/provider/lease"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// backend answers the gateway from the lease controller, the cluster and the chain.
type backend struct {
	provider, chainID, version string

	bids    *bid.Loop
	leases  *lease.Controller
	cluster cluster.Cluster
	reader  *chain.Reader
	// keys tells owners' gateway keys.
	keys providertypes.QueryClient
	// manifested is called when a manifest was accepted.
	manifested func()
}

var _ gateway.Backend = (*backend)(nil)

// Status implements gateway.Backend.
func (b *backend) Status(context.Context) (gatewaytypes.StatusResponse, error) {
	ids, _ := b.leases.Leases()
	return gatewaytypes.StatusResponse{
		Provider: b.provider, Version: b.version, ChainId: b.chainID, Height: b.leases.Height(),
		Leases: uint32(len(ids)), ClusterReachable: b.leases.ClusterHealthy(),
	}, nil
}

// WouldBid implements gateway.Backend.
func (b *backend) WouldBid(ctx context.Context, req gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
	orders := make([]markettypes.Order, len(req.Groups))
	for i, spec := range req.Groups {
		orders[i] = markettypes.Order{
			Id:    markettypes.OrderID{Owner: req.Owner, Gseq: uint32(i) + 1, Oseq: 1},
			State: markettypes.ORDER_STATE_OPEN, Spec: spec,
			Reclamation: deploymenttypes.Reclamation{MinWindowSeconds: req.ReclaimWindowSeconds},
		}
	}
	answers, height := b.bids.Screen(ctx, orders)
	res := gatewaytypes.WouldBidResponse{Groups: make([]gatewaytypes.Screening, len(answers)), Height: height}
	for i, a := range answers {
		out := &res.Groups[i]
		out.WouldBid = a.Bid
		if a.Bid {
			out.Price = &sdk.DecCoin{Denom: a.Denom, Amount: a.Price.Dec()}
			continue
		}
		out.Code, out.Reason = string(a.Reason.Code), a.Reason.String()
	}
	return res, nil
}

// settleWait is how long a request waits for this process to catch up with what the tenant has seen on chain already.
const (
	settleWait = 5 * time.Second
	settlePoll = 50 * time.Millisecond
)

// PutManifest implements gateway.Backend. What is run is bound to the chain three times: the lease is active, the
// envelope belongs to the deployment's present hash, and the group asks for exactly what the lease pays for (PINV-7).
func (b *backend) PutManifest(ctx context.Context, id markettypes.LeaseID, env manifesttypes.Envelope) ([]byte, error) {
	if id.Provider != b.provider {
		return nil, fmt.Errorf("lease %s is another provider's: %w", id, gateway.ErrNotFound)
	}
	d, spec, err := b.promised(ctx, id)
	if err != nil {
		return nil, err
	}
	group, err := checkManifest(env, id, d.Deployment.ManifestHash, spec)
	if err != nil {
		return nil, err
	}
	if err := b.awaitLease(ctx, id); err != nil {
		return nil, err
	}
	hash := d.Deployment.ManifestHash
	err = b.leases.Accept(ctx, cluster.Workload{Lease: id, Envelope: env, Group: group, ManifestHash: hash, Accepted: time.Now()})
	if text, refused := cluster.Refusal(err); refused {
		return nil, fmt.Errorf("%w: %s", gateway.ErrRefused, text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	b.manifested()
	return hash, nil
}

// checkRemembered says whether what the cluster remembers of a lease is a manifest of the deployment's hash beside it.
func checkRemembered(w cluster.Workload) error {
	_, err := manifest.Open(w.Envelope, w.ManifestHash)
	return err
}

// promised reads from the chain what the lease is for: its deployment and its group's spec.
func (b *backend) promised(ctx context.Context, id markettypes.LeaseID) (*deploymenttypes.QueryDeploymentResponse, deploymenttypes.GroupSpec, error) {
	var d *deploymenttypes.QueryDeploymentResponse
	err := b.fresh(ctx, func(notBelow int64) error {
		l, err := b.reader.Lease(ctx, id, notBelow)
		if err != nil {
			return err
		}
		if err := mayRun(id, l.Lease.State); err != nil {
			return err
		}
		d, err = b.reader.Deployment(ctx, id.DeploymentID(), notBelow)
		return err
	})
	switch {
	case client.IsNotFound(err):
		return nil, deploymenttypes.GroupSpec{}, fmt.Errorf("lease %s does not exist: %w", id, gateway.ErrNotFound)
	case errors.Is(err, gateway.ErrRefused) || errors.Is(err, gateway.ErrNotFound):
		return nil, deploymenttypes.GroupSpec{}, err
	case err != nil:
		return nil, deploymenttypes.GroupSpec{}, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	for _, g := range d.Groups {
		if g.Id.Gseq == id.Gseq {
			return d, g.Spec, nil
		}
	}
	return nil, deploymenttypes.GroupSpec{}, fmt.Errorf("deployment %s has no group %d: %w", id.DeploymentID(), id.Gseq, gateway.ErrNotFound)
}

// mayRun refuses manifests for leases that are not paid for.
func mayRun(id markettypes.LeaseID, state markettypes.LeaseState) error {
	switch state {
	case markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_RECLAIMING:
		return nil
	case markettypes.LEASE_STATE_SUSPENDED:
		return fmt.Errorf("lease %s is suspended for lack of funds; make a deposit first: %w", id, gateway.ErrRefused)
	default:
		return fmt.Errorf("lease %s is closed: %w", id, gateway.ErrNotFound)
	}
}

// fresh asks the chain from a height not below the one that was acted on, and again while the node is a moment behind.
func (b *backend) fresh(ctx context.Context, ask func(notBelow int64) error) error {
	deadline := time.Now().Add(settleWait)
	for {
		err := ask(b.leases.Height())
		if !errors.Is(err, chain.ErrStale) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, settlePoll); err != nil {
			return err
		}
	}
}

// checkManifest opens an envelope and holds it against the chain.
func checkManifest(env manifesttypes.Envelope, id markettypes.LeaseID, root []byte, spec deploymenttypes.GroupSpec) (manifesttypes.Group, error) {
	refuse := func(err error) (manifesttypes.Group, error) {
		return manifesttypes.Group{}, fmt.Errorf("%w: %w", gateway.ErrRefused, err)
	}
	if env.Gseq != id.Gseq {
		return refuse(fmt.Errorf("the manifest is of group %d, the lease of group %d", env.Gseq, id.Gseq))
	}
	group, err := manifest.Open(env, root)
	if err != nil {
		return refuse(err)
	}
	if err := manifest.Validate(group); err != nil {
		return refuse(err)
	}
	if err := manifest.Check(group, spec); err != nil {
		return refuse(err)
	}
	return group, nil
}

// awaitLease waits until the controller has seen the lease that the chain has just shown to be active, so that nothing
// runs that the controller does not watch.
func (b *backend) awaitLease(ctx context.Context, id markettypes.LeaseID) error {
	deadline := time.Now().Add(settleWait)
	for {
		if has, _ := b.leases.Has(id); has {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: lease %s has not been followed yet", gateway.ErrUnavailable, id)
		}
		if err := pause(ctx, settlePoll); err != nil {
			return fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
		}
	}
}

// known refuses what is asked of a lease that is not ours. Before the chain has been read, that is not known.
func (b *backend) known(id markettypes.LeaseID) error {
	has, known := b.leases.Has(id)
	switch {
	case has:
		return nil
	case known:
		return fmt.Errorf("no active lease %s: %w", id, gateway.ErrNotFound)
	default:
		return fmt.Errorf("%w: the chain has not been read yet", gateway.ErrUnavailable)
	}
}

// accepted is the workload of a lease; ok is false when no manifest has come yet.
func (b *backend) accepted(id markettypes.LeaseID) (w cluster.Workload, ok bool, err error) {
	if err := b.known(id); err != nil {
		return cluster.Workload{}, false, err
	}
	w, ok, known := b.leases.Accepted(id)
	if !known {
		return cluster.Workload{}, false, fmt.Errorf("%w: the cluster has not been read yet", gateway.ErrUnavailable)
	}
	return w, ok, nil
}

// Manifest implements gateway.Backend.
func (b *backend) Manifest(_ context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error) {
	w, ok, err := b.accepted(id)
	if err == nil && !ok {
		err = fmt.Errorf("lease %s has no manifest yet: %w", id, gateway.ErrNotFound)
	}
	if err != nil {
		return manifesttypes.Envelope{}, err
	}
	return w.Envelope, nil
}

// LeaseStatus implements gateway.Backend.
func (b *backend) LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
	w, ok, err := b.accepted(id)
	if err != nil {
		return gatewaytypes.LeaseStatusResponse{}, err
	}
	out := gatewaytypes.LeaseStatusResponse{ManifestHash: w.ManifestHash, Suspended: b.leases.Suspended(id)}
	if r, refused := b.leases.Refused(id); refused {
		out.Refused = &gatewaytypes.RefusedManifest{ManifestHash: r.ManifestHash, Reason: r.Reason}
	}
	if !ok {
		return out, nil
	}
	services, err := b.cluster.Status(ctx, id)
	if errors.Is(err, cluster.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return gatewaytypes.LeaseStatusResponse{}, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	usage := b.usage(ctx, id)
	for _, s := range services {
		st := serviceStatus(s)
		st.Usage = usage[s.Name]
		out.Services = append(out.Services, st)
	}
	out.Volumes, out.VolumesKnown = b.volumes(ctx, id)
	return out, nil
}

func serviceStatus(s cluster.ServiceStatus) gatewaytypes.ServiceStatus {
	out := gatewaytypes.ServiceStatus{
		Name: s.Name, Desired: s.Desired, Ready: s.Ready, Updated: s.Updated, Urls: s.URLs, Message: s.Message, Failed: s.Failed,
		Reason: string(s.Reason), Log: s.Log, Task: taskStatus(s.Task),
	}
	for _, h := range s.Hooks {
		out.Hooks = append(out.Hooks, hookStatus(h))
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, gatewaytypes.ForwardedPort{Host: p.Host, Port: p.Port, ExternalPort: p.ExternalPort, Proto: p.Proto})
	}
	return out
}

// Logs implements gateway.Backend.
func (b *backend) Logs(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	if err := b.known(id); err != nil {
		return nil, err
	}
	stream, err := b.cluster.Logs(ctx, id, o)
	switch {
	case errors.Is(err, cluster.ErrNotFound):
		return nil, fmt.Errorf("lease %s has no such service running: %w", id, gateway.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return stream, nil
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
