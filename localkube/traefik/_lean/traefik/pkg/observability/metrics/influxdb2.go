package metrics

import (
	"context"

	otypes "github.com/traefik/traefik/v3/pkg/observability/types"
)

// RegisterInfluxDB2 returns a registry that records nothing: the exporter is left
// out of this build.
func RegisterInfluxDB2(context.Context, *otypes.InfluxDB2) Registry { return NewVoidRegistry() }

// StopInfluxDB2 does nothing.
func StopInfluxDB2() {}
