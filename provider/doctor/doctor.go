// Package doctor runs checks of what a provider needs, and says of each whether it is there and what mends it.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Level is the outcome of a check.
type Level string

// The levels. Warn means that something that tenants or the operator may want is missing or could not be looked at;
// Fail that leases would not run, or not as promised.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is what a check found.
type Finding struct {
	Level  Level
	Detail string
	// Mend is the command or setting that mends it, where it is not that of the check.
	Mend string
}

// Okf is a finding that all is well.
func Okf(format string, args ...any) Finding {
	return Finding{Level: OK, Detail: fmt.Sprintf(format, args...)}
}

// Warnf is a finding of something that may be wanted.
func Warnf(format string, args ...any) Finding {
	return Finding{Level: Warn, Detail: fmt.Sprintf(format, args...)}
}

// Failf is a finding of something that is needed.
func Failf(format string, args ...any) Finding {
	return Finding{Level: Fail, Detail: fmt.Sprintf(format, args...)}
}

// By returns the finding with what mends it.
func (f Finding) By(format string, args ...any) Finding {
	f.Mend = fmt.Sprintf(format, args...)
	return f
}

// Check looks at one thing. It changes nothing that it does not put back.
type Check struct {
	// Name is a word or words joined by hyphens; no two checks share one.
	Name string
	// What says in a sentence what must hold.
	What string
	// Mend is the command or setting that mends most of what Run may find.
	Mend string
	// Limit is how long Run may take; 0 is DefaultLimit.
	Limit time.Duration
	// Grace is how much longer Run is waited for after its context has ended, because it has to put something back.
	Grace time.Duration
	Run   func(ctx context.Context) Finding
}

// DefaultLimit is how long a check may take unless it says otherwise.
const DefaultLimit = 10 * time.Second

// Report is what came of a check.
type Report struct {
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	// Mend is empty when all is well.
	Mend    string  `json:"mend,omitempty"`
	Seconds float64 `json:"seconds"`
}

// parallel is how many checks run at once.
const parallel = 12

// Run runs the checks side by side and gives their reports in the same order. A check that takes longer than its limit
// is not waited for.
func Run(ctx context.Context, checks []Check) []Report {
	out := make([]Report, len(checks))
	free := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for i, c := range checks {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			out[i] = c.report(ctx)
		})
	}
	group.Wait()
	return out
}

func (c Check) report(ctx context.Context) Report {
	limit := c.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	done := make(chan Finding, 1)
	go func() { done <- c.Run(ctx) }()
	var f Finding
	select {
	case f = <-done:
	case <-ctx.Done():
		f = c.late(done, limit)
	}
	r := Report{Name: c.Name, Level: f.Level, Detail: f.Detail, Seconds: time.Since(start).Seconds()}
	if r.Mend = f.Mend; r.Mend == "" && f.Level != OK {
		r.Mend = c.Mend
	}
	return r
}

// Count is how many reports have a level.
func Count(reports []Report, l Level) int {
	n := 0
	for _, r := range reports {
		if r.Level == l {
			n++
		}
	}
	return n
}

// late waits for a check whose time is up for as long as it is given to put things back.
func (c Check) late(done <-chan Finding, limit time.Duration) Finding {
	grace := time.NewTimer(c.Grace)
	defer grace.Stop()
	select {
	case f := <-done:
		return f
	case <-grace.C:
		return Failf("no answer within %s", limit)
	}
}
