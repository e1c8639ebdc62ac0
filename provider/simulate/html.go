package simulate

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// WriteHTML writes results as one page that needs nothing else: no script, no font, no picture from elsewhere.
func WriteHTML(w io.Writer, results []*Result) error {
	if err := page.Execute(w, results); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// colours tell the results apart, in both themes, also for people who see red and green alike.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"permille": permille,
	"amounts":  amounts,
	"span":     func(s int64) string { return (time.Duration(s) * time.Second).String() },
	"colour":   func(i int) template.CSS { return template.CSS(colours[i%len(colours)]) }, //nolint:gosec // one of ours
	"courses":  courses,
	"bars":     bars,
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Simulated bidding</title>
<style>
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
th:first-child,td:first-child{text-align:left}td.why{text-align:left}
svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:currentColor}
.key{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.3rem;vertical-align:-1px}
</style></head><body>
<h1>Simulated bidding</h1>
{{with index . 0}}<p>Blocks {{.From}} to {{.To}} of {{.ChainID}}, {{span .Seconds}}, as provider {{.Provider}}.</p>{{end}}
<h2>In figures</h2>
<table><thead><tr><th></th>{{range $i, $r := .}}<th scope="col"><span class="key" style="background:{{colour $i}}"></span>{{$r.Name}}</th>{{end}}</tr></thead><tbody>
<tr><td>Orders seen</td>{{range .}}<td>{{.Orders}}</td>{{end}}</tr>
<tr><td>Bids</td>{{range .}}<td>{{.Bids}}</td>{{end}}</tr>
<tr><td>Bids that ran out</td>{{range .}}<td>{{.Expired}}</td>{{end}}</tr>
<tr><td>Orders leased to anyone</td>{{range .}}<td>{{.Leased}}</td>{{end}}</tr>
<tr><td>Of these with a bid of ours</td>{{range .}}<td>{{.Contested}}</td>{{end}}</tr>
<tr><td>Won</td>{{range .}}<td>{{.Won}}</td>{{end}}</tr>
<tr><td>Win rate</td>{{range .}}<td>{{permille .WinRate}}</td>{{end}}</tr>
<tr><td>Leases running at the end</td>{{range .}}<td>{{.Running}}</td>{{end}}</tr>
<tr><td>Revenue</td>{{range .}}<td>{{amounts .Revenue}}</td>{{end}}</tr>
<tr><td>Revenue per month at that pace</td>{{range .}}<td>{{amounts .Month}}</td>{{end}}</tr>
<tr><td>Below the recorded prices, per block</td>{{range .}}<td>{{amounts .Left}}</td>{{end}}</tr>
</tbody></table>
<h2>Capacity held for bids and leases</h2>
{{courses .}}
<h2>Orders without a bid, by reason</h2>
{{bars .}}
{{range .}}<h3>{{.Name}}</h3>
<table><thead><tr><th>Reason</th><th>Orders</th><th class="why">For example</th></tr></thead><tbody>
{{range .Refusals}}<tr><td>{{.Code}}</td><td>{{.Orders}}</td><td class="why">{{.Example}}</td></tr>
{{else}}<tr><td>none</td><td>0</td><td></td></tr>
{{end}}</tbody></table>{{end}}
<p>An order that was leased in the recording counts as won if a bid stood below the price of its lease. What tenants, and other
providers, would have done then otherwise is not known.</p>
</body></html>
`))

const (
	chartWidth, chartHeight = 900, 150
	chartLeft, chartTop     = 90, 14
)

// courses draws a small chart for each resource that was ever used, with a line for each result.
func courses(results []*Result) template.HTML {
	var b strings.Builder
	for i, u := range results[0].Utilisation {
		used := false
		for _, r := range results {
			used = used || i < len(r.Utilisation) && r.Utilisation[i].Peak > 0
		}
		if !used {
			continue
		}
		fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img"><title>%s held, in per cent</title>`, chartWidth, chartHeight, template.HTMLEscapeString(u.Resource))
		fmt.Fprintf(&b, `<text x="0" y="%d">%s</text>`, chartTop+10, template.HTMLEscapeString(u.Resource))
		for _, level := range []int64{0, 500, 1000} {
			y := chartY(level)
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#8886"/><text x="%d" y="%d" text-anchor="end">%d %%</text>`,
				chartLeft, chartWidth, y, y, chartLeft-6, y+4, level/10)
		}
		for k, r := range results {
			if i < len(r.Utilisation) {
				b.WriteString(course(r.Utilisation[i].Course, colours[k%len(colours)]))
			}
		}
		b.WriteString("</svg>")
	}
	return template.HTML(b.String()) //nolint:gosec // the texts in it are escaped above, the rest is numbers
}

// chartY is the place of a share; what is above all is drawn at the top.
func chartY(permille int64) int64 {
	const height = chartHeight - 2*chartTop
	return chartTop + height - min(1000, max(0, permille))*height/1000
}

// course is a line of steps, as nothing is known to change between two heights.
func course(values []int64, colour string) string {
	var b strings.Builder
	for i, v := range values {
		x := int64(chartLeft)
		if len(values) > 1 {
			x += int64(i) * (chartWidth - chartLeft) / int64(len(values)-1)
		}
		if i == 0 {
			fmt.Fprintf(&b, "M%d %d", x, chartY(v))
			continue
		}
		fmt.Fprintf(&b, "H%dV%d", x, chartY(v))
	}
	return fmt.Sprintf(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, b.String(), colour)
}

// bars draws how many orders were refused for which reason.
func bars(results []*Result) template.HTML {
	most, rows := 1, 0
	for _, r := range results {
		rows += len(r.Refusals)
		for _, f := range r.Refusals {
			most = max(most, f.Orders)
		}
	}
	if rows == 0 {
		return "<p>None.</p>"
	}
	const left, row = 160, 22
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img"><title>Orders without a bid, by reason</title>`, chartWidth, rows*row)
	y := 0
	for k, r := range results {
		for _, f := range r.Refusals {
			width := max(1, f.Orders*(chartWidth-left-80)/most)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+15, template.HTMLEscapeString(f.Code))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d">%d</text>`,
				left, y+3, width, row-6, colours[k%len(colours)], left+width+6, y+15, f.Orders)
			y += row
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // the texts in it are escaped above, the rest is numbers
}
