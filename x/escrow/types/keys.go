// Package types holds the escrow module's state, messages, errors and the boundaries it shares with other modules.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module and its account, the pool that holds every deposit.
	ModuleName = "escrow"
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

// Prefixes of the module's collections. Keys are made of ids that the callers choose, never of a counter, so that
// transactions on different accounts touch different keys.
var (
	ParamsPrefix   = collections.NewPrefix(0) // -> Params
	AccountsPrefix = collections.NewPrefix(1) // (scope, xid) -> Account
	PaymentsPrefix = collections.NewPrefix(2) // (scope, xid, pid) -> Payment
	LivePrefix     = collections.NewPrefix(3) // (scope, xid, pid) of open and suspended payments
	DuePrefix      = collections.NewPrefix(4) // (height, scope, xid) of accounts with something to do at that height
	HoldsPrefix    = collections.NewPrefix(7) // (scope, owner, denom) -> Hold
	ClaimsPrefix   = collections.NewPrefix(8) // (address, transaction's index) -> Claim, sent at the end of the block
	CursorPrefix   = collections.NewPrefix(9) // -> (height, scope, xid) of the due account that failed last
)
