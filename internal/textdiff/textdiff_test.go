package textdiff_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/internal/textdiff"
)

func TestUnified(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"equal":       {"a\nb\n", "a\nb\n", ""},
		"one line":    {"a\nb\nc\n", "a\nx\nc\n", "--- old\n+++ new\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		"from none":   {"", "a\n", "--- old\n+++ new\n@@ -0,0 +1 @@\n+a\n"},
		"to none":     {"a\n", "", "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n"},
		"no line end": {"a", "a\n", "--- old\n+++ new\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		"far apart": {"x\n1\n2\n3\n4\n5\n6\n7\ny\n", "X\n1\n2\n3\n4\n5\n6\n7\nY\n",
			"--- old\n+++ new\n@@ -1,4 +1,4 @@\n-x\n+X\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-y\n+Y\n"},
		"near": {"x\n1\n2\n3\n4\n5\n6\ny\n", "X\n1\n2\n3\n4\n5\n6\nY\n",
			"--- old\n+++ new\n@@ -1,8 +1,8 @@\n-x\n+X\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n+Y\n"},
	} {
		if got := textdiff.Unified("old", "new", tc.from, tc.to); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}

// apply does what a difference says to a text: it is the reader that every machine has.
func apply(from, diff string) (string, error) {
	var out strings.Builder
	old := strings.SplitAfter(from, "\n")
	at := 0
	lines := strings.SplitAfter(diff, "\n")
	for i, line := range lines {
		ended := i+1 < len(lines) && strings.HasPrefix(lines[i+1], `\`) // this line has no end
		text := line
		if ended {
			text = strings.TrimSuffix(line, "\n")
		}
		switch {
		case line == "", i < 2, line[0] == '\\':
		case strings.HasPrefix(line, "@@ -"):
			var start int
			if _, err := fmt.Sscanf(line, "@@ -%d", &start); err != nil {
				return "", err
			}
			for ; at < start-1; at++ {
				out.WriteString(old[at])
			}
		case line[0] == '+':
			out.WriteString(text[1:])
		case at >= len(old) || old[at] != text[1:]:
			return "", fmt.Errorf("line %d is not %q", at+1, text[1:])
		default:
			if line[0] == ' ' {
				out.WriteString(text[1:])
			}
			at++
		}
	}
	return out.String() + strings.Join(old[at:], ""), nil
}

// TestDifferenceApplies holds that the difference leads from one text to the other, by a reader of its own and, where
// there is one, by the program that everyone has for it.
func TestDifferenceApplies(t *testing.T) {
	program, _ := exec.LookPath("patch")
	file := filepath.Join(t.TempDir(), "text")
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.Custom(func(rt *rapid.T) string {
			all := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 30).Draw(rt, "lines")
			return strings.Join(all, "\n")
		})
		from, to := text.Draw(rt, "from"), text.Draw(rt, "to")
		diff := textdiff.Unified(file, file, from, to)
		if (diff == "") != (from == to) {
			rt.Fatalf("difference %q of %q and %q", diff, from, to)
		}
		if from == to || to == "" || from == "" { // an empty file is one that patch removes or makes
			return
		}
		if got, err := apply(from, diff); err != nil || got != to {
			rt.Fatalf("%q becomes %q, want %q (%v):\n%s", from, got, to, err, diff)
		}
		if program == "" {
			return
		}
		if err := os.WriteFile(file, []byte(from), 0o600); err != nil {
			rt.Fatal(err)
		}
		cmd := exec.Command(program, "--quiet", "--fuzz=0", file)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			rt.Fatalf("patch: %v: %s\n%s", err, out, diff)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != to {
			rt.Fatalf("%q becomes %q, want %q (%v):\n%s", from, got, to, err, diff)
		}
	})
}

func TestLargeDifferenceIsBounded(t *testing.T) {
	var from, to strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&from, "a%d\n", i)
		fmt.Fprintf(&to, "b%d\n", i)
	}
	diff := textdiff.Unified("old", "new", from.String(), to.String())
	if got := strings.Count(diff, "\n"); got != 100_003 {
		t.Errorf("%d lines", got)
	}
}
