// Package terms reads what an operator asks of whom, prices and policy, from one file, and keeps up with changes of it.
package terms

import (
	"fmt"
	"time"

	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/sdl"
)

// Period is what a rate is for.
type Period time.Duration

// The periods. Block is whatever a block turns out to take.
const (
	Block Period = 0
	Hour         = Period(time.Hour)
	Month        = Period(pricing.Month)
)

// of gives the period as a duration.
func (p Period) of(block time.Duration) time.Duration {
	if p == Block {
		return block
	}
	return time.Duration(p)
}

// Table is a table with the period of its rates.
type Table struct {
	pricing.Table
	Per Period
}

// Terms are prices and rules as a file gives them: it never changes once read.
type Terms struct {
	Tables []Table
	// Expression, if set, makes the price from that of the table; Program, if set, does so in a process of its own.
	Expression *pricing.Expression
	Program    *pricing.ProgramConfig
	// Rules say which orders are wanted; their amounts of money are for RulesPer.
	Rules    policy.Rules
	RulesPer Period
	// programAt is where the file names the program, for a problem with it.
	programAt sdl.Diagnostic
}

// Bind makes rates per block of a length.
func (t *Terms) Bind(block time.Duration) (*pricing.Set, *policy.Rules, error) {
	tables := make([]pricing.Table, len(t.Tables))
	for i := range t.Tables {
		var err error
		if tables[i], err = t.Tables[i].Table.Per(t.Tables[i].Per.of(block), block); err != nil {
			return nil, nil, fmt.Errorf("prices in %s: %w", t.Tables[i].Denom, err)
		}
	}
	rules, err := t.Rules.Per(t.RulesPer.of(block), block)
	if err != nil {
		return nil, nil, err
	}
	return pricing.NewSet(tables, t.Expression, t.Program != nil), &rules, nil
}
