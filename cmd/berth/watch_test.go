package main

import (
	"strings"
	"testing"
)

func TestWatchOnce(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "two.yaml", "-y")
	if out := d.must("watch", "--once"); out != "" {
		t.Errorf("a deployment that is well gives alerts: %q", out)
	}
	out := d.must("watch", "--once", "--warn", "30d", "-o", "jsonl")
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, `"kind":"funds_low"`) {
		t.Errorf("got %q, want one alert on one line", out)
	}
	if out := d.must("watch", "--once", "--keep", "20d", "--budget", "1BRT"); !strings.Contains(out, "topped_up") || !strings.Contains(out, "1 BRT were deposited") {
		t.Errorf("got %q, want a deposit within the budget", out)
	}
}

func TestWatchRefuses(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "one.yaml", "-y")
	for args, want := range map[string]string{
		"--keep x":                 "is not a time such as",
		"--every 0s":               "is not a time between looks",
		"--patience 0":             "at least 1",
		"--budget 5BRT":            "with --keep",
		"--keep 1d --budget 5":     "want a number and a denom",
		"--keep 1d --grant me":     `"me" is not an address`,
		"--webhook hooks.example":  "it is not an http or https URL",
		"--select ask":             "has nobody to ask",
		"--failover --select best": "is not one of lowest",
		"77 --once":                "has no deployment 77",
	} {
		_, stderr, code := d.run(append([]string{"watch"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("watch %s: exit %d, %q; want 2 and %q", args, code, stderr, want)
		}
	}
}
