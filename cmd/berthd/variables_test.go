package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/manifest"
)

// TestDocumentVariables: a document's variables come from --env-file, are named before anything is signed, and go into
// the sealed manifest, which is private, and not into the transaction.
func TestDocumentVariables(t *testing.T) {
	const secret = "kanarienvogel"
	dir := t.TempDir()
	data, err := os.ReadFile("testdata/hello.yaml")
	require.NoError(t, err)
	text := strings.Replace(string(data), "    image:", "    env: {TOKEN: \"${BERTHD_TEST_TOKEN}\"}\n    image:", 1)
	require.NotEqual(t, string(data), text)
	document, env, out := filepath.Join(dir, "deploy.yaml"), filepath.Join(dir, "x.env"), filepath.Join(dir, "m.json")
	require.NoError(t, os.WriteFile(document, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(env, []byte("BERTHD_TEST_TOKEN="+secret+"\n"), 0o600))
	home := t.TempDir()
	mustRun(t, "keys", "add", "k", "--home", home, "--keyring-backend", "test")
	create := []string{"tx", "deployment", "create", document, "--deposit", "1ubrt", "--dseq", "7", "--from", "k", "--home", home, "--keyring-backend", "test",
		"--manifest-out", out, "--generate-only", "--offline", "--account-number", "1", "--sequence", "1"}

	_, stderr, err := run(create...)
	require.ErrorIs(t, err, errBadDocument)
	require.Contains(t, stderr, "variable BERTHD_TEST_TOKEN is not set [E-VARIABLE]")
	stdout, stderr, err := run(append(create, "--env-file", env, "--no-env")...)
	require.NoError(t, err)
	require.Contains(t, stderr, "Variables taken: BERTHD_TEST_TOKEN from "+env+"\n")
	require.Contains(t, stdout, "manifest_hash")
	require.NotContains(t, stdout+stderr, secret)
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds secrets")
	group, err := manifest.Decode(readSealed(t, out).Envelopes[0].Group)
	require.NoError(t, err)
	require.Equal(t, secret, group.Services[0].Env[0].Value)
	require.True(t, group.Services[0].Env[0].Secret)
}
