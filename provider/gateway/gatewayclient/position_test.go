package gatewayclient

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However often a stream breaks, and whatever order instances' lines arrive in, each line is given once.
func TestPositionGivesEachLineOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		logs := rapid.Custom(drawLogs).Draw(r, "logs")
		seen := position{}
		given := map[string][]string{}
		for breaks := rapid.IntRange(0, 4).Draw(r, "breaks"); breaks >= 0; breaks-- {
			since, _ := seen.resume(len(seen) < len(logs))
			stream := interleave(r, logs, since)
			if breaks > 0 {
				stream = stream[:rapid.IntRange(0, len(stream)).Draw(r, "cut")]
			}
			for _, l := range stream {
				if seen.take(l) {
					given[l.Instance] = append(given[l.Instance], l.Line)
				}
			}
		}
		for name, lines := range logs {
			var want []string
			for _, l := range lines {
				want = append(want, l.Line)
			}
			if !slices.Equal(given[name], want) {
				r.Fatalf("instance %s: given %v, want %v", name, given[name], want)
			}
		}
	})
}

// drawLogs makes the lines of some instances; times rise, and several lines may have the same. All instances write
// from the same moment on.
func drawLogs(r *rapid.T) map[string][]LogLine {
	logs := map[string][]LogLine{}
	for i := range rapid.IntRange(1, 3).Draw(r, "instances") {
		name, at := fmt.Sprintf("web-%d", i), int64(1)
		for n := range rapid.IntRange(1, 8).Draw(r, "lines") {
			logs[name] = append(logs[name], LogLine{Instance: name, Line: fmt.Sprint(n), Time: time.Unix(0, at)})
			at += rapid.SampledFrom([]int64{0, 1, int64(slack), int64(3 * slack)}).Draw(r, "step")
		}
	}
	return logs
}

// interleave merges the instances' lines from a time on in any order that keeps each instance's own.
func interleave(r *rapid.T, logs map[string][]LogLine, since time.Time) []LogLine {
	var names []string
	rest := map[string][]LogLine{}
	for i := range len(logs) {
		name := fmt.Sprintf("web-%d", i)
		for _, l := range logs[name] {
			if !l.Time.Before(since) {
				rest[name] = append(rest[name], l)
			}
		}
		for range rest[name] {
			names = append(names, name)
		}
	}
	var out []LogLine
	for _, name := range rapid.Permutation(names).Draw(r, "order") {
		out = append(out, rest[name][0])
		rest[name] = rest[name][1:]
	}
	return out
}

func TestPositionFollowsClocksThatAreSetBack(t *testing.T) {
	p := position{}
	for _, at := range []int64{10, 5, 5, 6} {
		if !p.take(LogLine{Time: time.Unix(0, at)}) {
			t.Errorf("a line of time %d is dropped", at)
		}
	}
}

func TestPositionWithoutTimes(t *testing.T) {
	p := position{}
	for range 2 {
		if !p.take(LogLine{Line: "x"}) {
			t.Error("a line without time is dropped")
		}
		if _, ok := p.resume(false); ok {
			t.Error("a position is claimed that nobody knows")
		}
	}
}

// A line without time, as of the cluster itself, does not spoil what is known of the others.
func TestPositionWithSomeTimes(t *testing.T) {
	p := position{}
	at := time.Unix(100, 0)
	for _, l := range []LogLine{{Instance: "a", Time: at}, {Instance: "a"}, {Instance: "b"}} {
		if !p.take(l) {
			t.Errorf("line %+v is dropped", l)
		}
	}
	if since, ok := p.resume(true); !ok || !since.Equal(at) {
		t.Errorf("resume = %v, %v, want %v", since, ok, at)
	}
	if p.take(LogLine{Instance: "a", Time: at}) {
		t.Error("a line is given twice")
	}
}
