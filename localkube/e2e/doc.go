// Package e2e checks a running cluster from outside and from inside its pods.
// The checks stand behind the build tag e2e and need root.
package e2e
