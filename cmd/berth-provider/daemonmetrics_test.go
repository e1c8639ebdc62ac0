package main

import (
	"bytes"
	"strings"
	"testing"
	"text/tabwriter"
)

func TestReadFigures(t *testing.T) {
	const text = `# HELP berth_provider_decisions_total Orders looked at
berth_provider_decisions_total{result="bid"} 20
berth_provider_decisions_total{result="capacity"} 3
berth_provider_decisions_total{result="signature"} 1e+06
berth_provider_last_bid_age_seconds 62.5
`
	f := readFigures(strings.NewReader(text))
	if f == nil || f.LastBidSeconds != 62.5 || f.Decisions["bid"] != 20 || f.Decisions["signature"] != 1_000_000 {
		t.Fatalf("figures %+v", f)
	}
	var out bytes.Buffer
	p := &page{tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)}
	f.text(p)
	if err := p.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "last bid   1m2s ago\ndecisions  20 bids; refused: 3 capacity, 1000000 signature\n" {
		t.Errorf("%q", got)
	}
	if f := readFigures(strings.NewReader("go_goroutines 5\n")); f != nil {
		t.Errorf("another program's metrics gave %+v", f)
	}
}
