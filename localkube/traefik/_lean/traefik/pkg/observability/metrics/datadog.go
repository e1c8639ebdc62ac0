package metrics

import (
	"context"

	otypes "github.com/traefik/traefik/v3/pkg/observability/types"
)

// RegisterDatadog returns a registry that records nothing: the exporter is left
// out of this build.
func RegisterDatadog(context.Context, *otypes.Datadog) Registry { return NewVoidRegistry() }

// StopDatadog does nothing.
func StopDatadog() {}
