package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const old = `version: "1.0"
services:
  web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}
profiles:
  compute: {small: {cpu: 1, memory: 1Gi, storage: 1Gi}}
  placement: {east: {pricing: {small: 20u}}}
deployment:
  web: {east: {profile: small, count: 1}}
`

var (
	new20 = strings.NewReplacer("1.0", "2.0", "{cpu: 1, memory: 1Gi, storage: 1Gi}", "{resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}",
		"small: 20u", "small: {denom: ubrt, amount: 20}").Replace(old)
	new21 = strings.Replace(new20, "2.0", "2.1", 1)
	https = strings.Replace(old, "port: 80", "port: 443", 1)
)

func TestConvert(t *testing.T) {
	lost := strings.Replace(new21, "port: 80", "port: 443", 1)
	for name, tc := range map[string]rewriteCase{
		"prints":         {old, []string{"--to", "2.1"}, exitOK, new21, "", old},
		"to 2.0":         {old, []string{"--to", "2.0"}, exitOK, new20, "", old},
		"from 2.0":       {new20, []string{"--to", "2.1"}, exitOK, new21, "", new20},
		"back to 2.0":    {new21, []string{"--to", "2.0"}, exitOK, new20, "", new21},
		"write":          {old, []string{"--to", "2.1", "-w"}, exitOK, "FILE\n", "", new21},
		"write the same": {new21, []string{"--to", "2.1", "--write"}, exitOK, "", "", new21},
		"diff":           {new20, []string{"--to", "2.1", "--diff"}, exitOK, "--- FILE\n+++ FILE\n@@ -1,4 +1,4 @@\n-version: \"2.0\"\n+version: \"2.1\"\n", "", new20},
		"lost":           {https, []string{"--to", "2.1"}, exitUsage, "", "FILE:3:39: error: services.web.expose[0].port: version 2.1 passes no https", https},
		"lost, write":    {https, []string{"--to", "2.1", "-w"}, exitUsage, "", "with --lossy", https},
		"lossy":          {https, []string{"--to", "2.1", "--lossy"}, exitOK, lost, "W-CONVERT", https},
		"lossy, write":   {https, []string{"--to", "2.1", "--lossy", "-w"}, exitOK, "FILE\n", "FILE:3:39: warning:", lost},
		"does not compile": {strings.Replace(old, "1Gi", "1gi", 1), []string{"--to", "2.1", "--lossy", "-w"}, exitUsage, "", "did you mean: 1Gi",
			strings.Replace(old, "1Gi", "1gi", 1)},
		"no YAML":    {"a: [", []string{"--to", "2.1", "-w"}, exitUsage, "", "E-YAML", "a: ["},
		"to 1.0":     {new20, []string{"--to", "1.0", "-w"}, exitUsage, "", "nothing is converted to 1.0", new20},
		"to 3.0":     {new20, []string{"--to", "3.0", "-w"}, exitUsage, "", "there is no version \"3.0\"", new20},
		"to nothing": {new20, []string{"-w"}, exitUsage, "", "--to is missing", new20},
	} {
		t.Run(name, func(t *testing.T) { tc.run(t, "convert") })
	}
}

func TestConvertStandardInput(t *testing.T) {
	if stdout, stderr, code := runDocuments(t, old, "sdl", "convert", "--to", "2.1", "-"); stdout != new21 || stderr != "" || code != exitOK {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if _, stderr, code := runDocuments(t, old, "sdl", "convert", "--to", "2.1", "-w", "-"); code != exitUsage || !strings.Contains(stderr, "standard input") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestConvertJSON(t *testing.T) {
	good, bad := saved(t, old), saved(t, https)
	run := func(args ...string) (out converted, code int) {
		stdout, stderr, code := runDocuments(t, "", append([]string{"sdl", "convert", "--to", "2.1", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &out); err != nil || stderr != "" || out.Files == nil || out.Diagnostics == nil {
			t.Fatalf("stdout %q, stderr %q: %v", stdout, stderr, err)
		}
		return out, code
	}
	if got, code := run(good); code != exitOK || len(got.Files) != 1 || got.Files[0].Text != new21 || got.To != "2.1" {
		t.Errorf("exit code %d, %+v", code, got)
	}
	if got, code := run("-w", bad); code != exitUsage || len(got.Files) != 0 || len(got.Diagnostics) != 1 || got.Diagnostics[0].Code != "E-CONVERT" {
		t.Errorf("exit code %d, %+v", code, got)
	}
	holds(t, bad, https)
}

// TestConvertSeveralFiles holds that the files of a document are converted together or not at all.
func TestConvertSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	file, part := filepath.Join(dir, "deploy.yaml"), filepath.Join(dir, "services.yaml")
	head, services, rest := old[:len("version: \"1.0\"\n")], old[len("version: \"1.0\"\n"):strings.Index(old, "profiles")], old[strings.Index(old, "profiles"):]
	write := func(services string) {
		for name, text := range map[string]string{file: head + "include: services.yaml\n" + rest, part: services} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(services)
	if stdout, stderr, code := runDocuments(t, "", "sdl", "convert", "--to", "2.1", file); code != exitUsage || stdout != "" || !strings.Contains(stderr, "--write") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	other := strings.Replace(services, "port: 80", "port: 443", 1)
	write(other)
	if stdout, stderr, code := runDocuments(t, "", "sdl", "convert", "--to", "2.1", "-w", file); code != exitUsage || stdout != "" || !strings.Contains(stderr, part+":2:39: error") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	holds(t, file, head+"include: services.yaml\n"+rest)
	holds(t, part, other)
	write(services)
	if stdout, stderr, code := runDocuments(t, "", "sdl", "convert", "--to", "2.1", "-w", file); code != exitOK || stdout != file+"\n" || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if _, stderr, code := runDocuments(t, "", "sdl", "validate", file); code != exitOK {
		t.Errorf("the result is not valid: %s", stderr)
	}
	holds(t, part, services)
}
