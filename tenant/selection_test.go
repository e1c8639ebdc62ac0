package tenant_test

import (
	"strings"
	"testing"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// choose deploys one group with a selection and returns the provider that got it.
func choose(t *testing.T, w *tenanttest.World, selection string) (string, error) {
	t.Helper()
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	by, err := tenant.ParseSelection(selection)
	if err != nil {
		t.Fatal(err)
	}
	m.Select(by)
	s := begin(t, m, tenanttest.OneGroup)
	err = m.Run(t.Context(), s)
	return s.BidID(0).Provider, err
}

func TestSelection(t *testing.T) {
	auditor, other := tenanttest.Address("auditor"), tenanttest.Address("other")
	for _, c := range []struct{ selection, want string }{
		{"lowest", "west-cheap"},
		{"audited", "east-cheap"},
		{"audited:" + auditor, "west-dear"},
		{"audited:" + auditor + "," + other, "east-cheap"},
		{"region:east", "east-cheap"},
		{"region:north,east,west", "east-cheap"},
		{"expr:region == 'west' && price_per_month > 17 * BRT", "west-dear"},
		{"expr:size(audited_by) > 0 && attributes['region'].startsWith('ea')", "east-cheap"},
		{"expr:host.contains('east-dear') && leases == 0 && !('unstable' in closed)", "east-dear"},
	} {
		t.Run(c.selection, func(t *testing.T) {
			w := tenanttest.New(eastWest()...)
			w.Audits = map[string][]string{
				tenanttest.Address("east-cheap"): {other}, tenanttest.Address("west-dear"): {auditor},
				tenanttest.Address("west-cheap"): {tenanttest.Address("west-cheap")}, // signs for itself
			}
			got, err := choose(t, w, c.selection)
			if err != nil || got != tenanttest.Address(c.want) {
				t.Errorf("took %s, %v; want %s", got, err, tenanttest.Address(c.want))
			}
		})
	}
}

// Bids that the selection does not accept are not taken, whatever the wait; the failure says why, once for each reason.
func TestNothingAcceptable(t *testing.T) {
	for selection, want := range map[string]string{
		"audited":                   "4 bids: no auditor has signed its attributes",
		"region:south":              `2 bids: it is in region "west"; 2 bids: it is in region "east"`,
		"expr:leases > 5":           "4 bids: the expression is not true of it",
		"expr:attributes.sla == ''": "4 bids: the expression cannot be computed: no such key: sla",
	} {
		_, err := choose(t, tenanttest.New(eastWest()...), selection)
		f := wantFailure(t, err, tenant.KindNoBid, "no acceptable bid within")
		if !strings.Contains(f.Error(), want) {
			t.Errorf("%s: %q lacks %q", selection, f.Error(), want)
		}
	}
}

func TestParseSelectionRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "is not one of lowest",
		"lowest:x":                          "is not one of lowest",
		"cheapest":                          "is not one of lowest",
		"region":                            "a name is missing",
		"region:a,,b":                       "a name is missing",
		"audited:":                          "a name is missing",
		"audited:me":                        `"me" is not an address`,
		"expr:":                             "the expression is empty",
		"expr:price":                        "undeclared reference",
		"expr:price_per_month":              "gives a int, not true or false",
		"expr:" + strings.Repeat("1", 5000): "at most 4096 are allowed",
	} {
		if _, err := tenant.ParseSelection(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// An expression that would take long is cut off; it is then not true.
func TestExpressionCostIsBounded(t *testing.T) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 60), ",") + "]"
	e, err := tenant.ParseExpression(list + ".all(a, " + list + ".all(b, " + list + ".all(c, " + list + ".all(d, a+b+c+d > 0))))")
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := e.Holds(tenant.Offer{}); yes || err == nil {
		t.Errorf("got %v, %v; want an error of its cost", yes, err)
	}
}
