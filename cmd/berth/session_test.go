package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// sessions is a desk with one deployment that runs.
func sessions(t *testing.T) (*desk, *tenanttest.Gateway) {
	t.Helper()
	d := newDesk(t, tenanttest.NewBidder("east", "east", "4.5"))
	d.must("deploy", "one.yaml", "-y")
	return d, d.world.Gateways[tenanttest.Address("east")]
}

// typed types a command that reads.
func (d *desk) typed(ctx context.Context, in io.Reader, out io.Writer, args ...string) (stderr string, code int) {
	connect := func(*cobra.Command) (*tenant.Machine, error) {
		m := d.world.Machine(tenant.NewFileStore(d.dir, "world"))
		m.Rand = d.rand
		return m, nil
	}
	var errs bytes.Buffer
	code = runRoot(ctx, newRoot(connect), args, stdio{In: in, Out: out, Err: &errs})
	return errs.String(), code
}

func TestExecCommand(t *testing.T) {
	d, _ := sessions(t)
	for _, tc := range []struct {
		args                string
		stdin               string
		code                int
		stdout, stderrHolds string
	}{
		{"exec -- write one two", "", 0, "one\n", "two\n"},
		{"exec web -- exit 3", "", 3, "", ""},
		{"exec 1001 web -- exit 255", "", 255, "", ""},
		{"exec -i web -- cat", "to and fro", 0, "to and fro", ""},
		{"exec web -- cat", "not read", 0, "", ""},
		{"exec web -- nope", "", 127, "", "nope: no such program"},
		{"exec web", "", exitUsage, "", "comes after --"},
		{"exec 1001 web more -- exit 0", "", exitUsage, "", "at most DSEQ and SERVICE"},
		{"exec nobody -- exit 0", "", exitUsage, "", `has no service "nobody" (have: web)`},
		{"exec web --instance web-9 -- exit 0", "", exitLease, "", "berth status"},
		{"exec web -i -t -- exit 0", "", exitUsage, "", "terminal"},
		{"shell web", "", exitUsage, "", "terminal"},
		{"exec -o json web -- exit 0", "", exitUsage, "", "leave out -o json"},
		{"exec 7 web -- exit 0", "", exitUsage, "", "no deployment 7"},
	} {
		args := strings.Fields(strings.ReplaceAll(tc.args, "1001", d.dseq(t)))
		var out bytes.Buffer
		stderr, code := d.typed(t.Context(), strings.NewReader(tc.stdin), &out, args...)
		if code != tc.code || !strings.Contains(out.String(), tc.stdout) || !strings.Contains(stderr, tc.stderrHolds) || tc.stdout == "" && code != exitUsage && out.Len() > 0 {
			t.Errorf("berth %s: exit %d, want %d\nstdout %q\nstderr %q, want %q", tc.args, code, tc.code, out.String(), stderr, tc.stderrHolds)
		}
	}
}

// dseq is the number of the only deployment.
func (d *desk) dseq(t *testing.T) string {
	t.Helper()
	var list []struct{ Dseq json.Number }
	if err := json.Unmarshal([]byte(d.must("list", "-o", "json")), &list); err != nil || len(list) != 1 {
		t.Fatalf("list: %v, %v", list, err)
	}
	return list[0].Dseq.String()
}

// tarIn gives instances a tar that works in a directory of this machine, as much of it as copying uses.
func tarIn(g *tenanttest.Gateway, dir string) {
	g.Instances().SetProgram("tar", func(_ context.Context, args []string, s cluster.Streams) int {
		at := filepath.Join(dir, args[4])
		if info, err := os.Stat(at); err != nil || !info.IsDir() {
			_, _ = io.WriteString(s.Stderr, "tar: can't change directory\n")
			return 1
		}
		var err error
		if args[0] == "-x" {
			err = extract(s.Stdin, at)
		} else {
			err = archive(s.Stdout, at, args[6])
		}
		if err != nil {
			_, _ = io.WriteString(s.Stderr, err.Error())
			return 2
		}
		return 0
	})
}

func extract(from io.Reader, at string) error {
	for in := tar.NewReader(from); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(filepath.Join(at, h.Name), 0o755)
		} else {
			data, readErr := io.ReadAll(in)
			err = errors.Join(readErr, os.WriteFile(filepath.Join(at, h.Name), data, fs.FileMode(h.Mode)))
		}
		if err != nil {
			return err
		}
	}
}

func archive(to io.Writer, at, name string) error {
	out := tar.NewWriter(to)
	root := filepath.Join(at, name)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			link = "/etc/passwd"
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(at, p)
		if err != nil {
			return err
		}
		h.Name = filepath.ToSlash(rel)
		if err := out.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		_, err = out.Write(data)
		return err
	})
	return errors.Join(err, out.Close())
}

