// Package clustertest is the conformance suite of cluster.Cluster. It runs on the simulated cluster in `go test` and on
// a real Kubernetes in the end-to-end tests, so that the simulation cannot promise what the real one does not keep.
package clustertest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Harness is a cluster under test and what the suite must know of it.
type Harness struct {
	// Cluster is the cluster, without leases of Provider.
	Cluster cluster.Cluster
	// Provider is the provider's address in the lease ids that the suite uses.
	Provider string
	// Restart returns another driver over the same cluster, as a provider that was killed and started again would.
	Restart func(t *testing.T) cluster.Cluster
	// Image and NextImage are two images that listen on port 8080 for http and write a line when they start.
	Image, NextImage string
	// MissingImage cannot be pulled.
	MissingImage string
	// Crashing is a service that writes the lines "line 1" to "line 60" and then ends with code 3.
	Crashing func(name string) manifesttypes.Service
	// Programs is a service that goes on and whose instances have the programs below; Program is a command that runs one:
	//
	//	exit CODE      ends with a code
	//	cat            writes what it reads
	//	write OUT ERR  writes two lines, one to each output
	//	size           writes the sizes of its terminal as WIDTHxHEIGHT whenever they change, until it is ended
	Programs func(name string) manifesttypes.Service
	Program  func(program ...string) []string
	// Measures says that the cluster tells what instances use.
	Measures bool
	// Forgets says that the logs of instances do not outlive the driver.
	Forgets bool
	// HookArgs are the arguments with which the image of Programs succeeds at once as a hook or, if ok is false, does as
	// Crashing does. A simulated cluster goes by the name of the hook, which is FailingHook then.
	HookArgs func(ok bool) []string
	// StorageClass is a class of persistent volumes that the cluster gives, as documents name it; "default" if empty.
	StorageClass string
	// Poll is the pause between two looks at the cluster; 0 for a simulated one.
	Poll time.Duration
	// Patience is how long or, if Poll is 0, how many looks the suite waits for a condition.
	Patience time.Duration
}

// Run runs the suite. newHarness is called for every test of the suite.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"UnknownLease", testUnknownLease},
		{"Nodes", testNodes},
		{"Lifecycle", testLifecycle},
		{"Idempotent", testIdempotent},
		{"UpdateRolls", testUpdateRolls},
		{"UpdateDropsService", testUpdateDropsService},
		{"DependsOn", testDependsOn},
		{"MissingImage", testMissingImage},
		{"Crashing", testCrashing},
		{"Suspend", testSuspend},
		{"SuspendedFromTheStart", testSuspendedFromTheStart},
		{"Logs", testLogs},
		{"LogsFollow", testLogsFollow},
		{"RestartAdopts", testRestartAdopts},
		{"VolumesLast", testVolumesLast},
		{"VolumeRefused", testVolumeRefused},
		{"LeasesApart", testLeasesApart},
		{"Concurrent", testConcurrent},
		{"Ports", testPorts},
		{"Hosts", testHosts},
		{"CancelledContext", testCancelledContext},
		{"LinkDependency", testLinkDependency},
		{"LinkTarget", testLinkTarget},
		{"Hooks", testHooks},
		{"Tasks", testTasks},
		{"Scale", testScale},
		{"Exec", testExec},
		{"ExecTerminal", testExecTerminal},
		{"SessionTargets", testSessionTargets},
		{"Forward", testForward},
		{"Restart", testRestart},
		{"Events", testEvents},
		{"Usage", testUsage},
		{"LogsPrevious", testLogsPrevious},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &suite{Harness: newHarness(t)}
			if s.Patience == 0 {
				s.Patience = time.Minute
			}
			tc.test(t, s)
		})
	}
}

type suite struct {
	Harness
	leases int
}

