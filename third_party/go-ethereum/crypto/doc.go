// Package crypto is empty. Only IBC's own tests import it, which are not run here; `go mod tidy` wants it to exist.
package crypto
