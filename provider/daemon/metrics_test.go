package daemon

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/lease"
	provlink "berth.dev/berth/provider/link"
	"berth.dev/berth/provider/terms"
)

// everyMetric is a registry in which each metric has a value.
func everyMetric(t *testing.T) *metrics {
	t.Helper()
	m := newMetrics()
	m.watch(func() (bid.Counts, time.Time) { return bid.Counts{}, time.Time{} }, func() []bid.Use {
		return []bid.Use{
			{Resource: inventory.CPU, Capacity: 4000, Held: 100}, {Resource: inventory.GPU, Class: "vendor/nvidia/model/a100", Capacity: 8, Held: 9},
			{Resource: inventory.Persistent, Class: "beta2", Capacity: 7}, {Resource: inventory.Ports, Capacity: 10, Held: 2},
		}
	}, func() (active, suspended int) { return 0, 0 })
	m.watchTerms(func() terms.Status { return terms.Status{} })
	m.Decided(bid.Accepted)
	if _, err := provlink.New(provlink.Config{Metrics: m.registry}, nil, noLeases{}, fake.New(fake.Config{})); err != nil {
		t.Fatal(err)
	}
	m.BidsSent(1, 1, 1)
	m.Reached(bid.Read, time.Second)
	m.Reached(bid.Broadcast, time.Second)
	m.Reconciled(nil)
	m.Applied(nil)
	m.Removed(nil)
	m.txs.WithLabelValues("included").Inc()
	m.withdrawn.WithLabelValues("ubrt").Inc()
	m.setBalance(sdk.NewCoins(sdk.NewInt64Coin("ubrt", 5)), map[string]bool{})
	return m
}

// noLeases are those of a provider that has none.
type noLeases struct{}

func (noLeases) Held() ([]lease.Held, bool) { return nil, true }
func (noLeases) Height() int64              { return 0 }

var metricName = regexp.MustCompile("`(berth_(?:provider|gateway)_[a-z_]+)`")

// TestMetricsAreDocumented: the operator's guide has a row for each metric, and none for one that does not exist.
func TestMetricsAreDocumented(t *testing.T) {
	families, err := everyMetric(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "berth_provider_") {
			have = append(have, name)
		}
	}
	guide, err := os.ReadFile("../../docs/ops/provider.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, named := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(guide)) {
		for _, m := range metricName.FindAllStringSubmatch(line, -1) {
			named[m[1]] = true
			if strings.HasPrefix(line, "| `"+m[1]+"`") {
				rows[m[1]] = true
			}
		}
	}
	for _, name := range have {
		if !rows[name] {
			t.Errorf("docs/ops/provider.md has no row for %s", name)
		}
	}
	for name := range named {
		if strings.HasPrefix(name, "berth_provider_") && !slices.Contains(have, name) {
			t.Errorf("docs/ops/provider.md names %s, which does not exist", name)
		}
	}
}

// TestUsageIsShownByClass: devices and storage stand by their classes, and what was lost after it was sold shows.
func TestUsageIsShownByClass(t *testing.T) {
	families, err := everyMetric(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if name := f.GetName(); name == "berth_provider_capacity" || name == "berth_provider_reserved" {
			for _, x := range f.GetMetric() {
				key := strings.TrimPrefix(name, "berth_provider_")
				for _, l := range x.GetLabel() {
					key += " " + l.GetValue()
				}
				got[key] = x.GetGauge().GetValue()
			}
		}
	}
	for key, want := range map[string]float64{
		"capacity  cpu": 4000, "reserved  cpu": 100, "capacity vendor/nvidia/model/a100 gpu_class": 8,
		"reserved vendor/nvidia/model/a100 gpu_class": 9, "capacity beta2 persistent": 7, "reserved  ports": 2,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v; all: %v", key, got[key], want, got)
		}
	}
}

// TestBalanceOfNothing: a denom that is used up is shown as 0, not as what it last was.
func TestBalanceOfNothing(t *testing.T) {
	m, shown := newMetrics(), map[string]bool{}
	m.setBalance(sdk.NewCoins(sdk.NewInt64Coin("ubrt", 5), sdk.NewInt64Coin("uusd", 6)), shown)
	m.setBalance(sdk.NewCoins(sdk.NewInt64Coin("uusd", 7)), shown)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "berth_provider_signer_balance" {
			continue
		}
		if n := f.GetMetric(); len(n) != 2 || n[0].GetGauge().GetValue() != 0 || n[1].GetGauge().GetValue() != 7 {
			t.Errorf("balances %v", n)
		}
	}
}
