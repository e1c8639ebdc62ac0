// Package units holds the constants of the network that every program shares: the address prefix and the denoms.
// Importing it sets the SDK's address prefixes, so that addresses read and print as berth1... everywhere.
package units

import sdk "github.com/cosmos/cosmos-sdk/types"

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

func init() {
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(AddressPrefix, AddressPrefix+sdk.PrefixPublic)
	c.SetBech32PrefixForValidator(AddressPrefix+sdk.PrefixValidator+sdk.PrefixOperator, AddressPrefix+sdk.PrefixValidator+sdk.PrefixOperator+sdk.PrefixPublic)
	c.SetBech32PrefixForConsensusNode(AddressPrefix+sdk.PrefixValidator+sdk.PrefixConsensus, AddressPrefix+sdk.PrefixValidator+sdk.PrefixConsensus+sdk.PrefixPublic)
}
