package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/tenant"
)

// progress shows what happens: lines on stderr for people, or events on stdout with -o jsonl.
type progress struct {
	s     *session
	start time.Time
	live  *live
}

func newProgress(s *session) *progress {
	return &progress{s: s, start: s.Clock.Now(), live: newLive(s.err)}
}

func (p *progress) observe(e tenant.Event) {
	if p.s.format == formatJSONL {
		_ = writeEvent(p.s.out, e.Name(), e) // a broken pipe does not stop a deployment
		return
	}
	p.show(e)
}

// writeEvent writes one line {"event": NAME, ...} with the fields of v.
func writeEvent(w io.Writer, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", name, err)
	}
	line := fmt.Sprintf(`{"event":%q`, name)
	if rest := strings.TrimPrefix(string(data), "{"); rest != string(data) && rest != "}" {
		line += "," + rest
	} else if rest == string(data) {
		line += `,"value":` + rest + "}"
	} else {
		line += "}"
	}
	_, err = fmt.Fprintln(w, line)
	return err
}

// line writes a line with the time since the start.
func (p *progress) line(format string, args ...any) {
	p.live.end()
	fmt.Fprint(p.s.err, p.stamped(format, args...))
}

// stamped is a line with the time since the start.
func (p *progress) stamped(format string, args ...any) string {
	elapsed := p.s.style.dim(fmt.Sprintf("%6.1fs", p.s.Clock.Now().Sub(p.start).Seconds()))
	return elapsed + "  " + printable(fmt.Sprintf(format, args...)) + "\n"
}

// stepTexts say what each step does.
var stepTexts = map[tenant.Step]string{
	tenant.StepCreate: "sending the deployment to the chain", tenant.StepBids: "waiting for bids",
	tenant.StepLease: "taking the chosen bids", tenant.StepUpdate: "sending the new manifest hash to the chain",
	tenant.StepManifest: "sending the manifest to the provider", tenant.StepRollout: "waiting until all services are ready",
}

func (p *progress) show(e tenant.Event) {
	switch e := e.(type) {
	case tenant.StepStarted:
		p.line("%s", stepTexts[e.Step])
	case tenant.Sent:
		p.line("  %s: in block %d, transaction %s", e.Action, e.Height, e.Hash)
	case tenant.BidsSeen:
		p.bids(e)
	case tenant.Chosen:
		p.line("  %s goes to %s for %s", e.Group, e.Offer.Provider, tenant.FormatDec(e.Offer.PricePerBlock.DecCoin)+" per block")
	case tenant.Accepted:
		p.line("  %s: accepted by %s", e.Group, shortAddress(e.Provider))
	case tenant.Progress:
		var b strings.Builder
		for _, svc := range e.Services {
			b.WriteString(p.stamped("  %s", serviceText(svc)))
		}
		p.live.draw(b.String())
	case tenant.Warned:
		p.live.end()
		fmt.Fprintf(p.s.err, "%s %s\n", p.s.style.amber("Warning:"), printable(e.Text))
	}
}

// bids shows the bids on all groups so far.
func (p *progress) bids(e tenant.BidsSeen) {
	var b strings.Builder
	for _, g := range e.Groups {
		if len(g.Offers)+len(g.Refused) == 0 {
			b.WriteString(p.stamped("  %s: no bid yet in block %d (%s could; waiting up to %s)", g.Name, e.Height,
				counted(g.Eligible, "registered provider"), time.Duration(e.LeftSeconds*float64(time.Second)).Round(time.Second)))
			continue
		}
		b.WriteString(p.stamped("  %s: %s in block %d", g.Name, counted(len(g.Offers)+len(g.Refused), "bid"), e.Height))
		b.WriteString(offersTable(append(slices.Clone(g.Offers), g.Refused...)).render("         "))
	}
	p.live.draw(b.String())
}

// offersTable lists bids, those that can be taken first, cheapest first and numbered from 1.
func offersTable(offers []tenant.Offer) *table {
	t := newTable("#", "PROVIDER", "HOST", "REGION", "PRICE/BLOCK", "PRICE/MONTH", "AUDITED BY", "RECORD", "").alignRight(4, 5)
	refused := false
	for i, o := range offers {
		number, why := fmt.Sprint(i+1), ""
		if o.Refused != "" {
			number, why, refused = "-", "not taken: "+o.Refused, true
		}
		t.add(number, shortAddress(o.Provider), strings.TrimPrefix(o.Host, "https://"), orDash(o.Region),
			tenant.FormatDec(o.PricePerBlock.DecCoin), perMonth(o.PricePerMonth), auditorsText(o.AuditedBy), recordText(o.Record), why)
	}
	if !refused {
		t.drop(8)
	}
	return t
}

// auditorsText names one auditor, or counts several.
func auditorsText(auditors []string) string {
	switch len(auditors) {
	case 0:
		return "-"
	case 1:
		return shortAddress(auditors[0])
	}
	return counted(len(auditors), "auditor")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// serviceText is one service's state in a line.
func serviceText(s tenant.ServiceStatus) string {
	text := fmt.Sprintf("%s %d/%d ready", s.Name, s.Ready, s.Desired)
	if s.Ready >= s.Desired && s.Updated < s.Desired {
		text += fmt.Sprintf(", %d/%d updated", s.Updated, s.Desired)
	}
	if s.Failed {
		text += ", failed"
	}
	if s.Message != "" && !s.Complete() {
		text += ": " + s.Message
	}
	for _, h := range s.Hooks {
		if !h.Over() {
			text += ", hook " + h.Name + " is " + h.State
		}
	}
	return text
}
