package tenant

import (
	"context"
	"errors"
	"fmt"
	"net"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/gatewayclient"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Dialer makes a Dial that speaks to providers' gateways with tokens that signer signs, or as the options say.
func Dialer(chainID string, signer gatewayclient.Signer, opts ...gatewayclient.Options) Dial {
	return func(ctx context.Context, p providertypes.Provider) (Gateway, error) {
		c, err := gatewayclient.Dial(ctx, gatewayclient.Provider{HostURI: p.HostUri, Pins: p.TlsPins, Address: p.Owner}, chainID, signer, opts...)
		if err != nil {
			return nil, err
		}
		return gateway{c}, nil
	}
}

// gateway is the Gateway behind a client.
type gateway struct{ c *gatewayclient.Client }

// answered says what a provider's error means for the machine.
func answered(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gatewayclient.ErrRefused), errors.Is(err, gatewayclient.ErrUnauthorized):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case errors.Is(err, gatewayclient.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotHere, err)
	default:
		return err
	}
}

// WouldBid implements Gateway.
func (g gateway) WouldBid(ctx context.Context, req *gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
	res, err := g.c.WouldBid(ctx, req)
	if err != nil {
		return gatewaytypes.WouldBidResponse{}, answered(err)
	}
	return *res, nil
}

// PutManifest implements Gateway.
func (g gateway) PutManifest(ctx context.Context, id markettypes.LeaseID, e manifesttypes.Envelope) error {
	_, err := g.c.PutManifest(ctx, id, e)
	return answered(err)
}

// Manifest implements Gateway.
func (g gateway) Manifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error) {
	e, err := g.c.GetManifest(ctx, id)
	return e, answered(err)
}

// LeaseStatus implements Gateway.
func (g gateway) LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
	res, err := g.c.LeaseStatus(ctx, id)
	if err != nil {
		return gatewaytypes.LeaseStatusResponse{}, answered(err)
	}
	return *res, nil
}

// Logs implements Gateway.
func (g gateway) Logs(ctx context.Context, id markettypes.LeaseID, o LogOptions) (LogStream, error) {
	s, err := g.c.Logs(ctx, id, gatewayclient.LogOptions{Service: o.Service, Follow: o.Follow, Tail: o.Tail, Since: o.Since, Previous: o.Previous, OnBreak: broken(o.OnBreak)})
	if err != nil {
		return nil, answered(err)
	}
	return logStream{s}, nil
}

// Exec implements Gateway.
func (g gateway) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	code, err := g.c.Exec(ctx, id, o, s)
	return code, answered(err)
}

// Forward implements Gateway.
func (g gateway) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	conn, err := g.c.Forward(ctx, id, o)
	return conn, answered(err)
}

// Restart implements Gateway.
func (g gateway) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	return answered(g.c.Restart(ctx, id, service))
}

// Events implements Gateway.
func (g gateway) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions, onBreak func(error)) (cluster.EventStream, error) {
	s, err := g.c.Events(ctx, id, gatewayclient.EventOptions{EventOptions: o, OnBreak: broken(onBreak)})
	if err != nil {
		return nil, answered(err)
	}
	return eventStream{s}, nil
}

type eventStream struct{ *gatewayclient.EventStream }

// Next implements cluster.EventStream.
func (e eventStream) Next() (cluster.Event, error) {
	event, err := e.EventStream.Next()
	return event, answered(err)
}

// broken leaves out that a token has ended, as that happens to every stream that lasts.
func broken(tell func(error)) func(error) {
	return func(err error) {
		if tell != nil && !errors.Is(err, gatewayclient.ErrUnauthorized) {
			tell(err)
		}
	}
}

// Close implements Gateway.
func (g gateway) Close() error { return g.c.Close() }

type logStream struct{ s *gatewayclient.LogStream }

// Next implements LogStream.
func (l logStream) Next() (LogLine, error) {
	line, err := l.s.Next()
	return LogLine(line), answered(err)
}

// Close implements LogStream.
func (l logStream) Close() error { return l.s.Close() }
