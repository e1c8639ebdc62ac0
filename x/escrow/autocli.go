package escrow

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.escrow.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod:      "Account",
					Use:            "account SCOPE XID",
					Short:          "Show an account with its payments, settled up to now",
					Example:        "berthd query escrow account deployment berth1.../7",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "scope"}, {ProtoField: "xid"}},
				},
				{RpcMethod: "Accounts", Use: "accounts", Short: "List accounts, optionally those of a state"},
				{RpcMethod: "Payments", Use: "payments", Short: "List payments, optionally those of an account or a state"},
				{RpcMethod: "Invariants", Use: "invariants", Short: "Check the chain's invariants and list what is broken"},
				{RpcMethod: "Params", Use: "params", Short: "Show the module's parameters"},
			},
		},
		// Messages have commands in package client/cli, as a deposit names a list of sources.
	}
}
