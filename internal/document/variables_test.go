package document

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"berth.dev/berth/sdl/compile"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestVariables(t *testing.T) {
	first, second := write(t, "first.env", "A=1\nB=1\n"), write(t, "second.env", "B=2\nC=''\nB=3")
	v := NewVariables(func(name string) (string, bool) { return "env-" + name, name == "A" || name == "E" })
	for _, file := range []string{first, second} {
		if err := v.Set(file); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.Taken(); got != "" {
		t.Errorf("before any look-up: %q", got)
	}
	for name, want := range map[string]string{"A": "1", "B": "3", "C": "", "E": "env-E"} {
		if got, ok := v.Lookup(name); !ok || got != want {
			t.Errorf("%s = %q, %v, want %q", name, got, ok, want)
		}
	}
	if got, ok := v.Lookup("F"); ok {
		t.Errorf("F = %q", got)
	}
	if want := "Variables taken: E from the environment; A from " + first + "; B, C from " + second; v.Taken() != want {
		t.Errorf("taken: %q, want %q", v.Taken(), want)
	}
	in, err := v.Load(write(t, "deploy.yaml", "version: x"), nil)
	if err != nil || strings.Join(in.Names, " ") != "A B C" || in.Lookup == nil {
		t.Errorf("input: %v, %v", in.Names, err)
	}
	v.noEnv = true
	if got, ok := v.Lookup("E"); ok {
		t.Errorf("E = %q although the environment is not to be used", got)
	}
}

func TestVariableFlags(t *testing.T) {
	t.Setenv("BERTH_TEST_VARIABLE", "x")
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	const value = "hunter2"
	for file, want := range map[string]string{
		filepath.Join(t.TempDir(), "none.env"):               "there is no file",
		write(t, "bad.env", "A=1\n"+value):                   "bad.env: line 2: NAME=VALUE was expected",
		t.TempDir():                                          "is a directory",
		write(t, "big.env", "A="+strings.Repeat("x", 1<<20)): "more than 524288 bytes",
	} {
		err := fs.Parse([]string{"--env-file", file})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), value) {
			t.Errorf("--env-file %s: %v, want %q", file, err, want)
		}
	}
	if err := fs.Parse([]string{"--env-file", write(t, "good.env", "A=1")}); err != nil {
		t.Fatal(err)
	}
	v := FromFlags(fs)
	if got, _ := v.Lookup("A"); got != "1" {
		t.Errorf("A = %q", got)
	}
	if _, ok := v.Lookup("BERTH_TEST_VARIABLE"); !ok {
		t.Error("the environment is not used")
	}
	if err := fs.Parse([]string{"--no-env"}); err != nil {
		t.Fatal(err)
	}
	if _, ok := v.Lookup("BERTH_TEST_VARIABLE"); ok {
		t.Error("the environment is used in spite of --no-env")
	}
	if _, ok := FromFlags(pflag.NewFlagSet("", pflag.ContinueOnError)).Lookup("BERTH_TEST_VARIABLE"); !ok {
		t.Error("a command without the flags does not use the environment")
	}
}

// TestFilesOfADocument holds that paths in a document start from it, and lead nowhere else.
func TestFilesOfADocument(t *testing.T) {
	dir := t.TempDir()
	text := func(files string) string {
		return "version: \"1.0\"\nservices:\n  web:\n    image: nginx\n" + files + `
profiles:
  compute: {small: {cpu: 100m, memory: 64Mi, storage: 64Mi}}
  placement: {east: {pricing: {small: 10u}}}
deployment:
  web: {east: {profile: small, count: 1}}
`
	}
	if err := os.WriteFile(filepath.Join(dir, "outside.env"), []byte("A=1"), 0o600); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "inside.env"), []byte("A=1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside.env", filepath.Join(inner, "link.env")); err != nil {
		t.Fatal(err)
	}
	for files, code := range map[string]string{
		"    env-file: inside.env":                            "",
		"    env: {A: {file: inside.env}}":                    "",
		"    env-file: ../outside.env":                        "E-FILE",
		"    env-file: link.env":                              "E-FILE",
		"    env: {A: {file: " + dir + "/outside.env}}":       "E-FILE",
		"    env: {A: {file: ../outside.env}}":                "E-FILE",
		"    env: [{name: A, file: missing.txt}]":             "E-FILE",
		"    env-file: [inside.env, missing.env, inside.env]": "E-FILE",
	} {
		file := filepath.Join(inner, "deploy.yaml")
		if err := os.WriteFile(file, []byte(text(files)), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := compile.Document(in)
		switch {
		case code == "" && out.Plan == nil:
			t.Errorf("%s: %v", files, out.Found)
		case code != "" && (out.Plan != nil || len(out.Found) != 1 || out.Found[0].Code != code):
			t.Errorf("%s: %v, want %s", files, out.Found, code)
		}
	}
}
