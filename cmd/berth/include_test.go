package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/tenant/tenanttest"
)

// lay writes files below the working directory.
func lay(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// halves is a document in two files: what stands before its profiles includes the rest.
func halves(document, rest string) map[string]string {
	before, after, _ := strings.Cut(document, "profiles:")
	return map[string]string{
		"app/deploy.yaml": strings.Replace(before, "services:", "include: "+rest+"\nservices:", 1),
		"app/" + rest:     "profiles:" + after,
	}
}

func TestDocumentsThatInclude(t *testing.T) {
	t.Chdir(t.TempDir())
	lay(t, halves(tenanttest.TwoGroups, "parts/rest.yaml"))
	lay(t, map[string]string{"whole.yaml": tenanttest.TwoGroups, "secret.yaml": "services: {}\n"})
	main, err := os.ReadFile("app/deploy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, _, code := runDocuments(t, "", "plan", "whole.yaml", "-o", "json")
	if code != exitOK {
		t.Fatalf("exit %d", code)
	}
	if got, stderr, _ := runDocuments(t, "", "plan", "app/deploy.yaml", "-o", "json"); got != want {
		t.Errorf("the plan of two files is another one:\n%s%s", got, stderr)
	}
	for name, tc := range map[string]struct {
		args   []string
		change map[string]string
		stdin  string
		code   int
		stdout string
		stderr []string
	}{
		"two files": {args: []string{"app/deploy.yaml"}, stdout: "app/deploy.yaml: valid\n"},
		"standard input is in the working directory": {
			args: []string{"-"}, stdin: strings.Replace(string(main), "parts/", "app/parts/", 1), stdout: "-: valid\n",
		},
		"standard input, the path of another directory": {
			args: []string{"-"}, stdin: string(main), code: exitUsage, stderr: []string{"-:2:10: error: include:", `there is no file "parts/rest.yaml"`},
		},
		"an error in the other file": {
			args: []string{"app/deploy.yaml"}, code: exitUsage,
			change: map[string]string{"app/parts/rest.yaml": strings.Replace(tenanttest.TwoGroups[strings.Index(tenanttest.TwoGroups, "profiles:"):], "64Mi", "64mi", 1)},
			stderr: []string{"app/parts/rest.yaml:2:", "did you mean: 64Mi", "app/deploy.yaml: 1 error"},
		},
		"the same as JSON": {
			args: []string{"app/deploy.yaml", "-o", "json"}, code: exitUsage,
			change: map[string]string{"app/parts/rest.yaml": "profiles: {}\n"}, stdout: `"file": "app/parts/rest.yaml"`,
		},
		"a link out of the directory": {
			args: []string{"app/linked.yaml"}, code: exitUsage,
			change: map[string]string{"app/linked.yaml": strings.Replace(string(main), "parts/rest.yaml", "link.yaml", 1)},
			stderr: []string{"app/linked.yaml:2:10: error: include:", "it lies outside the document's directory"},
		},
		"a directory": {
			args: []string{"app/directory.yaml"}, code: exitUsage,
			change: map[string]string{"app/directory.yaml": strings.Replace(string(main), "parts/rest.yaml", "parts", 1)},
			stderr: []string{"it is no regular file"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			lay(t, halves(tenanttest.TwoGroups, "parts/rest.yaml"))
			lay(t, tc.change)
			lay(t, map[string]string{"secret.yaml": "services: {}\n"})
			if err := os.Symlink("../secret.yaml", "app/link.yaml"); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := runDocuments(t, tc.stdin, append([]string{"sdl", "validate"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) {
				t.Errorf("exit %d, want %d:\n%s%s", code, tc.code, stdout, stderr)
			}
			for _, want := range tc.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in:\n%s", want, stderr)
				}
			}
		})
	}
}

// TestDeployOfSeveralFiles deploys and updates documents in two files. What goes on later goes on without them.
func TestDeployOfSeveralFiles(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	lay(t, halves(tenanttest.TwoGroups, "parts/rest.yaml"))
	d.must("deploy", "app/deploy.yaml", "-y")
	if status := d.must("status", "1000", "-o", "json"); !strings.Contains(status, `"document": "app/deploy.yaml"`) {
		t.Errorf("status:\n%s", status)
	}
	_, stderr, code := d.run("update", "1000", "two.yaml", "-y")
	if code != exitOK || !strings.Contains(stderr, "has this document already") {
		t.Errorf("an update with the same document in one file: exit %d\n%s", code, stderr)
	}
	lay(t, halves(strings.Replace(tenanttest.TwoGroups, "web:1", "web:2", 1), "parts/rest.yaml"))
	if _, stderr, code = d.run("update", "1000", "app/deploy.yaml", "-y"); code != exitOK || strings.Contains(stderr, "has this document already") {
		t.Errorf("update: exit %d\n%s", code, stderr)
	}
	if err := os.RemoveAll("app"); err != nil {
		t.Fatal(err)
	}
	d.must("deploy", "--resume", "1000")
	if _, stderr, code = d.run("update", "1000", "app/deploy.yaml", "-y"); code != exitUsage || !strings.Contains(stderr, "there is no file app/deploy.yaml") {
		t.Errorf("update with a document that is gone: exit %d\n%s", code, stderr)
	}
}
