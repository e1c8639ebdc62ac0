package market

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	args := func(names ...string) (as []*autocliv1.PositionalArgDescriptor) {
		for _, n := range names {
			as = append(as, &autocliv1.PositionalArgDescriptor{ProtoField: n})
		}
		return as
	}
	order := []string{"id.owner", "id.dseq", "id.gseq", "id.oseq"}
	bid := append(order[:4:4], "id.provider")
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.market.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Order", Use: "order OWNER DSEQ GSEQ OSEQ", Short: "Show an order", PositionalArgs: args(order...)},
				{RpcMethod: "Orders", Use: "orders", Short: "List orders, optionally of an owner (--owner), a deployment (--dseq) or a state (--state)"},
				{RpcMethod: "Bid", Use: "bid OWNER DSEQ GSEQ OSEQ PROVIDER", Short: "Show a bid", PositionalArgs: args(bid...)},
				{RpcMethod: "Bids", Use: "bids", Short: "List bids, optionally of an owner, a deployment, a provider or a state"},
				{RpcMethod: "Lease", Use: "lease OWNER DSEQ GSEQ OSEQ PROVIDER", Short: "Show a lease with its payment", PositionalArgs: args(bid...)},
				{RpcMethod: "Leases", Use: "leases", Short: "List leases, optionally of an owner, a deployment, a provider or a state"},
				{RpcMethod: "ProviderRecord", Use: "record PROVIDER", Short: "Show how many leases a provider has had, and why they ended", PositionalArgs: args("provider")},
				{RpcMethod: "Params", Use: "params", Short: "Show the parameters"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.market.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "CreateBids", Use: "create-bids", Short: "Bid on orders; give each bid as JSON with --bids", FlagOptions: map[string]*autocliv1.FlagOptions{
					"bids": {Name: "bids", Usage: `a bid as JSON: {"order_id":{"owner":"berth1...","dseq":"1","gseq":1,"oseq":1},"price":{"denom":"ubrt","amount":"100"},"deposit":{"denom":"ubrt","amount":"500000"}}; repeat for more`},
				}},
				{RpcMethod: "CloseBids", Use: "close-bids", Short: "Withdraw open bids; give each order id as JSON with --order-ids", FlagOptions: map[string]*autocliv1.FlagOptions{
					"order_ids": {Name: "order-ids", Usage: `an order id as JSON: {"owner":"berth1...","dseq":"1","gseq":1,"oseq":1}; repeat for more`},
				}},
				{RpcMethod: "CreateLease", Use: "create-lease OWNER DSEQ GSEQ OSEQ PROVIDER", Short: "Accept a provider's bid on an order of yours", PositionalArgs: args(bid...)},
				{RpcMethod: "CloseLease", Use: "close-lease OWNER DSEQ GSEQ OSEQ PROVIDER", Short: "End a lease, as its tenant or its provider", PositionalArgs: args(bid...), FlagOptions: map[string]*autocliv1.FlagOptions{
					"reason": {Name: "reason", Usage: "a provider's reason: close-reason-unstable, close-reason-decommission, close-reason-manifest-timeout"},
				}},
				{RpcMethod: "WithdrawLeases", Use: "withdraw", Short: "Get paid what leases have earned; give each lease id as JSON with --ids", FlagOptions: map[string]*autocliv1.FlagOptions{
					"ids": {Name: "ids", Usage: `a lease id as JSON: {"owner":"berth1...","dseq":"1","gseq":1,"oseq":1,"provider":"berth1..."}; repeat for more`},
				}},
				{RpcMethod: "UpdateParams", Skip: true},
			},
		},
	}
}
