package main

import (
	"errors"
	"fmt"
)

// The exit codes of berth. Whatever has no code of its own exits with exitError.
const (
	exitOK          = 0
	exitError       = 1   // the chain or a provider cannot be reached, or something unforeseen
	exitUsage       = 2   // a bad document or a bad command line
	exitInput       = 3   // a missing or invalid input value
	exitNoBid       = 4   // no acceptable bid
	exitLease       = 5   // a lease or a manifest was refused
	exitRollout     = 6   // a service failed
	exitHook        = 7   // a hook failed
	exitFunds       = 8   // not enough funds
	exitInterrupted = 130 // interrupted, resumable
)

// codeError carries the exit code of an error, and the commands to run next.
type codeError struct {
	code int
	err  error
	next []string
	// printed is true when the error has been shown already.
	printed bool
}

// Error is the cause's text.
func (e *codeError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *codeError) Unwrap() error { return e.err }

// exitWith gives an error its exit code; next are commands that a person would run now.
func exitWith(code int, err error, next ...string) error {
	return &codeError{code: code, err: err, next: next}
}

// usageErrorf is an error of the command line, exit 2.
func usageErrorf(format string, args ...any) error {
	return exitWith(exitUsage, fmt.Errorf(format, args...))
}

// exitSilently is for a command that has shown its errors itself, such as a document's diagnostics.
func exitSilently(code int) error {
	return &codeError{code: code, err: fmt.Errorf("exit %d", code), printed: true}
}

// asCodeError gives every error its exit code.
func asCodeError(err error) *codeError {
	var e *codeError
	if errors.As(err, &e) {
		return e
	}
	return failureCode(err)
}
