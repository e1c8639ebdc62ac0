// Package registryauth finds what opens a registry: a user name and a password, from what docker's login stored or from a
// file.
package registryauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
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

// maxFile bounds the file of a login, in bytes.
const maxFile = 1 << 20

// Docker is what the login of docker or podman has stored for a registry such as ghcr.io, docker.io or localhost:5000, in
// its file or with the helper program that this file names. Its error is ErrNone or ErrToken where it is one of these.
func Docker(ctx context.Context, registry string) (Login, error) {
	at, err := name.NewRegistry(registry)
	if err != nil {
		return Login{}, fmt.Errorf("look for the login of a registry: %w", err)
	}
	stored, err := authn.Resolve(ctx, authn.DefaultKeychain, at)
	if err != nil {
		return Login{}, fmt.Errorf("look for the login of %s: %w", registry, err)
	}
	config, err := authn.Authorization(ctx, stored)
	switch {
	case err != nil:
		return Login{}, fmt.Errorf("look for the login of %s: %w", registry, err)
	case *config == (authn.AuthConfig{}):
		return Login{}, fmt.Errorf("%w for %s", ErrNone, registry)
	case config.IdentityToken != "" || config.RegistryToken != "":
		return Login{}, fmt.Errorf("%s: %w", registry, ErrToken)
	}
	return checked(Login{config.Username, config.Password}, "the login of "+registry)
}

// File reads USER:PASSWORD, on one line.
func File(name string) (Login, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Login{}, fmt.Errorf("read a login: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return Login{}, fmt.Errorf("%s is not a file of at most %d bytes", name, maxFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Login{}, fmt.Errorf("read a login: %w", err)
	}
	user, password, _ := strings.Cut(strings.TrimRight(string(data), "\r\n"), ":")
	return checked(Login{user, password}, name)
}

func checked(l Login, where string) (Login, error) {
	if l.User == "" || l.Password == "" || strings.ContainsAny(l.User+l.Password, "\r\n\x00") {
		return Login{}, fmt.Errorf("%s does not hold USER:PASSWORD on one line", where)
	}
	return l, nil
}
