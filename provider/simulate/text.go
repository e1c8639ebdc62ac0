package simulate

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteText writes results for people, side by side.
func WriteText(w io.Writer, results []*Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, of func(*Result) string) {
		fmt.Fprintf(t, "%s", name)
		for _, r := range results {
			fmt.Fprintf(t, "\t%s", of(r))
		}
		fmt.Fprintln(t)
	}
	r := results[0]
	fmt.Fprintf(t, "Blocks %d to %d of %s, %s\n\n", r.From, r.To, r.ChainID, time.Duration(r.Seconds)*time.Second)
	row("", func(r *Result) string { return r.Name })
	number := func(name string, of func(*Result) int) {
		row(name, func(r *Result) string { return fmt.Sprint(of(r)) })
	}
	number("orders seen", func(r *Result) int { return r.Orders })
	number("bids", func(r *Result) int { return r.Bids })
	number("bids that ran out", func(r *Result) int { return r.Expired })
	number("orders leased to anyone", func(r *Result) int { return r.Leased })
	number("of these with a bid of ours", func(r *Result) int { return r.Contested })
	number("won", func(r *Result) int { return r.Won })
	row("win rate", func(r *Result) string { return permille(r.WinRate) })
	number("leases running at the end", func(r *Result) int { return r.Running })
	row("revenue", func(r *Result) string { return amounts(r.Revenue) })
	row("revenue per month at that pace", func(r *Result) string { return amounts(r.Month) })
	row("below the recorded prices, per block", func(r *Result) string { return amounts(r.Left) })
	for i, u := range r.Utilisation {
		row(u.Resource+" used, mean (peak)", func(r *Result) string {
			if i >= len(r.Utilisation) {
				return "-"
			}
			return permille(r.Utilisation[i].Mean) + " (" + permille(r.Utilisation[i].Peak) + ")"
		})
	}
	for _, r := range results {
		fmt.Fprintf(t, "\nOrders without a bid of %s, by reason:\n", r.Name)
		if len(r.Refusals) == 0 {
			fmt.Fprintln(t, "  none")
		}
		for _, f := range r.Refusals {
			fmt.Fprintf(t, "  %d\t%s\tfor example: %s\n", f.Orders, f.Code, f.Example)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func amounts(in []Money) string {
	if len(in) == 0 {
		return "0"
	}
	out := ""
	for i, m := range in {
		if i > 0 {
			out += ", "
		}
		out += m.Amount + " " + m.Denom
	}
	return out
}
