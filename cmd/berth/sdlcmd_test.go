package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runDocuments runs a command line of the document tools and returns what it wrote and its exit code.
func runDocuments(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := newRootCommand()
	for _, cmd := range []*cobra.Command{newSDLCommand(connectNetwork), newPlanCommand(connectNetwork)} {
		if found, _, err := root.Find([]string{cmd.Name()}); err != nil || found == root {
			root.AddCommand(cmd)
		}
	}
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		e := asCodeError(err)
		code = e.code
		if !e.printed {
			errs.WriteString(e.Error())
		}
	}
	return out.String(), errs.String(), code
}

const (
	hello     = "../../examples/hello/deploy.yaml"
	guestbook = "../../examples/guestbook/deploy.yaml"
)

// broken writes a document with two errors and returns its path.
func broken(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(hello)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("memory: 64Mi", "memory: 64mi", "image:", "imagge:").Replace(string(data))
	file := filepath.Join(t.TempDir(), "deploy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestValidate(t *testing.T) {
	bad := broken(t)
	for name, tc := range map[string]struct {
		args   []string
		stdin  string
		code   int
		stdout string
		stderr []string
	}{
		"good":            {[]string{hello}, "", exitOK, hello + ": valid\n", nil},
		"two":             {[]string{hello, guestbook}, "", exitOK, hello + ": valid\n" + guestbook + ": valid\n", nil},
		"bad":             {[]string{bad}, "", exitUsage, "", []string{bad + ":7:5: error:", "imagge", bad + ":19:15: error:", "did you mean: 64Mi", "2 errors"}},
		"bad as JSON":     {[]string{bad, "-o", "json"}, "", exitUsage, `"valid": false`, nil},
		"good as JSON":    {[]string{hello, "-o", "json"}, "", exitOK, "{\n  \"valid\": true,\n  \"diagnostics\": []\n}\n", nil},
		"empty input":     {[]string{"-"}, "", exitUsage, "", []string{"-:1:1: error: the document is empty"}},
		"missing file":    {[]string{"nothing.yaml"}, "", exitUsage, "", []string{"there is no file nothing.yaml"}},
		"directory":       {[]string{t.TempDir()}, "", exitUsage, "", []string{"is a directory"}},
		"too large":       {[]string{"-"}, strings.Repeat("a: b\n", 1<<20), exitUsage, "", []string{"more than 1048576 bytes"}},
		"no file":         {nil, "", exitUsage, "", []string{"there is no document"}},
		"unknown format":  {[]string{hello, "-o", "xml"}, "", exitUsage, "", []string{"xml"}},
		"control in path": {[]string{"-"}, "a\x1b[2J: 1", exitUsage, "", []string{"control character"}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := runDocuments(t, tc.stdin, append([]string{"sdl", "validate"}, tc.args...)...)
			if code != tc.code && name != "no file" {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if !strings.Contains(stdout, tc.stdout) || tc.stdout == "" && stdout != "" {
				t.Errorf("stdout = %q, want %q", stdout, tc.stdout)
			}
			for _, want := range tc.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr)
				}
			}
		})
	}
}

// TestValidateJSON holds the whole output for two documents, of which one includes a file with a mistake.
func TestValidateJSON(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"good.yaml": strings.Replace(one, "include: part.yaml\n", "", 1) + "  compute: {small: {cpu: 1, memory: 1Gi, storage: 1Gi}}\n",
		"bad.yaml":  one,
		"part.yaml": "profiles:\n  compute: {small: {cpu: 1, memory: 512mi, storage: 1Gi}}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{
  "valid": false,
  "diagnostics": [
    {
      "severity": "error",
      "code": "E-BYTES",
      "file": "part.yaml",
      "line": 2,
      "column": 37,
      "path": "profiles.compute.small.memory",
      "message": "\"512mi\" is not a number of bytes: suffix \"mi\" is not known",
      "found": "512mi",
      "allowed": "bytes, with an optional suffix k, Ki, M, Mi, G, Gi, T, Ti, P, Pi, E, Ei",
      "suggestion": "512Mi"
    }
  ]
}
`
	stdout, stderr, code := runDocuments(t, "", "sdl", "validate", "-o", "json", "good.yaml", "bad.yaml")
	if code != exitUsage || stdout != want || stderr != "" {
		t.Errorf("exit code %d, stderr %q, stdout:\n%s", code, stderr, stdout)
	}
	if stdout, _, code := runDocuments(t, "", "sdl", "validate", "-o", "json", "good.yaml"); code != exitOK || stdout != "{\n  \"valid\": true,\n  \"diagnostics\": []\n}\n" {
		t.Errorf("exit code %d, stdout:\n%s", code, stdout)
	}

	stdout, stderr, code = runDocuments(t, "", "sdl", "validate", "-o", "sarif", "good.yaml", filepath.Join(dir, "bad.yaml"))
	var out struct {
		Runs []struct {
			Results []struct {
				RuleID    string
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
				Fixes []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != exitUsage || stderr != "" {
		t.Fatalf("exit code %d, stderr %q: %v", code, stderr, err)
	}
	results := out.Runs[0].Results
	if len(results) != 1 || results[0].RuleID != "E-BYTES" || len(results[0].Fixes) != 1 ||
		results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI != "part.yaml" {
		t.Errorf("results %+v", results)
	}
	if _, stderr, code := runDocuments(t, "", "plan", "-o", "sarif", "good.yaml"); code != exitUsage || !strings.Contains(stderr, "sarif") {
		t.Errorf("plan -o sarif: exit code %d, stderr %q", code, stderr)
	}
}

const one = `version: "1.0"
include: part.yaml
services: {web: {image: nginx}}
deployment: {web: {east: {profile: small, count: 1}}}
profiles:
  placement: {east: {pricing: {small: 20u}}}
