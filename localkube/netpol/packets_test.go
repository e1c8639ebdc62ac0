package netpol

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/localkube/proc"
)

// packetPorts are served by everybody, in tcp and udp.
var packetPorts = []string{"7001", "7002", "7003", "7004", "7005"}

// outsiders are the addresses of a machine outside of the cluster.
var outsiders = []string{"192.0.2.7", "192.0.2.70", "192.0.2.130", "192.0.2.200", "198.51.100.7", "203.0.113.7"}

const nodeIP = "10.244.0.1"

// wires is a node, its pods and a machine outside, each in a network namespace of its own.
type wires struct {
	prefix string
	mu     sync.Mutex
	got    map[string]bool // texts of packets that have arrived
}

func (w *wires) netns(who string) string { return "/run/netns/" + w.name(who) }

func (w *wires) name(who string) string { return w.prefix + who }

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// lay makes the namespaces. Pods hang on a bridge as the bridge plugin makes it.
func lay(t *testing.T, pods map[string]string) *wires {
	t.Helper()
	w := &wires{prefix: fmt.Sprintf("np%d", os.Getpid()), got: map[string]bool{}}
	add := func(who string) {
		ip(t, "netns", "add", w.name(who))
		t.Cleanup(func() { ip(t, "netns", "del", w.name(who)) })
		ip(t, "-n", w.name(who), "link", "set", "lo", "up")
	}
	add("node")
	node := w.name("node")
	ip(t, "-n", node, "link", "add", "cni0", "type", "bridge")
	ip(t, "-n", node, "addr", "add", nodeIP+"/24", "dev", "cni0")
	ip(t, "-n", node, "link", "set", "cni0", "up")
	err := proc.InNetNS(w.netns("node"), func() error {
		return errors.Join(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644),
			os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644),
			os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-ip6tables", []byte("1"), 0o644))
	})
	if err != nil {
		unable(t, fmt.Sprintf("needs the kernel module br_netfilter: %v", err))
	}
	plug := func(who, port string, addresses ...string) {
		add(who)
		ip(t, "-n", node, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", w.name(who))
		for _, a := range addresses {
			ip(t, "-n", w.name(who), "addr", "add", a, "dev", "eth0")
		}
		ip(t, "-n", w.name(who), "link", "set", "eth0", "up")
	}
	for name, address := range pods {
		plug(name, "v"+name, address+"/24")
		ip(t, "-n", node, "link", "set", "v"+name, "master", "cni0")
		ip(t, "-n", node, "link", "set", "v"+name, "up")
		ip(t, "-n", w.name(name), "route", "add", "default", "via", nodeIP)
	}
	plug("outside", "vout", "100.127.0.2/30")
	ip(t, "-n", node, "addr", "add", "100.127.0.1/30", "dev", "vout")
	ip(t, "-n", node, "link", "set", "vout", "up")
	ip(t, "-n", w.name("outside"), "route", "add", "default", "via", "100.127.0.1")
	for _, a := range outsiders {
		ip(t, "-n", w.name("outside"), "addr", "add", a+"/32", "dev", "lo")
		ip(t, "-n", node, "route", "add", a+"/32", "via", "100.127.0.2")
	}
	for name, address := range pods {
		w.serve(t, name, address)
	}
	w.serve(t, "node", nodeIP)
	for _, a := range outsiders {
		w.serve(t, "outside", a)
	}
	return w
}

// in runs a function in somebody's network.
func (w *wires) in(t *testing.T, who string, do func() error) {
	t.Helper()
	if err := proc.InNetNS(w.netns(who), do); err != nil {
		t.Fatalf("%s: %v", who, err)
	}
}

// serve takes connections and datagrams at an address, and packets of any content of SCTP's protocol number.
func (w *wires) serve(t *testing.T, who, address string) {
	t.Helper()
	w.in(t, who, func() error {
		for _, port := range packetPorts {
			l, err := net.Listen("tcp4", net.JoinHostPort(address, port))
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go accept(l)
			conn, err := net.ListenPacket("udp4", net.JoinHostPort(address, port))
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = conn.Close() })
			go w.collect(conn, 0)
		}
		conn, err := net.ListenPacket("ip4:132", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = conn.Close() })
		go w.collect(conn, 12)
		six, err := net.ListenPacket("udp6", "[::]:7666")
		if err != nil && who == "outside" {
			return nil // one is there already
		}
		if err == nil {
			t.Cleanup(func() { _ = six.Close() })
			go w.collect(six, 0)
		}
		return err
	})
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// collect notes the texts of what arrives, after so many bytes of header.
func (w *wires) collect(conn net.PacketConn, header int) {
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if n > header {
			w.mu.Lock()
			w.got[string(buf[header:n])] = true
			w.mu.Unlock()
		}
	}
}

func (w *wires) arrived(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got[text]
}

// way is a packet's: from whom, from which address if that matters, by which protocol, and where to.
type way struct {
	from, source, proto, to string
	open                    bool
}

