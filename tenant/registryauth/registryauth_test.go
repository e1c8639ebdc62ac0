package registryauth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/tenant/registryauth"
)

const password = "kanarienvogel:1"

// docker is a directory with docker's configuration, and a helper that keeps logins.
func docker(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	const helper = "#!/bin/sh\nread -r key\ncase \"$1 $key\" in\n" +
		"\"get helped.example\") echo '{\"Username\":\"me\",\"Secret\":\"" + password + "\"}';;\n" +
		"\"get token.example\") echo '{\"Username\":\"<token>\",\"Secret\":\"" + password + "\"}';;\n" +
		"*) echo 'credentials not found in native keychain'; exit 1;;\nesac\n"
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-box"), []byte(helper), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestDocker(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("me:" + password))
	plain := func(host string) string { return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth) }
	for name, tc := range map[string]struct {
		config, registry string
		want             error
		text             string // of another error
	}{
		"a login":                {config: plain("ghcr.io"), registry: "ghcr.io"},
		"with a scheme":          {config: plain("https://ghcr.io"), registry: "ghcr.io"},
		"with a port":            {config: plain("localhost:5000"), registry: "localhost:5000"},
		"Docker's own":           {config: plain("https://index.docker.io/v1/"), registry: "docker.io"},
		"another host":           {config: plain("ghcr.io"), registry: "quay.io", want: registryauth.ErrNone},
		"a host's beginning":     {config: plain("ghcr.io.example"), registry: "ghcr.io", want: registryauth.ErrNone},
		"no file":                {registry: "ghcr.io", want: registryauth.ErrNone},
		"a helper of a registry": {config: `{"credHelpers": {"helped.example": "box"}}`, registry: "helped.example"},
		"a helper of all":        {config: `{"auths": {"helped.example": {}}, "credsStore": "box"}`, registry: "helped.example"},
		"not with the helper":    {config: `{"auths": {"other.example": {}}, "credsStore": "box"}`, registry: "other.example", want: registryauth.ErrNone},
		"a helper's token":       {config: `{"credHelpers": {"token.example": "box"}}`, registry: "token.example", want: registryauth.ErrToken},
		"a token":                {config: `{"auths": {"ghcr.io": {"auth": "` + auth + `", "identitytoken": "x"}}}`, registry: "ghcr.io", want: registryauth.ErrToken},
		"a helper that is gone":  {config: `{"credHelpers": {"ghcr.io": "gone"}}`, registry: "ghcr.io", text: "docker-credential-gone"},
		"not base64":             {config: `{"auths": {"ghcr.io": {"auth": "` + password + `"}}}`, registry: "ghcr.io", text: "illegal base64"},
		"no colon":               {config: `{"auths": {"ghcr.io": {"auth": "eA=="}}}`, registry: "ghcr.io", text: "ghcr.io"},
		"not JSON":               {config: `{"auths": ` + password, registry: "ghcr.io", text: "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			docker(t, tc.config)
			got, err := registryauth.Docker(t.Context(), tc.registry)
			switch {
			case tc.want == nil && tc.text == "":
				if err != nil || got != (registryauth.Login{User: "me", Password: password}) {
					t.Errorf("%v, %v", got, err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.text) || tc.want != nil && !errors.Is(err, tc.want):
				t.Errorf("%v, want %v %s", err, tc.want, tc.text)
			case strings.Contains(err.Error(), password) || strings.Contains(err.Error(), auth):
				t.Errorf("the error shows what is secret: %v", err)
			}
		})
	}
}

func TestFile(t *testing.T) {
	for text, want := range map[string]registryauth.Login{
		"me:" + password + "\n": {User: "me", Password: password},
		"me:x\r\n":              {User: "me", Password: "x"},
		"me":                    {}, ":x": {}, "me:": {}, "me:x\nyou:y\n": {}, "": {},
	} {
		name := filepath.Join(t.TempDir(), "login")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := registryauth.File(name)
		if got != want || (err == nil) != (want != registryauth.Login{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := registryauth.File(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}
