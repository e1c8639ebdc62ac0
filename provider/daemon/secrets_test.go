package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestSecretsAreNotLogged holds that a provider keeps the values of env, registry credentials and salts of manifests,
// good and bad ones, to itself: they are in no line of its log at any level, in no error of its gateway, in no status
// and in no metric.
func TestSecretsAreNotLogged(t *testing.T) {
	const secret = "kanarienvogel"
	log := &syncBuffer{}
	w := newWorld(t)
	w.log = log
	w.start()
	group := func(salt byte, change func(*manifesttypes.Service)) manifesttypes.Group {
		g := webGroup(salt, "berth.local/hello:1")
		g.Services[0].Env = []manifesttypes.EnvVar{{Name: "PASSWORD", Value: secret, Secret: true}, {Name: "PLAIN", Value: secret}}
		change(&g.Services[0])
		return g
	}
	good := group(0xa7, func(*manifesttypes.Service) {})
	root, env := seal(t, good)
	id := w.lease(w.deploy(root))

	var told strings.Builder
	w.refusals(id, env, good)
	for i, change := range []func(*manifesttypes.Service){
		func(s *manifesttypes.Service) { s.Env[0].Value = secret + "\x00" },
		func(s *manifesttypes.Service) { s.Env = append(s.Env, s.Env[0]) },
		func(s *manifesttypes.Service) { s.Env[0].Name = "9" },
		func(s *manifesttypes.Service) { s.MemoryBytes++ },
		func(s *manifesttypes.Service) {
			s.Credentials = &manifesttypes.Credentials{Host: secret, Username: secret, Password: secret + "\x00"}
		},
		func(s *manifesttypes.Service) { s.Credentials = &manifesttypes.Credentials{Password: secret} },
	} {
		badRoot, bad := seal(t, group(0xa8, change))
		w.send(&deploymenttypes.MsgUpdateDeployment{Id: id.DeploymentID(), ManifestHash: badRoot})
		err := w.put(id, bad)
		if err == nil {
			t.Errorf("bad manifest %d was taken", i)
		}
		fmt.Fprintf(&told, "%v\n%+v\n", err, err)
	}
	w.send(&deploymenttypes.MsgUpdateDeployment{Id: id.DeploymentID(), ManifestHash: root})
	if err := w.put(id, env); err != nil {
		t.Fatal(err)
	}
	w.await("readiness", func() bool {
		st, err := w.daemon.backend.LeaseStatus(context.Background(), id)
		return err == nil && len(st.Services) == 1 && st.Services[0].Ready == 2
	})
	st, err := w.daemon.backend.LeaseStatus(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	families, err := w.daemon.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&told, "%+v\n%v\n", st, families)
	w.restart()
	w.await("the workload after a restart", func() bool { return w.running(id) })
	w.send(&deploymenttypes.MsgCloseDeployment{Id: id.DeploymentID()})
	w.await("removal", func() bool { return !w.running(id) })
	w.stop()

	told.WriteString(log.String())
	text := told.String()
	if !strings.Contains(text, "lease won") {
		t.Error("the log was not captured")
	}
	forms := []string{secret, hex.EncodeToString([]byte(secret)), hex.EncodeToString(good.Salt), base64.StdEncoding.EncodeToString(good.Salt), string(good.Salt)}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	for _, form := range forms {
		if i := strings.Index(text, form); i >= 0 {
			t.Errorf("the provider tells %q:\n...%s...", form, text[max(0, i-300):min(len(text), i+100)])
		}
	}
}
