package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secretDocument = `version: "1.0"
services:
  web:
    image: ${REGISTRY:-berth.local}/hello:1
    env:
      PASSWORD: ${BERTH_TEST_PASSWORD}
      MODE: ${BERTH_TEST_MODE:-slow}
      TOKEN: {file: token.txt}
      LEVEL: {value: "${BERTH_TEST_MODE:-slow}", secret: false}
    env-file: web.env
    expose: [{port: 8080, as: 80, proto: http, to: [{global: true}]}]
profiles:
  compute: {small: {cpu: 100m, memory: 64Mi, storage: 64Mi}}
  placement: {east: {pricing: {small: 10u}}}
deployment:
  web: {east: {profile: small, count: 1}}
`

// inDirectory writes files into a new directory and returns it.
func inDirectory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVariablesOfCommands(t *testing.T) {
	const value = "hunter2-"
	dir := inDirectory(t, map[string]string{
		"deploy.yaml": secretDocument, "token.txt": value + "token\n", "web.env": "FROM_FILE=" + value + "web\n",
		"a.env": "BERTH_TEST_PASSWORD=" + value + "a\n", "bad.env": "A=1\n" + value + "\n",
	})
	file, env := filepath.Join(dir, "deploy.yaml"), filepath.Join(dir, "a.env")
	t.Setenv("BERTH_TEST_MODE", value+"fast")
	for name, tc := range map[string]struct {
		args   []string
		code   int
		stdout []string
		stderr []string
	}{
		"plan":          {[]string{"plan", file, "--env-file", env}, exitOK, []string{"web gets the secret variables FROM_FILE, MODE, PASSWORD, TOKEN"}, []string{"Variables taken: BERTH_TEST_MODE from the environment; BERTH_TEST_PASSWORD from " + env + "\n"}},
		"plan as JSON":  {[]string{"plan", file, "--env-file", env, "--no-env", "-o", "json"}, exitOK, []string{`"value": "slow"`, `"secret": true`}, []string{"Variables taken: BERTH_TEST_PASSWORD from " + env + "\n"}},
		"explain":       {[]string{"sdl", "explain", file, "--env-file", env}, exitOK, []string{"It gets the secret variables FROM_FILE, MODE, PASSWORD, TOKEN"}, []string{"Variables taken: BERTH_TEST_MODE from the environment; BERTH_TEST_PASSWORD from " + env + "\n"}},
		"explain, JSON": {[]string{"sdl", "explain", file, "--env-file", env, "-o", "json"}, exitOK, []string{`"secrets"`}, []string{"Variables taken: "}},
		"validate":      {[]string{"sdl", "validate", file, "--env-file", env}, exitOK, []string{": valid"}, nil},
		"not set":       {[]string{"plan", file}, exitUsage, nil, []string{"variable BERTH_TEST_PASSWORD is not set [E-VARIABLE]", "--env-file"}},
		"bad env-file":  {[]string{"plan", file, "--env-file", filepath.Join(dir, "bad.env")}, exitUsage, nil, []string{"bad.env: line 2: NAME=VALUE"}},
		"no env-file":   {[]string{"sdl", "validate", file, "--env-file", "none.env"}, exitUsage, nil, []string{"there is no file none.env"}},
		"no variables":  {[]string{"plan", hello}, exitOK, []string{"Group"}, nil},
		"near variable": {[]string{"plan", file, "--no-env", "--env-file", filepath.Join(dir, "web.env")}, exitUsage, nil, []string{"hint: set it in the environment"}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := runDocuments(t, "", tc.args...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, want := range tc.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout lacks %q:\n%s", want, stdout)
				}
			}
			for _, want := range tc.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr)
				}
			}
			if tc.stderr == nil && stderr != "" || strings.Contains(stdout+stderr, value) {
				t.Errorf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
			}
		})
	}
}
