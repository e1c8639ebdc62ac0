package doctor

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func check(name string, f Finding) Check {
	return Check{Name: name, Mend: "mend " + name, Run: func(context.Context) Finding { return f }}
}

func TestRun(t *testing.T) {
	reports := Run(t.Context(), []Check{
		check("a", Okf("%d", 1)), check("b", Warnf("two")), check("c", Failf("three").By("do this")),
	})
	want := []Report{{Name: "a", Level: OK, Detail: "1"}, {Name: "b", Level: Warn, Detail: "two", Mend: "mend b"}, {Name: "c", Level: Fail, Detail: "three", Mend: "do this"}}
	for i, r := range reports {
		r.Seconds = 0
		if r != want[i] {
			t.Errorf("got %+v, want %+v", r, want[i])
		}
	}
	if Count(reports, OK) != 1 || Count(reports, Fail) != 1 {
		t.Errorf("counts of %+v", reports)
	}
}

// TestLimits holds that a check that hangs is not waited for, and that one that has to put something back is.
func TestLimits(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	var put atomic.Bool
	reports := Run(t.Context(), []Check{
		{Name: "hangs", Limit: time.Millisecond, Run: func(context.Context) Finding { <-hang; return Okf("late") }},
		{Name: "puts back", Limit: time.Millisecond, Grace: time.Minute, Run: func(ctx context.Context) Finding {
			<-ctx.Done()
			put.Store(true)
			return Warnf("gave up")
		}},
	})
	if reports[0].Level != Fail || !strings.Contains(reports[0].Detail, "no answer") {
		t.Errorf("got %+v", reports[0])
	}
	if reports[1].Detail != "gave up" || !put.Load() {
		t.Errorf("got %+v", reports[1])
	}
}

// TestParallel holds that checks run side by side: each of these waits for all the others.
func TestParallel(t *testing.T) {
	var waiting atomic.Int32
	all := make(chan struct{})
	var checks []Check
	for range parallel {
		checks = append(checks, Check{Limit: time.Minute, Run: func(ctx context.Context) Finding {
			if waiting.Add(1) == parallel {
				close(all)
			}
			select {
			case <-all:
				return Okf("")
			case <-ctx.Done():
				return Failf("alone")
			}
		}})
	}
	if n := Count(Run(t.Context(), checks), OK); n != parallel {
		t.Errorf("%d of %d ran side by side", n, parallel)
	}
}
