package main

import (
	"strings"
	"testing"
)

// TestAddonCommands: what they run is run in the companion, and nowhere else.
func TestAddonCommands(t *testing.T) {
	d, _ := sessions(t)
	for _, tc := range []struct {
		args  string
		code  int
		shows string
	}{
		{"addon dump db", exitUsage, `has no service "db" (have: web)`},
		{"addon dump 1000 db", exitUsage, `has no service "db" (have: web)`},
		{"addon dump web", 127, "/bin/sh: no such program"},
		{"mail", exitUsage, `has no service "mail" (have: web)`},
		{"mail 1000", exitUsage, `has no service "mail" (have: web)`},
		{"mail nothing", exitUsage, "nothing"},
		{"addon dump", exitUsage, "accepts"},
	} {
		stdout, stderr, code := d.run(strings.Fields(strings.ReplaceAll(tc.args, "1000", d.dseq(t)))...)
		if code != tc.code || !strings.Contains(stdout+stderr, tc.shows) {
			t.Errorf("berth %s: exit %d, want %d with %q\n%s%s", tc.args, code, tc.code, tc.shows, stdout, stderr)
		}
	}
}
