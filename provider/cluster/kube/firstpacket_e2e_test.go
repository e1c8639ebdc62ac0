//go:build e2e

package kube

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

// TestFirstPacket starts many instances whose first act is to dial, again and again, where they may not go, and which
// forbidden clients dial from before they exist. Nothing gets through, in either direction, neither in a new lease nor in
// an update that closes a door. Nor do instances get anywhere that outlive the removal of their lease for a while.
func TestFirstPacket(t *testing.T) {
	s := setScene(t, []string{outsideSource, "169.254.169.254", "10.0.66.7"})
	target := s.lease("berth1b", 1)
	s.launch(t, target, netService("private", 1, manifesttypes.Expose{Port: 7003, As: 7003, Proto: manifesttypes.PROTO_TCP}))
	s.ready(t, "target", target)

	forbidden := []netTarget{
		{Proto: "tcp", Addr: "169.254.169.254:" + standInPort}, {Proto: "udp", Addr: "169.254.169.254:" + standInPort},
		{Proto: "tcp", Addr: "10.0.66.7:" + standInPort}, {Proto: "udp", Addr: "10.0.66.7:" + standInPort},
		{Proto: "tcp", Addr: s.nodeIP + ":" + standInPort}, {Proto: "udp", Addr: s.nodeIP + ":" + standInPort},
		{Proto: "tcp", Addr: s.nodeIP + ":6443"}, {Proto: "icmp", Addr: s.nodeIP},
		{Proto: "tcp", Addr: s.pods["target/private/0"].Status.PodIP + ":7003"}, {Proto: "udp", Addr: s.pods["target/private/0"].Status.PodIP + ":7003"},
		{Proto: "tcp", Addr: s.pods[s.plainNS].Status.PodIP + ":7003"}, {Proto: "udp", Addr: s.pods[s.plainNS].Status.PodIP + ":7003"},
	}
	late := s.lease("berth1a", 2)
	s.launch(t, late, lateService(t, forbidden))
	s.ready(t, "late", late)
	for i := range forbidden {
		forbidden[i].Host = "too early"
	}
	// One target is allowed, so that it shows if first acts are not tried at all.
	allowed := netTarget{Proto: "tcp", Addr: net.JoinHostPort(outsideSource, standInPort)}
	early := func(name string, acts []netTarget, to ...manifesttypes.To) manifesttypes.Service {
		text, err := json.Marshal(acts)
		if err != nil {
			t.Fatal(err)
		}
		sv := netService(name, 6, manifesttypes.Expose{Port: 7003, As: 7003, Proto: manifesttypes.PROTO_TCP, To: to})
		sv.Args = append(sv.Args, "-first", string(text))
		return sv
	}
	first := append(slices.Clone(forbidden), allowed)
	second := append(slices.Clone(forbidden), allowed, netTarget{Proto: "tcp", Addr: "10.0.66.7:" + standInPort})
	shutOut := append(slices.Clone(second), netTarget{Proto: "tcp", Addr: "open:7003"})
	scan := s.scan(t)
	id := s.lease("berth1a", 1)
	seen := map[string]bool{}
	// The first manifest opens the door of `open` to `named`; the second one shuts it and replaces all instances.
	s.launch(t, id, early("shut", first), early("open", first, manifesttypes.To{Service: "named"}), early("named", first))
	s.firstActs(t, id.Dseq, seen, namespaceOf(id), 18)
	s.remove(t, late)
	if err := s.c.Apply(t.Context(), clustertest.Workload(id, early("named", shutOut), early("open", second), early("shut", second))); err != nil {
		t.Fatal(err)
	}
	s.firstActs(t, id.Dseq, seen, namespaceOf(id), 18)
	scan(seen)
	s.gone(t, late)

	alive := false
	for _, who := range []string{"outside", "node", "target/private/0", s.plainNS} {
		var received []string
		s.until(t, who, "GET", "/received", nil, &received)
		for _, text := range slices.Compact(received) {
			alive = alive || text == lastSign
			if strings.HasPrefix(text, "too ") {
				t.Errorf("a datagram that came %s arrived at %s", text, who)
			}
		}
	}
	if !alive {
		t.Error("no instance went on when it was told to end: nothing is known of its last act")
	}
	t.Logf("%d instances: no first packet to %d forbidden places got through, and none from them", len(seen), len(forbidden))
}

