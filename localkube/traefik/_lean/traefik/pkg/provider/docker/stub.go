// Package docker stands in for two configuration sources that localkube leaves
// out of its build together with the SDK behind them.
package docker

import (
	"errors"

	ptypes "github.com/traefik/paerser/types"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

var errLeftOut = errors.New("the docker providers are left out of this build")

// Provider refuses to start. Its field is read when defaults are filled in.
type Provider struct {
	HTTPClientTimeout ptypes.Duration
}

// Init always fails.
func (*Provider) Init() error { return errLeftOut }

// Provide always fails.
func (*Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return errLeftOut }

// SwarmProvider refuses to start. Its fields are read when defaults are filled in.
type SwarmProvider struct {
	HTTPClientTimeout ptypes.Duration
	RefreshSeconds    ptypes.Duration
}

// Init always fails.
func (*SwarmProvider) Init() error { return errLeftOut }

// Provide always fails.
func (*SwarmProvider) Provide(chan<- dynamic.Message, *safe.Pool) error { return errLeftOut }
