package main

import (
	"fmt"
	"io"
	"strings"

	"berth.dev/berth/tenant"
)

// writeScreening writes for people what providers say of groups. Their texts are strangers' and go through printable.
func writeScreening(w io.Writer, groups []tenant.GroupScreening) error {
	var b strings.Builder
	b.WriteString("Who would bid now (nothing is held or promised):\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "\nGroup %s: %s would bid\n", g.Group, counted(g.WouldBid(), "provider"))
		if len(g.Answers) == 0 {
			b.WriteString("  no provider is registered\n")
			continue
		}
		t := newTable("PROVIDER", "REGION", "PER BLOCK", "PER MONTH", "ANSWER").alignRight(2, 3)
		for _, a := range g.Answers {
			t.add(printable(a.Host), printable(a.Region), screenedPrice(a.PricePerBlock), screenedMonth(a), printable(screenedAnswer(a)))
		}
		b.WriteString(t.render("  "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func screenedPrice(p *tenant.Price) string {
	if p == nil {
		return "-"
	}
	return tenant.FormatDec(p.DecCoin)
}

func screenedMonth(a tenant.ScreeningAnswer) string {
	if !a.WouldBid {
		return "-"
	}
	return perMonth(a.PricePerMonth)
}

func screenedAnswer(a tenant.ScreeningAnswer) string {
	switch {
	case a.WouldBid:
		return "would bid"
	case a.Unknown != "":
		return "unknown: " + a.Unknown
	default:
		return a.Reason
	}
}