// lastSign is what an instance says where it may when it was told to end.
const lastSign = "still here"

// lateService is one that goes on when it is told to end, and then dials where it may not go: the policies of a lease
// that is removed must stay until its instances are gone.
func lateService(t *testing.T, forbidden []netTarget) manifesttypes.Service {
	t.Helper()
	acts := []netTarget{{Proto: "udp", Addr: net.JoinHostPort(outsideSource, standInPort), Host: lastSign}}
	for _, f := range forbidden {
		f.Host = "too late"
		acts = append(acts, f)
	}
	text, err := json.Marshal(acts)
	if err != nil {
		t.Fatal(err)
	}
	sv := netService("late", 2)
	sv.Args = append(sv.Args, "-last", string(text))
	return sv
}

// firstActs waits for a lease and adds its instances to seen after a look at what came of their first acts.
func (s *scene) firstActs(t *testing.T, dseq uint64, seen map[string]bool, ns string, want int) {
	t.Helper()
	id := s.lease("berth1a", dseq)
	prefix := fmt.Sprintf("early %d", len(seen))
	s.ready(t, prefix, id)
	found := 0
	for role, p := range s.pods {
		if !strings.HasPrefix(role, prefix+"/") || seen[p.Status.PodIP+" "+p.Name] || p.DeletionTimestamp != nil {
			continue
		}
		found++
		seen[p.Status.PodIP+" "+p.Name] = true
		var through []string
		s.until(t, role, "GET", "/first", nil, &through)
		allowed := 0
		for _, text := range through {
			if strings.Contains(text, outsideSource) {
				allowed++
				continue
			}
			t.Errorf("%s: %s", p.Name, text)
		}
		if allowed == 0 {
			t.Errorf("%s: its first act did not reach what is allowed either", p.Name)
		}
		var received []string
		s.until(t, role, "GET", "/received", nil, &received)
		for _, text := range received {
			t.Errorf("%s: a datagram came in: %s", p.Name, text)
		}
	}
	if found != want {
		pods, err := s.c.typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		t.Errorf("%d new instances were looked at, want %d; there are %d (%v)", found, want, len(pods.Items), err)
	}
}

// scan dials every address of the pods' network from an unconfined pod until what it returns is called, which reports
// whatever of the given instances answered.
func (s *scene) scan(t *testing.T) func(instances map[string]bool) {
	t.Helper()
	self := s.pods[s.plainNS].Status.PodIP
	prefix := self[:strings.LastIndexByte(self, '.')+1]
	var targets []netTarget
	for i := 1; i < 255; i++ {
		address := fmt.Sprintf("%s%d", prefix, i)
		targets = append(targets,
			netTarget{Proto: "tcp", Addr: address + ":7003", Patience: 400}, netTarget{Proto: "udp", Addr: address + ":7004", Host: "scan", Patience: 400})
	}
	end, done := make(chan bool), make(chan map[string]bool)
	go func() {
		answered := map[string]bool{}
		for {
			select {
			case <-end:
				done <- answered
				return
			default:
			}
			var got []netOutcome
			if err := s.ask(s.plainNS, "POST", "/dial", targets, &got); err != nil {
				t.Errorf("scan: %v", err)
				<-end
				done <- answered
				return
			}
			for i, o := range got {
				// A refusal is the kernel's, of a pod in which nothing runs yet.
				if o.Outcome == "open" {
					answered[targets[i].Proto+" "+targets[i].Addr] = true
				}
			}
		}
	}()
	return func(instances map[string]bool) {
		close(end)
		answered := <-done
		if len(answered) == 0 {
			t.Error("the scan reached nothing at all, not even itself")
		}
		for instance := range instances {
			address, _, _ := strings.Cut(instance, " ")
			for a := range answered {
				if strings.Contains(a, " "+address+":") {
					t.Errorf("the scan got an answer of %s: %s", instance, a)
				}
			}
		}
	}
}
