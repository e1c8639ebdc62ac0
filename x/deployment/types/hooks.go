package types

import "context"

// CloseCause says why a deployment closes.
type CloseCause int

// The causes of a deployment's end.
const (
	// CloseByOwner is the owner's message.
	CloseByOwner CloseCause = iota + 1
	// CloseByExhaustion is an escrow account whose grace period has ended.
	CloseByExhaustion
)

// DeploymentHooks are told of changes of deployments. The market implements them. Whatever moved in the same
// transaction is undone if a hook fails.
type DeploymentHooks interface {
	// AfterDeploymentCreated runs when the deployment, its groups and its escrow account stand.
	AfterDeploymentCreated(ctx context.Context, d Deployment, groups []Group) error
	// BeforeDeploymentClosed runs while the deployment is still active. The hook ends what stands on it but leaves
	// payments alone: closing the escrow account closes them all at once (and has already done so when the cause is
	// CloseByExhaustion).
	BeforeDeploymentClosed(ctx context.Context, d Deployment, cause CloseCause) error
	// AfterDeploymentSuspended runs when the escrow account has run dry.
	AfterDeploymentSuspended(ctx context.Context, d Deployment) error
	// AfterDeploymentResumed runs when a deposit has filled the escrow account again.
	AfterDeploymentResumed(ctx context.Context, d Deployment) error
	// BeforeGroupStopped runs while the group is still open, before it is paused or closed. The hook ends the group's lease,
	// with its payment, and its order.
	BeforeGroupStopped(ctx context.Context, d Deployment, g Group) error
	// AfterGroupStarted runs when a paused group is open again: the hook opens its next order.
	AfterGroupStarted(ctx context.Context, d Deployment, g Group) error
	// PruneDeployment removes what belonged to a closed deployment, at most limit records at a time; done says that nothing
	// is left. The deployment itself goes after it.
	PruneDeployment(ctx context.Context, d Deployment, limit int) (removed int, done bool, err error)
}
