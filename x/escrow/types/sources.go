package types

import (
	"fmt"
	"strings"
)

// MaxSources is the most places that one deposit may be drawn from.
const MaxSources = 8

const grantPrefix = "grant:"

// FromBalance is the depositor's own balance.
func FromBalance() DepositSource { return DepositSource{Kind: SOURCE_BALANCE} }

// FromGrant is the balance of an account that has granted the depositor a DepositAuthorization.
func FromGrant(granter string) DepositSource {
	return DepositSource{Kind: SOURCE_GRANT, Granter: granter}
}

// Name gives balance or grant:GRANTER, as ParseSources reads it.
func (s DepositSource) Name() string {
	if s.Kind == SOURCE_GRANT {
		return grantPrefix + s.Granter
	}
	return strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SOURCE_"))
}

// ParseSources reads a list of sources such as "balance,grant:ADDRESS", in the order they are drawn; an empty one is
// none. Addresses are checked by the chain.
func ParseSources(list string) ([]DepositSource, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var sources []DepositSource
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		granter, isGrant := strings.CutPrefix(name, grantPrefix)
		switch {
		case name == "balance":
			sources = append(sources, FromBalance())
		case isGrant && granter != "":
			sources = append(sources, FromGrant(granter))
		default:
			return nil, fmt.Errorf("deposit source %q is neither balance nor grant:ADDRESS", name)
		}
	}
	return sources, nil
}
