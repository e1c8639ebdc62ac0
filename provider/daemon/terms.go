package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/provider/terms"
)

// lookAtPrices is how often the pricing file is looked at.
const lookAtPrices = 2 * time.Second

// openTerms puts prices and policy in force: those of the pricing file, or the configuration's own.
func (d *Daemon) openTerms(home Home) (err error) {
	if d.cfg.Pricing.File == "" {
		t, err := d.cfg.terms()
		if err != nil {
			return err
		}
		return d.useTerms(t)
	}
	d.prices, err = terms.Watch(home.PricingFile(d.cfg.Pricing), d.log, d.useTerms)
	if err != nil {
		return fmt.Errorf("pricing.file: %w", err)
	}
	d.metrics.watchTerms(d.prices.Status)
	return nil
}

// useTerms gives new terms to the bid loop. A pricing program that stays the same keeps running.
func (d *Daemon) useTerms(t *terms.Terms) error {
	program := d.program
	if old := d.program.Config(); !old.Equal(t.Program) {
		program = nil
		if t.Program != nil {
			program = pricing.NewProgram(*t.Program, d.log)
		}
	}
	var quoter bid.Quoter
	if program != nil {
		quoter = program
	}
	if err := d.bids.SetTerms(t, quoter); err != nil {
		if program != d.program {
			program.Close()
		}
		return err
	}
	if d.program != program {
		d.program.Close()
		d.program = program
	}
	return nil
}

// keepTerms keeps up with the pricing file; SIGHUP makes it look at once.
func (d *Daemon) keepTerms(ctx context.Context) error {
	if d.prices == nil {
		return nil
	}
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGHUP)
	defer signal.Stop(now)
	return d.prices.Run(ctx, lookAtPrices, now)
}

// closeTerms ends the pricing program.
func (d *Daemon) closeTerms() { d.program.Close() }
