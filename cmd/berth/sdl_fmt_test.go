package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saved writes a document into a directory of the test and returns its path.
func saved(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "deploy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// holds checks what a file holds.
func holds(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", file, got, err, want)
	}
}

// rewriteCase is what a tool that rewrites documents does with one.
type rewriteCase struct {
	text   string
	flags  []string
	code   int
	stdout string // what it starts with; FILE stands for the file's name
	stderr string // what it has in it
	after  string // what the file holds then
}

func (tc rewriteCase) run(t *testing.T, tool string) {
	file := saved(t, tc.text)
	stdout, stderr, code := runDocuments(t, "", append([]string{"sdl", tool, file}, tc.flags...)...)
	if code != tc.code {
		t.Errorf("exit code %d, want %d", code, tc.code)
	}
	if want := strings.ReplaceAll(tc.stdout, "FILE", file); !strings.HasPrefix(stdout, want) || want == "" && stdout != "" {
		t.Errorf("stdout = %q, want %q", stdout, want)
	}
	if want := strings.ReplaceAll(tc.stderr, "FILE", file); !strings.Contains(stderr, want) || want == "" && stderr != "" {
		t.Errorf("stderr = %q, want %q", stderr, want)
	}
	holds(t, file, tc.after)
}

const (
	untidy = "services: # here\n    web: {image: nginx}\nversion: \"1.0\"\n"
	tidy   = "version: \"1.0\"\nservices: # here\n  web: {image: nginx}\n"
)

func TestFmt(t *testing.T) {
	for name, tc := range map[string]rewriteCase{
		"prints":            {untidy, nil, exitOK, tidy, "", untidy},
		"tidy already":      {tidy, nil, exitOK, tidy, "", tidy},
		"write":             {untidy, []string{"-w"}, exitOK, "FILE\n", "", tidy},
		"write, tidy":       {tidy, []string{"--write"}, exitOK, "", "", tidy},
		"check":             {untidy, []string{"--check"}, exitError, "FILE\n", "", untidy},
		"check, tidy":       {tidy, []string{"--check"}, exitOK, "", "", tidy},
		"diff":              {untidy, []string{"--diff"}, exitOK, "--- FILE\n+++ FILE\n@@ -1,3 +1,3 @@\n-services: # here\n-    web: {image: nginx}\n version: \"1.0\"\n+services: # here\n+  web: {image: nginx}\n", "", untidy},
		"check with diff":   {untidy, []string{"--check", "--diff"}, exitError, "FILE\n--- FILE", "", untidy},
		"no YAML":           {"a: [\n", []string{"-w"}, exitUsage, "", "FILE:1:1: error:", "a: [\n"},
		"no YAML, check":    {"a: [\n", []string{"--check"}, exitUsage, "", "E-YAML", "a: [\n"},
		"unusual":           {"? a\n: b\n", []string{"-w"}, exitUsage, "", "E-FORM", "? a\n: b\n"},
		"check and write":   {untidy, []string{"--check", "-w"}, exitUsage, "", "--check changes nothing", untidy},
		"an unknown format": {untidy, []string{"-o", "xml"}, exitUsage, "", "xml", untidy},
	} {
		t.Run(name, func(t *testing.T) { tc.run(t, "fmt") })
	}
}

func TestFmtOfStandardInput(t *testing.T) {
	if stdout, _, code := runDocuments(t, untidy, "sdl", "fmt", "-"); stdout != tidy || code != exitOK {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	if stdout, stderr, code := runDocuments(t, untidy, "sdl", "fmt", "-w", "-"); stdout != "" || code != exitUsage || !strings.Contains(stderr, "standard input") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestFmtOfSeveral(t *testing.T) {
	good, bad := saved(t, untidy), saved(t, "a: [\n")
	if stdout, stderr, code := runDocuments(t, "", "sdl", "fmt", good, bad); stdout != "" || code != exitUsage || !strings.Contains(stderr, "--write") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code := runDocuments(t, "", "sdl", "fmt", "-w", bad, good)
	if stdout != good+"\n" || code != exitUsage || !strings.Contains(stderr, bad+":1:1") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	holds(t, good, tidy)
	holds(t, bad, "a: [\n")
}

func TestFmtJSON(t *testing.T) {
	good, bad := saved(t, untidy), saved(t, "a: [\n")
	type result struct {
		Files []rewritten `json:"files"`
	}
	run := func(args ...string) (out result, code int) {
		stdout, stderr, code := runDocuments(t, "", append([]string{"sdl", "fmt", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &out); err != nil || stderr != "" {
			t.Fatalf("stdout %q, stderr %q: %v", stdout, stderr, err)
		}
		return out, code
	}
	got, code := run("--diff", "--check", good, bad)
	if code != exitUsage || len(got.Files) != 2 || !got.Files[0].Changed || got.Files[0].Written || got.Files[0].Diff == "" || len(got.Files[1].Diagnostics) != 1 {
		t.Errorf("exit code %d, %+v", code, got)
	}
	if got, code = run(good); code != exitOK || got.Files[0].Text != tidy || got.Files[0].Diagnostics == nil {
		t.Errorf("exit code %d, %+v", code, got)
	}
	if got, code = run(bad, good); code != exitUsage || len(got.Files) != 2 || got.Files[0].Text != "" || got.Files[1].Text != tidy {
		t.Errorf("exit code %d, %+v", code, got)
	}
	if got, code = run("-w", good); code != exitOK || !got.Files[0].Written || got.Files[0].Text != "" {
		t.Errorf("exit code %d, %+v", code, got)
	}
	holds(t, good, tidy)
}