// lease returns a new lease id; the lease is removed at the end of the test.
func (s *suite) lease(t *testing.T) markettypes.LeaseID {
	t.Helper()
	s.leases++
	sum := sha256.Sum256([]byte(t.Name()))
	id := markettypes.LeaseID{
		Owner: fmt.Sprintf("berth1test%x", sum[:8]), Dseq: uint64(s.leases), Gseq: 1, Oseq: 1, Provider: s.Provider,
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Cluster.Remove(ctx, id); err != nil {
			t.Errorf("Remove(%s) at the end of the test: %v", id, err)
		}
	})
	return id
}

// Workload returns a workload of services for a lease, with an envelope that holds the group.
func Workload(id markettypes.LeaseID, services ...manifesttypes.Service) cluster.Workload {
	g := manifesttypes.Group{Name: "here", Salt: make([]byte, 32), Services: services}
	for i := range g.Services {
		g.Services[i].UnitId = uint32(i) + 1
	}
	data, err := g.Marshal()
	if err != nil {
		panic(err) // a message of plain fields always encodes
	}
	leaf := sha256.Sum256(data)
	return cluster.Workload{
		Lease: id, Group: g, ManifestHash: leaf[:],
		Envelope: manifesttypes.Envelope{Group: data, Gseq: id.Gseq, Leaves: [][]byte{leaf[:]}},
	}
}

// Service returns a small service with one http port that anyone may reach.
func Service(name, image string) manifesttypes.Service {
	return manifesttypes.Service{
		Name: name, Image: image, Count: 1, CpuMilli: 20, MemoryBytes: 32 << 20,
		Volumes: []manifesttypes.Volume{{Name: "default", Bytes: 16 << 20}},
		Expose: []manifesttypes.Expose{{
			Port: 8080, As: 80, Proto: manifesttypes.PROTO_HTTP, To: []manifesttypes.To{{Global: true}},
		}},
	}
}

func (s *suite) apply(t *testing.T, w cluster.Workload) {
	t.Helper()
	if err := s.Cluster.Apply(t.Context(), w); err != nil {
		t.Fatalf("Apply(%s): %v", w.Lease, err)
	}
}

func (s *suite) status(t *testing.T, id markettypes.LeaseID) []cluster.ServiceStatus {
	t.Helper()
	st, err := s.Cluster.Status(t.Context(), id)
	if err != nil {
		t.Fatalf("Status(%s): %v", id, err)
	}
	return st
}

func (s *suite) list(t *testing.T) map[markettypes.LeaseID]cluster.Deployed {
	t.Helper()
	all, err := s.Cluster.List(t.Context())
	if err != nil {
		t.Fatalf("List(): %v", err)
	}
	out := map[markettypes.LeaseID]cluster.Deployed{}
	for _, d := range all {
		out[d.Lease] = d
	}
	return out
}

// await looks until done says yes, and fails with what it last said otherwise.
func (s *suite) await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	if s.Poll == 0 {
		for range 1000 {
			if ok, _ := done(); ok {
				return
			}
		}
		_, last := done()
		t.Fatalf("waited in vain for %s: %s", what, last)
	}
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	deadline := time.Now().Add(s.Patience)
	for {
		ok, last := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s: %s", s.Patience, what, last)
		}
		<-tick.C
	}
}

// Complete tells whether all instances of all services are ready and of the present manifest, and what is missing.
func Complete(services []cluster.ServiceStatus) (bool, string) {
	ok := true
	for _, sv := range services {
		ok = ok && sv.Ready == sv.Desired && sv.Updated == sv.Desired && sv.Message == ""
	}
	return ok, fmt.Sprintf("%+v", services)
}

func (s *suite) awaitReady(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	s.await(t, "all services ready", func() (bool, string) { return Complete(s.status(t, id)) })
}

func (s *suite) awaitGone(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	s.await(t, "the lease being gone", func() (bool, string) {
		d, held := s.list(t)[id]
		return !held, fmt.Sprintf("listed, terminating=%v", d.Terminating)
	})
}

func find(t *testing.T, all []cluster.ServiceStatus, name string) cluster.ServiceStatus {
	t.Helper()
	for _, st := range all {
		if st.Name == name {
			return st
		}
	}
	t.Fatalf("no service %q in %+v", name, all)
	return cluster.ServiceStatus{}
}