// try sends until something gets through or patience ends.
func (w *wires) try(y way, round string, patience time.Duration) bool {
	text := fmt.Sprintf("%s %s %s %s %s", round, y.from, y.source, y.proto, y.to)
	for deadline := time.Now().Add(patience); ; {
		through := false
		_ = proc.InNetNS(w.netns(y.from), func() error {
			through = w.send(y, text, max(time.Until(deadline), 50*time.Millisecond)) == nil && y.proto != "udp" && y.proto != "sctp" && y.proto != "udp6"
			return nil
		})
		if through || w.arrived(text) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (w *wires) send(y way, text string, patience time.Duration) error {
	d := net.Dialer{Timeout: patience}
	switch y.proto {
	case "tcp":
		if y.source != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(y.source)}
		}
		conn, err := d.Dial("tcp4", y.to)
		if err != nil {
			return err
		}
		return conn.Close()
	case "udp", "udp6":
		if y.source != "" {
			d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(y.source)}
		}
		return write(d, "udp", y.to, []byte(text))
	case "sctp":
		host, port, _ := net.SplitHostPort(y.to)
		var to int
		if _, err := fmt.Sscan(port, &to); err != nil {
			return err
		}
		if y.source != "" {
			d.LocalAddr = &net.IPAddr{IP: net.ParseIP(y.source)}
		}
		// Ports, tag and checksum: what a packet filter looks at.
		return write(d, "ip4:132", host, append([]byte{0x1b, 0x59, byte(to >> 8), byte(to), 0, 0, 0, 0, 0, 0, 0, 0}, text...))
	case "icmp":
		return ping(y.to, patience)
	}
	return fmt.Errorf("unknown protocol %q", y.proto)
}

func write(d net.Dialer, network, to string, data []byte) error {
	conn, err := d.Dial(network, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(data)
	return err
}

// again is how long one ping waits for its answer.
const again = 300 * time.Millisecond

// ping sends an echo request and waits for its answer.
func ping(to string, patience time.Duration) error {
	conn, err := net.Dial("ip4:icmp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	// An echo request with the identifier 0x1234: the sum of all words with the checksum is 0xffff.
	if _, err := conn.Write([]byte{8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1}); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(min(patience, again)))
	buf := make([]byte, 128)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		// The header of IPv4 comes first.
		if answer := buf[20:max(n, 20)]; len(answer) >= 6 && answer[0] == 0 && answer[4] == 0x12 && answer[5] == 0x34 {
			return nil
		}
	}
}

