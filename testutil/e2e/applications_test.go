//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/tenant"
)

// pushed are images by the references that applications use, with the root file systems of $BERTH_E2E_IMAGES and how they
// are run. The databases are Debian's, under the names of the images that companions run elsewhere.
var pushed = map[string][]string{
	"berth.local/shop:1":    {"shop", "--entrypoint", "/shop"},
	"berth.local/shop:2":    {"shop", "--entrypoint", "/shop", "--env", "EDITION=2"},
	"berth.local/app:1":     {"app", "--entrypoint", "/usr/local/bin/probe", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--env", "APP_VERSION=1"},
	"berth.local/app:2":     {"app", "--entrypoint", "/usr/local/bin/probe", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--env", "APP_VERSION=2"},
	"postgres:17":           {"postgres", "--entrypoint", "/usr/local/bin/docker-entrypoint", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--user", "0"},
	"valkey/valkey:7.2":     {"redis", "--entrypoint", "/usr/bin/redis-server", "--user", "0"},
	"axllent/mailpit:v1.27": {"mail", "--entrypoint", "/mailpit", "--env", "PATH=/bin"},
	"berth.local/debian:12": {"debian", "--entrypoint", "/bin/bash", "--user", "0", "--env", "PATH=/usr/local/bin:/usr/bin:/bin"},
}

// pushing is held by who pushes images, each of which is pushed once.
var pushing struct {
	sync.Mutex
	done []string
}

func pushImages(t *testing.T, refs ...string) {
	t.Helper()
	pushing.Lock()
	defer pushing.Unlock()
	dir := os.Getenv("BERTH_E2E_IMAGES")
	if dir == "" {
		t.Fatal("BERTH_E2E_IMAGES names no directory; scripts/local-images.sh makes it")
	}
	for _, ref := range refs {
		if slices.Contains(pushing.done, ref) {
			continue
		}
		how := pushed[ref]
		args := append([]string{"push", "--state", filepath.Join(marketplace.State, "kube"), ref, filepath.Join(dir, how[0])}, how[1:]...)
		if _, err := program(t.Context(), "localkube", args...); err != nil {
			t.Fatal(err)
		}
		pushing.done = append(pushing.done, ref)
	}
}

// small keeps what an application asks for small, shop that of the example of akinon.json.
var (
	small = []string{"--size", "50m,64Mi,64Mi"}
	shop  = append([]string{"--size", "db=100m,192Mi,128Mi", "--size", "broker=50m,64Mi,64Mi", "--size", "mail=50m,64Mi,64Mi"}, small...)
)

// copied is a copy of a directory that belongs to the test, so that the values of its variables are the test's own.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// stored is the value of a variable on the tenant's disk.
func stored(t *testing.T, dir, name string) string {
	t.Helper()
	var list []struct{ Name, Value string }
	berth(t, &list, "env", "list", dir+"/", "--show")
	for _, v := range list {
		if v.Name == name {
			return v.Value
		}
	}
	t.Fatalf("%s has no value among %d", name, len(list))
	return ""
}

// podsOf are the instances of a service of a deployment's only lease that are not ending, without the runs of its hooks.
func podsOf(ctx context.Context, t *testing.T, s tenant.Status, service string) []corev1.Pod {
	t.Helper()
	pods, err := cluster(t).CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "berth.dev/service=" + service})
	if err != nil {
		t.Fatal(err)
	}
	var out []corev1.Pod
	for _, p := range pods.Items {
		ns, err := cluster(t).CoreV1().Namespaces().Get(ctx, p.Namespace, metav1.GetOptions{})
		hook := slices.ContainsFunc(p.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == "Job" })
		if err == nil && !hook && p.DeletionTimestamp == nil && ns.Annotations["berth.dev/lease-id"] == s.Groups[0].Lease.ID {
			out = append(out, p)
		}
	}
	return out
}

