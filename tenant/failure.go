package tenant

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, and so what can be done about it.
type Kind string

// The kinds of failures.
const (
	// KindOther is anything unforeseen.
	KindOther Kind = "other"
	// KindUnreachable is a chain that could not be asked: nothing was learned and nothing is lost.
	KindUnreachable Kind = "unreachable"
	// KindUsage is a request that makes no sense as it stands.
	KindUsage Kind = "usage"
	// KindNoBid is a group without an acceptable bid in time.
	KindNoBid Kind = "no_bid"
	// KindLease is a lease or manifest that was refused, or that ended.
	KindLease Kind = "lease"
	// KindRollout is a service that failed or did not become ready in time.
	KindRollout Kind = "rollout"
	// KindHook is a program before or after a rollout that failed.
	KindHook Kind = "hook"
	// KindFunds is an account that cannot pay.
	KindFunds Kind = "funds"
	// KindInterrupted is a run that was told to stop; it can be resumed.
	KindInterrupted Kind = "interrupted"
)

// Hint is something that the tenant can do next.
type Hint string

// The hints.
const (
	HintResume    Hint = "resume"    // continue the deployment
	HintClose     Hint = "close"     // close it and get the refund
	HintFund      Hint = "fund"      // put funds into the account
	HintTopUp     Hint = "topup"     // deposit more for the deployment
	HintLogs      Hint = "logs"      // read the logs
	HintFollow    Hint = "follow"    // follow the logs
	HintStatus    Hint = "status"    // look at the deployment
	HintUpdate    Hint = "update"    // send a corrected document
	HintAgain     Hint = "again"     // send the document again, corrected or not
	HintDeploy    Hint = "deploy"    // deploy anew
	HintList      Hint = "list"      // list the deployments
	HintProviders Hint = "providers" // list the providers
	HintNode      Hint = "node"      // check the node's address
	HintEvents    Hint = "events"    // read what happened
	HintLeave     Hint = "leave"     // end the leases, to take other bids
)

// Failure is an error with what a tenant needs to know about it.
type Failure struct {
	Kind Kind
	// Step is the step that failed; empty outside the state machine.
	Step Step
	// Dseq is the deployment; 0 when there is none yet.
	Dseq uint64
	Err  error
	// Hints are what to do next, best first.
	Hints []Hint
	// Logs are the last lines of the service that failed.
	Logs []LogLine
}

// Error is the cause.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Err }

func failf(kind Kind, hints []Hint, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Hints: hints, Err: fmt.Errorf(format, args...)}
}

// asFailure gives every error a kind.
func asFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, ErrUnreachable) {
		return &Failure{Kind: KindUnreachable, Err: err, Hints: []Hint{HintNode}}
	}
	return &Failure{Kind: KindOther, Err: err}
}

// interruption is the end of a context, told to people without its cause.
type interruption struct {
	when string
	err  error
}

func (i interruption) Error() string { return "interrupted " + i.when }
func (i interruption) Unwrap() error { return i.err }

// AsFailure gives every error a kind: KindOther if it is not a Failure. It returns nil for nil.
func AsFailure(err error) *Failure {
	if err == nil {
		return nil
	}
	return asFailure(err)
}
