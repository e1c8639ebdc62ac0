package tenant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// webhookTimeout bounds one call of a webhook, webhookTries is how often it is called at most for one alert.
	webhookTimeout = 10 * time.Second
	webhookTries   = 3
	webhookPause   = 2 * time.Second
)

// Webhook posts alerts as JSON to a URL.
type Webhook struct {
	url    string
	host   string
	client *http.Client
	clock  Clock
}

// NewWebhook makes a webhook of an http or https URL. Its errors, and those of Post, never hold the URL, which may be
// secret as a whole.
func NewWebhook(address string, clock Clock) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("it is not an http or https URL")
	}
	return &Webhook{
		url: address, host: u.Host, clock: clock,
		client: &http.Client{Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Post sends an alert, and again if that fails.
func (w *Webhook) Post(ctx context.Context, a Alert) error { return w.send(ctx, a) }

// FailedCheck is what is posted where the manifest of an application asks to be told of a rollout that failed.
type FailedCheck struct {
	// Name is that of the check, or of its process if it has none.
	Name   string   `json:"name"`
	Errors []string `json:"errors"`
}

// PostFailure sends what failed, and again if that fails.
func (w *Webhook) PostFailure(ctx context.Context, f FailedCheck) error { return w.send(ctx, f) }

func (w *Webhook) send(ctx context.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode what is posted: %w", err)
	}
	for try := 1; ; try++ {
		err := w.post(ctx, body)
		if err == nil || try == webhookTries {
			return err
		}
		if err := w.clock.Sleep(ctx, time.Duration(try)*webhookPause); err != nil {
			return err
		}
	}
}

func (w *Webhook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call the webhook at %s: not a usable URL", w.host)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	var u *url.Error
	if errors.As(err, &u) { // it would name the URL
		err = u.Err
	}
	if err != nil {
		return fmt.Errorf("call the webhook at %s: %w", w.host, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4096) // so that the connection can be used again
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the webhook at %s answered %s", w.host, resp.Status)
	}
	return nil
}
