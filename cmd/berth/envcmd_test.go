package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/client"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// envDesk is a home with a key and a network that nobody answers at, and a directory of an application.
func envDesk(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	config := "default_network: nowhere\nkeyring_backend: test\nnetworks: {nowhere: {chain_id: x, node: 'tcp://127.0.0.1:1'}}\n"
	if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := client.OpenKeyring("test", home, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tenant", "other"} {
		if _, _, err := ring.NewMnemonic(name, keyring.English, sdk.GetConfig().GetFullBIP44Path(), "", hd.Secp256k1); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	return home
}

func typeEnv(home, in string, args ...string) (stdout, stderr string, code int) {
	var out, errs strings.Builder
	code = runRoot(context.Background(), newRoot(connectNetwork), append([]string{"--home", home, "env"}, args...), stdio{In: strings.NewReader(in), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

// TestEnvCommands goes through the life of an application's variables, all of it without a network.
func TestEnvCommands(t *testing.T) {
	home := envDesk(t)
	if err := os.WriteFile(".env", []byte("TOKEN=kanarienvogel\nexport MODE='a b'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args  []string
		in    string
		code  int
		shows string // of both streams; ! for what must not be there
	}{
		{args: []string{"list"}, shows: "env set NAME=VALUE"},
		{args: []string{"set", "WEB_CONCURRENCY=9", "EMPTY="}, shows: "2 variables: EMPTY, WEB_CONCURRENCY"},
		{args: []string{"import", ".env"}, shows: "2 variables: MODE, TOKEN"},
		{args: []string{"import", ".", "-"}, in: "PIPED=kanarienvogel-2", shows: "1 variable: PIPED"},
		{args: []string{"list"}, shows: "TOKEN  !kanarienvogel"},
		{args: []string{"list", "-o", "json"}, shows: `"name": "MODE" !kanarienvogel`},
		{args: []string{"list", "--show"}, shows: `"kanarienvogel"`},
		{args: []string{"list", "--show", "sub"}, shows: "No variables"},
		{args: []string{"list", "--app", "blue"}, shows: "No variables"},
		{args: []string{"set", "--app", "blue", "A=1"}, shows: "1 variable: A"},
		{args: []string{"set", "sub", "B=1"}, shows: "1 variable: B"},
		{args: []string{"list"}, shows: "MODE !B "},
		{args: []string{"unset", "./sub", "B"}, shows: "1 variable: B"},
		{args: []string{"unset", "MODE", "EMPTY"}, shows: "2 variables: EMPTY, MODE"},
		{args: []string{"list", "--show", "-o", "json"}, shows: `"value": "9" !MODE`},
		{args: []string{"unset", "MODE"}, code: exitUsage, shows: `"MODE" has no value`},
		{args: []string{"set", "1A=kanarienvogel"}, code: exitInput, shows: "cannot name a variable !kanarienvogel"},
		{args: []string{"set", "A=1", "kanarienvogel"}, code: exitUsage, shows: "NAME=VALUE !kanarienvogel"},
		{args: []string{"set", "sub"}, code: exitUsage, shows: "give NAME=VALUE"},
		{args: []string{"import", "none"}, code: exitUsage, shows: "read the variables"},
		{args: []string{"import", "-"}, in: "kanarienvogel", code: exitInput, shows: "line 1 !kanarienvogel"},
		{args: []string{"list", "nowhere"}, code: exitUsage, shows: "no directory or file nowhere"},
		{args: []string{"list", "77"}, code: exitUsage, shows: "deployment 77"},
		{args: []string{"list", "--key", "other"}, code: exitUsage, shows: "--key"},
		{args: []string{"list", "--key", "none"}, code: exitUsage, shows: "no key"},
	} {
		stdout, stderr, code := typeEnv(home, step.in, step.args...)
		shown, hidden, _ := strings.Cut(step.shows, "!")
		all := stdout + stderr
		if code != step.code || !strings.Contains(all, strings.TrimSpace(shown)) || hidden != "" && strings.Contains(all, hidden) {
			t.Errorf("env %v: exit %d, want %d with %q:\n%s", step.args, code, step.code, step.shows, all)
		}
	}
}
