package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestSessions comes to running instances as the gateway does, from a lease's start to its end.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	w.start()
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	id := w.lease(w.deploy(root))
	if err := w.put(id, env); err != nil {
		t.Fatal(err)
	}
	b, ctx := w.daemon.backend, context.Background()
	web := cluster.Target{Service: "web"}
	w.await("readiness", func() bool {
		st, err := b.LeaseStatus(ctx, id)
		return err == nil && len(st.Services) == 1 && st.Services[0].Ready == 2 && st.VolumesKnown && len(st.Volumes) == 0
	})

	var out bytes.Buffer
	code, err := b.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"cat"}}, cluster.Streams{Stdin: strings.NewReader("typed"), Stdout: &out})
	if err != nil || code != 0 || out.String() != "typed" {
		t.Errorf("Exec = %d, %v, output %q", code, err, out.String())
	}
	conn, err := b.Forward(ctx, id, cluster.ForwardOptions{Target: web, Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := b.Restart(ctx, id, "web"); err != nil {
		t.Errorf("Restart = %v", err)
	}
	events, err := b.Events(ctx, id, cluster.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	if e, err := events.Next(); err != nil || e.Kind == "" {
		t.Errorf("Next = %+v, %v, want an event", e, err)
	}
	nowhere := cluster.Target{Service: "db"}
	_, errExec := b.Exec(ctx, id, cluster.ExecOptions{Target: nowhere, Command: []string{"cat"}}, cluster.Streams{})
	_, errForward := b.Forward(ctx, id, cluster.ForwardOptions{Target: nowhere, Port: 8080})
	for what, err := range map[string]error{"Exec": errExec, "Forward": errForward, "Restart": b.Restart(ctx, id, "db")} {
		if !errors.Is(err, gateway.ErrNotFound) || !strings.Contains(err.Error(), `"db"`) {
			t.Errorf("%s of a service that is not there = %v, want ErrNotFound", what, err)
		}
	}

	// What runs for a tenant ends with the lease.
	ended := make(chan error, 1)
	running, started := io.Pipe()
	go func() {
		_, err := b.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"write", "up"}}, cluster.Streams{Stdout: started, Stderr: io.Discard})
		if err == nil {
			_, err = b.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"wait"}}, cluster.Streams{})
		}
		ended <- err
	}()
	if _, err := running.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	running.Close()
	w.send(&deploymenttypes.MsgCloseDeployment{Id: id.DeploymentID()})
	<-ended
	w.await("the lease's end", func() bool {
		_, err := b.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"cat"}}, cluster.Streams{})
		return errors.Is(err, gateway.ErrNotFound)
	})
}

// TestGatewayKey reads the key of an account from the chain, and knows when there is none.
func TestGatewayKey(t *testing.T) {
	w := newWorld(t)
	w.start()
	b, ctx := w.daemon.backend, context.Background()
	owner := w.tenant.Address().String()
	if _, err := b.GatewayKey(ctx, owner); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("GatewayKey = %v, want ErrNotFound", err)
	}
	key, err := w.tenant.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	w.send(&providertypes.MsgSetGatewayKey{Owner: owner, Key: key})
	if got, err := b.GatewayKey(ctx, owner); err != nil || !bytes.Equal(got, key) {
		t.Errorf("GatewayKey = %x, %v, want %x", got, err, key)
	}
}
