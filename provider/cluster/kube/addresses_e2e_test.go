//go:build e2e

package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// TestLeasedAddresses: two services of a lease share an address, at which tcp and udp answer at the ports' own numbers and
// nothing else does; another lease has another address.
func TestLeasedAddresses(t *testing.T) {
	pool, err := netip.ParsePrefix(os.Getenv("BERTH_E2E_ADDRESSES"))
	if err != nil {
		t.Fatalf("BERTH_E2E_ADDRESSES names no network of addresses: %v", err)
	}
	cfg := config(t)
	cfg.LeasedIPs = LeasedIPs{Count: 4, SharingKey: os.Getenv("BERTH_E2E_SHARE")}
	c, _ := start(t, cfg)
	at := []manifesttypes.To{{Global: true, Ip: "front"}}
	db := clustertest.Service("db", probeImage())
	db.Args = []string{"link-db", "5432"}
	db.Expose = []manifesttypes.Expose{
		{Port: 5432, As: 5432, Proto: manifesttypes.PROTO_TCP, To: at}, {Port: 5432, As: 5432, Proto: manifesttypes.PROTO_UDP, To: at},
	}
	web := clustertest.Service("web", image())
	web.Expose = []manifesttypes.Expose{{Port: 8080, As: 81, Proto: manifesttypes.PROTO_TCP, To: at}}
	_, status := deploy(t, c, 1, db, web)
	address := leasedAddress(t, pool, status)
	echoed(t, "tcp", address, 5432)
	echoed(t, "udp", address, 5432)
	await(t, "web at the leased address", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", hostPort(address, 81), time.Second)
		if err != nil {
			return false, err.Error()
		}
		return conn.Close() == nil, "it takes connections"
	})
	conn, err := net.DialTimeout("tcp", hostPort(address, 82), 2*time.Second)
	if err == nil {
		_ = conn.Close()
		t.Error("a port that no service has takes connections")
	}
	_, other := deploy(t, c, 2, db)
	if got := leasedAddress(t, pool, other); got == address {
		t.Errorf("two leases have the address %s", got)
	}
}

func hostPort(a netip.Addr, port int) string { return net.JoinHostPort(a.String(), strconv.Itoa(port)) }

// leasedAddress is the one address at which all ports of a lease are said to answer.
func leasedAddress(t *testing.T, pool netip.Prefix, status []cluster.ServiceStatus) netip.Addr {
	t.Helper()
	var one netip.Addr
	for _, s := range status {
		for _, p := range s.Ports {
			if p.Port != p.ExternalPort {
				continue // a port that the provider assigned besides
			}
			a, err := netip.ParseAddr(p.Host)
			if err != nil || !pool.Contains(a) || one.IsValid() && a != one {
				t.Fatalf("%s is at %s: %v; want one address of %s, as %s", s.Name, p.Host, err, pool, one)
			}
			one = a
		}
	}
	if !one.IsValid() {
		t.Fatalf("no port is at a leased address: %+v", status)
	}
	return one
}

// echoed waits until what is sent to a port comes back.
func echoed(t *testing.T, network string, a netip.Addr, port int) {
	t.Helper()
	await(t, network+" at the leased address", func() (bool, string) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, hostPort(a, port))
		if err != nil {
			return false, err.Error()
		}
		defer func() { _ = conn.Close() }()
		deadline, _ := ctx.Deadline()
		buf := make([]byte, 16)
		_, werr := fmt.Fprint(conn, "ping\n")
		err = errors.Join(conn.SetDeadline(deadline), werr)
		if err == nil {
			var n int
			n, err = conn.Read(buf)
			buf = buf[:n]
		}
		return err == nil && strings.HasPrefix(string(buf), "ping"), fmt.Sprintf("%q, %v", buf, err)
	})
}
