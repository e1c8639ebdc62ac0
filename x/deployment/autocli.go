package deployment

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	id := []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}, {ProtoField: "dseq"}}
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.deployment.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Deployment", Use: "deployment OWNER DSEQ", Short: "Show a deployment with its groups", PositionalArgs: id},
				{RpcMethod: "Deployments", Use: "deployments", Short: "List deployments, optionally those of an owner (--owner) or a state (--state)"},
				{RpcMethod: "PruneFloor", Use: "prune-floor OWNER", Short: "Show the highest dseq of an owner that was pruned; a new one must be above it", PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}}},
				{RpcMethod: "Params", Use: "params", Short: "Show the parameters"},
			},
		},
		// Messages have commands in package client/cli and, as they take documents, in the program berthd.
	}
}
