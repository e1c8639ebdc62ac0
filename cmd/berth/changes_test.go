package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGoldenChanges walks from one manifest to another and back, and keeps what the commands print.
func TestGoldenChanges(t *testing.T) {
	dir := filepath.Join(testdata(t), "changes")
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "two.yaml", "-y")
	for _, step := range []struct {
		name string
		args string
		code int
	}{
		{"diff-same", "diff two.yaml", 0},
		{"diff-update", "diff next.yaml", 0},
		{"diff-update-json", "diff 1000 next.yaml -o json", 0},
		{"diff-orders", "diff more.yaml", 0},
		{"rollback-none", "rollback", 2},
		{"update", "update next.yaml", 0},
		{"rollback-list", "rollback --list", 0},
		{"rollback", "rollback", 0},
		{"diff-after", "diff two.yaml", 0},
		{"rollback-list-json", "rollback --list -o json", 0},
		{"rollback-beyond", "rollback --to 9", 2},
		{"cost", "cost", 0},
		{"cost-json", "cost -o json", 0},
	} {
		stdout, stderr, code := d.run(strings.Fields(step.args)...)
		if code != step.code {
			t.Errorf("%s: exit %d, want %d", step.name, code, step.code)
		}
		if strings.HasSuffix(step.args, "json") && !json.Valid([]byte(stdout)) {
			t.Errorf("%s: stdout is not JSON", step.name)
		}
		golden(t, dir, step.name+".txt", fmt.Sprintf("$ berth %s\n--- stdout\n%s--- stderr\n%s--- exit %d\n", step.args, stdout, stderr, code))
		d.world.Pass(time.Minute)
	}
}
