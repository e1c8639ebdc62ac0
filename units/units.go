// Package units holds the constants of the network that every program shares: the address prefix and the denoms.
// Importing it sets the SDK's address prefixes, so that addresses read and print as berth1... everywhere.
package units

import (
	"os"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// AddressPrefix starts every account address.
	AddressPrefix = "berth"
	// BaseDenom is the unit of all amounts on chain: one micro token.
	BaseDenom = "ubrt"
	// DisplayDenom is the token that people speak of: 10^6 of BaseDenom.
	DisplayDenom = "BRT"
	// MicroPerToken is how many of BaseDenom make one DisplayDenom.
	MicroPerToken = 1_000_000
)

// configScope names the SDK's settings of this process. Without a name the SDK asks the system for the program's path and
// the host's name each time that an address is read or printed, which costs twelve times as much as the reading.
const configScope = "berth"

func init() {
	if os.Getenv(sdk.EnvConfigScope) == "" {
		if err := os.Setenv(sdk.EnvConfigScope, configScope); err != nil {
			panic(err) // only a name or value that cannot be in an environment fails
		}
	}
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(AddressPrefix, AddressPrefix+sdk.PrefixPublic)
	c.SetBech32PrefixForValidator(AddressPrefix+sdk.PrefixValidator+sdk.PrefixOperator, AddressPrefix+sdk.PrefixValidator+sdk.PrefixOperator+sdk.PrefixPublic)
	c.SetBech32PrefixForConsensusNode(AddressPrefix+sdk.PrefixValidator+sdk.PrefixConsensus, AddressPrefix+sdk.PrefixValidator+sdk.PrefixConsensus+sdk.PrefixPublic)
}
