package daemon

import (
	"context"
	"slices"
	"time"
)

const (
	// claimsEvery is how often what the record claims is compared with what the cluster can do, claimsAgain how soon where
	// the cluster could not be read.
	claimsEvery = 5 * time.Minute
	claimsAgain = 10 * time.Second
)

// unkept is a cluster that tells which abilities attributes claim without its having them.
type unkept interface {
	Unkept(ctx context.Context, attributes map[string]string) ([]string, error)
}

// keepClaims says at the start, and whenever that changes, which abilities are claimed that the cluster does not have. Bids on
// orders that require them are made all the same, as nothing of an order tells how they are to be used, and their
// manifests are then refused: the operator has to know.
func (d *Daemon) keepClaims(ctx context.Context) error {
	c, ok := d.cluster.(unkept)
	if !ok {
		return nil
	}
	var told []string
	for {
		wrong, err := c.Unkept(ctx, d.cfg.Attributes)
		again := claimsEvery
		if err != nil {
			again = claimsAgain // that it cannot be read is told where capacity is
		} else {
			d.metrics.unkept.Set(float64(len(wrong)))
			for _, w := range wrong {
				if !slices.Contains(told, w) {
					d.log.Error("the provider claims what its cluster cannot do: leases that need it will be refused their manifest; "+
						"remove the attribute from provider.yaml, or give the cluster what it lacks (berth-provider doctor --only abilities)", "ability", w)
				}
			}
			if len(told) > 0 && len(wrong) == 0 {
				d.log.Info("the cluster can do all that the provider claims")
			}
			told = wrong
		}
		if err := pause(ctx, again); err != nil {
			return err
		}
	}
}
