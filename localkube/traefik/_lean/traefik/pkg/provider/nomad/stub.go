// Package nomad stands in for a configuration source that localkube leaves out
// of its build together with the SDK behind it.
package nomad

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

var errLeftOut = errors.New("the nomad provider is left out of this build")

// Provider refuses to start.
type Provider struct{}

// Init always fails.
func (*Provider) Init() error { return errLeftOut }

// Provide always fails.
func (*Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return errLeftOut }

// ProviderBuilder builds the one provider that refuses to start.
type ProviderBuilder struct{}

// BuildProviders returns that provider.
func (*ProviderBuilder) BuildProviders() []*Provider { return []*Provider{{}} }
