package pricing

import (
	"slices"
	"strings"
)

// Quote is what an external program answered for one order: a price, or why there is none.
type Quote struct {
	Price   Amount
	Refusal Refusal
}

// Set is everything that prices an order: a table of rates per block for each denom, and, if the operator wants more
// than that, an expression or an external program. It never changes once made, so that it may be shared and replaced
// as a whole. A price is a function of the Set, the Ask and the Standing alone.
type Set struct {
	tables  []Table // sorted by denom
	expr    *Expression
	program bool
}

// NewSet makes a set of tables of rates per block. At most one of the expression and the program is used: with
// program set prices are the quotes that come with the asks.
func NewSet(tables []Table, expr *Expression, program bool) *Set {
	tables = slices.Clone(tables)
	slices.SortFunc(tables, func(a, b Table) int { return strings.Compare(a.Denom, b.Denom) })
	return &Set{tables: tables, expr: expr, program: program}
}

// Table is the table of a denom, or nil.
func (s *Set) Table(denom string) *Table {
	for i := range s.tables {
		if s.tables[i].Denom == denom {
			return &s.tables[i]
		}
	}
	return nil
}

// Denoms lists the denoms that have a table, sorted.
func (s *Set) Denoms() []string {
	out := make([]string, len(s.tables))
	for i := range s.tables {
		out[i] = s.tables[i].Denom
	}
	return out
}

// Quoted reports whether an external program must be asked for prices.
func (s *Set) Quoted() bool { return s.program }

// NeedsStanding reports whether a price may depend on the Standing. Without, an empty one will do.
func (s *Set) NeedsStanding() bool { return s.program || s.expr != nil }

// Question is what an external program is asked about an order.
type Question struct {
	// Order names the order.
	Order    string
	Ask      Ask
	Standing Standing
	// Table is the price of the table.
	Table Amount
}

// Question makes the question about an order that Price refused as Unquoted.
func (s *Set) Question(order string, a *Ask, st *Standing) Question {
	q := Question{Order: order, Ask: *a, Standing: *st}
	if t := s.Table(a.Denom); t != nil {
		q.Table, _ = t.Price(a)
	}
	return q
}

// Price is what is asked for an order per block, or why there is no price. What an expression or a program says is
// raised to the table's minimum.
func (s *Set) Price(a *Ask, st *Standing) (Amount, Refusal) {
	t := s.Table(a.Denom)
	if t == nil {
		return Amount{}, Refusal{Code: Denom, What: a.Denom}
	}
	base, refused := t.Price(a)
	if refused.Code != Priced {
		return Amount{}, refused
	}
	price := base
	switch {
	case s.program && a.Quote == nil:
		return Amount{}, Refusal{Code: Unquoted}
	case s.program:
		price, refused = a.Quote.Price, a.Quote.Refusal
	case s.expr != nil:
		price, refused = s.expr.Price(a, st, base)
	}
	if refused.Code != Priced {
		return Amount{}, refused
	}
	return price.max(t.Minimum), Refusal{}
}
