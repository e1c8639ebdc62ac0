package tenanttest

import (
	"context"
	"errors"
	"fmt"
	"net"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/tenant"
	markettypes "berth.dev/berth/x/market/types"
)

// Instances is the simulated cluster in which sessions take place; the manifests that were taken run in it.
func (g *Gateway) Instances() *fake.Cluster {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	if g.instances == nil {
		g.instances = fake.New(fake.Config{Now: g.world.Now})
	}
	return g.instances
}

// session prepares the simulated cluster for what is asked of a lease.
func (g *Gateway) session(ctx context.Context, id markettypes.LeaseID) (*fake.Cluster, error) {
	c := g.Instances()
	g.world.mu.Lock()
	_, err := g.lease(id)
	h := g.held[id.String()]
	g.world.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("nothing runs yet: %w", tenant.ErrNotHere)
	}
	err = c.Apply(ctx, cluster.Workload{Lease: id, Envelope: h.envelope, Group: h.group, ManifestHash: h.hash})
	if err != nil {
		return nil, err
	}
	_, err = c.Status(ctx, id)
	return c, err
}

// told says an error of a cluster as a provider's.
func told(err error) error {
	text, refused := cluster.Refusal(err)
	switch {
	case refused:
		return fmt.Errorf("%w: %s", tenant.ErrRefused, text)
	case errors.Is(err, cluster.ErrNotFound):
		return fmt.Errorf("%w: %w", tenant.ErrNotHere, err)
	default:
		return err
	}
}

// Exec implements tenant.Gateway.
func (g *Gateway) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	c, err := g.session(ctx, id)
	if err != nil {
		return 0, err
	}
	code, err := c.Exec(ctx, id, o, s)
	return code, told(err)
}

// Forward implements tenant.Gateway.
func (g *Gateway) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	c, err := g.session(ctx, id)
	if err != nil {
		return nil, err
	}
	conn, err := c.Forward(ctx, id, o)
	return conn, told(err)
}

// Restart implements tenant.Gateway.
func (g *Gateway) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	c, err := g.session(ctx, id)
	if err != nil {
		return err
	}
	return told(c.Restart(ctx, id, service))
}

// Events implements tenant.Gateway.
func (g *Gateway) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions, _ func(error)) (cluster.EventStream, error) {
	c, err := g.session(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := c.Events(ctx, id, o)
	if err != nil {
		return nil, told(err)
	}
	return s, nil
}
