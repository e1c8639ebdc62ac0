package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"

	"berth.dev/berth/provider/gateway/token"
	"berth.dev/berth/tenant/tenanttest"
)

// TestBorrowedToken: who holds an owner's token needs a network and the certificate that it was made for, and nothing
// else; a token that cannot be good is not sent anywhere, nor shown.
func TestBorrowedToken(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BERTH_HOME", dir)
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := run(t.Context(), args, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return out.String(), errs.String(), code
	}
	if _, stderr, code := run("config", "add", "local", "--node", "tcp://127.0.0.1:1", "--chain-id", "x-1"); code != exitOK {
		t.Fatalf("config add: exit %d, %s", code, stderr)
	}
	owner := signerKey{secp256k1.GenPrivKeyFromSecret([]byte("owner"))}
	now := time.Now()
	claims := token.Claims{
		Provider: tenanttest.Address("west"), ChainID: "x-1", Scopes: []token.Scope{token.Logs, token.Status}, Leases: []token.Lease{{Dseq: 7}},
		IssuedAt: now, NotBefore: now, Expires: now.Add(10 * time.Minute),
	}
	made := func(change func(*token.Claims)) string {
		c := claims
		change(&c)
		raw, err := token.Issue(owner, c)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	asIs := func(*token.Claims) {}
	if _, stderr, code := run("status", "--token", made(asIs)); code != exitUsage || !strings.Contains(stderr, "berth token key") {
		t.Errorf("without a certificate: exit %d, %s", code, stderr)
	}
	print1, _, code := run("token", "key")
	print2, _, _ := run("token", "key")
	sum, err := hex.DecodeString(strings.TrimSpace(print1))
	if code != exitOK || print1 != print2 || err != nil || len(sum) != len(claims.Thumbprint) {
		t.Fatalf("token key: exit %d, %q, then %q", code, print1, print2)
	}
	if info, err := os.Stat(filepath.Join(dir, tokenKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the certificate's file: %v, %v", info, err)
	}
	other := made(asIs)
	copy(claims.Thumbprint[:], sum)
	good := made(asIs)
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := made(func(c *token.Claims) {
		c.IssuedAt, c.NotBefore, c.Expires = now.Add(-time.Hour), now.Add(-time.Hour), now.Add(-50*time.Minute)
	})
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		// Nothing is wrong with the token, and no key is missed: only the chain is away.
		"good":             {[]string{"status", "--token", good}, exitError, "the chain cannot be reached"},
		"good, for logs":   {[]string{"logs", "7", "--token", good}, exitError, "the chain cannot be reached"},
		"in a file":        {[]string{"events", "--token", "@" + file}, exitError, "the chain cannot be reached"},
		"no such file":     {[]string{"status", "--token", "@" + file + "x"}, exitUsage, "no such file"},
		"trash":            {[]string{"status", "--token", "abc.def"}, exitUsage, "token is not valid"},
		"ended":            {[]string{"status", "--token", ended}, exitUsage, "ask its maker for another one"},
		"of another chain": {[]string{"status", "--token", made(func(c *token.Claims) { c.ChainID = "y-1" })}, exitUsage, `it is for chain "y-1"`},
		"not for this one": {[]string{"status", "--token", other}, exitUsage, "made for another certificate"},
		"of another use":   {[]string{"deploy", "--token", good}, exitUsage, "unknown flag: --token"},
	} {
		_, stderr, code := run(tc.args...)
		if code != tc.code || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: exit %d, want %d and %q in:\n%s", name, code, tc.code, tc.want, stderr)
		}
		if strings.Contains(stderr, good) || strings.Contains(stderr, strings.Split(good, ".")[2]) {
			t.Errorf("%s: the token is shown:\n%s", name, stderr)
		}
	}
	t.Setenv("BERTH_TOKEN", good)
	if _, stderr, code := run("status"); code != exitError || !strings.Contains(stderr, "the chain cannot be reached") {
		t.Errorf("from the environment: exit %d, %s", code, stderr)
	}
	if _, stderr, code := run("list"); code != exitUsage || !strings.Contains(stderr, "there is no key") {
		t.Errorf("a command of one's own account: exit %d, %s", code, stderr)
	}
}