// TestAnApplicationOfAkinon runs the example: its database keeps what it was given through an update and through the loss of
// its pod, its credentials stay, and nobody else reaches it.
func TestAnApplicationOfAkinon(t *testing.T) {
	dir := copied(t, filepath.Join("..", "..", "examples", "akinon", "shop"))
	file := filepath.Join(dir, "akinon.json")
	flags := append([]string{"--image", "berth.local/shop:1"}, shop...)
	sent := sequence(t) // no other test runs yet beside this one
	refused(t, 3, "SECRET_KEY: required, not set (Secret Key)", append([]string{"deploy", "--yes", file}, flags...)...)
	refused(t, 3, "SECRET_KEY: 11 characters, minimum 12", append([]string{"deploy", "--yes", file, "--env", "SECRET_KEY=elevenchars"}, flags...)...)
	two := written(t, map[string]string{"app.json": `{"env": {"A_URL": {"description": "of the one"}, "B_URL": {"description": "of the other"}}}`, "Procfile": "web: run\n"})
	for _, missing := range []string{"A_URL: required, not set (of the one)", "B_URL: required, not set (of the other)"} {
		refused(t, 3, missing, "deploy", "--yes", filepath.Join(two, "app.json"), "--image", "berth.local/app:1")
	}
	if now := sequence(t); now != sent {
		t.Errorf("%d transactions were sent for what is refused", now-sent)
	}
	t.Parallel()
	pushImages(t, "berth.local/shop:1", "berth.local/shop:2", "postgres:17", "valkey/valkey:7.2", "axllent/mailpit:v1.27")
	berth(t, nil, "env", "set", dir+"/", "SECRET_KEY=twelve-chars")
	d := deploy(t, file, flags...)
	if len(d.URLs) != 1 {
		t.Fatalf("URLs %v", d.URLs)
	}
	at := strings.TrimSuffix(d.URLs[0], "/")
	res, err := browser.Post(at+"/orders?item=tea", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	packed := func(ctx context.Context) error { return want(ctx, at+"/orders", "tea packed=true") }
	eventually(t, "the worker to pack an order", packed)
	password := stored(t, dir, "DB_PASSWORD")
	if len(password) != 32 {
		t.Errorf("a password of %d characters", len(password))
	}

	if out, err := program(t.Context(), "berth", "addon", "dump", "--home", marketplace.TenantHome, strconv.FormatUint(d.Dseq, 10), "db"); err != nil ||
		!strings.Contains(string(out), "CREATE TABLE public.orders") || !strings.Contains(string(out), "\ttea\t") {
		t.Errorf("addon dump: %v\n%s", err, out)
	}

	// Another image: the order is there, and the password is what it was. The tables were made anew before it ran.
	s := status(t, d.Dseq)
	old := podsOf(t.Context(), t, s, "web")
	berth(t, &s, append([]string{"update", "--yes", strconv.FormatUint(d.Dseq, 10), file, "--image", "berth.local/shop:2"}, shop...)...)
	eventually(t, "the order after an update", packed)
	releasedFirst(t, s, old)
	if again := stored(t, dir, "DB_PASSWORD"); again != password {
		t.Error("the update made another password")
	}
	db := podsOf(t.Context(), t, s, "db")
	if len(db) != 1 {
		t.Fatalf("%d pods of the database", len(db))
	}
	if err := cluster(t).CoreV1().Pods(db[0].Namespace).Delete(t.Context(), db[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another pod of the database", func(ctx context.Context) error {
		now := podsOf(ctx, t, s, "db")
		if len(now) != 1 || now[0].UID == db[0].UID {
			return errors.New("it is not there yet")
		}
		return nil
	})
	eventually(t, "the order after the loss of the database's pod", packed)

	stranger := deploy(t, example("hello"))
	for _, addon := range []struct {
		service string
		port    int
	}{{"db", 5432}, {"broker", 6379}} {
		pods := podsOf(t.Context(), t, s, addon.service)
		if len(pods) != 1 {
			t.Fatalf("%d pods of %s", len(pods), addon.service)
		}
		target := "http://" + net.JoinHostPort(pods[0].Status.PodIP, strconv.Itoa(addon.port))
		if code, body, err := fetch(t.Context(), stranger.URLs[0], target); err != nil || code != http.StatusBadGateway || !strings.Contains(body, "Timeout exceeded") {
			t.Errorf("a stranger reaches %s at %s: %d %q, %v; want 502, as nothing answers", addon.service, target, code, body, err)
		}
	}
}

// inside runs a shell's command in an instance of a service, and returns what it prints.
func inside(ctx context.Context, dseq uint64, service, command string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("BERTH_BIN"), "berth"), "exec", "--home", marketplace.TenantHome,
		strconv.FormatUint(dseq, 10), service, "--", "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s in %s: %w: %s", command, service, err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// written makes the files of an application.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const demo = `{
  "name": "demo",
  "env": {
    "WEB_CONCURRENCY": "5",
    "SECRET": {"generator": "secret"},
    "FEATURE_FLAGS": {"value": "a", "sync": true},
    "ABSENT": {"required": false}
  },
  "formation": {"web": {"quantity": 1}, "internal-web": {"quantity": 1, "service": {"exposed": true}}},
  "healthchecks": {"web": [{"type": "startup", "path": "/health/ready", "attempts": 3}]},
  "scripts": {"dokku": {"postdeploy": "HOOK"}, "postdeploy": "echo once"}
}`

// TestAnApplicationOfAppJSON: variables, an internal process, and scripts, through a first deployment, an update, and one
// whose last script fails.
func TestAnApplicationOfAppJSON(t *testing.T) {
	t.Parallel()
	pushImages(t, "berth.local/app:1", "berth.local/app:2")
	const procfile = "release: echo released\nweb: probe app\ninternal-web: probe app\n"
	dir := written(t, map[string]string{"app.json": strings.Replace(demo, "HOOK", "echo always", 1), "Procfile": procfile})
	file := filepath.Join(dir, "app.json")
	flags := append([]string{"--image", "berth.local/app:1"}, small...)
	d := deploy(t, file, flags...)
	web := strings.TrimSuffix(d.URLs[0], "/")
	variable := func(name, text string) {
		t.Helper()
		eventually(t, name, func(ctx context.Context) error { return want(ctx, web+"/env?name="+url.QueryEscape(name), text+"\n") })
	}
	variable("WEB_CONCURRENCY", "5")
	variable("FEATURE_FLAGS", "a")
	secret := stored(t, dir, "SECRET")
	variable("SECRET", secret)
	if code, _, err := get(t.Context(), web+"/env?name=ABSENT"); err != nil || code != http.StatusNotFound {
		t.Errorf("a variable that is not required and has no value: %d, %v; want that it is not set", code, err)
	}
	hooks(t, d.Dseq, "release succeeded", "dokku-postdeploy succeeded", "postdeploy succeeded")
	inOrder(t, d.Dseq, "hook release succeeded", "hook postdeploy was started", "hook postdeploy succeeded", "hook dokku-postdeploy was started")
	if out, err := inside(t.Context(), d.Dseq, "web", "echo $WEB_CONCURRENCY"); err != nil || out != "5" {
		t.Errorf("WEB_CONCURRENCY is %q, %v", out, err)
	}

	// The process inside is reached by its name, on its port, from here and not from elsewhere.
	eventually(t, "internal-web from web", func(ctx context.Context) error {
		out, err := inside(ctx, d.Dseq, "web", "probe get http://internal-web:5000/; echo $PORT")
		if err == nil && out != "app 1\n5000" {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
	s := status(t, d.Dseq)
	pods := podsOf(t.Context(), t, s, "internal-web")
	if len(pods) != 1 || len(s.URLs) != 1 {
		t.Fatalf("%d pods of internal-web, URLs %v", len(pods), s.URLs)
	}
	stranger := deploy(t, example("hello"))
	if code, body, err := fetch(t.Context(), stranger.URLs[0], "http://"+net.JoinHostPort(pods[0].Status.PodIP, "5000")); err != nil || code != http.StatusBadGateway {
		t.Errorf("a stranger reaches internal-web: %d %q, %v; want 502", code, body, err)
	}

	// What was set by hand stays, but for what is kept in sync; a generated value stays.
	berth(t, nil, "env", "set", dir+"/", "WEB_CONCURRENCY=9", "FEATURE_FLAGS=b")
	dseq := strconv.FormatUint(d.Dseq, 10)
	berth(t, nil, append([]string{"update", "--yes", dseq, file, "--image", "berth.local/app:2"}, small...)...)
	variable("WEB_CONCURRENCY", "9")
	variable("FEATURE_FLAGS", "a")
	variable("SECRET", secret)
	if err := want(t.Context(), web+"/", "app 2"); err != nil {
		t.Error(err)
	}
	hooks(t, d.Dseq, "release succeeded", "dokku-postdeploy succeeded", "postdeploy skipped")
	nowhere(t, secret)

	// A last script that fails is told, and the site goes on.
	failing := written(t, map[string]string{"app.json": strings.Replace(demo, "HOOK", "echo broken; exit 3", 1), "Procfile": procfile})
	refused(t, 7, "broken", append([]string{"update", "--yes", dseq, filepath.Join(failing, "app.json"), "--image", "berth.local/app:2"}, small...)...)
	if err := want(t.Context(), web+"/", "app 2"); err != nil {
		t.Error(err)
	}
	// So is a release that fails, and the old version goes on.
	release := written(t, map[string]string{"app.json": strings.Replace(demo, "HOOK", "true", 1), "Procfile": strings.Replace(procfile, "echo released", "echo no tables; exit 1", 1)})
	refused(t, 7, "no tables", append([]string{"update", "--yes", dseq, filepath.Join(release, "app.json"), "--image", "berth.local/app:1"}, small...)...)
	if err := want(t.Context(), web+"/", "app 2"); err != nil {
		t.Error(err)
	}
}

// hooks checks what status says of the hooks of web.
func hooks(t *testing.T, dseq uint64, want ...string) {
	t.Helper()
	var got []string
	for _, sv := range status(t, dseq).Groups[0].Lease.Services {
		for _, h := range sv.Hooks {
			got = append(got, h.Name+" "+h.State)
		}
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n")+"\n", w+"\n") {
			t.Errorf("the hooks are %q, want %q", got, w)
		}
	}
}

// inOrder checks that the hooks of a deployment ran in the order of these messages of its events, and that web became ready
// between the first and the second.
func inOrder(t *testing.T, dseq uint64, want ...string) {
	t.Helper()
	out, err := program(t.Context(), "berth", "events", strconv.FormatUint(dseq, 10), "--home", marketplace.TenantHome, "-o", "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	at := make([]time.Time, len(want))
	for line := range strings.Lines(string(out)) {
		var h tenant.Happening
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if i := slices.Index(want, h.Message); i >= 0 {
			at[i] = h.Time
		}
	}
	for i, when := range at {
		if when.IsZero() || i > 0 && when.Before(at[i-1]) {
			t.Errorf("%q at %s is not in its order: %v at %v", want[i], when, want, at)
		}
	}
	for _, p := range podsOf(t.Context(), t, status(t, dseq), "web") {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && (c.LastTransitionTime.Time.Before(at[0]) || c.LastTransitionTime.After(at[1])) {
				t.Errorf("web became ready at %s, the release had ended at %s, and what follows began at %s", c.LastTransitionTime, at[0], at[1])
			}
		}
	}
}
