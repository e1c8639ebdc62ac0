package audit

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	provider := []*autocliv1.PositionalArgDescriptor{{ProtoField: "provider"}}
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.audit.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Record", Use: "record PROVIDER AUDITOR", Short: "Show what an auditor vouches for of a provider", PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "provider"}, {ProtoField: "auditor"}}},
				{RpcMethod: "Records", Use: "records", Short: "List signed attributes, optionally those of a provider (--provider), by an auditor (--auditor), or both"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.audit.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "SignAttributes", Use: "sign PROVIDER", Short: "Vouch for attributes of a provider", PositionalArgs: provider,
					Long:    "Vouch for attributes of a provider, next to those that the signer has signed before. A key that was signed before\ngets the new value.",
					Example: `berthd tx audit sign berth1... --attributes '{"key":"region","value":"eu-west"}' --from auditor`,
					FlagOptions: map[string]*autocliv1.FlagOptions{
						"attributes": {Name: "attributes", Usage: `an attribute as JSON, such as '{"key":"region","value":"eu-west"}'; repeat the flag for more`},
					},
				},
				{
					RpcMethod: "RevokeAttributes", Use: "revoke PROVIDER", Short: "Take signatures on a provider's attributes back", PositionalArgs: provider,
					Long:    "Take back the signatures on the keys given, or, without keys, all that the signer has signed of the provider.",
					Example: "berthd tx audit revoke berth1... --keys region,tier --from auditor",
					FlagOptions: map[string]*autocliv1.FlagOptions{
						"keys": {Name: "keys", Usage: "keys that are no longer vouched for; without them, all"},
					},
				},
			},
		},
	}
}
