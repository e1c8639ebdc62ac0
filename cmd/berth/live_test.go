package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestLiveRedrawsInPlace(t *testing.T) {
	var out bytes.Buffer
	l := &live{w: &out, size: func() (int, int) { return 12, 6 }}
	l.draw("one\ntwo\n")
	l.draw("\x1b[2mthree is a long line\x1b[0m\n")
	if got, want := out.String(), "one\ntwo\n\x1b[2A\x1b[J\x1b[2mthree is a \x1b[0m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	l.end()
	l.draw("below\n")
	if got := out.String(); got != "below\n" {
		t.Errorf("after end: %q", got)
	}
	out.Reset()
	l.draw(strings.Repeat("x\n", 9))
	if got, want := out.String(), "\x1b[1A\x1b[J"+strings.Repeat("x\n", 3)+"         an\n"; got != want {
		t.Errorf("more lines than the terminal has: %q, want %q", got, want)
	}
}

func TestLiveIsPlainElsewhere(t *testing.T) {
	var out bytes.Buffer
	for _, l := range []*live{newLive(&out), {w: &out, size: func() (int, int) { return 0, 0 }}} {
		out.Reset()
		l.draw("a line that is longer than twelve\n")
		l.draw("two\n")
		if got := out.String(); got != "a line that is longer than twelve\ntwo\n" {
			t.Errorf("got %q", got)
		}
	}
}
