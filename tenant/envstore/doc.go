// Package envstore keeps the values of an application's variables on the tenant's machine: what was given by hand, what
// was typed, and what was generated once and must not change with the next deployment, such as the password of a
// database. They belong to an application, which is a directory and a name, before there is a deployment, and to
// that deployment from then on.
//
// Each application has one file. Its head says in the open what it is of; the values are encrypted with a key that only
// the tenant's own key can make again, so that a copy of the disk without the keyring tells nothing of them.
package envstore
