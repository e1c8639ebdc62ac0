// Package types holds the audit module's records, messages, limits and errors.
package types

import (
	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// ModuleName names the module in routes, genesis and errors.
	ModuleName = "audit"
	// StoreKey names the module's store.
	StoreKey = ModuleName
)

// The prefixes of the module's keys.
var (
	// RecordsPrefix: (provider, auditor) -> SignedAttributes.
	RecordsPrefix = collections.NewPrefix(1)
	// AuditorsPrefix: (auditor, provider), the index of the records by auditor.
	AuditorsPrefix = collections.NewPrefix(2)
)

// RecordKey names a record: provider, auditor. In the index they stand the other way round.
type RecordKey = collections.Pair[sdk.AccAddress, sdk.AccAddress]
