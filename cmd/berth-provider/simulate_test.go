package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/provider/simulate"
)

// The market that simulate's tests live through: three orders of a core each, two of them leased, for 12 and 20.
const (
	recordedHeader = `{"recording":1,"chain_id":"c","from":1,"to":40,"block_seconds":"1","deposits":[{"denom":"ubrt","amount":"7"}]}` + "\n"
	recordedOrder  = `{"height":1,"kind":"order_created","event":{"owner":"t","dseq":"N","order":{"id":{"owner":"t","dseq":"N","gseq":1,"oseq":1},"state":"ORDER_STATE_OPEN",` +
		`"spec":{"name":"g","units":[{"id":1,"cpu_milli":"1000","memory_bytes":"1048576","count":1,"price":{"denom":"ubrt","amount":"50"}}]},"created_at":"1"}}}` + "\n"
	recordedLease = `{"height":10,"kind":"lease_created","event":{"owner":"t","dseq":"N","provider":"x","lease":{"id":{"owner":"t","dseq":"N","gseq":1,"oseq":1,"provider":"x"},` +
		`"state":"LEASE_STATE_ACTIVE","price":{"denom":"ubrt","amount":"P"}}}}` + "\n"
	snapshotJSON = `{"snapshot":1,"provider":"berth1us","attributes":[],"nodes":[{"name":"a","cpu_milli":8000,"memory_bytes":8589934592,"storage_bytes":8589934592,"pods":50}]}`
)

func simulated(t *testing.T) (orders, nodes, cheap, dear string) {
	t.Helper()
	dir := t.TempDir()
	fill := func(text, n, p string) string {
		return strings.NewReplacer(`"N"`, `"`+n+`"`, `"P"`, `"`+p+`"`).Replace(text)
	}
	for name, text := range map[string]string{
		"orders.jsonl": recordedHeader + fill(recordedOrder, "1", "") + fill(recordedOrder, "2", "") + fill(recordedOrder, "3", "") +
			fill(recordedLease, "1", "12") + fill(recordedLease, "2", "20"),
		"nodes.json": snapshotJSON,
		"cheap.yaml": "prices: {ubrt: {per: block, cpu: 10}}\n",
		"dear.yaml":  "prices: {ubrt: {per: block, cpu: 15}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return at("orders.jsonl"), at("nodes.json"), at("cheap.yaml"), at("dear.yaml")
}

func TestSimulate(t *testing.T) {
	orders, nodes, cheap, dear := simulated(t)
	html := filepath.Join(t.TempDir(), "report.html")
	args := []string{"simulate", "--orders", orders, "--nodes", nodes, "--pricing", cheap, "--against", dear}
	r := run(t, "", append(args, "-o", "json")...)
	var got []simulate.Result
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || len(got) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got[0].Bids != 3 || got[0].Won != 2 || got[1].Won != 1 || got[0].WinRate != 1000 || got[1].WinRate != 500 {
		t.Errorf("results %+v", got)
	}
	// From block 10 to 40: 30 blocks of 10 for two leases, of 15 for one.
	if got[0].Revenue[0].Amount != "600" || got[1].Revenue[0].Amount != "450" {
		t.Errorf("revenue %v and %v", got[0].Revenue, got[1].Revenue)
	}
	r = run(t, "", append(args, "--html", html)...)
	if r.code != 0 || !strings.Contains(r.out, "win rate") || !strings.Contains(r.out, "50.0 %") || !strings.Contains(r.err, html) {
		t.Errorf("as text: %+v", r)
	}
	if page, err := os.ReadFile(html); err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("the page: %v", err)
	}
}

func TestSimulateRefuses(t *testing.T) {
	orders, nodes, cheap, _ := simulated(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("prices: {ubrt: {per: block, cpuu: 10, memory: -1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(o, n, p string) []string {
		return []string{"simulate", "--orders", o, "--nodes", n, "--pricing", p}
	}
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"no flags":     {[]string{"simulate"}, []string{"--orders is missing"}},
		"no file":      {with(orders+"x", nodes, cheap), []string{"there is no file", "record"}},
		"swapped":      {with(nodes, orders, cheap), []string{"nodes.json:1"}},
		"bad prices":   {with(orders, nodes, bad), []string{"bad.yaml:1:", "cpu"}},
		"no such file": {with(orders, nodes, "none.yaml"), []string{"none.yaml"}},
	} {
		r := run(t, "", tc.args...)
		for _, want := range tc.want {
			if r.code != exitUsage || !strings.Contains(r.err, want) || r.out != "" {
				t.Errorf("%s: %+v, want %d and %q", name, r, exitUsage, want)
			}
		}
	}
}
