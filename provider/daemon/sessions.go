package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// sessionCheck is how often a session's lease is looked at.
const sessionCheck = time.Second

// errLeaseEnded ends the sessions of a lease that ended.
var errLeaseEnded = fmt.Errorf("the lease has ended or is suspended: %w", gateway.ErrNotFound)

// runs refuses what needs running instances of a lease that is not ours or that nobody pays for.
func (b *backend) runs(id markettypes.LeaseID) error {
	if err := b.known(id); err != nil {
		return err
	}
	if b.leases.Suspended(id) {
		return fmt.Errorf("lease %s is suspended for lack of funds; make a deposit first: %w", id, gateway.ErrRefused)
	}
	return nil
}

// whileRunning is ctx, which ends with the lease too. That the chain cannot be read ends nothing.
func (b *backend) whileRunning(ctx context.Context, id markettypes.LeaseID) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for pause(ctx, sessionCheck) == nil {
			if has, known := b.leases.Has(id); (known && !has) || b.leases.Suspended(id) {
				cancel(errLeaseEnded)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// fromCluster says what an error of the cluster means to the tenant. What the cluster says of its own is not shown.
func fromCluster(ctx context.Context, id markettypes.LeaseID, what string, err error) error {
	text, refused := cluster.Refusal(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errLeaseEnded):
		return errLeaseEnded
	case refused:
		return fmt.Errorf("%w: %s", gateway.ErrRefused, text)
	case errors.Is(err, cluster.ErrNotFound):
		return fmt.Errorf("lease %s has no such %s running: %w", id, what, gateway.ErrNotFound)
	default:
		return fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
}

// targetName says what was not found.
func targetName(t cluster.Target) string {
	if t.Instance != "" {
		return fmt.Sprintf("instance %.80q of a service %.80q", t.Instance, t.Service)
	}
	return fmt.Sprintf("service %.80q", t.Service)
}

// Exec implements gateway.Backend.
func (b *backend) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	if err := b.runs(id); err != nil {
		return 0, err
	}
	ctx, end := b.whileRunning(ctx, id)
	defer end()
	code, err := b.cluster.Exec(ctx, id, o, s)
	return code, fromCluster(ctx, id, targetName(o.Target), err)
}

// Forward implements gateway.Backend.
func (b *backend) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	if err := b.runs(id); err != nil {
		return nil, err
	}
	ctx, end := b.whileRunning(ctx, id)
	conn, err := b.cluster.Forward(ctx, id, o)
	if err != nil {
		defer end()
		return nil, fromCluster(ctx, id, targetName(o.Target), err)
	}
	// The cluster may hold on to a connection whose context has ended.
	unlink := context.AfterFunc(ctx, func() { _ = conn.Close() }) // it is of no use any more
	return &forwarded{Conn: conn, end: func() { unlink(); end() }}, nil
}

// forwarded is a connection that ends what watches over its lease.
type forwarded struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (f *forwarded) Close() error {
	f.end()
	return f.Conn.Close()
}

// CloseWrite closes the connection for writing alone, where the cluster carries that.
func (f *forwarded) CloseWrite() error {
	if half, ok := f.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Restart implements gateway.Backend.
func (b *backend) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	if err := b.runs(id); err != nil {
		return err
	}
	return fromCluster(ctx, id, targetName(cluster.Target{Service: service}), b.cluster.Restart(ctx, id, service))
}

// GatewayKey implements gateway.Backend.
func (b *backend) GatewayKey(ctx context.Context, owner string) ([]byte, error) {
	res, err := b.keys.GatewayKey(ctx, &providertypes.QueryGatewayKeyRequest{Owner: owner})
	switch {
	case client.IsNotFound(err):
		return nil, fmt.Errorf("account %s has no gateway key: %w", owner, gateway.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return res.GatewayKey.Key, nil
}

// Events implements gateway.Backend.
func (b *backend) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
	if err := b.known(id); err != nil {
		return nil, err
	}
	events, err := b.cluster.Events(ctx, id, o)
	if err != nil {
		return nil, fromCluster(ctx, id, targetName(cluster.Target{Service: o.Service}), err)
	}
	return events, nil
}

// usageWait bounds what measuring may add to the time of a status.
const usageWait = 2 * time.Second

// usage is what the instances of a lease use, by service. What cannot be learned is left out: status must not fail for it.
func (b *backend) usage(ctx context.Context, id markettypes.LeaseID) map[string][]gatewaytypes.InstanceUsage {
	ctx, cancel := context.WithTimeout(ctx, usageWait)
	defer cancel()
	all, err := b.cluster.Usage(ctx, id)
	if err != nil {
		return nil
	}
	out := map[string][]gatewaytypes.InstanceUsage{}
	for _, u := range all {
		out[u.Service] = append(out[u.Service], gatewaytypes.InstanceUsage{
			Instance: u.Instance, CpuMilli: int64(u.CPU), MemoryBytes: int64(u.Memory), TimeUnix: unixOf(u.Time),
		})
	}
	return out
}

// volumes are a lease's volumes; known is false when nothing could be learned.
func (b *backend) volumes(ctx context.Context, id markettypes.LeaseID) (out []gatewaytypes.Volume, known bool) {
	all, err := b.cluster.Volumes(ctx, id)
	if err != nil {
		return nil, errors.Is(err, cluster.ErrNotFound)
	}
	for _, v := range all {
		out = append(out, gatewaytypes.Volume{
			Service: v.Service, Instance: uint32(max(0, v.Instance)), Name: v.Name, Class: v.Class, Bytes: int64(v.Bytes), Id: v.ID, Kept: v.Kept,
		})
	}
	return out, true
}

// unixOf is a time in seconds since 1970, and 0 for one that is not known.
func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func hookStatus(h cluster.HookStatus) gatewaytypes.HookStatus {
	return gatewaytypes.HookStatus{Name: h.Name, State: string(h.State), Message: h.Message, Log: h.Log}
}

func taskStatus(t *cluster.TaskStatus) *gatewaytypes.TaskStatus {
	if t == nil {
		return nil
	}
	return &gatewaytypes.TaskStatus{
		Suspended: t.Suspended, Active: t.Active, Last: string(t.Last), Message: t.Message,
		StartedUnix: unixOf(t.Started), EndedUnix: unixOf(t.Ended), SucceededUnix: unixOf(t.Succeeded),
	}
}
