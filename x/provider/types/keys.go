// Package types holds the provider registry's records, messages, limits and errors.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module in routes, genesis and errors.
	ModuleName = "provider"
	// StoreKey names the module's store.
	StoreKey = ModuleName
)

// ProvidersPrefix starts the keys of the records: owner -> Provider.
var ProvidersPrefix = collections.NewPrefix(1)
