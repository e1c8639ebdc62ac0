package span_test

import (
	"testing"

	"berth.dev/berth/internal/span"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{"90m": 5400, "1h0m1.9s": 3601, "0": 0, "-5s": -5} {
		if got, err := span.Parse(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "1d", "x"} {
		if got, err := span.Parse(text); err == nil {
			t.Errorf("%q gives %d", text, got)
		}
	}
	if got := span.Format(5400); got != "1h30m0s" {
		t.Errorf("5400 s is written %s", got)
	}
}
