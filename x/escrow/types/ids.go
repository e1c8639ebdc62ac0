package types

// String gives SCOPE/XID.
func (id AccountID) String() string { return id.Scope + "/" + id.Xid }

// String gives SCOPE/XID/PID.
func (id PaymentID) String() string { return id.AccountId.String() + "/" + id.Pid }
