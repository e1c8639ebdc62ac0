package app

import (
	"context"
	"encoding/json"

	ibctransfer "github.com/cosmos/ibc-go/v11/modules/apps/transfer"
	transferkeeper "github.com/cosmos/ibc-go/v11/modules/apps/transfer/keeper"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibccore "github.com/cosmos/ibc-go/v11/modules/core"
	clientkeeper "github.com/cosmos/ibc-go/v11/modules/core/02-client/keeper"
	clienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	connectionkeeper "github.com/cosmos/ibc-go/v11/modules/core/03-connection/keeper"
	connectiontypes "github.com/cosmos/ibc-go/v11/modules/core/03-connection/types"
	channelkeeper "github.com/cosmos/ibc-go/v11/modules/core/04-channel/keeper"
	channeltypes "github.com/cosmos/ibc-go/v11/modules/core/04-channel/types"
	porttypes "github.com/cosmos/ibc-go/v11/modules/core/05-port/types"
	ibcapi "github.com/cosmos/ibc-go/v11/modules/core/api"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"
	ibckeeper "github.com/cosmos/ibc-go/v11/modules/core/keeper"
	ibctypes "github.com/cosmos/ibc-go/v11/modules/core/types"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/types/module"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
)

// buildIBC builds what brings other chains' coins here: the core, ICS-20 transfers, and the light client for chains
// that run CometBFT. Nothing else is bound to a port.
func (k *Keepers) buildIBC(base *baseapp.BaseApp, enc Encoding, s stores) {
	k.IBCKeeper = ibckeeper.NewKeeper(enc.Codec, s.service(ibcexported.StoreKey), k.UpgradeKeeper, Authority())
	k.TransferKeeper = transferkeeper.NewKeeper(enc.Codec, accountCodec(), s.service(transfertypes.StoreKey),
		k.IBCKeeper.ChannelKeeper, base.MsgServiceRouter(), k.AccountKeeper, voucherBank{k.BankKeeper}, Authority())
	k.IBCKeeper.SetRouter(porttypes.NewRouter().AddRoute(transfertypes.ModuleName, ibctransfer.NewIBCModule(k.TransferKeeper)))
	k.IBCKeeper.SetRouterV2(ibcapi.NewRouter())
	light := ibctm.NewLightClientModule(enc.Codec, k.IBCKeeper.ClientKeeper.GetStoreProvider())
	k.IBCKeeper.ClientKeeper.AddRoute(ibctm.ModuleName, &light)
}

// ibcModules are IBC's modules as the manager takes them.
//
//nolint:staticcheck // the manager takes this type
func (app *App) ibcModules() []module.AppModule {
	light := ibctm.NewLightClientModule(app.encoding.Codec, app.IBCKeeper.ClientKeeper.GetStoreProvider())
	return []module.AppModule{
		ibcModule{AppModule: ibccore.NewAppModule(app.IBCKeeper), keeper: app.IBCKeeper},
		ibctransfer.NewAppModule(app.TransferKeeper),
		ibctm.NewAppModule(light),
	}
}

// ibcModule is IBC's core with this chain's default genesis, and without the services of its second protocol version:
// no application here has a route in that version, and its handlers panic on a packet to a port without one.
type ibcModule struct {
	ibccore.AppModule
	keeper *ibckeeper.Keeper
}

// DefaultGenesis allows clients of CometBFT chains only; governance may allow others.
func (ibcModule) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	g := ibctypes.DefaultGenesisState()
	g.ClientGenesis.Params = clienttypes.NewParams(ibcexported.Tendermint)
	return cdc.MustMarshalJSON(g)
}

// RegisterServices registers the first version's messages and queries. The migrations of older state are left out, as
// this chain never had any.
func (m ibcModule) RegisterServices(cfg module.Configurator) {
	clienttypes.RegisterMsgServer(cfg.MsgServer(), m.keeper)
	connectiontypes.RegisterMsgServer(cfg.MsgServer(), m.keeper)
	channeltypes.RegisterMsgServer(cfg.MsgServer(), m.keeper)
	clienttypes.RegisterQueryServer(cfg.QueryServer(), clientkeeper.NewQueryServer(m.keeper.ClientKeeper))
	connectiontypes.RegisterQueryServer(cfg.QueryServer(), connectionkeeper.NewQueryServer(m.keeper.ConnectionKeeper))
	channeltypes.RegisterQueryServer(cfg.QueryServer(), channelkeeper.NewQueryServer(m.keeper.ChannelKeeper))
}

// voucherBank is the bank as transfers see it.
type voucherBank struct{ bankkeeper.BaseKeeper }

// SetDenomMetaData stores a voucher's metadata in a form that bank's own genesis validation accepts: the units begin
// with the base denom. As transfers write them, they begin with the denom's name on its own chain, and a genesis that
// was exported with a voucher would be refused.
func (b voucherBank) SetDenomMetaData(ctx context.Context, m banktypes.Metadata) {
	m.DenomUnits = []*banktypes.DenomUnit{{Denom: m.Base, Aliases: []string{m.Display}}}
	m.Display = m.Base
	b.BaseKeeper.SetDenomMetaData(ctx, m)
}
