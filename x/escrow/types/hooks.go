package types

import "context"

// EscrowHooks tells the modules above of what happens to an account without a message of theirs. They run inside the
// transaction or end block that caused them; an error undoes what the escrow did for the account.
type EscrowHooks interface {
	// AfterAccountSuspended runs when an account has run dry: all its payments are suspended and accrue nothing.
	AfterAccountSuspended(ctx context.Context, account Account) error
	// AfterAccountResumed runs when a deposit has resumed a suspended account and its payments.
	AfterAccountResumed(ctx context.Context, account Account) error
	// AfterAccountExpired runs when the grace of a suspended account has ended: the escrow has already closed its
	// payments and refunded it.
	AfterAccountExpired(ctx context.Context, account Account) error
}
