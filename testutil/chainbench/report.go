package chainbench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Report collects the figures and prints them as they come, and once more in a table at the end.
type Report struct {
	out  io.Writer
	rows []row
}

type row struct{ workload, what, figure, target, verdict string }

// NewReport writes to out.
func NewReport(out io.Writer) *Report { return &Report{out: out} }

// Say prints a line that does not stand in the table.
func (r *Report) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// Figure adds a figure that has no target.
func (r *Report) Figure(workload, what, figure string) {
	r.add(row{workload: workload, what: what, figure: figure})
}

// AtLeast adds a rate that should not be below a target.
func (r *Report) AtLeast(workload, what string, rate, target float64) {
	r.add(row{workload, what, fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("at least %.0f/s", target), verdict(rate >= target)})
}

// AtMost adds a time that should not be above a target.
func (r *Report) AtMost(workload, what string, took, target time.Duration) {
	r.add(row{workload, what, ms(took), "at most " + ms(target), verdict(took <= target)})
}

// Holds adds a figure of which the caller says whether it meets its target.
func (r *Report) Holds(workload, what, figure, target string, ok bool) {
	r.add(row{workload, what, figure, target, verdict(ok)})
}

func (r *Report) add(x row) {
	r.rows = append(r.rows, x)
	r.Say("  %s", strings.TrimSpace(strings.Join([]string{x.what + ":", x.figure, x.target, x.verdict}, " ")))
}

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

// Machine says on what the figures were taken.
func Machine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	return fmt.Sprintf("%s, %d cores, load average %s", runtime.Version(), runtime.NumCPU(), strings.TrimSpace(string(load)))
}

// Table prints all figures and returns how many targets were missed.
func (r *Report) Table() (missed int) {
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nWORKLOAD\tWHAT\tFIGURE\tTARGET\t")
	for _, x := range r.rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.workload, x.what, x.figure, x.target, x.verdict)
		if x.verdict == verdict(false) {
			missed++
		}
	}
	_ = w.Flush()
	return missed
}
