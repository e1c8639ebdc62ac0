package tenanttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/fake"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	"berth.dev/berth/tenant"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Gateway is one provider of a World, as tenants reach it.
type Gateway struct {
	world *World
	// ReadyAfter is how long services take to become ready.
	ReadyAfter time.Duration
	// Down makes every call fail, as if the provider were off.
	Down bool
	// Failing names services that never become ready, with what is said of them.
	Failing map[string]string
	// Hook names a hook that every service has, which ends so long after the service is ready; FailedHook says how it ended,
	// if not well.
	Hook       string
	HookTakes  time.Duration
	FailedHook string
	// Puts counts the manifests that were taken.
	Puts int
	// Screen says what the provider thinks of a group; nil is that it would bid one micro token.
	Screen func(deploymenttypes.GroupSpec) gatewaytypes.Screening

	held      map[string]*held
	instances *fake.Cluster
}

// held is the manifest of one lease.
type held struct {
	envelope manifesttypes.Envelope
	group    manifesttypes.Group
	hash     []byte
	since    time.Time
}

// Dial implements tenant.Dial.
func (w *World) Dial(_ context.Context, p providertypes.Provider) (tenant.Gateway, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, ok := w.Gateways[p.Owner]
	if !ok || g.Down {
		return nil, errors.New("connection refused")
	}
	return g, nil
}

// Close implements tenant.Gateway.
func (g *Gateway) Close() error { return nil }

func (g *Gateway) lease(id markettypes.LeaseID) (*deploymenttypes.QueryDeploymentResponse, error) {
	if g.Down {
		return nil, errors.New("connection refused")
	}
	for _, l := range g.world.leases {
		if l.Id == id && l.State != markettypes.LEASE_STATE_CLOSED {
			return g.world.findDeployment(id.DeploymentID()), nil
		}
	}
	return nil, fmt.Errorf("no such lease: %w", tenant.ErrNotHere)
}

// WouldBid implements tenant.Gateway.
func (g *Gateway) WouldBid(_ context.Context, req *gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
	if g.Down {
		return gatewaytypes.WouldBidResponse{}, errors.New("connection refused")
	}
	var out gatewaytypes.WouldBidResponse
	for _, spec := range req.Groups {
		s := gatewaytypes.Screening{WouldBid: true, Price: &sdk.DecCoin{Denom: spec.Denom(), Amount: math.LegacyOneDec()}}
		if g.Screen != nil {
			s = g.Screen(spec)
		}
		out.Groups = append(out.Groups, s)
	}
	return out, nil
}

// PutManifest implements tenant.Gateway.
func (g *Gateway) PutManifest(_ context.Context, id markettypes.LeaseID, e manifesttypes.Envelope) error {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	d, err := g.lease(id)
	if err != nil {
		return err
	}
	group, err := manifest.Open(e, d.Deployment.ManifestHash)
	if err != nil {
		return fmt.Errorf("%w: %w", tenant.ErrRefused, err)
	}
	g.Puts++
	old := g.held[id.String()]
	if old != nil && string(old.envelope.Group) == string(e.Group) {
		old.hash, old.envelope = d.Deployment.ManifestHash, e
		return nil
	}
	g.held[id.String()] = &held{envelope: e, group: group, hash: d.Deployment.ManifestHash, since: g.world.now}
	return nil
}

// Manifest implements tenant.Gateway.
func (g *Gateway) Manifest(_ context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error) {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	if _, err := g.lease(id); err != nil {
		return manifesttypes.Envelope{}, err
	}
	h, ok := g.held[id.String()]
	if !ok {
		return manifesttypes.Envelope{}, errors.New("no manifest yet")
	}
	return h.envelope, nil
}

// LeaseStatus implements tenant.Gateway.
func (g *Gateway) LeaseStatus(_ context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	var res gatewaytypes.LeaseStatusResponse
	if _, err := g.lease(id); err != nil {
		return res, err
	}
	h, ok := g.held[id.String()]
	if !ok {
		return res, nil
	}
	res.ManifestHash = h.hash
	for _, s := range h.group.Services {
		st := gatewaytypes.ServiceStatus{Name: s.Name, Desired: s.Count, Updated: s.Count}
		switch message, failing := g.Failing[s.Name]; {
		case failing:
			st.Message, st.Failed = message, true
		case g.world.now.Sub(h.since) >= g.ReadyAfter:
			st.Ready = s.Count
			if len(s.Expose) > 0 {
				st.Urls = []string{fmt.Sprintf("http://%s-%d.example:8080", s.Name, id.Dseq)}
			}
		default:
			st.Message = "pulling the image"
		}
		if g.Hook != "" {
			st.Hooks = []gatewaytypes.HookStatus{g.hook(g.world.now.Sub(h.since) - g.ReadyAfter)}
		}
		res.Services = append(res.Services, st)
	}
	return res, nil
}

// hook is the state of the hook some time after its service is ready.
func (g *Gateway) hook(since time.Duration) gatewaytypes.HookStatus {
	h := gatewaytypes.HookStatus{Name: g.Hook, State: "waiting"}
	switch {
	case since < 0:
	case since < g.HookTakes:
		h.State = "running"
	case g.FailedHook != "":
		h.State, h.Message, h.Log = "failed", g.FailedHook, []string{"its last words"}
	default:
		h.State = "succeeded"
	}
	return h
}

// Logs implements tenant.Gateway: 60 lines for each service.
func (g *Gateway) Logs(_ context.Context, id markettypes.LeaseID, o tenant.LogOptions) (tenant.LogStream, error) {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	if _, err := g.lease(id); err != nil {
		return nil, err
	}
	h, ok := g.held[id.String()]
	if !ok {
		return nil, errors.New("nothing runs yet")
	}
	const all = 60
	var lines logLines
	for _, s := range h.group.Services {
		if o.Service != "" && o.Service != s.Name {
			continue
		}
		first := 1
		if o.Tail > 0 {
			first = max(1, all-int(o.Tail)+1)
		}
		for i := first; i <= all; i++ {
			lines = append(lines, tenant.LogLine{Service: s.Name, Instance: s.Name + "-0", Line: fmt.Sprintf("line %d of %s", i, s.Name)})
		}
	}
	return &lines, nil
}

type logLines []tenant.LogLine

// Next implements tenant.LogStream.
func (l *logLines) Next() (tenant.LogLine, error) {
	if len(*l) == 0 {
		return tenant.LogLine{}, io.EOF
	}
	line := (*l)[0]
	*l = (*l)[1:]
	return line, nil
}

// Close implements tenant.LogStream.
func (*logLines) Close() error { return nil }