`

func TestPlanJSON(t *testing.T) {
	stdout, stderr, code := runDocuments(t, "", "plan", guestbook, "-o", "json")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var plan struct {
		Groups []struct {
			Name      string
			Resources []map[string]any
		}
		Manifest map[string]any
		Warnings []any
	}
	if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Groups) != 1 || len(plan.Groups[0].Resources) != 2 || plan.Warnings == nil || plan.Manifest == nil {
		t.Errorf("plan = %s", stdout)
	}
	if got := plan.Groups[0].Resources[1]; got["service"] != "web" || got["price"] != "10" || got["denom"] != "ubrt" {
		t.Errorf("resource = %v", got)
	}
}

func TestPlanOfBrokenDocumentPrintsNoPlan(t *testing.T) {
	file := broken(t)
	stdout, stderr, code := runDocuments(t, "", "plan", file)
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, ":7:5:") || !strings.Contains(stderr, "^") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code = runDocuments(t, "", "plan", file, "-o", "json")
	var got validation
	if err := json.Unmarshal([]byte(stderr), &got); err != nil || got.Valid || len(got.Diagnostics) != 2 {
		t.Errorf("stderr %q: %v", stderr, err)
	}
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
}

func TestPlanText(t *testing.T) {
	stdout, stderr, code := runDocuments(t, "", "plan", guestbook, "--block-time", "500ms")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	const want = `Group east: one provider with region=east
  SERVICE  IMAGE                COUNT  CPU  MEMORY  STORAGE  MAX PRICE
  api      berth.local/hello:1      1  0.1    64Mi     64Mi    10 ubrt
  web      berth.local/hello:1      2  0.1    64Mi     64Mi    10 ubrt
  web starts after api
  web gets the variable API_URL
  at most 30 ubrt per block, 0.216 BRT per hour, 155.52 BRT per month

Who can connect to what:
  TO   PORT  PROTOCOL  FROM    HOSTS
  api    80  http      web
  web    80  http      anyone

In all: 2 services, 3 instances, 0.3 cpu, 192Mi memory, 192Mi storage; at most 30 ubrt per block, 0.216 BRT per hour, 155.52 BRT per month.
A month is 30 days, of blocks of 500ms (--block-time). Bids are usually lower than these maxima.
`
	if stdout != want {
		t.Errorf("plan:\n%s\nwant:\n%s", stdout, want)
	}
	if _, _, code := runDocuments(t, "", "plan", guestbook, "--block-time", "0s"); code != exitUsage {
		t.Errorf("exit code %d for a block time of 0", code)
	}
}

func TestSchema(t *testing.T) {
	for _, version := range []string{"", "1.0", "2.0", "2.1"} {
		args := []string{"sdl", "schema"}
		if version != "" {
			args = append(args, version)
		}
		stdout, stderr, code := runDocuments(t, "", args...)
		var got struct {
			Schema string `json:"$schema"`
			Title  string
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK || stderr != "" {
			t.Fatalf("%v: exit code %d, stderr %q: %v", args, code, stderr, err)
		}
		if want := strings.TrimSpace("SDL " + version); got.Title != want || !strings.Contains(got.Schema, "draft-07") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	for _, args := range [][]string{{"1.1"}, {"2.0", "2.1"}, {"2.0", "--dir", t.TempDir()}} {
		if stdout, stderr, code := runDocuments(t, "", append([]string{"sdl", "schema"}, args...)...); code == exitOK || stdout != "" || stderr == "" {
			t.Errorf("%v: exit code %d, stdout %q", args, code, stdout)
		}
	}
}

func TestSchemaDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "schema")
	stdout, stderr, code := runDocuments(t, "", "sdl", "schema", "--dir", dir)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	written := strings.Fields(stdout)
	if len(written) != 4 {
		t.Errorf("wrote %q", written)
	}
	for _, file := range written {
		data, err := os.ReadFile(file)
		if err != nil || !json.Valid(data) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
