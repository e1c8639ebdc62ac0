package daemon

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/provider/terms"
	"berth.dev/berth/units"
	markettypes "berth.dev/berth/x/market/types"
)

// TestWrittenPricingFile: what init writes can be read, and so can every setting that it leaves out.
func TestWrittenPricingFile(t *testing.T) {
	text, err := WritePricing("ubrt", RatesConfig{CPU: "2000000", Memory: "1000000", Storage: "50000", GPU: "200000000", Endpoint: "50000", Minimum: "100000"})
	if err != nil {
		t.Fatal(err)
	}
	plain, problems := terms.Parse("pricing.yaml", []byte(text))
	if plain == nil || len(plain.Tables) != 1 || plain.Expression != nil || plain.Program != nil || plain.Rules.Rule != nil {
		t.Fatalf("as written: %+v, %v", plain, problems)
	}
	all := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(text, "$1$2")
	expression, program, _ := strings.Cut(all, "program:\n")
	_, rest, _ := strings.Cut(program, "\n\n")
	if got, problems := terms.Parse("pricing.yaml", []byte(expression+"\n"+rest)); got == nil || got.Expression == nil || got.Rules.Rule == nil ||
		got.Rules.MaxOpenBids == 0 || !got.Tables[0].IP.Given {
		t.Errorf("with the expression: %+v, %v in\n%s", got, problems, all)
	}
	before, _, _ := strings.Cut(expression, "expression:")
	if got, problems := terms.Parse("pricing.yaml", []byte(before+"\nprogram:\n"+program)); got == nil || got.Program == nil {
		t.Errorf("with the program: %+v, %v", got, problems)
	}
}

// gauge is what the metrics say under a name.
func (w *world) gauge(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.daemon.metrics.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(labels) == 0 || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == labels[0]) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

// TestPricesChangeWhileItRuns: on a real chain, bids follow the pricing file: a table, a mistake that changes nothing, a
// program, a rule.
func TestPricesChangeWhileItRuns(t *testing.T) {
	w := newWorld(t)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(w.home.PricingFile(PricingConfig{File: "pricing.yaml"}), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, _ := seal(t, webGroup(1, "berth.local/hello:1"))
	bid := func() string {
		t.Helper()
		order := w.deploy(root)
		w.awaitBid(order)
		res, err := w.market().Bid(context.Background(), &markettypes.QueryBidRequest{Id: order.BidID(w.provider())})
		if err != nil {
			t.Fatal(err)
		}
		return res.Bid.Price.String()
	}
	table := "prices: {ubrt: {per: block, cpu: 100, memory: 8}}\n" // of 200m and 128Mi
	put(table)
	w.edit = func(c *Config) { c.Pricing = PricingConfig{File: "pricing.yaml", Denom: units.BaseDenom} }
	w.start()
	if got := bid(); got != "21.000000000000000000ubrt" {
		t.Errorf("by the table: %s", got)
	}
	put("prices: {ubrt: {per: block, cpu: -1}}\n")
	w.await("the mistake to show", func() bool { return w.gauge("berth_provider_pricing_current") == 0 })
	if got := bid(); got != "21.000000000000000000ubrt" {
		t.Errorf("by the former table: %s", got)
	}
	put(table + `program: {timeout: 30s, batch_timeout: 60s, command: [sh, -c, 'while read -r l; do l=${l#*\"id\":}; echo "{\"id\":${l%%,*},\"price\":\"33\"}"; done']}` + "\n")
	w.await("the program", func() bool { return w.gauge("berth_provider_pricing_loads_total") == 2 })
	if got := bid(); got != "33.000000000000000000ubrt" {
		t.Errorf("by the program: %s", got)
	}
	put(table + fmt.Sprintf("policy: {owners: {deny: [%s]}}\n", w.tenant.Address()))
	w.await("the policy", func() bool { return w.gauge("berth_provider_pricing_loads_total") == 3 })
	w.deploy(root)
	w.await("the refusal", func() bool { return w.gauge("berth_provider_decisions_total", "owner") == 1 })
	w.stop()
	put("prices: {}\n")
	if _, err := New(w.daemon.cfg, Options{Home: w.home, Keyring: w.net.Keyring(t), Cluster: w.cluster, Poll: time.Second}); err == nil || !strings.Contains(err.Error(), "pricing.yaml:1:1: error: prices: prices has no denom") {
		t.Errorf("a start with a mistake: %v", err)
	}
}
