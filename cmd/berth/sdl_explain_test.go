package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/sdl/explain"
)

const (
	gpuDocument   = "../../sdl/explain/testdata/gpu.yaml"
	unitsDocument = "../../sdl/explain/testdata/units.yaml"
)

func TestExplain(t *testing.T) {
	for format, want := range map[string][]string{
		"":         {"2 services with 3 instances in all run in 1 placement", "It gets the variable API_URL.", "api:80", "12.96 BRT", "A deposit of 0.5 BRT"},
		"text":     {"Who can connect to what:"},
		"markdown": {"### Placement `east`", "| `web` | `web:80` | http | 8080 | anyone |", "```mermaid\nflowchart LR\n"},
		"mermaid":  {"flowchart LR\n", `p1s2 -->|"http 80"| p1s1`},
		"svg":      {"<svg ", `role="img"`, "east/web → east/api: http 80"},
	} {
		args := []string{"sdl", "explain", guestbook}
		if format != "" {
			args = append(args, "--format", format)
		}
		stdout, stderr, code := runDocuments(t, "", args...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%s: exit code %d, stderr %q", format, code, stderr)
		}
		for _, text := range want {
			if !strings.Contains(strings.Join(strings.Fields(stdout), " "), strings.Join(strings.Fields(text), " ")) {
				t.Errorf("%s: no %q in:\n%s", format, text, stdout)
			}
		}
	}
}

func TestExplainJSON(t *testing.T) {
	stdout, stderr, code := runDocuments(t, "", "sdl", "explain", guestbook, "-o", "json", "--block-time", "500ms")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var e struct {
		Services    int
		Connections []explain.Connection
		AtMost      map[string]string `json:"at_most"`
		Block       int64             `json:"block_nanoseconds"`
		Deposit     map[string]string
	}
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	if e.Services != 2 || len(e.Connections) != 2 || e.AtMost["per_month"] != "155520000" || e.AtMost["denom"] != "ubrt" || e.Block != 500_000_000 {
		t.Errorf("explanation %+v", e)
	}
	// A day of blocks of half a second at 30 ubrt.
	if e.Deposit["amount"] != "5184000" || e.Deposit["blocks"] != "172800" || e.Deposit["seconds"] != "86400" {
		t.Errorf("deposit %v", e.Deposit)
	}
}

func TestExplainToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deploy.svg")
	stdout, stderr, code := runDocuments(t, "", "sdl", "explain", hello, "--format", "svg", "--out", file)
	data, err := os.ReadFile(file)
	if code != exitOK || stdout+stderr != "" || err != nil || !strings.HasPrefix(string(data), "<svg ") {
		t.Errorf("exit code %d, output %q%q, %v: %.40s", code, stdout, stderr, err, data)
	}
}

func TestExplainRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		stderr string
	}{
		"unknown form":      {[]string{hello, "--format", "pdf"}, `"pdf" is not one of text, markdown, mermaid, svg`},
		"form and output":   {[]string{hello, "--format", "svg", "-o", "json"}, "give one of them"},
		"no time per block": {[]string{hello, "--block-time", "0s"}, "--block-time"},
		"no document":       {[]string{"nothing.yaml"}, "there is no file nothing.yaml"},
		"bad document":      {[]string{broken(t)}, "did you mean: 64Mi"},
		"no directory":      {[]string{hello, "--out", filepath.Join(t.TempDir(), "a", "b")}, "no such file or directory"},
		"over the document": {[]string{hello, "--out", hello}, "would overwrite the document"},
		"the document, too": {[]string{hello, "--out", "../../examples/hello/../hello/deploy.yaml"}, "would overwrite the document"},
	} {
		stdout, stderr, code := runDocuments(t, "", append([]string{"sdl", "explain"}, tc.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, tc.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, code, stdout, stderr)
		}
	}
}

// TestPlanTextOfSharedUnits: services that share a resource unit have a line each, with their own counts.
func TestPlanTextOfSharedUnits(t *testing.T) {
	stdout, _, code := runDocuments(t, "", "plan", unitsDocument)
	const want = `Group east: one provider of any kind
  SERVICE  IMAGE           COUNT  CPU  MEMORY  STORAGE  MAX PRICE
  api      example/api:1       1  0.1    64Mi     64Mi     5 ubrt
  jobs     example/jobs:1      1    2     1Gi      1Gi    50 ubrt
  web      example/web:1       2  0.1    64Mi     64Mi     5 ubrt
  api, web share one resource unit of 3 instances
  jobs starts after api
  jobs gets the variables A, B
  at most 65 ubrt per block, 0.039 BRT per hour, 28.08 BRT per month
`
	if code != exitOK || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit code %d, plan:\n%s\nwant:\n%s", code, stdout, want)
	}
}

// TestPlanTextShowsResources: gpus with their models, volumes with their kinds and places.
func TestPlanTextShowsResources(t *testing.T) {
	stdout, _, code := runDocuments(t, "", "sdl", "plan", gpuDocument)
	if code != exitOK || strings.Contains(stdout, "hunter") {
		t.Fatalf("exit code %d:\n%s", code, stdout)
	}
	for _, want := range []string{
		"GPU", "64Gi  10Gi+200Gi+8Gi    2  0.0001005 BRT", "model takes gpus of amd mi300x or any intel or nvidia a100 80Gi sxm or nvidia h100",
		"model has volume weights of 200Gi at /var/lib/model (persistent, class beta3, read-only)", "model has volume shm of 8Gi at /dev/shm (memory)",
		"db has volume data of 5Gi at /var/lib/postgresql (persistent, class default)", "leased address dns", "credentials for ghcr.io", "4 gpus;",
		"region=us-east, able to do arch/arm64, credentials, http, ip", "signed by berth1",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in:\n%s", want, stdout)
		}
	}
}
