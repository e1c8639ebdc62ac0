package tenant

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Reach asks a URL and returns the status of its answer, or an error when it cannot be reached from here.
type Reach func(ctx context.Context, url string) (status int, err error)

// awaitAnswers waits until the URLs answer: a provider's entry learns of ready instances a moment after the provider
// itself does, and says 404 or 503 until then. Since an application may answer so too, the wait is short and its end
// only a warning; a URL that cannot be reached from here, as behind a firewall, is not waited for.
func (m *Machine) awaitAnswers(ctx context.Context, views []leaseView) error {
	if m.Reach == nil {
		return nil
	}
	start := m.Clock.Now()
	for _, v := range views {
		for _, svc := range v.services {
			for _, address := range svc.URLs {
				if err := m.awaitAnswer(ctx, address, start); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *Machine) awaitAnswer(ctx context.Context, address string, start time.Time) error {
	for {
		status, err := m.Reach(ctx, address)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.tell(Warned{fmt.Sprintf("%s cannot be reached from here: %s", address, err)})
			return nil
		}
		if !entryStatus(status) {
			return nil
		}
		if m.Clock.Now().Sub(start) >= m.Timing.AnswerWait {
			m.tell(Warned{fmt.Sprintf("%s answers with status %d", address, status)})
			return nil
		}
		if err := m.Clock.Sleep(ctx, m.Timing.Poll); err != nil {
			return err
		}
	}
}

// entryStatus tells whether a status may come from a provider's entry that does not know the instances yet.
func entryStatus(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// HTTPReach asks URLs over HTTP. Names below localhost lead to the loopback address, as in browsers (RFC 6761), also
// where the system's resolver does not know them.
func HTTPReach() Reach {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	c := &http.Client{
		Timeout: 3 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
					address = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, address string) (int, error) {
		u, err := url.Parse(address)
		if err != nil {
			return 0, err
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			return 0, fmt.Errorf("%q is no http address", address)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return 0, err
		}
		res, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		return res.StatusCode, nil
	}
}
