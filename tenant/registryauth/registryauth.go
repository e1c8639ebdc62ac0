// Package registryauth finds what opens a registry: a user name and a password, from what docker's login stored or from a
// file. Nothing of it is ever part of an error.
package registryauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The conditions that callers tell apart.
var (
	// ErrNone means that there is no login for a registry.
	ErrNone = errors.New("no login is stored")
	// ErrToken means that what is stored opens the registry for docker only: a token instead of a password.
	ErrToken = errors.New("the login is a token, which is of no use to a provider")
)

// Login is a user's name and password.
type Login struct{ User, Password string }

// hub is the name under which docker keeps the login of its own registry, docker.io.
const hub = "https://index.docker.io/v1/"

// maxFile bounds the files that are read here.
const maxFile = 1 << 20

// Docker reads what docker's login has stored for a registry such as ghcr.io, docker.io or localhost:5000: in the file
// config.json of $DOCKER_CONFIG or ~/.docker, or with the helper program that this file names. Its error is ErrNone or
// ErrToken where it is one of these.
func Docker(ctx context.Context, registry string) (Login, error) {
	file, err := dockerFile()
	if err != nil {
		return Login{}, err
	}
	data, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Login{}, fmt.Errorf("%w for %s: there is no %s", ErrNone, registry, file)
	}
	if err != nil {
		return Login{}, err
	}
	var config struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken string
		}
		CredsStore  string
		CredHelpers map[string]string
	}
	if json.Unmarshal(data, &config) != nil { // its error may show a part of the file
		return Login{}, fmt.Errorf("%s is not JSON as docker writes it", file)
	}
	keys := []string{registry, "https://" + registry, "http://" + registry}
	if registry == "docker.io" {
		keys = []string{hub, "index.docker.io", registry}
	}
	for _, key := range keys {
		if helper := config.CredHelpers[key]; helper != "" {
			return fromHelper(ctx, helper, key)
		}
	}
	for _, key := range keys {
		entry, ok := config.Auths[key]
		if !ok {
			continue
		}
		if config.CredsStore != "" && entry.Auth == "" {
			return fromHelper(ctx, config.CredsStore, key)
		}
		if entry.IdentityToken != "" {
			return Login{}, fmt.Errorf("%s in %s: %w", registry, file, ErrToken)
		}
		if entry.Auth == "" {
			return checked(Login{entry.Username, entry.Password}, registry+" in "+file)
		}
		plain, err := base64.StdEncoding.DecodeString(entry.Auth)
		if err != nil {
			return Login{}, fmt.Errorf("%s in %s: auth is not base64", registry, file)
		}
		return parse(string(plain), registry+" in "+file)
	}
	return Login{}, fmt.Errorf("%w for %s in %s", ErrNone, registry, file)
}

// File reads USER:PASSWORD, on one line.
func File(name string) (Login, error) {
	data, err := read(name)
	if err != nil {
		return Login{}, err
	}
	return parse(strings.TrimRight(string(data), "\r\n"), name)
}

func parse(text, where string) (Login, error) {
	user, password, found := strings.Cut(text, ":")
	if !found {
		return Login{}, fmt.Errorf("%s does not hold USER:PASSWORD", where)
	}
	return checked(Login{user, password}, where)
}

func checked(l Login, where string) (Login, error) {
	if l.User == "" || l.Password == "" || strings.ContainsAny(l.User+l.Password, "\r\n\x00") {
		return Login{}, fmt.Errorf("%s does not hold USER:PASSWORD on one line", where)
	}
	return l, nil
}

func dockerFile() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find docker's configuration: %w", err)
	}
	return filepath.Join(home, ".docker", "config.json"), nil
}

func read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", name, maxFile)
	}
	return os.ReadFile(name)
}

var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// fromHelper asks the program with which docker keeps its logins.
func fromHelper(ctx context.Context, helper, key string) (Login, error) {
	if !helperName.MatchString(helper) {
		return Login{}, errors.New("docker's configuration names a credential helper that is no name of a program")
	}
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(key)
	var out bytes.Buffer
	cmd.Stdout = &out // its errors go there, too, as may what it gives
	if err := cmd.Run(); err != nil {
		if strings.Contains(out.String(), "credentials not found") {
			return Login{}, fmt.Errorf("%w for %s with docker-credential-%s", ErrNone, key, helper)
		}
		return Login{}, fmt.Errorf("ask docker-credential-%s for %s: %w", helper, key, err)
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out.Bytes(), &said) != nil {
		return Login{}, fmt.Errorf("docker-credential-%s says nothing that can be read", helper)
	}
	if said.Username == "<token>" {
		return Login{}, fmt.Errorf("%s with docker-credential-%s: %w", key, helper, ErrToken)
	}
	return checked(Login{said.Username, said.Secret}, "docker-credential-"+helper)
}
