package types

import errorsmod "cosmossdk.io/errors"

// Errors that callers branch on. Codes are part of the module's interface: a code is never given to another error.
var (
	// ErrInvalidID refuses an id that is empty, too long or contains a zero byte.
	ErrInvalidID = errorsmod.Register(ModuleName, 2, "invalid escrow id")
	// ErrInvalidDeposit refuses an amount that is not positive, below the minimum, or more than an account may hold.
	ErrInvalidDeposit = errorsmod.Register(ModuleName, 3, "invalid deposit")
	// ErrInvalidDenom refuses a denom that is not accepted, or not the account's.
	ErrInvalidDenom = errorsmod.Register(ModuleName, 4, "invalid denom")
	// ErrInvalidRate refuses a rate that is not positive.
	ErrInvalidRate = errorsmod.Register(ModuleName, 5, "invalid rate")
	// ErrAccountExists refuses to open an account whose id was used before.
	ErrAccountExists = errorsmod.Register(ModuleName, 6, "escrow account exists")
	// ErrAccountNotFound says that no account has this id.
	ErrAccountNotFound = errorsmod.Register(ModuleName, 7, "escrow account not found")
	// ErrAccountSuspended says that the account has run dry and waits for a deposit.
	ErrAccountSuspended = errorsmod.Register(ModuleName, 8, "escrow account is suspended")
	// ErrAccountClosed says that the account has been closed and refunded.
	ErrAccountClosed = errorsmod.Register(ModuleName, 9, "escrow account is closed")
	// ErrPaymentExists refuses to open a payment whose id was used before.
	ErrPaymentExists = errorsmod.Register(ModuleName, 10, "payment exists")
	// ErrPaymentNotFound says that no payment has this id.
	ErrPaymentNotFound = errorsmod.Register(ModuleName, 11, "payment not found")
	// ErrPaymentClosed says that the payment has been closed and paid out.
	ErrPaymentClosed = errorsmod.Register(ModuleName, 12, "payment is closed")
	// ErrInsufficientFunds says that an account cannot pay one block of its rate, or the sources of a deposit cannot cover
	// it.
	ErrInsufficientFunds = errorsmod.Register(ModuleName, 13, "insufficient funds")
	// ErrHoldExists refuses a second hold of the same id.
	ErrHoldExists = errorsmod.Register(ModuleName, 14, "hold exists")
	// ErrHoldNotFound says that no hold has this id: it was never made or has been released.
	ErrHoldNotFound = errorsmod.Register(ModuleName, 15, "hold not found")
	// ErrTooManyDeposits refuses a further depositor of an account that has MaxDeposits unspent ones.
	ErrTooManyDeposits = errorsmod.Register(ModuleName, 16, "too many depositors")
	// ErrUnauthorized refuses a change of parameters by anyone but governance.
	ErrUnauthorized = errorsmod.Register(ModuleName, 17, "unauthorized")
	// ErrInvalidParams refuses parameters out of their bounds.
	ErrInvalidParams = errorsmod.Register(ModuleName, 18, "invalid parameters")
	// ErrAccountOpen refuses to remove an account that has not been closed.
	ErrAccountOpen = errorsmod.Register(ModuleName, 19, "escrow account is not closed")
	// ErrInvalidSource refuses a list of sources that is too long, names one twice or is malformed.
	ErrInvalidSource = errorsmod.Register(ModuleName, 20, "invalid deposit source")
	// ErrInvalidGrant refuses a new grant without limits, or one that says something was spent.
	ErrInvalidGrant = errorsmod.Register(ModuleName, 21, "invalid deposit grant")
)
