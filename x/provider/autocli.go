package provider

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

// AutoCLIOptions describes the module's commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	flags := func() map[string]*autocliv1.FlagOptions {
		return map[string]*autocliv1.FlagOptions{
			"tls_pins":   {Name: "tls-pins", Usage: "SHA-256 digests of the gateway's public keys (SubjectPublicKeyInfo), in base64 or hex"},
			"attributes": {Name: "attributes", Usage: `an attribute as JSON, such as '{"key":"region","value":"eu-west"}'; repeat the flag for more`},
			"info":       {Name: "info", Usage: `contact as JSON, such as '{"email":"ops@example.com","website":"https://example.com"}'`},
		}
	}
	uri := []*autocliv1.PositionalArgDescriptor{{ProtoField: "host_uri"}}
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.provider.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Provider", Use: "provider OWNER", Short: "Show the record of a provider", PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}}},
				{RpcMethod: "Providers", Use: "providers", Short: "List providers by address"},
				{RpcMethod: "GatewayKey", Use: "gateway-key OWNER", Short: "Show the key that signs an account's tokens", PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}}},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "berth.provider.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "CreateProvider", Use: "create HOST_URI", Short: "Register the signer as a provider", Long: "Register the signer as a provider whose gateway is at HOST_URI, an https address without a path.", PositionalArgs: uri, FlagOptions: flags()},
				{RpcMethod: "UpdateProvider", Use: "update HOST_URI", Short: "Replace the signer's provider record", Long: "Replace the signer's provider record as a whole: what is not given is removed.\nAttributes that a living lease was matched on cannot change.", PositionalArgs: uri, FlagOptions: flags()},
				{RpcMethod: "DeleteProvider", Use: "delete", Short: "Remove the signer's provider record", Long: "Remove the signer's provider record. It is refused while one of the provider's leases lives."},
				{
					RpcMethod: "SetGatewayKey", Use: "set-gateway-key", Short: "Name the key that signs the signer's tokens, or remove it",
					Long:    "Name the key that signs the signer's tokens at providers' gateways, for an account that cannot sign them itself, such\nas a multisig. Without a key the one that stands is removed.",
					Example: "berthd tx provider set-gateway-key --key 02... --from treasury",
					FlagOptions: map[string]*autocliv1.FlagOptions{
						"key": {Name: "key", Usage: "a compressed secp256k1 public key of 33 bytes, in base64 or hex; without it, none"},
					},
				},
			},
		},
	}
}
