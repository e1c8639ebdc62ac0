package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cosmos/gogoproto/jsonpb"

	"berth.dev/berth/provider/gateway"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
)

// askDaemon asks the gateway on this machine how the daemon fares; only the holder of the home's TLS key is believed.
func (p *provider) askDaemon(ctx context.Context) daemonStatus {
	res, err := p.gatewayStatus(ctx)
	if err != nil {
		return daemonStatus{Error: err.Error()}
	}
	return daemonStatus{Running: true, Height: res.Height, Version: res.Version, ClusterReachable: res.ClusterReachable, Figures: p.askMetrics(ctx)}
}

func (p *provider) gatewayStatus(ctx context.Context) (*gatewaytypes.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, pin, err := p.home.TLS()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+local(p.cfg.Gateway.Listen)+"/v1/status", nil)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: pinned(pin)}}
	defer c.CloseIdleConnections()
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway answers %s", res.Status)
	}
	var out gatewaytypes.StatusResponse
	if err := (&jsonpb.Unmarshaler{AllowUnknownFields: true}).Unmarshal(io.LimitReader(res.Body, 1<<16), &out); err != nil {
		return nil, fmt.Errorf("read the gateway's answer: %w", err)
	}
	return &out, nil
}

// pinned accepts exactly the certificate whose key has this pin, as the provider's record promises tenants.
func pinned(pin []byte) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // names and issuers mean nothing here; the pin below is the check
		VerifyConnection: func(s tls.ConnectionState) error {
			var leaf *x509.Certificate
			if len(s.PeerCertificates) > 0 {
				leaf = s.PeerCertificates[0]
			}
			if leaf == nil || !bytes.Equal(gateway.Pin(leaf), pin) {
				return errors.New("the gateway's key is not this provider's")
			}
			return nil
		},
	}
}
