package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

const secret = "kanarienvogel"

// secretStack is a document with a secret in each of its groups.
func secretStack(image string) string {
	text := strings.Replace(tenanttest.TwoGroups, "image: web:1", `image: `+image+`
    env: {TOKEN: "${BERTH_TEST_TOKEN}", FILED: {file: filed.txt}, MARKED: {value: "kanarienvogel-3", secret: true}}
    env-file: web.env`, 1)
	return strings.Replace(text, "env: [PASSWORD=swordfish]", "env: ['PASSWORD=${BERTH_TEST_TOKEN:-x}']", 1)
}

// groups are the manifests that this machine holds of a deployment.
func (d *desk) groups(t *testing.T) []manifesttypes.Group {
	t.Helper()
	states, err := filepath.Glob(filepath.Join(d.dir, "deployments", "world", "*.json"))
	if err != nil || len(states) != 1 {
		t.Fatalf("states %v, %v", states, err)
	}
	dseq, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(states[0]), ".json"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tenant.NewFileStore(d.dir, "world").Load(dseq)
	if err != nil {
		t.Fatal(err)
	}
	var out []manifesttypes.Group
	for _, g := range s.Groups {
		var env manifesttypes.Envelope
		if err := proto.Unmarshal(g.Envelope, &env); err != nil {
			t.Fatal(err)
		}
		group, err := manifest.Decode(env.Group)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, group)
	}
	return out
}

// TestSecretsStayWithTenantAndProvider walks through a deployment's life and holds that its secrets and salts are in
// the manifests that providers get and in this machine's private state, but neither in a transaction nor in anything
// that a command prints.
func TestSecretsStayWithTenantAndProvider(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	d.rand = rand.NewChaCha8([32]byte{1})
	for name, text := range map[string]string{
		"s1.yaml": secretStack("web:1"), "s2.yaml": secretStack("web:2"), "bad.yaml": strings.Replace(secretStack("web:1"), "env: {", "evn: {", 1),
		"more.yaml": strings.Replace(secretStack("web:1"), "count: 2", "count: 3", 1),
		"filed.txt": secret + "-1\n", "web.env": "FROM_FILE='" + secret + "-2'\n", "token.env": "BERTH_TEST_TOKEN=" + secret + "-4\n",
		"other.env": "BERTH_TEST_TOKEN=" + secret + "-5\n",
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var sent bytes.Buffer
	var refuse error
	d.world.BeforeSend = func(msgs []sdk.Msg) error {
		for _, msg := range msgs {
			data, err := proto.Marshal(msg)
			if err != nil {
				t.Error(err)
			}
			sent.Write(data)
			sent.WriteString(msg.String())
		}
		return refuse
	}
	var printed strings.Builder
	run := func(code int, line string) string {
		t.Helper()
		stdout, stderr, got := d.run(strings.Fields(line)...)
		if got != code {
			t.Fatalf("berth %s: exit %d, want %d\n%s%s", line, got, code, stdout, stderr)
		}
		printed.WriteString(stdout + stderr)
		return stdout + stderr
	}
	const token = " --env-file token.env"
	run(exitOK, "deploy s1.yaml --dry-run"+token)
	run(exitOK, "deploy s1.yaml --dry-run -o json"+token)
	if out := run(exitOK, "deploy s1.yaml -y"+token); !strings.Contains(out, "Variables taken: BERTH_TEST_TOKEN from token.env\n") {
		t.Errorf("deploy does not say which variables it took:\n%s", out)
	}
	first := d.groups(t)
	for _, line := range []string{"status", "status -o json", "status -o yaml", "list", "list -o json", "logs --tail 3", "bids", "bids -o json", "update s1.yaml" + token, "update s1.yaml -o jsonl" + token} {
		run(exitOK, line)
	}
	same := d.groups(t)
	run(exitUsage, "update more.yaml"+token)
	run(exitUsage, "update bad.yaml"+token)
	run(exitUsage, "update s1.yaml")
	run(exitOK, "update s2.yaml"+token)
	image := d.groups(t)
	refuse = errors.New("out of gas")
	if _, stderr, code := d.run(strings.Fields("update s2.yaml --env-file other.env")...); code == exitOK {
		t.Error("an update that was refused succeeded")
	} else {
		printed.WriteString(stderr)
	}
	refuse = nil
	run(exitOK, "update s2.yaml -o jsonl --env-file other.env")
	other := d.groups(t)
	d.world.Gateways[tenanttest.Address("west")].Failing = map[string]string{"db": "it crashes"}
	run(exitOK, "close -y")

	for i := range first {
		if !bytes.Equal(first[i].Salt, same[i].Salt) {
			t.Errorf("group %s: the same document has another salt", first[i].Name)
		}
	}
	// The east group has the image, and both have the token.
	if !bytes.Equal(first[1].Salt, image[1].Salt) {
		t.Error("an image of another group changed the salt")
	}
	for i := range other {
		if env := other[i].Services[0].Env; env[len(env)-1].Value != secret+"-5" || !env[len(env)-1].Secret {
			t.Errorf("group %s: env %v after the update", other[i].Name, env)
		}
	}
	checkCanary(t, "a transaction", sent.String(), first, other)
	checkCanary(t, "the output", printed.String(), first, other)
	checkPrivate(t, d.dir)
}

// checkCanary looks for the secret in all its forms, and for salts.
func checkCanary(t *testing.T, where, text string, groups ...[]manifesttypes.Group) {
	t.Helper()
	forms := []string{secret, hex.EncodeToString([]byte(secret))}
	for shift := range 3 { // base64 of it, whatever stands before
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	for _, list := range groups {
		for _, g := range list {
			forms = append(forms, hex.EncodeToString(g.Salt))
			if bytes.Count(g.Salt, []byte{0}) < len(g.Salt) {
				forms = append(forms, string(g.Salt), base64.StdEncoding.EncodeToString(g.Salt))
			}
		}
	}
	for _, form := range forms {
		if i := strings.Index(text, form); i >= 0 {
			t.Errorf("%s holds %q:\n...%q...", where, form, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// checkPrivate holds that the secrets are in the states' files, and that only their owner can read those.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "deployments"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}
