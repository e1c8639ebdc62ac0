package suggest_test

import (
	"strings"
	"testing"

	"berth.dev/berth/sdl/suggest"
)

func TestNearest(t *testing.T) {
	keys := []string{"image", "depends-on", "args", "env", "expose"}
	for word, want := range map[string]string{
		"imagge": "image", "IMAGE": "image", "depend-on": "depends-on", "depends_on": "depends-on", "exposes": "expose", "agrs": "args",
		"envs": "env", "environs": "", "": "", "x": "", "image": "", "ports": "", strings.Repeat("image", 20): "",
	} {
		if got := suggest.Nearest(word, keys); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := suggest.Nearest("bb", []string{"ab", "bc"}); got != "ab" {
		t.Errorf("of two that are as near, Nearest = %q, want the first", got)
	}
}
