//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/tenant"
)

// colleague is somebody with a home of their own and no key in it.
type colleague struct {
	t    *testing.T
	home string
}

// run types a command and returns what it prints and its exit code.
func (c colleague) run(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(os.Getenv("BERTH_BIN"), "berth"), args...)
	cmd.Env = append(os.Environ(), "BERTH_HOME="+c.home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// colleagues: the owner lets somebody else read the logs and status of a deployment, and nothing more, for a time.
func colleagues(t *testing.T, dseq string, another uint64) {
	c := colleague{t: t, home: t.TempDir()}
	if _, errs, code := c.run("config", "add", "theirs", "--node", marketplace.Node, "--chain-id", marketplace.ChainID); code != 0 {
		t.Fatal(errs)
	}
	fingerprint, errs, code := c.run("token", "key")
	if code != 0 {
		t.Fatal(errs)
	}
	fingerprint = strings.TrimSpace(fingerprint)
	var made struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}
	issue := func(args ...string) {
		t.Helper()
		berth(t, &made, append([]string{"token", "--scope", "logs,status", "--lease", dseq + "/1", "--for", fingerprint}, args...)...)
	}
	issue()
	if left := time.Until(made.Expires); left <= 0 || left > 15*time.Minute {
		t.Errorf("the token ends in %s", left)
	}

	// What it allows, with and without naming the deployment.
	out, errs, code := c.run("status", "--token", made.Token, "-o", "json")
	var s tenant.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || !s.Ready || strconv.FormatUint(s.Dseq, 10) != dseq {
		t.Errorf("status: exit %d, %v\n%s%s", code, err, out, errs)
	}
	if out, errs, code := c.run("logs", dseq, "--token", made.Token); code != 0 || out == "" {
		t.Errorf("logs: exit %d\n%s%s", code, out, errs)
	}
	// What it does not: each is refused by the provider, which says by what.
	for args, want := range map[string]string{
		"exec " + dseq + " hello -- /hello":         "exec",
		"restart " + dseq + " hello":                "restart",
		"events " + dseq:                            "events",
		"cp " + dseq + " hello:/x " + c.home + "/x": "exec",
		"logs " + strconv.FormatUint(another, 10):   "restricted to other leases",
	} {
		command, program, _ := strings.Cut(args, " -- ")
		line := append(strings.Fields(command), "--token", made.Token)
		if program != "" {
			line = append(append(line, "--"), strings.Fields(program)...)
		}
		out, errs, code := c.run(line...)
		if code != 5 || !strings.Contains(errs, want) || !strings.Contains(errs, "ask whoever made the token") || strings.Contains(errs, made.Token) {
			t.Errorf("berth %s: exit %d, want 5, %q and whom to ask:\n%s%s", args, code, want, out, errs)
		}
	}
	// Another lease's services are unknown, and not said to be absent.
	if out, errs, code := c.run("status", strconv.FormatUint(another, 10), "--token", made.Token); code != 0 || !strings.Contains(out, "services unknown") {
		t.Errorf("status of another deployment: exit %d\n%s%s", code, out, errs)
	}
	// Manifests and transactions have no such flag: they need the owner's key.
	for _, args := range [][]string{{"update", dseq, example("hello")}, {"close", dseq}} {
		if _, errs, code := c.run(append(args, "--token", made.Token)...); code != 2 || !strings.Contains(errs, "unknown flag: --token") {
			t.Errorf("berth %v: exit %d, %s", args, code, errs)
		}
	}
	// A thief has another certificate.
	thief := colleague{t: t, home: t.TempDir()}
	thief.run("config", "add", "theirs", "--node", marketplace.Node, "--chain-id", marketplace.ChainID)
	thief.run("token", "key")
	if _, errs, code := thief.run("status", dseq, "--token", made.Token); code != 2 || !strings.Contains(errs, "another certificate") {
		t.Errorf("a thief: exit %d, %s", code, errs)
	}
	// It ends: a stream that is followed ends with it, and nothing can be asked thereafter.
	issue("--lifetime", "4s")
	if out, errs, code := c.run("logs", "-f", dseq, "--token", made.Token); code != 5 || !strings.Contains(errs, "ask whoever made the token") {
		t.Errorf("logs -f at the token's end: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := c.run("status", dseq, "--token", made.Token); code != 2 || !strings.Contains(errs, "it ended at") {
		t.Errorf("after its end: exit %d, %s", code, errs)
	}
}
