package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"
	sigsyaml "sigs.k8s.io/yaml"

	"berth.dev/berth/tenant"
)

// TestStreamsAsYAML: what comes piece by piece is one YAML document each.
func TestStreamsAsYAML(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "two.yaml", "-y")
	for _, args := range []string{"logs --tail 2", "events", "watch --once --warn 9999d"} {
		out := d.must(append(strings.Fields(args), "-o", "yaml")...)
		documents := strings.Split(out, "---\n")
		if len(documents) < 2 || documents[0] != "" {
			t.Fatalf("berth %s -o yaml:\n%s", args, out)
		}
		for _, text := range documents[1:] {
			var v map[string]any
			if err := sigsyaml.UnmarshalStrict([]byte(text), &v); err != nil || len(v) < 3 {
				t.Errorf("berth %s: %v, %v:\n%s", args, v, err, text)
			}
		}
	}
}

// TestUnsentDeployments: one that was interrupted before its first transaction can be found again, and goes on.
func TestUnsentDeployments(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.world.BeforeSend = func([]sdk.Msg) error { return errors.New("the line is dead") }
	if _, stderr, code := d.run("deploy", "one.yaml", "-y"); code != exitError || !strings.Contains(stderr, "--resume 1000") {
		t.Fatalf("deploy: exit %d\n%s", code, stderr)
	}
	d.world.BeforeSend = nil
	if out := d.must("list"); !strings.Contains(out, "1000  unsent") || !strings.Contains(out, "one.yaml") {
		t.Errorf("list:\n%s", out)
	}
	if out := d.must("list", "-o", "json"); !strings.Contains(out, `"state": "unsent"`) {
		t.Errorf("list -o json:\n%s", out)
	}
	for _, args := range []string{"status 1000", "close 1000", "logs 1000"} {
		_, stderr, code := d.run(strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(stderr, "deployment 1000 has not reached the chain") || !strings.Contains(stderr, "berth deploy --resume 1000") {
			t.Errorf("%s: exit %d\n%s", args, code, stderr)
		}
	}
	d.must("deploy", "--resume", "1000")
	if out := d.must("list"); strings.Contains(out, "unsent") || !strings.Contains(out, "active") {
		t.Errorf("list after the resumption:\n%s", out)
	}
}

// TestErrorsSayWhatIsWanted: wrong command lines name the right form, or what there is.
func TestErrorsSayWhatIsWanted(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "one.yaml", "-y")
	for args, want := range map[string][]string{
		"diff":                {"want: berth diff [DSEQ] FILE", "berth diff --help"},
		"scale":               {"want: berth scale [DSEQ] SERVICE=N", "berth scale --help"},
		"topup -5BRT":         {"unknown shorthand flag", "berth topup --help"},
		"logs --service nope": {"has no service \"nope\" (have: ", "berth status 1000"},
		"completion tcsh":     {"tcsh", "berth completion --help"},
		"deploy one.yaml -y --select expr:price_per_mnth<1":        {"it may read BRT, active, attributes"},
		"deploy one.yaml -y --select expr:price_per_month<0.1*BRT": {"BRT / 10"},
	} {
		_, stderr, code := d.run(strings.Fields(args)...)
		for _, w := range want {
			if code != exitUsage || !strings.Contains(stderr, w) {
				t.Errorf("berth %s: exit %d, no %q in:\n%s", args, code, w, stderr)
			}
		}
	}
}

// TestLeavingAWatch: Ctrl-C is how one leaves it, so there is nothing to tell.
func TestLeavingAWatch(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "one.yaml", "-y")
	ctx, cancel := context.WithCancel(t.Context())
	connect := func(*cobra.Command) (*tenant.Machine, error) {
		m := d.world.Machine(tenant.NewFileStore(d.dir, "world"))
		m.Clock = &stopAfter{Clock: m.Clock, left: 3, stop: cancel}
		return m, nil
	}
	var out, errs bytes.Buffer
	code := runRoot(ctx, newRoot(connect), []string{"watch"}, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != exitInterrupted || strings.Contains(errs.String(), "Error") {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
}

// TestFailoverTellsTheAddresses: they are other ones with another provider.
func TestFailoverTellsTheAddresses(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.must("deploy", "one.yaml", "-y")
	d.world.EndLease(1000, 1, 3)
	out := d.must("watch", "--once", "--failover")
	if !strings.Contains(out, "and answers at http://") || !strings.Contains(out, "failover") {
		t.Errorf("watch:\n%s", out)
	}
}

func TestNodeAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"tcp://127.0.0.1:26657": true, "localhost:26657": true, "https://rpc.example.org": true, "http://[::1]:80/x": true,
		"gibberish": false, "tcp://": false, "": false, "ftp://h:1": false, "tcp://h": false, "http://u:p@h": false,
	} {
		if err := checkNode(address); (err == nil) != ok {
			t.Errorf("checkNode(%q) = %v", address, err)
		}
	}
	d := t.TempDir()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"status", "--home", d, "--node", "gibberish"}, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != exitUsage || !strings.Contains(errs.String(), `"gibberish" is not a node's address, such as tcp://HOST:26657`) {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}
