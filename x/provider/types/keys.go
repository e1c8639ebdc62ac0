// Package types holds the provider registry's records, messages, limits and errors.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module in routes, genesis and errors.
	ModuleName = "provider"
	// StoreKey names the module's store.
	StoreKey = ModuleName
)

// The prefixes of the module's keys.
var (
	// ProvidersPrefix: owner -> Provider.
	ProvidersPrefix = collections.NewPrefix(1)
	// GatewayKeysPrefix: owner -> GatewayKey.
	GatewayKeysPrefix = collections.NewPrefix(2)
)
