package app

import (
	"fmt"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/std"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"

	"berth.dev/berth/units/protofiles"
)

// Encoding is how the chain's messages and transactions are written. The modules' messages are added by New.
type Encoding struct {
	Registry codectypes.InterfaceRegistry
	Codec    codec.Codec
	Amino    *codec.LegacyAmino
	TxConfig client.TxConfig
}

// newEncoding returns an encoding that knows the SDK's own types. It fails only if a message's signer annotations are
// inconsistent, which is a mistake in the .proto files.
func newEncoding() (Encoding, error) {
	files, err := protofiles.Resolved()
	if err != nil {
		return Encoding{}, fmt.Errorf("resolve the protobuf descriptors: %w", err)
	}
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: files,
		SigningOptions: txsigning.Options{
			AddressCodec:          accountCodec(),
			ValidatorAddressCodec: validatorCodec(),
		},
	})
	if err != nil {
		return Encoding{}, fmt.Errorf("build the interface registry: %w", err)
	}
	if err := registry.SigningContext().Validate(); err != nil {
		return Encoding{}, fmt.Errorf("check the messages' signers: %w", err)
	}
	cdc := codec.NewProtoCodec(registry)
	enc := Encoding{
		Registry: registry,
		Codec:    cdc,
		Amino:    codec.NewLegacyAmino(),
		TxConfig: authtx.NewTxConfig(cdc, authtx.DefaultSignModes),
	}
	std.RegisterLegacyAminoCodec(enc.Amino)
	std.RegisterInterfaces(enc.Registry)
	return enc, nil
}

func accountCodec() address.Bech32Codec {
	return address.Bech32Codec{Bech32Prefix: sdk.GetConfig().GetBech32AccountAddrPrefix()}
}

func validatorCodec() address.Bech32Codec {
	return address.Bech32Codec{Bech32Prefix: sdk.GetConfig().GetBech32ValidatorAddrPrefix()}
}

func consensusCodec() address.Bech32Codec {
	return address.Bech32Codec{Bech32Prefix: sdk.GetConfig().GetBech32ConsensusAddrPrefix()}
}
