package gatewayclient_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	markettypes "berth.dev/berth/x/market/types"
)

// unending is input without an end.
type unending struct{}

func (unending) Read(p []byte) (int, error) { return len(p), nil }

// TestAProgramThatReadsNothingEnds holds that the end of a program ends its session with its code, and that all it wrote is
// there, whatever of its input the gateway or the client still has.
func TestAProgramThatReadsNothingEnds(t *testing.T) {
	backend := gatewaytest.Obliging()
	backend.ExecFunc = func(_ context.Context, _ markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
		if len(o.Command) > 1 {
			if _, err := io.CopyN(io.Discard, s.Stdin, 100_000); err != nil {
				return 0, err
			}
		}
		_, err := io.WriteString(s.Stdout, "done")
		return 7, err
	}
	g := gatewaytest.Start(t, backend)
	c, ctx, id := dial(t, provider(g), newSigner()), wait(t), g.Lease(owner)
	for name, command := range map[string][]string{"nothing": {"exit"}, "some": {"exit", "later"}} {
		for range 20 { // what is under way differs
			for input, stdin := range map[string]io.Reader{"1 MiB": bytes.NewReader(make([]byte, 1<<20)), "no end": unending{}} {
				var out bytes.Buffer
				code, err := c.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: command}, cluster.Streams{Stdin: stdin, Stdout: &out})
				if code != 7 || err != nil || out.String() != "done" {
					t.Fatalf("a program that reads %s of input of %s: %d, %v, %q", name, input, code, err, out.String())
				}
			}
		}
	}
}
