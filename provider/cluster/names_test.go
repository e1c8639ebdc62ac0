package cluster

import (
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

func TestRoutes(t *testing.T) {
	anyone := []manifesttypes.To{{Global: true}}
	lease := markettypes.LeaseID{Owner: "a", Dseq: 1, Gseq: 1, Oseq: 1, Provider: "p"}
	long := strings.Repeat("x", 47) + "-" + strings.Repeat("y", 15)
	s := manifesttypes.Service{Name: long, Expose: []manifesttypes.Expose{
		{Port: 1, As: 1, Proto: manifesttypes.PROTO_TCP, To: anyone},
		{Port: 2, As: 2, Proto: manifesttypes.PROTO_HTTP, To: []manifesttypes.To{{Service: "web", Global: true}}},
		{Port: 3, As: 3, Proto: manifesttypes.PROTO_HTTP, To: anyone, Accept: []string{"example.com"}},
		{Port: 4, As: 65535, Proto: manifesttypes.PROTO_HTTP, To: anyone},
	}}
	got := Routes(lease, s, "d.test")
	if len(got) != 2 || got[0].Port != 3 || got[1].Port != 65535 || got[0].Accept[0] != "example.com" {
		t.Fatalf("Routes = %+v, want ports 3 and 65535", got)
	}
	for _, r := range got {
		label, _, _ := strings.Cut(r.Host, ".")
		if len(label) > 63 || strings.Contains(label, "--") {
			t.Errorf("label %q is not a good DNS label", label)
		}
	}
	lease.Dseq = 2
	if other := Routes(lease, s, "d.test"); other[0].Host == got[0].Host || other[1].Host == got[1].Host {
		t.Error("two leases share a host")
	}
}

func TestURL(t *testing.T) {
	for port, want := range map[int]string{0: "http://h", 80: "http://h", 8080: "http://h:8080"} {
		if got := URL("h", port); got != want {
			t.Errorf("URL(h, %d) = %s, want %s", port, got, want)
		}
	}
}