// ways are the cases: what the policies of testdata/packets.yaml open and close.
func ways(linkLocal string) []way {
	pod := map[string]string{
		"blocks": "10.244.0.10", "ranges": "10.244.0.11", "anyudp": "10.244.0.12", "named": "10.244.0.13",
		"client": "10.244.0.14", "shut": "10.244.0.15", "open": "10.244.0.16", "free": "10.244.0.20",
	}
	at := func(who, port string) string { return pod[who] + ":" + port }
	return []way{
		// ipBlock and except, out: any port and protocol.
		{"blocks", "", "tcp", "192.0.2.7:7001", true},
		{"blocks", "", "udp", "192.0.2.7:7005", true},
		{"blocks", "", "sctp", "192.0.2.7:7001", true},
		{"blocks", "", "icmp", "192.0.2.7", true},
		{"blocks", "", "tcp", "192.0.2.130:7001", false},
		{"blocks", "", "udp", "192.0.2.200:7001", false},
		{"blocks", "", "tcp", "192.0.2.70:7001", false},
		{"blocks", "", "icmp", "192.0.2.70", false},
		{"blocks", "", "sctp", "192.0.2.200:7001", false},
		{"blocks", "", "tcp", "203.0.113.7:7001", false},
		// A port without protocol is tcp's.
		{"blocks", "", "tcp", "198.51.100.7:7001", true},
		{"blocks", "", "udp", "198.51.100.7:7001", false},
		{"blocks", "", "tcp", "198.51.100.7:7002", false},
		{"blocks", "", "tcp", nodeIP + ":7001", false},
		{"blocks", "", "tcp", at("free", "7001"), false},
		// ipBlock and except, in.
		{"outside", "192.0.2.7", "tcp", at("blocks", "7001"), true},
		{"outside", "192.0.2.70", "tcp", at("blocks", "7001"), true},
		{"outside", "192.0.2.200", "tcp", at("blocks", "7001"), false},
		{"outside", "192.0.2.7", "udp", at("blocks", "7001"), false},
		{"outside", "192.0.2.7", "tcp", at("blocks", "7002"), false},
		{"free", "", "tcp", at("blocks", "7001"), false},
		{"node", "", "tcp", at("blocks", "7002"), true},
		// endPort.
		{"client", "", "tcp", at("ranges", "7001"), true},
		{"client", "", "tcp", at("ranges", "7002"), true},
		{"client", "", "tcp", at("ranges", "7003"), false},
		{"client", "", "udp", at("ranges", "7002"), false},
		{"client", "", "udp", at("ranges", "7003"), true},
		{"client", "", "udp", at("ranges", "7004"), true},
		{"client", "", "udp", at("ranges", "7005"), false},
		{"client", "", "tcp", at("ranges", "7005"), true},
		{"client", "", "icmp", pod["ranges"], false},
		{"client", "", "sctp", at("ranges", "7001"), false},
		{"free", "", "tcp", at("ranges", "7001"), false},
		// A protocol without port, and SCTP.
		{"blocks", "", "udp", at("anyudp", "7001"), false}, // it may come in, but not go out
		{"free", "", "udp", at("anyudp", "7001"), false},
		{"shut", "", "udp", at("anyudp", "7001"), false},
		{"ranges", "", "udp", at("anyudp", "7001"), true},
		{"ranges", "", "udp", at("anyudp", "7005"), true},
		{"ranges", "", "tcp", at("anyudp", "7001"), false},
		{"ranges", "", "sctp", at("anyudp", "7001"), true},
		{"ranges", "", "sctp", at("anyudp", "7002"), false},
		{"outside", "192.0.2.70", "udp", at("anyudp", "7004"), true},
		{"outside", "192.0.2.130", "udp", at("anyudp", "7004"), false},
		// Named ports: those of the pod that is connected to.
		{"free", "", "tcp", at("named", "7002"), true},
		{"free", "", "udp", at("named", "7003"), true},
		{"free", "", "tcp", at("named", "7004"), true},
		{"free", "", "tcp", at("named", "7003"), false},
		{"free", "", "udp", at("named", "7002"), false},
		{"free", "", "tcp", at("named", "7001"), false},
		{"outside", "203.0.113.7", "tcp", at("named", "7002"), true},
		{"client", "", "tcp", at("named", "7002"), true},
		{"client", "", "udp", at("named", "7003"), true},
		{"client", "", "tcp", at("named", "7004"), false}, // it may come in, but not go out
		// All and nothing.
		{"shut", "", "tcp", "192.0.2.7:7001", false},
		{"shut", "", "udp", nodeIP + ":7001", false},
		{"shut", "", "icmp", nodeIP, false},
		{"shut", "", "tcp", at("open", "7001"), false},
		{"free", "", "tcp", at("shut", "7001"), false},
		{"free", "", "icmp", pod["shut"], false},
		{"free", "", "tcp", at("open", "7001"), true},
		{"free", "", "udp", at("open", "7005"), true},
		{"free", "", "icmp", pod["open"], true},
		{"free", "", "sctp", at("open", "7001"), true},
		{"outside", "203.0.113.7", "udp", at("open", "7001"), true},
		{"open", "", "tcp", "203.0.113.7:7001", true},
		{"free", "", "tcp", nodeIP + ":7001", true},
		{"node", "", "udp", at("shut", "7001"), true},
		// Nobody is known to hold this address: a pod that is just being made, say.
		{"free", "", "tcp", "10.244.0.99:7001", false},
		{"outside", "203.0.113.7", "udp", "10.244.0.99:7001", false},
		// Pods have no IPv6 addresses: what they say over IPv6 is dropped, whatever policies say.
		{"free", "", "udp6", linkLocal, false},
	}
}

// unable ends a test that cannot run on this machine: where the end-to-end tests run, it has to.
func unable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BERTH_E2E") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestPackets sends packets through the rules in namespaces of its own: what a rule names passes, and nothing else.
// Without rules everything passes, so that it is they that close.
func TestPackets(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		unable(t, "needs nft and root")
	}
	s := load(t, "testdata/packets.yaml")
	pods := map[string]string{}
	for _, p := range s.Pods {
		pods[p.Name] = p.Status.PodIP
	}
	pods["unknown"] = "10.244.0.99"
	w := lay(t, pods)
	var linkLocal string
	w.in(t, "open", func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		addresses, err := eth0.Addrs()
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil {
				linkLocal = "[" + n.IP.String() + "%eth0]:7666"
			}
		}
		return err
	})
	all := ways(linkLocal)
	if linkLocal == "" {
		all = slices.DeleteFunc(all, func(y way) bool { return y.proto == "udp6" })
	}
	w.sendAll(t, "without rules", all, func(way) bool { return true })
	w.in(t, "node", func() error { return nft(t.Context(), Render(s)) })
	w.sendAll(t, "with rules", all, func(y way) bool { return y.open })
}

func (w *wires) sendAll(t *testing.T, round string, all []way, want func(way) bool) {
	t.Helper()
	var wg sync.WaitGroup
	for _, y := range all {
		wg.Go(func() {
			patience := 20 * time.Second
			if !want(y) {
				patience = time.Second
			}
			if got := w.try(y, round, patience); got != want(y) {
				t.Errorf("%s: %s %s -> %s %s: through=%v, want %v", round, y.from, y.source, y.proto, y.to, got, want(y))
			}
		})
	}
	wg.Wait()
}
