package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	markettypes "berth.dev/berth/x/market/types"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	for _, name := range []string{"BERTH_HOME", "BERTH_NETWORK", "BERTH_NODE", "BERTH_KEY", "BERTH_KEYRING_BACKEND", "BERTH_DEVNET"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// desk is a tenant's desk in a world: a directory with documents and state, where commands are typed.
type desk struct {
	t     *testing.T
	world *tenanttest.World
	dir   string
	rand  io.Reader // of salts
	// tune, if set, changes the machine of each command.
	tune func(*tenant.Machine)
}

func newDesk(t *testing.T, bidders ...tenanttest.Bidder) *desk {
	d := &desk{t: t, world: tenanttest.New(bidders...), dir: t.TempDir(), rand: zeros{}}
	for name, text := range map[string]string{
		"one.yaml": tenanttest.OneGroup, "two.yaml": tenanttest.TwoGroups, "bad.yaml": "version: \"1.0\"\nservicez: {}\n",
		"next.yaml": strings.Replace(tenanttest.TwoGroups, "web:1", "web:2", 1),
		"more.yaml": strings.Replace(tenanttest.TwoGroups, "count: 2", "count: 3", 1),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(d.dir)
	return d
}

func twoRegions() []tenanttest.Bidder {
	return []tenanttest.Bidder{
		tenanttest.NewBidder("east-dear", "east", "9"), tenanttest.NewBidder("east-cheap", "east", "4.5"), tenanttest.NewBidder("west", "west", "3.25"),
	}
}

// run types a command and returns what it prints and its exit code.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	return d.runContext(context.Background(), args...)
}

func (d *desk) runContext(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	connect := func(*cobra.Command) (*tenant.Machine, error) {
		m := d.world.Machine(tenant.NewFileStore(d.dir, "world"))
		m.Rand = d.rand
		if d.tune != nil {
			d.tune(m)
		}
		return m, nil
	}
	var out, errs bytes.Buffer
	code = runRoot(ctx, newRoot(connect), args, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

// must types a command that succeeds, and returns its stdout.
func (d *desk) must(args ...string) string {
	d.t.Helper()
	stdout, stderr, code := d.run(args...)
	if code != exitOK {
		d.t.Fatalf("berth %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// zeros is randomness that golden files can hold.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// golden compares text with a file of testdata.
func golden(t *testing.T, dir, name, got string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if *updateGolden {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; write it anew with -update):\n%s", name, diff)
	}
}

func testdata(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/tenant")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestGolden walks through a deployment's life and keeps what each command prints, for people and for programs.
func TestGolden(t *testing.T) {
	dir := testdata(t)
	d := newDesk(t, twoRegions()...)
	for _, step := range []struct {
		name string
		args string
		code int
	}{
		{"providers", "providers", 0},
		{"list-none", "list", 0},
		{"dry-run", "deploy two.yaml --dry-run", 0},
		{"dry-run-json", "deploy two.yaml --dry-run -o json", 0},
		{"deploy", "deploy two.yaml -y", 0},
		{"status", "status", 0},
		{"status-json", "status 1480 -o json", 0},
		{"status-yaml", "status -o yaml", 0},
		{"logs", "logs --tail 2 --service db", 0},
		{"logs-json", "logs --tail 1 --service web -o json", 0},
		{"update", "update next.yaml", 0},
		{"update-same", "update next.yaml", 0},
		{"update-refused", "update 1480 more.yaml", 2},
		{"update-refused-json", "update 1480 more.yaml -o json", 2},
		{"topup", "topup 2BRT", 0},
		{"topup-json", "topup 1480 300ubrt -o json", 0},
		{"deploy-second-json", "deploy one.yaml -y -o json", 0},
		{"status-which", "status", 2},
		{"list", "list", 0},
		{"list-json", "list -o json", 0},
		{"close", "close 1480", 0},
		{"close-again-json", "close 1480 -o json", 0},
		{"list-all", "list --all", 0},
		{"status-closed", "status 1480", 0},
		{"logs-closed", "logs 1480", 5},
		{"unknown", "status 5", 2},
		{"jsonl", "deploy one.yaml -y -o jsonl --auction lowest", 0},
	} {
		stdout, stderr, code := d.run(strings.Fields(step.args)...)
		if code != step.code {
			t.Errorf("%s: exit %d, want %d", step.name, code, step.code)
		}
		text := fmt.Sprintf("$ berth %s\n--- stdout\n%s--- stderr\n%s--- exit %d\n", step.args, stdout, stderr, code)
		golden(t, dir, step.name+".txt", text)
		d.world.Pass(time.Minute)
	}
}

// TestOutputForPrograms: with -o json stdout is one JSON value, also when a command fails; with jsonl each line is.
func TestOutputForPrograms(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	for _, args := range [][]string{
		{"providers"}, {"deploy", "two.yaml", "-y"}, {"status"}, {"bids"}, {"list"}, {"topup", "1BRT"}, {"update", "next.yaml"},
		{"update", "more.yaml"}, {"status", "77"}, {"close", "-y"}, {"status"}, {"version"}, {"deploy", "one.yaml", "--deposit", "1ubrt", "-y"},
	} {
		stdout, _, code := d.run(append(args, "-o", "json")...)
		if !json.Valid([]byte(stdout)) {
			t.Errorf("berth %s -o json (exit %d): stdout is not JSON:\n%s", strings.Join(args, " "), code, stdout)
		}
	}
	stdout := d.must("deploy", "two.yaml", "-y", "-o", "jsonl")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	for _, line := range lines {
		var event struct{ Event string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Event == "" {
			t.Errorf("not an event: %s", line)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, `{"event":"result",`) {
		t.Errorf("the last event is %s", last)
	}
}

func TestExitCodes(t *testing.T) {
	mild := func(*tenanttest.World) {}
	for name, tc := range map[string]struct {
		args  string
		world func(*tenanttest.World)
		code  int
		want  string
	}{
		"bad document":         {"deploy bad.yaml -y", mild, exitUsage, "bad.yaml:2:1"},
		"no such file":         {"deploy none.yaml -y", mild, exitUsage, "there is no file"},
		"unknown flag":         {"deploy one.yaml --frobnicate", mild, exitUsage, "frobnicate"},
		"unknown command":      {"frobnicate", mild, exitUsage, "unknown command"},
		"misspelt command":     {"depoly one.yaml", mild, exitUsage, "berth deploy --help"},
		"command below":        {"convert one.yaml", mild, exitUsage, "berth sdl convert --help"},
		"misspelt below":       {"sdl valdate one.yaml", mild, exitUsage, "berth sdl validate --help"},
		"too many arguments":   {"status 1 2", mild, exitUsage, "accepts at most 1"},
		"bad number":           {"status x", mild, exitUsage, "not a deployment's number"},
		"bad output":           {"status -o xml", mild, exitUsage, "is not one of text"},
		"nobody to confirm":    {"deploy one.yaml", mild, exitUsage, "give -y"},
		"nobody to ask":        {"deploy one.yaml -y --select ask", mild, exitUsage, "nobody to ask"},
		"bad deposit":          {"deploy one.yaml -y --deposit 5", mild, exitUsage, "want a number and a denom"},
		"below the minimum":    {"deploy one.yaml -y --deposit 1ubrt", mild, exitFunds, "--deposit 500000ubrt"},
		"no funds":             {"deploy one.yaml -y", func(w *tenanttest.World) { w.Funds = math.ZeroInt() }, exitFunds, "has no funds"},
		"chain is offline":     {"deploy one.yaml -y", func(w *tenanttest.World) { w.Offline = true }, exitError, "the chain cannot be reached"},
		"nobody bids":          {"deploy one.yaml -y --bid-wait 2s", func(w *tenanttest.World) { w.Bidders = nil }, exitNoBid, "berth deploy --resume 1000"},
		"nobody bids, give up": {"deploy one.yaml -y --bid-wait 2s --give-up", func(w *tenanttest.World) { w.Bidders = nil }, exitNoBid, "(1728000ubrt)"},
		"provider is down":     {"deploy one.yaml -y", func(w *tenanttest.World) { w.Gateways[tenanttest.Address("west")].Down = true }, exitLease, "connection refused"},
		"service crashes": {"deploy one.yaml -y", func(w *tenanttest.World) {
			w.Gateways[tenanttest.Address("west")].Failing = map[string]string{"web": "exit code 7"}
		}, exitRollout, "line 60 of web"},
		"nothing to resume":     {"deploy --resume 5", mild, exitUsage, "no state of the deployment"},
		"resume and a document": {"deploy one.yaml --resume 5", mild, exitUsage, "leave out one.yaml"},
		"bad top-up":            {"topup 1000", mild, exitUsage, "want a number and a denom"},
		"close what is not":     {"close 5", mild, exitUsage, "has no deployment 5"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, tenanttest.NewBidder("west", "west", "3.25"))
			tc.world(d.world)
			stdout, stderr, code := d.run(strings.Fields(tc.args)...)
			if code != tc.code || !strings.Contains(stderr, tc.want) {
				t.Errorf("berth %s: exit %d, want %d and %q in:\n%s", tc.args, code, tc.code, tc.want, stderr)
			}
			if stdout != "" {
				t.Errorf("berth %s: stdout is not empty: %s", tc.args, stdout)
			}
		})
	}
}

func TestInterruptedDeployNamesTheResumeCommand(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.world.Bidders = nil
	ctx, cancel := context.WithCancel(t.Context())
	connect := func(*cobra.Command) (*tenant.Machine, error) {
		m := d.world.Machine(tenant.NewFileStore(d.dir, "world"))
		m.Clock = &stopAfter{Clock: m.Clock, left: 20, stop: cancel}
		return m, nil
	}
	var out, errs bytes.Buffer
	code := runRoot(ctx, newRoot(connect), []string{"deploy", "one.yaml", "-y"}, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != exitInterrupted || !strings.Contains(errs.String(), "berth deploy --resume 1000") {
		t.Errorf("exit %d, want 130 and the resume command in:\n%s", code, errs.String())
	}
	d.world.Bidders = []tenanttest.Bidder{}
	if _, stderr, code := d.run("deploy", "--resume", "1000", "--bid-wait", "2s"); code != exitNoBid || strings.Contains(stderr, "sending the deployment to the chain") {
		t.Errorf("resume: exit %d\n%s", code, stderr)
	}
}

// stopAfter interrupts a command after some waits.
type stopAfter struct {
	tenant.Clock
	left int
	stop context.CancelFunc
}

func (s *stopAfter) Sleep(ctx context.Context, d time.Duration) error {
	if s.left--; s.left == 0 {
		s.stop()
	}
	return s.Clock.Sleep(ctx, d)
}

func TestResumeAfterTheLeaseEnded(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "two.yaml", "-y")
	d.world.EndLease(1000, 1, markettypes.CLOSE_REASON_UNSTABLE)
	stdout, stderr, code := d.run("deploy", "--resume", "1000")
	if code != exitOK || !strings.Contains(stderr, "has ended (unstable); looking for another provider") || !strings.Contains(stdout, tenanttest.Address("east-dear")) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestTable(t *testing.T) {
	table := newTable("NAME", "PRICE", "NOTE").alignRight(1)
	table.add("ä", "1.5", "")
	table.add("longer", "10", "esc\x1b[31m")
	want := "NAME    PRICE  NOTE\nä         1.5\nlonger     10  esc�[31m\n"
	if got := table.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRounded(t *testing.T) {
	for in, want := range map[string]string{
		"23419283.7": "23.42 BRT", "1000000": "1 BRT", "123456.789": "0.1235 BRT", "10000": "0.01 BRT", "4567.8": "0.004568 BRT", "0": "0 BRT",
	} {
		p := tenant.Price{}
		p.Denom, p.Amount = "ubrt", math.LegacyMustNewDecFromStr(in)
		if got := rounded(p.DecCoin); got != want {
			t.Errorf("rounded(%subrt) = %q, want %q", in, got, want)
		}
	}
}

func TestFromNow(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "in 0s", 59 * time.Second: "in 59s", time.Hour: "in 1h 0m", 25*time.Hour + time.Minute: "in 1d 1h", 48 * time.Hour: "in 2d 0h",
		11 * 24 * time.Hour: "in 11 days", -90 * time.Minute: "1h 30m ago",
	} {
		if got := fromNow(d); got != want {
			t.Errorf("fromNow(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"a/b.yaml": "a/b.yaml", "": "''", "my file": "'my file'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'"} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestKeysAndConfig(t *testing.T) {
	run := func(stdin string, args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := run(t.Context(), append(args, "--keyring-backend", "test"), stdio{In: strings.NewReader(stdin), Out: &out, Err: &errs})
		return out.String(), errs.String(), code
	}
	t.Setenv("BERTH_HOME", t.TempDir())
	var made keyInfo
	stdout, _, code := run("", "keys", "add", "-o", "json")
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || code != exitOK || len(strings.Fields(made.Mnemonic)) != 24 {
		t.Fatalf("keys add: exit %d, %v, %+v", code, err, made)
	}
	if _, stderr, code := run("", "keys", "add"); code != exitUsage || !strings.Contains(stderr, "already") {
		t.Errorf("keys add again: exit %d, %s", code, stderr)
	}
	if _, stderr, code := run(made.Mnemonic+"\n", "keys", "import", "copy"); code != exitUsage || !strings.Contains(stderr, "has this key already") {
		t.Errorf("keys import of a key that is there: exit %d, %s", code, stderr)
	}
	if stdout, stderr, code := run(made.Mnemonic+"\n", "keys", "import", "copy", "--home", t.TempDir()); code != exitOK || !strings.Contains(stdout, made.Address) {
		t.Errorf("keys import: exit %d, %s%s, want the same address", code, stdout, stderr)
	}
	if _, stderr, code := run("correct horse battery staple", "keys", "import", "bad"); code != exitInput || strings.Contains(stderr, "horse") {
		t.Errorf("keys import of bad words: exit %d, %s", code, stderr)
	}
	if stdout, _, code := run("", "keys", "show"); code != exitOK || !strings.Contains(stdout, made.Address) || strings.Contains(stdout, "mnemonic") {
		t.Errorf("keys show: exit %d, %s", code, stdout)
	}
	if _, stderr, code := run("", "status"); code != exitUsage || !strings.Contains(stderr, "devnet up") {
		t.Errorf("without a network: exit %d, %s", code, stderr)
	}
	if _, stderr, code := run("", "config", "add", "local", "--node", "tcp://127.0.0.1:1", "--chain-id", "x-1"); code != exitOK {
		t.Errorf("config add: exit %d, %s", code, stderr)
	}
	if stdout, _, code := run("", "config", "list", "-o", "json"); code != exitOK || !strings.Contains(stdout, `"default_network": "local"`) {
		t.Errorf("config list: exit %d, %s", code, stdout)
	}
	if _, stderr, code := run("", "status"); code != exitError || !strings.Contains(stderr, "the chain cannot be reached") {
		t.Errorf("with a node that is off: exit %d, %s", code, stderr)
	}
	if _, stderr, code := run("", "status", "--network", "nowhere"); code != exitUsage || !strings.Contains(stderr, "have: local") {
		t.Errorf("with an unknown network: exit %d, %s", code, stderr)
	}
}

func TestChooseByHand(t *testing.T) {
	offers := []tenant.Offer{{Provider: "a"}, {Provider: "b"}, {Provider: "c"}}
	for i := range offers {
		offers[i].PricePerBlock.Amount, offers[i].PricePerBlock.Denom = math.LegacyNewDec(int64(i+1)), "ubrt"
	}
	for input, want := range map[string]int{"\n": 0, "2\n": 1, "x\n0\n4\n3\n": 2} {
		var errs bytes.Buffer
		s := &session{err: &errs, in: bufio.NewReader(strings.NewReader(input))}
		if got, err := s.chooseByHand(t.Context(), tenant.GroupOffers{Name: "g", Offers: offers}); err != nil || got != want {
			t.Errorf("chooseByHand(%q) = %d, %v, want %d\n%s", input, got, err, want, errs.String())
		}
	}
	s := &session{err: io.Discard, in: bufio.NewReader(strings.NewReader(""))}
	if _, err := s.chooseByHand(t.Context(), tenant.GroupOffers{Offers: offers}); asCodeError(err).code != exitUsage {
		t.Errorf("at the end of the input: %v, want a usage error", err)
	}
}
