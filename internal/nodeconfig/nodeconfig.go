// Package nodeconfig is how a Berth node is set up unless its operator says otherwise: the defaults of config.toml and
// app.toml. The programs that write them and the benchmarks that measure them read them here.
package nodeconfig

import (
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"

	srvcfg "github.com/cosmos/cosmos-sdk/server/config"

	"berth.dev/berth/app"
	"berth.dev/berth/units"
)

const (
	// BlockTime is the time between blocks of a node that is told nothing else.
	BlockTime = 500 * time.Millisecond
	// GasPrice is the least that a validator takes for a unit of gas.
	GasPrice = "0.0025" + units.BaseDenom
	// queryGasLimit bounds one query, so that no stranger can keep a public node busy with it.
	queryGasLimit = 100_000_000
	// mempoolTxs is how many transactions wait at most: a few seconds of full blocks. Each of them is checked again after
	// every block, before the next one begins, so that more would slow the chain down and help nobody.
	mempoolTxs = 5000
	// maxTxBytes is several times what the largest deployment takes.
	maxTxBytes = 1 << 20
	// maxMempoolBytes is eight full blocks.
	maxMempoolBytes = 8 * app.MaxBlockBytes
)

// IndexedEvents are the event attributes that a node indexes: ids and addresses only. Everything else can be read from
// a block's results; an index of whole objects would outgrow the chain.
var IndexedEvents = []string{
	"message.action",
	"message.sender",
	"transfer.recipient",
	"transfer.sender",
	"berth.audit.v1.EventAttributesRevoked.auditor",
	"berth.audit.v1.EventAttributesRevoked.provider",
	"berth.audit.v1.EventAttributesSigned.auditor",
	"berth.audit.v1.EventAttributesSigned.provider",
	"berth.deployment.v1.EventDeploymentClosed.dseq",
	"berth.deployment.v1.EventDeploymentClosed.owner",
	"berth.deployment.v1.EventDeploymentCreated.dseq",
	"berth.deployment.v1.EventDeploymentCreated.owner",
	"berth.deployment.v1.EventDeploymentPruned.dseq",
	"berth.deployment.v1.EventDeploymentPruned.owner",
	"berth.deployment.v1.EventDeploymentUpdated.dseq",
	"berth.deployment.v1.EventDeploymentUpdated.owner",
	"berth.deployment.v1.EventGroupClosed.dseq",
	"berth.deployment.v1.EventGroupClosed.owner",
	"berth.deployment.v1.EventGroupPaused.dseq",
	"berth.deployment.v1.EventGroupPaused.owner",
	"berth.deployment.v1.EventGroupStarted.dseq",
	"berth.deployment.v1.EventGroupStarted.owner",
	"berth.escrow.v1.EventAccountClosed.xid",
	"berth.escrow.v1.EventAccountResumed.xid",
	"berth.escrow.v1.EventAccountSuspended.xid",
	"berth.escrow.v1.EventDeposited.depositor",
	"berth.escrow.v1.EventDeposited.xid",
	"berth.escrow.v1.EventPaid.payee",
	"berth.escrow.v1.EventPaid.xid",
	"berth.market.v1.EventBidClosed.dseq",
	"berth.market.v1.EventBidClosed.owner",
	"berth.market.v1.EventBidClosed.provider",
	"berth.market.v1.EventBidCreated.dseq",
	"berth.market.v1.EventBidCreated.owner",
	"berth.market.v1.EventBidCreated.provider",
	"berth.market.v1.EventLeaseClosed.dseq",
	"berth.market.v1.EventLeaseClosed.owner",
	"berth.market.v1.EventLeaseClosed.provider",
	"berth.market.v1.EventLeaseCreated.dseq",
	"berth.market.v1.EventLeaseCreated.owner",
	"berth.market.v1.EventLeaseCreated.provider",
	"berth.market.v1.EventLeaseReclaiming.dseq",
	"berth.market.v1.EventLeaseReclaiming.owner",
	"berth.market.v1.EventLeaseReclaiming.provider",
	"berth.market.v1.EventLeaseResumed.dseq",
	"berth.market.v1.EventLeaseResumed.owner",
	"berth.market.v1.EventLeaseResumed.provider",
	"berth.market.v1.EventLeaseSuspended.dseq",
	"berth.market.v1.EventLeaseSuspended.owner",
	"berth.market.v1.EventLeaseSuspended.provider",
	"berth.market.v1.EventOrderClosed.dseq",
	"berth.market.v1.EventOrderClosed.owner",
	"berth.market.v1.EventOrderCreated.dseq",
	"berth.market.v1.EventOrderCreated.owner",
	"berth.provider.v1.EventGatewayKeySet.owner",
	"berth.provider.v1.EventProviderCreated.owner",
	"berth.provider.v1.EventProviderDeleted.owner",
	"berth.provider.v1.EventProviderUpdated.owner",
}

// App is the default app.toml.
func App(gasPrice string) *srvcfg.Config {
	cfg := srvcfg.DefaultConfig()
	cfg.MinGasPrices = gasPrice
	cfg.IndexEvents = IndexedEvents
	cfg.QueryGasLimit = queryGasLimit
	// IAVL's index of the newest values is not kept by version: a query that runs beside a commit may miss what the commit
	// removes, and see two heights in one answer. Without it queries read the trees, whose versions do not change, and a
	// block writes half as many records.
	cfg.IAVLDisableFastNode = true
	// They count with pruning "custom" only; the SDK's zeros make `prune custom` refuse to start.
	cfg.PruningKeepRecent, cfg.PruningInterval = "362880", "10"
	return cfg
}

// Comet is the default config.toml.
func Comet() *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.Consensus.TimeoutCommit = BlockTime
	cfg.Mempool.Size = mempoolTxs
	cfg.Mempool.CacheSize = 2 * mempoolTxs
	cfg.Mempool.MaxTxBytes = maxTxBytes
	cfg.Mempool.MaxTxsBytes = maxMempoolBytes
	return cfg
}
