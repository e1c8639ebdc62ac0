// Package tenant is what a tenant does on the marketplace, without a terminal: it deploys a plan with a state machine
// that survives a crash at any point, updates, tops up and closes deployments, and reads their state from the chain and
// from the providers.
//
// A deployment goes through the steps create, bids, lease, manifest and rollout, and is done. The state file names the
// step to do next and is written before the first transaction and after each step, so the step that a crash cut off
// is done again. Every step is therefore idempotent: it first reads what the chain or the provider already has. A
// deployment number is chosen before anything is sent and the chain accepts it once, so a repeated create transaction
// cannot make a second deployment.
package tenant