func TestCopyCommand(t *testing.T) {
	d, g := sessions(t)
	far := t.TempDir()
	if err := os.MkdirAll(filepath.Join(far, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("site/img", 0o755); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789", 50_000)
	for name, text := range map[string]string{"site/index.html": "hello", "site/img/logo": big, "one": "1"} {
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", "site/link"); err != nil {
		t.Fatal(err)
	}
	holds := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s holds %d bytes, %v, want %d", name, len(got), err, len(want))
		}
	}
	_, stderr, code := d.run("cp", "one", "web:/srv/")
	if code != exitLease || !strings.Contains(stderr, "has no tar") || !strings.Contains(stderr, "cat FILE") {
		t.Errorf("an image without tar: exit %d, %s", code, stderr)
	}
	tarIn(g, far)
	stdout, stderr, code := d.run("cp", "site", "web:/srv/www")
	if code != 0 || !strings.Contains(stdout, "Copied 2 files") || !strings.Contains(stderr, "site/link is neither") {
		t.Fatalf("cp there: exit %d, %s%s", code, stdout, stderr)
	}
	holds(filepath.Join(far, "srv/www/index.html"), "hello")
	holds(filepath.Join(far, "srv/www/img/logo"), big)
	d.must("cp", d.dseq(t), "one", "web:/srv/")
	holds(filepath.Join(far, "srv/one"), "1")
	if err := os.Symlink("/etc", filepath.Join(far, "srv/www/trap")); err != nil {
		t.Fatal(err)
	}
	_, stderr, code = d.run("cp", "web:/srv/www", "back")
	if code != 0 || !strings.Contains(stderr, "www/trap") {
		t.Fatalf("cp back: exit %d, %s", code, stderr)
	}
	holds("back/img/logo", big)
	if _, err := os.Lstat("back/trap"); err == nil {
		t.Error("a link was copied")
	}
	d.must("cp", "web:/srv/one", "site/")
	holds("site/one", "1")
	for args, want := range map[string]string{
		"cp one two":               "one of",
		"cp web:/a web:/b":         "one of",
		"cp none web:/srv/":        "no such file",
		"cp web:/srv/none .":       "ended with code 2",
		"cp one web:/nowhere/file": "can't change directory",
		"cp web:/ .":               "names no file",
		"cp web:/srv/one none/":    "there is no directory",
	} {
		if _, stderr, code := d.run(strings.Fields(args)...); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("berth %s: exit %d, %s, want %q", args, code, stderr, want)
		}
	}
}

func TestPortForwardCommand(t *testing.T) {
	d, _ := sessions(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	screen, out := io.Pipe()
	type ending struct {
		stderr string
		code   int
	}
	ended := make(chan ending, 1)
	go func() {
		stderr, code := d.typed(ctx, strings.NewReader(""), out, "port-forward", "web", ":8080", "-o", "jsonl")
		_ = out.Close()
		ended <- ending{stderr, code}
	}()
	lines := bufio.NewScanner(screen)
	if !lines.Scan() {
		t.Fatalf("nothing listens: %+v", <-ended)
	}
	var first struct{ Value []tenant.Forwarding }
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil || len(first.Value) != 1 || !strings.HasPrefix(first.Value[0].Local, "127.0.0.1:") {
		t.Fatalf("%s: %v, %+v", lines.Text(), err, first)
	}
	go func() { _, _ = io.Copy(io.Discard, screen) }()
	resp, err := http.Get("http://" + first.Value[0].Local + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != "web-0 answers\n" {
		t.Errorf("through the port: %q, %v", body, err)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if e := <-ended; e.code != exitInterrupted {
		t.Errorf("exit %d, %s", e.code, e.stderr)
	}
	for args, want := range map[string]string{
		"port-forward web 0:80": "not LOCAL:REMOTE", "port-forward web 80:99999": "not LOCAL:REMOTE", "port-forward 5 web": "at least one",
		"port-forward nobody 80": "no service",
	} {
		if _, stderr, code := d.run(strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("berth %s: exit %d, %s", args, code, stderr)
		}
	}
}

func TestRestartAndEventsCommands(t *testing.T) {
	d, g := sessions(t)
	if out := d.must("restart", "web"); !strings.Contains(out, "was restarted and is ready") {
		t.Errorf("restart: %s", out)
	}
	if out := d.must("restart", "--no-wait", "-o", "json"); !strings.Contains(out, `"service": "web"`) {
		t.Errorf("restart: %s", out)
	}
	var events []tenant.Happening
	for line := range strings.Lines(d.must("events", "-o", "jsonl")) {
		var h tenant.Happening
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		events = append(events, h)
	}
	restarts := 0
	for i, h := range events {
		if h.Kind == cluster.EventRestarted && h.Service == "web" {
			restarts++
		}
		if i > 0 && h.Time.Before(events[i-1].Time) {
			t.Errorf("out of order: %+v after %+v", h, events[i-1])
		}
	}
	if restarts != 2 {
		t.Errorf("%d restarts in %+v", restarts, events)
	}
	if out := d.must("events", "--service", "web"); !strings.Contains(out, "web Restarted the tenant restarted it") {
		t.Errorf("events: %s", out)
	}
	if _, stderr, code := d.run("events", "--service", "nobody"); code != exitUsage || !strings.Contains(stderr, "no service") {
		t.Errorf("events of nobody: exit %d, %s", code, stderr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	screen, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		_, code := d.typed(ctx, strings.NewReader(""), out, "events", "-f")
		_ = out.Close()
		ended <- code
	}()
	for lines := bufio.NewScanner(screen); lines.Scan(); {
		if strings.Contains(lines.Text(), "Restarted") {
			cancel()
		}
	}
	if code := <-ended; code != exitInterrupted {
		t.Errorf("events -f: exit %d", code)
	}
	g.Failing = map[string]string{"web": "it keeps ending"}
	if _, stderr, code := d.run("restart", "web"); code != exitRollout || !strings.Contains(stderr, "it keeps ending") {
		t.Errorf("a restart that fails: exit %d, %s", code, stderr)
	}
}
