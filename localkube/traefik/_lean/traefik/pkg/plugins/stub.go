// Package plugins stands in for Traefik's plugin loader: localkube loads no
// plugins, and the loader brings a Go interpreter and a WebAssembly runtime.
package plugins

import (
	"context"
	"errors"
	"net/http"

	"github.com/traefik/traefik/v3/pkg/provider"
)

var errLeftOut = errors.New("plugins are left out of this build")

// Constructor makes a middleware.
type Constructor func(context.Context, http.Handler) (http.Handler, error)

// Descriptor is a plugin's configuration; none is read.
type Descriptor struct{}

// LocalDescriptor is a local plugin's configuration; none is read.
type LocalDescriptor struct{}

// Builder builds nothing.
type Builder struct{}

// Build always fails.
func (*Builder) Build(string, map[string]any, string) (Constructor, error) {
	return nil, errLeftOut
}

// BuildProvider always fails.
func (*Builder) BuildProvider(string, map[string]any) (provider.Provider, error) {
	return nil, errLeftOut
}
