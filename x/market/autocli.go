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
				{RpcMethod: "Bids", Use: "bids", Short: "List bids, optionally of an owner, a deployment, a provider (without an owner: live bids only) or a state"},
				{RpcMethod: "Lease", Use: "lease OWNER DSEQ GSEQ OSEQ PROVIDER", Short: "Show a lease with its payment", PositionalArgs: args(bid...)},
				{RpcMethod: "Leases", Use: "leases", Short: "List leases, optionally of an owner, a deployment, a provider or a state"},
				{RpcMethod: "ProviderRecord", Use: "record PROVIDER", Short: "Show how many leases a provider has had, and why they ended", PositionalArgs: args("provider")},
				{RpcMethod: "Params", Use: "params", Short: "Show the parameters"},
			},
		},
		// All messages but UpdateParams, which governance sends, have commands in package client/cli.
	}
}
