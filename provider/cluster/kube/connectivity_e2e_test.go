//go:build e2e

package kube

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// deniedRange is what the operator of the test denies.
const deniedRange = "198.51.100.0/24"

// The ports of instances by the protocol that they are exposed in, and one that is not exposed.
var formPorts = map[string]uint32{"http": 7001, "https": 7002, "tcp": 7003, "udp": 7004}

const hiddenPort = 7005

// dial is a case: who connects where, and whether that has to succeed.
type dial struct {
	from, what string
	target     netTarget
	open       bool
	// controlled says that the target can be reached when no policy is there.
	controlled bool
}

// times is how often something is done: 1, or what the environment says.
func times(t *testing.T, name string) int {
	n, err := strconv.Atoi(setting(name, "1"))
	if err != nil || n < 1 {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestConnectivity dials every case of the tables from inside instances, from the node and from outside, and compares
// what happens with what stands there. Then it takes the policies away and dials what was closed again: only what can be
// reached without them was closed by them. BERTH_E2E_RUNS says how often to do all of it, BERTH_E2E_ROUNDS how often to
// dial in each run.
func TestConnectivity(t *testing.T) {
	for i := range times(t, "BERTH_E2E_RUNS") {
		t.Run(fmt.Sprintf("run %d", i+1), connectivity)
	}
}

func connectivity(t *testing.T) {
	ports, elsewhere := readConnectivity(t)
	s := setScene(t, standIns(t, elsewhere))
	services, names := formServices(t, ports)
	here, same, other := s.lease("berth1a", 1), s.lease("berth1a", 2), s.lease("berth1b", 1)
	s.launch(t, here, append(services, netService("client", 1), netService("other", 1))...)
	s.launch(t, same, netService("client", 1))
	s.launch(t, other, netService("client", 1))
	status := s.ready(t, "here", here)
	s.ready(t, "same tenant", same)
	s.ready(t, "other tenant", other)

	var all []dial
	for _, r := range asForwarded(ports, names, status) {
		all = append(all, s.toPort(r, names[r.form])...)
		all = append(all, s.toEntry(t, r, names[r.form], status)...)
	}
	for _, p := range elsewhere {
		all = append(all, s.toPlace(t, p)...)
	}
	for range times(t, "BERTH_E2E_ROUNDS") {
		s.observe(t, all)
	}

	s.stop()
	for _, id := range []markettypes.LeaseID{here, same, other} {
		policies := s.c.typed.NetworkingV1().NetworkPolicies(namespaceOf(id))
		if err := policies.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.withoutPolicies(t, all)
	for _, id := range []markettypes.LeaseID{here, same, other} {
		s.remove(t, id)
	}
	for _, id := range []markettypes.LeaseID{here, same, other} {
		s.gone(t, id)
	}
}

// formServices are services of two instances, one for each form of `to`, with a port of each protocol.
func formServices(t *testing.T, ports []portRow) (services []manifesttypes.Service, names map[string]string) {
	t.Helper()
	names = map[string]string{}
	exposes := map[string][]manifesttypes.Expose{}
	for _, r := range ports {
		if names[r.form] == "" {
			names[r.form] = fmt.Sprintf("form-%d", len(names)+1)
		}
		name, port := names[r.form], formPorts[r.proto]
		exposes[name] = append(exposes[name], manifesttypes.Expose{Port: port, As: port + 2000, Proto: portProtos[r.proto], To: r.to(t, name)})
	}
	for _, name := range slices.Sorted(maps.Keys(exposes)) {
		services = append(services, netService(name, 2, exposes[name]...))
	}
	return services, names
}

// peers are those who dial a port of a service, by the columns of the table.
func (s *scene) peers(service string) map[string][]string {
	out := map[string][]string{
		"same service": {"here/" + service + "/0"}, "named service": {"here/client/0"}, "other service": {"here/other/0"},
		"same tenant": {"same tenant/client/0"}, "other tenant": {"other tenant/client/0"},
		"no lease": {s.plainNS}, "ingress": {s.ingressNS}, "node": {"node"}, "outside": {"outside"},
	}
	for role := range s.pods {
		if strings.HasPrefix(role, "here/form-") && strings.HasSuffix(role, "/0") && !strings.HasPrefix(role, "here/"+service+"/") {
			out["other service"] = append(out["other service"], role)
		}
	}
	return out
}

// toPort are the cases of a row: an instance's port, the same number in the other protocol, a port that is not exposed,
// and the service's name.
func (s *scene) toPort(r portRow, service string) []dial {
	transport, wrong := "tcp", "udp"
	if r.proto == "udp" {
		transport, wrong = wrong, transport
	}
	address := s.pods["here/"+service+"/1"].Status.PodIP
	at := func(port uint32) string { return net.JoinHostPort(address, strconv.Itoa(int(port))) }
	var out []dial
	for peer, roles := range s.peers(service) {
		open := r.cells[peer] == "open"
		for _, from := range roles {
			what := fmt.Sprintf("%s, to: %s, %s", r.proto, r.form, peer)
			out = append(out,
				dial{from, what, netTarget{Proto: transport, Addr: at(formPorts[r.proto])}, open, true},
				dial{from, what + ", in the other protocol", netTarget{Proto: wrong, Addr: at(formPorts[r.proto])}, peer == "node", true},
			)
			if r.proto == "tcp" {
				for _, proto := range []string{"tcp", "udp"} {
					out = append(out, dial{from, what + ", not exposed, " + proto, netTarget{Proto: proto, Addr: at(hiddenPort)}, peer == "node", true})
				}
			}
			if r.proto == "tcp" && peer != "node" {
				out = append(out, dial{from, what + ", ping", netTarget{Proto: "icmp", Addr: address}, false, true})
			}
			if strings.HasPrefix(from, "here/") && peer != "same service" {
				name := net.JoinHostPort(service, strconv.Itoa(int(formPorts[r.proto]+2000)))
				out = append(out, dial{from, what + ", by name", netTarget{Proto: transport, Addr: name}, open, false})
			}
		}
	}
	return out
}

// asForwarded gives https ports the cells of tcp where the cluster cannot pass TLS through by name, as the page says.
func asForwarded(ports []portRow, names map[string]string, status []cluster.ServiceStatus) []portRow {
	out := slices.Clone(ports)
	for i, r := range out {
		if r.proto == "https" && forwardedTo(status, names[r.form], r) != 0 {
			tcp := slices.IndexFunc(ports, func(o portRow) bool { return o.proto == "tcp" && o.form == r.form })
			out[i].cells = ports[tcp].cells
		}
	}
	return out
}

// forwardedTo is the provider's port that leads to a service's, 0 if there is none.
func forwardedTo(status []cluster.ServiceStatus, service string, r portRow) uint32 {
	for _, st := range status {
		for _, p := range st.Ports {
			udp := strings.EqualFold(p.Proto, "udp")
			if st.Name == service && p.Port == formPorts[r.proto]+2000 && udp == (r.proto == "udp") {
				return p.ExternalPort
			}
		}
	}
	return 0
}

// urlOf is the host name that leads to a service's port; empty if there is none.
func urlOf(status []cluster.ServiceStatus, service string, r portRow) string {
	for _, st := range status {
		for _, u := range st.URLs {
			scheme, rest, _ := strings.Cut(u, "://")
			host, _, _ := strings.Cut(strings.TrimSuffix(rest, "/"), ":")
			if st.Name == service && scheme == r.proto {
				return host
			}
		}
	}
	return ""
}

// toEntry are the cases of the last column: everybody at the address that the provider gives.
func (s *scene) toEntry(t *testing.T, r portRow, service string, status []cluster.ServiceStatus) []dial {
	t.Helper()
	port, host := forwardedTo(status, service, r), urlOf(status, service, r)
	if r.cells["entry"] == "-" {
		if port != 0 || host != "" {
			t.Errorf("%s, to: %s: the provider gives port %d and host %q, want nothing", r.proto, r.form, port, host)
		}
		return nil
	}
	target := netTarget{Proto: map[bool]string{false: "tcp", true: "udp"}[r.proto == "udp"], Addr: fmt.Sprintf("%s:%d", s.nodeIP, port)}
	if port == 0 {
		ingress, _, err := net.SplitHostPort(os.Getenv("BERTH_E2E_INGRESS"))
		if err != nil || host == "" {
			t.Errorf("%s, to: %s: the provider gives nothing; ingress: %v", r.proto, r.form, err)
			return nil
		}
		target = netTarget{Proto: "http", Addr: os.Getenv("BERTH_E2E_INGRESS"), Host: host}
		if r.proto == "https" {
			target.Proto, target.Addr = "tls", ingress+":443"
		}
	}
	var out []dial
	for _, from := range []string{"outside", "here/other/0", "same tenant/client/0", "other tenant/client/0", s.plainNS} {
		out = append(out, dial{from, fmt.Sprintf("%s, to: %s, entry", r.proto, r.form), target, r.cells["entry"] == "open", false})
	}
	return out
}

// rangeOf is the range that a row is about: the one that it names, or what the operator of the test denies.
func rangeOf(t *testing.T, p place) netip.Prefix {
	t.Helper()
	text := p.address
	if text == "deny_cidrs" {
		text = deniedRange
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// standIn is an address of a range that answers in this test.
func standIn(p netip.Prefix) string {
	a := p.Masked().Addr().As4()
	switch {
	case p.Bits() == 32:
	case p.Bits() <= 16:
		a[2], a[3] = 66, 7
	default:
		a[3] = 10
	}
	return netip.AddrFrom4(a).String()
}

func standIns(t *testing.T, elsewhere []place) []string {
	t.Helper()
	var out []string
	for _, p := range elsewhere {
		if prefix := rangeOf(t, p); prefix.IsValid() {
			out = append(out, standIn(prefix))
		}
	}
	return out
}

// spot is an address that a place has in this test; an empty one has none for that protocol.
type spot struct {
	tcp, udp, icmp string
	host           string
	// uncontrolled says that it answers nobody, policies or not: no test can tell why it is silent.
	uncontrolled bool
}

// both are the spots of an address with one port.
func both(address, port string) spot {
	at := net.JoinHostPort(address, port)
	return spot{tcp: at, udp: at, icmp: address}
}

// spots are the addresses of a place.
func (s *scene) spots(t *testing.T, p place) []spot {
	t.Helper()
	if prefix := rangeOf(t, p); prefix.IsValid() {
		return []spot{both(standIn(prefix), standInPort)}
	}
	const apiName = "kubernetes.default.svc.cluster.local"
	switch p.name {
	case "the node":
		var out []spot
		for _, a := range s.nodeAddresses(t) {
			out = append(out, both(a, standInPort))
		}
		return out
	case "the kubelet":
		return []spot{both(s.nodeIP, "10250")}
	case "the API server, by its Service":
		// A Service answers in the protocols of its ports alone.
		ip := s.serviceIP(t, metav1.NamespaceDefault, "kubernetes")
		return []spot{{tcp: net.JoinHostPort(ip, "443")}, {udp: net.JoinHostPort(ip, "443"), icmp: ip, uncontrolled: true}}
	case "the API server, by its address":
		return []spot{both(s.nodeIP, "6443")}
	case "DNS":
		ip, pod := s.serviceIP(t, "kube-system", "kube-dns"), s.podIP(t, "kube-system", "k8s-app=kube-dns")
		atService, atPod := both(ip, "53"), both(pod, "53")
		atService.host, atPod.host, atService.icmp = apiName, apiName, ""
		return []spot{atService, atPod}
	case "other ports of DNS":
		return []spot{both(s.podIP(t, "kube-system", "k8s-app=kube-dns"), "8181")}
	case "the entry":
		return []spot{both(s.nodeIP, "80"), both(s.nodeIP, "443")}
	case "other ports of the entry":
		return []spot{both(s.podIP(t, setting("BERTH_E2E_INGRESS_NAMESPACE", "ingress"), ""), "9000")}
	case "a pod that is no lease's":
		return []spot{both(s.pods[s.plainNS].Status.PodIP, standInPort)}
	case "a neighbour over IPv6":
		var out []spot
		var addresses []string
		s.until(t, "here/client/0", "GET", "/addresses", nil, &addresses)
		for _, a := range addresses {
			at := net.JoinHostPort(a, standInPort)
			out = append(out, spot{tcp: at, udp: at, uncontrolled: true})
		}
		return out
	}
	t.Fatalf("%s: the test knows no such place", p.name)
	return nil
}

func (s *scene) serviceIP(t *testing.T, ns, name string) string {
	t.Helper()
	svc, err := s.c.typed.CoreV1().Services(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc.Spec.ClusterIP
}

func (s *scene) podIP(t *testing.T, ns, selector string) string {
	t.Helper()
	pods, err := s.c.typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("pods %s in %s: %d, %v", selector, ns, len(pods.Items), err)
	}
	return pods.Items[0].Status.PodIP
}

// toPlace are the cases of a row of the second table, from an instance of every service.
func (s *scene) toPlace(t *testing.T, p place) []dial {
	t.Helper()
	var out []dial
	for _, spot := range s.spots(t, p) {
		addresses := map[string]string{"tcp": spot.tcp, "udp": spot.udp, "icmp": spot.icmp}
		for _, proto := range placeProtos {
			if addresses[proto] == "" || p.cells[proto] == "-" {
				continue
			}
			target := netTarget{Proto: proto, Addr: addresses[proto]}
			if spot.host != "" && proto != "icmp" {
				target.Proto, target.Host = "dns-"+proto, spot.host
			}
			for role := range s.pods {
				// The address of a neighbour is no neighbour's for itself, and pods of no lease are not confined.
				if !strings.HasSuffix(role, "/0") || p.name == "a neighbour over IPv6" && role == "here/client/0" {
					continue
				}
				out = append(out, dial{role, p.name + ", " + proto, target, p.cells[proto] == "open", !spot.uncontrolled})
			}
		}
	}
	return out
}

// observe dials all cases and reports those that differ from the tables.
func (s *scene) observe(t *testing.T, all []dial) {
	t.Helper()
	for i := range all {
		all[i].target.Patience = closedFor
		if all[i].open {
			all[i].target.Patience = openWithin
		}
		if all[i].target.Proto == "udp" {
			all[i].target.Host = fmt.Sprintf("case %d ", i)
		}
	}
	outcomes := s.dialAll(t, all)
	opened, deviations := 0, 0
	for i, d := range all {
		if d.open {
			opened++
		}
		if open := outcomes[i].Outcome == "open"; open != d.open {
			deviations++
			t.Errorf("%s: %s -> %s %s: %s, want open=%v (%s)", d.what, d.from, d.target.Proto, d.target.Addr, outcomes[i].Outcome, d.open, outcomes[i].Detail)
		}
	}
	s.nothingArrived(t, all)
	t.Logf("%d connections dialled from %d places: %d open, %d closed, %d deviations", len(all), len(byFrom(all)), opened, len(all)-opened, deviations)
}

// nothingArrived looks for datagrams of closed cases at those who would have got them: an answer that is lost would
// hide a door that is open in one direction.
func (s *scene) nothingArrived(t *testing.T, all []dial) {
	t.Helper()
	for who := range s.control {
		var received []string
		s.until(t, who, "GET", "/received", nil, &received)
		for _, text := range received {
			var i int
			if _, err := fmt.Sscanf(text, "case %d ", &i); err == nil && !all[i].open {
				t.Errorf("%s: %s -> %s: a datagram arrived at %s", all[i].what, all[i].from, all[i].target.Addr, who)
			}
		}
	}
}

// withoutPolicies dials again what was closed by them, which now must be reached.
func (s *scene) withoutPolicies(t *testing.T, all []dial) {
	t.Helper()
	var closed []dial
	for _, d := range all {
		if !d.open && d.controlled {
			d.target.Patience, d.target.Any = openWithin, true
			closed = append(closed, d)
		}
	}
	outcomes := s.dialAll(t, closed)
	silent := 0
	for i, d := range closed {
		if outcomes[i].Outcome == "silent" {
			silent++
			t.Errorf("%s: %s -> %s %s: silent without policies as well: this case shows nothing (%s)", d.what, d.from, d.target.Proto, d.target.Addr, outcomes[i].Detail)
		}
	}
	t.Logf("%d of the closed connections dialled without policies, %d of them in vain", len(closed), silent)
}

func byFrom(all []dial) map[string][]int {
	out := map[string][]int{}
	for i, d := range all {
		out[d.from] = append(out[d.from], i)
	}
	return out
}

// dialAll dials from everywhere at once; the outcomes are in the order of the cases.
func (s *scene) dialAll(t *testing.T, all []dial) []netOutcome {
	t.Helper()
	outcomes := make([]netOutcome, len(all))
	var wg sync.WaitGroup
	for from, cases := range byFrom(all) {
		wg.Go(func() {
			targets := make([]netTarget, len(cases))
			for i, n := range cases {
				targets[i] = all[n].target
			}
			var got []netOutcome
			if err := s.ask(from, "POST", "/dial", targets, &got); err != nil || len(got) != len(cases) {
				t.Errorf("%s: %d outcomes of %d: %v", from, len(got), len(cases), err)
				return
			}
			for i, n := range cases {
				outcomes[n] = got[i]
			}
		})
	}
	wg.Wait()
	return outcomes
}
