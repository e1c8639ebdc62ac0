package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"berth.dev/berth/provider/cluster"
)

// claimed is a cluster that answers one after the other of some answers, and then the last one again.
type claimed struct {
	cluster.Cluster
	answers []func() ([]string, error)
	asked   []map[string]string
}

func (c *claimed) Unkept(_ context.Context, attributes map[string]string) ([]string, error) {
	answer := c.answers[min(len(c.asked), len(c.answers)-1)]
	c.asked = append(c.asked, attributes)
	return answer()
}

// TestClaimsThatAreNotKept: what the cluster cannot do is told at the start as an error, once, and again when there is more; a
// cluster that cannot be read says nothing either way.
func TestClaimsThatAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		say := func(wrong ...string) func() ([]string, error) { return func() ([]string, error) { return wrong, nil } }
		c := &claimed{answers: []func() ([]string, error){
			func() ([]string, error) { return nil, errors.New("away") },
			say("ip: none"), say("ip: none"), say("http: no proxy", "ip: none"), say(),
		}}
		var text bytes.Buffer
		d := &Daemon{cluster: c, metrics: newMetrics(), log: slog.New(slog.NewTextHandler(&text, nil))}
		d.cfg.Attributes = map[string]string{"ability/ip": "true"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.keepClaims(ctx) }()
		wait := func(by time.Duration, errorsTold int, gauge float64) {
			t.Helper()
			if err := pause(ctx, by); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := strings.Count(text.String(), "level=ERROR"); got != errorsTold {
				t.Errorf("%d errors after %d looks, want %d: %s", got, len(c.asked), errorsTold, text.String())
			}
			families, err := d.metrics.registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if got := f.GetMetric()[0].GetGauge().GetValue(); f.GetName() == "berth_provider_unkept_claims" && got != gauge {
					t.Errorf("the metric is %v, want %v", got, gauge)
				}
			}
		}
		wait(0, 0, 0)
		wait(claimsAgain, 1, 1)
		wait(claimsEvery, 1, 1)
		wait(claimsEvery, 2, 2)
		wait(claimsEvery, 2, 0)
		if len(c.asked) != 5 || c.asked[0]["ability/ip"] != "true" {
			t.Errorf("asked %v", c.asked)
		}
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
