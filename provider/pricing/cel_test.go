package pricing

import (
	"errors"
	"strings"
	"testing"

	providertypes "berth.dev/berth/x/provider/types"
)

func TestExpression(t *testing.T) {
	ask := Ask{
		Owner: "berth1a", Denom: "ubrt", Max: Whole(9), Instances: 3, CPUMilli: 1500, MemoryBytes: 1<<30 + 1, RAMBytes: 5, EphemeralBytes: 7,
		Volumes: []ClassBytes{{"beta2", 4 << 30}}, GPUs: []GPUs{{2, []GPUKind{{Vendor: "nvidia", Model: "a100"}, {Vendor: "amd"}}}, {1, nil}},
		HTTP: 1, Ports: 2, IPs: 3, Attributes: []providertypes.Attribute{{Key: "region", Value: "eu"}},
	}
	st := Standing{
		Nodes: 2, OpenBids: 4, Leases: 5, OwnerOpenBids: 6, OwnerLeases: 7, OwnerExposure: Whole(8),
		Capacity: Resources{1000, 1 << 40, 1 << 41, 8}, Free: Resources{-1, 1 << 39, 0, 3},
	}
	for source, want := range map[string]string{
		"table":                  "3",
		"table * 110 / 100":      "3.3",
		"percent(table, 110)":    "3.3",
		"table / 7":              "0.428571428572",
		"table * 2u + amount(1)": "7",
		"amount('0.25')":         "0.25",
		"table - amount('0.5')":  "2.5",
		"min(table, order.max)":  "3",
		"max(table, order.max)":  "9",
		"min(3, 2) + max(3, 2)":  "5",
		"5":                      "5",
		"5u":                     "5",
		"ceilDiv(order.memory_bytes, 1073741824)": "2",
		"ceilDiv(-7, 2) + 10":                     "7",
		"percent(7, 50)":                          "4",
		"order.storage['beta2'] / 1073741824":     "4",
		"order.storage.get('beta3', 11)":          "11",
		"order.gpus * 10 + order.gpu['nvidia/a100'] + order.gpu.get('amd/*', 0) + order.gpu['*']":                                    "35",
		"order.instances + order.http + order.ports + order.ips":                                                                     "9",
		"order.ram_bytes + order.ephemeral_bytes":                                                                                    "12",
		"order.attributes['region'] == 'eu' ? table * 2 : table":                                                                     "6",
		"order.attributes.exists(k, k == 'tier') ? 1 : 2":                                                                            "2",
		"order.owner.startsWith('berth1') && order.denom == 'ubrt' ? 1 : 2":                                                          "1",
		"cluster.nodes + cluster.open_bids + cluster.leases":                                                                         "11",
		"owner.open_bids + owner.leases":                                                                                             "13",
		"owner.exposure > order.max ? 1 : 2":                                                                                         "2",
		"owner.exposure >= amount(8) && table <= amount(3) && table < order.max && table == amount(3) && table != amount(4) ? 1 : 2": "1",
		"free.cpu_milli < 0 ? 100 + free.cpu_milli : 0":                                                                              "99",
		"free.gpus + cluster.gpus":                                                                                                   "11",

		"-1":                               "the price expression failed: a price of -1",
		"table - amount(4)":                "the price expression failed: 3 - 4 is negative",
		"table / (order.gpus - 3)":         "the price expression failed: division by zero",
		"table * (order.gpus - 4)":         "the price expression failed: -1 is negative",
		"order.storage['beta9']":           "the price expression failed: no such key: beta9",
		"9223372036854775807 + order.gpus": "the price expression failed: integer overflow",
		"amount(18446744073709551615u) * 18446744073709551615u": "the price expression failed: the amount is too large",
		"amount(order.owner)":               "the price expression failed: \"berth1a\" is not a decimal number",
		"ceilDiv(1, 0)":                     "the price expression failed: division by zero",
		"percent(9223372036854775807, 200)": "the price expression failed: integer overflow",
	} {
		e, err := CompileExpression(source)
		if err != nil {
			var wrong *ExpressionError // what is constant fails when it is compiled
			if !errors.As(err, &wrong) || !strings.HasPrefix(want, "the price expression failed: ") || !strings.Contains(err.Error(), strings.TrimPrefix(want, "the price expression failed: ")) {
				t.Errorf("%s does not compile: %v", source, err)
			}
			continue
		}
		price, refused := e.Price(&ask, &st, Whole(3))
		got := price.String()
		if refused.Code != Priced {
			got = refused.String()
		}
		if got != want {
			t.Errorf("%s = %s, want %s", source, got, want)
		}
	}
}

// TestSetKeepsTheMinimum: whatever an expression or a program says, no price is below the table's minimum.
func TestSetKeepsTheMinimum(t *testing.T) {
	table := Table{Denom: "ubrt", CPU: Whole(10), Minimum: Whole(4)}
	e, err := CompileExpression("table / 10")
	if err != nil {
		t.Fatal(err)
	}
	ask := Ask{Denom: "ubrt", CPUMilli: 1000}
	if got, _ := NewSet([]Table{table}, e, false).Price(&ask, &Standing{}); got != Whole(4) {
		t.Errorf("by an expression: %s", got)
	}
	quoted := NewSet([]Table{table}, nil, true)
	if got, refused := quoted.Price(&ask, &Standing{}); refused.Code != Unquoted {
		t.Errorf("without a quote: %s, %v", got, refused)
	}
	ask.Quote = &Quote{Price: Whole(1)}
	if got, _ := quoted.Price(&ask, &Standing{}); got != Whole(4) {
		t.Errorf("by a program: %s", got)
	}
	ask.Quote = &Quote{Refusal: Refusal{Code: ProgramLate}}
	if got, refused := quoted.Price(&ask, &Standing{}); refused.Code != ProgramLate || !refused.Transient() {
		t.Errorf("a late program: %s, %v", got, refused)
	}
	ask.Denom = "uusd"
	if _, refused := quoted.Price(&ask, &Standing{}); refused.String() != `there are no prices in "uusd"` {
		t.Errorf("another denom: %v", refused)
	}
}

// TestCostLimits: what is let through stays within the limit, and what is not says so.
func TestCostLimits(t *testing.T) {
	ask := Ask{}
	for range providertypes.MaxAttributes {
		ask.Attributes = append(ask.Attributes, providertypes.Attribute{Key: strings.Repeat("k", 60) + string(rune('0'+len(ask.Attributes))), Value: strings.Repeat("v", 200)})
	}
	e, err := CompileExpression("order.attributes.all(k, k.startsWith('k')) ? 1 : 2")
	if err != nil {
		t.Fatal(err)
	}
	if got, refused := e.Price(&ask, &Standing{}, Amount{}); got != Whole(1) {
		t.Errorf("%s, %v", got, refused)
	}
	for _, source := range []string{
		"order.attributes.all(a, order.attributes.all(b, a != b)) ? 1 : 2",
		"[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].map(d, a*b*c*d)[0])[0])[0])[0]",
	} {
		if _, err := CompileExpression(source); err == nil || !strings.Contains(err.Error(), "units, more than") {
			t.Errorf("%s: %v", source, err)
		}
	}
}
