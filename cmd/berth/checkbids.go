package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl"
	"berth.dev/berth/tenant"
)

// checkedPlan is a plan with what the registered providers say of it; in JSON it is the plan with one key more.
type checkedPlan struct {
	plan      *sdl.Plan
	screening []tenant.GroupScreening
}

// MarshalJSON writes the plan's keys, and screening.
func (c checkedPlan) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(c.plan)
	if err != nil {
		return nil, err
	}
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	if keys["screening"], err = json.Marshal(c.screening); err != nil {
		return nil, err
	}
	return json.Marshal(keys)
}

// checkPlan shows a plan and who would bid on it. It exits with exitNoBid if nobody would bid on some group.
func checkPlan(cmd *cobra.Command, connect connector, file string, blockTime time.Duration) error {
	plan, err := compileDocument(cmd, file)
	if err != nil {
		return err
	}
	s, err := openSession(cmd, connect)
	if err != nil {
		return err
	}
	defer s.Close()
	if !cmd.Flags().Changed("block-time") {
		if measured, err := s.Chain.BlockTime(cmd.Context()); err == nil && measured > 0 {
			blockTime = measured
		}
	}
	screening, err := s.Screen(cmd.Context(), plan)
	if err != nil {
		return err
	}
	err = s.print(checkedPlan{plan, screening}, func(w io.Writer) error {
		if _, err := io.WriteString(w, planText(plan, explainPlan(plan, blockTime))+"\n"); err != nil {
			return err
		}
		return writeScreening(w, screening)
	})
	if err != nil {
		return err
	}
	for _, g := range screening {
		if g.WouldBid() == 0 {
			return exitSilently(exitNoBid)
		}
	}
	return nil
}

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
