package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Selection says which offers a tenant accepts, and which of those it takes.
type Selection struct {
	// Accept says why an offer is not acceptable; empty if it is. Nil accepts all.
	Accept func(Offer) string
	// Choose picks one of the acceptable offers of a group.
	Choose Chooser
}

// The names of selections, as ParseSelection reads them. SelectAsk is for whoever can ask a person.
const (
	SelectLowest  = "lowest"
	SelectAudited = "audited"
	SelectRegion  = "region"
	SelectExpr    = "expr"
	SelectAsk     = "ask"
)

// ParseSelection reads a selection:
//
//	lowest                the cheapest
//	audited               the cheapest whose provider anybody but itself has signed attributes of
//	audited:ADDRESS,...   the cheapest whose provider one of these auditors has
//	region:NAME,...       the cheapest of the first of these regions in which there is an offer
//	expr:EXPRESSION       the cheapest for which an expression is true; see Expression
//
// Its errors say what is wrong with the text.
func ParseSelection(text string) (Selection, error) {
	name, rest, more := strings.Cut(text, ":")
	switch {
	case name == SelectLowest && !more:
		return Selection{Choose: Lowest}, nil
	case name == SelectAudited:
		return auditedBy(rest, more)
	case name == SelectRegion:
		return inRegions(rest)
	case name == SelectExpr:
		return matching(rest)
	}
	return Selection{}, fmt.Errorf("%q is not one of lowest, audited, audited:ADDRESS,..., region:NAME,..., expr:EXPRESSION", text)
}

// words splits a list; an empty word is an error.
func words(list, what string) ([]string, error) {
	all := strings.Split(list, ",")
	for i := range all {
		if all[i] = strings.TrimSpace(all[i]); all[i] == "" {
			return nil, fmt.Errorf("%s: a name is missing", what)
		}
	}
	return all, nil
}

func auditedBy(list string, named bool) (Selection, error) {
	var auditors []string
	if named {
		var err error
		if auditors, err = words(list, SelectAudited); err != nil {
			return Selection{}, err
		}
		for _, a := range auditors {
			if _, err := sdk.AccAddressFromBech32(a); err != nil {
				return Selection{}, fmt.Errorf("audited: %q is not an address: %w", a, err)
			}
		}
	}
	accept := func(o Offer) string {
		for _, a := range o.AuditedBy {
			if a != o.Provider && (!named || slices.Contains(auditors, a)) {
				return ""
			}
		}
		if named {
			return "no auditor that was named has signed its attributes"
		}
		return "no auditor has signed its attributes"
	}
	return Selection{Accept: accept, Choose: Lowest}, nil
}

func inRegions(list string) (Selection, error) {
	regions, err := words(list, SelectRegion)
	if err != nil {
		return Selection{}, err
	}
	rank := func(o Offer) int { return slices.Index(regions, o.Region) }
	return Selection{
		Accept: func(o Offer) string {
			if rank(o) < 0 {
				return fmt.Sprintf("it is in region %q", o.Region)
			}
			return ""
		},
		Choose: func(_ context.Context, g GroupOffers) (int, error) {
			best := 0
			for i, o := range g.Offers { // cheapest first: of one region the first stands
				if rank(o) < rank(g.Offers[best]) {
					best = i
				}
			}
			return best, nil
		},
	}, nil
}
