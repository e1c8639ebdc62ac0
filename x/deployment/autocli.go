package deployment

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	id := []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}, {ProtoField: "dseq"}}
	nested := []*autocliv1.PositionalArgDescriptor{{ProtoField: "id.owner"}, {ProtoField: "id.dseq"}}
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.deployment.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Deployment", Use: "deployment OWNER DSEQ", Short: "Show a deployment with its groups", PositionalArgs: id},
				{RpcMethod: "Deployments", Use: "deployments", Short: "List deployments, optionally those of an owner (--owner) or a state (--state)"},
				{RpcMethod: "Params", Use: "params", Short: "Show the parameters"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.deployment.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "CreateDeployment", Use: "create-raw OWNER DSEQ", Short: "Open a deployment from groups and a manifest hash given as flags", PositionalArgs: nested},
				{RpcMethod: "UpdateDeployment", Use: "update-raw OWNER DSEQ MANIFEST_HASH", Short: "Replace the manifest hash of a deployment", PositionalArgs: append(nested[:2:2], &autocliv1.PositionalArgDescriptor{ProtoField: "manifest_hash"})},
				{RpcMethod: "CloseDeployment", Use: "close OWNER DSEQ", Short: "Close a deployment, its leases and bids, and get the rest of the deposit back", PositionalArgs: nested},
				{RpcMethod: "UpdateParams", Skip: true},
			},
		},
	}
}
