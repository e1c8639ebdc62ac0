package app

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"

	runtimeservices "github.com/cosmos/cosmos-sdk/runtime/services"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authsims "github.com/cosmos/cosmos-sdk/x/auth/simulation"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/auth/vesting"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govclient "github.com/cosmos/cosmos-sdk/x/gov/client"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/mint"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"berth.dev/berth/x/audit"
	audittypes "berth.dev/berth/x/audit/types"
	"berth.dev/berth/x/deployment"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/escrow"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market"
	markettypes "berth.dev/berth/x/market/types"
	"berth.dev/berth/x/provider"
	providertypes "berth.dev/berth/x/provider/types"
)

var (
	preBlockers = []string{upgradetypes.ModuleName, authtypes.ModuleName}

	beginBlockers = []string{
		minttypes.ModuleName, distrtypes.ModuleName, slashingtypes.ModuleName, evidencetypes.ModuleName,
		stakingtypes.ModuleName, genutiltypes.ModuleName, authz.ModuleName, ibcexported.ModuleName,
	}

	// endBlockers: governance comes before bank, as a proposal it executes may deposit, and bank credits the block's
	// virtual sends; what were sent after bank would be lost. Escrow comes last: the modules above it pay out in their
	// end blocks, and it sends from a pool that bank has filled.
	endBlockers = []string{
		govtypes.ModuleName, stakingtypes.ModuleName, genutiltypes.ModuleName, feegrant.ModuleName,
		banktypes.ModuleName, deploymenttypes.ModuleName, markettypes.ModuleName, escrowtypes.ModuleName,
	}

	// genesisOrder: accounts and balances before those who check them; genutil after staking, as it delivers the
	// transactions that make validators; market after all it refers to.
	genesisOrder = []string{
		authtypes.ModuleName, banktypes.ModuleName, distrtypes.ModuleName, stakingtypes.ModuleName, slashingtypes.ModuleName,
		govtypes.ModuleName, minttypes.ModuleName, providertypes.ModuleName, audittypes.ModuleName, escrowtypes.ModuleName,
		deploymenttypes.ModuleName, markettypes.ModuleName, genutiltypes.ModuleName, evidencetypes.ModuleName, authz.ModuleName,
		feegrant.ModuleName, upgradetypes.ModuleName, vestingtypes.ModuleName, consensustypes.ModuleName,
		ibcexported.ModuleName, transfertypes.ModuleName,
	}
)

// setModules joins the modules, orders their work and registers their services.
func (app *App) setModules() {
	enc := app.encoding
	app.manager = module.NewManager(append(append(app.sdkModules(), app.ibcModules()...),
		provider.NewAppModule(enc.Codec, app.ProviderKeeper),
		audit.NewAppModule(enc.Codec, app.AuditKeeper),
		escrow.NewAppModule(enc.Codec, app.EscrowKeeper),
		deployment.NewAppModule(enc.Codec, app.DeploymentKeeper),
		market.NewAppModule(enc.Codec, app.MarketKeeper),
	)...)
	app.basics = module.NewBasicManagerFromManager(app.manager, map[string]module.AppModuleBasic{
		genutiltypes.ModuleName: genutil.NewAppModuleBasic(genutiltypes.DefaultMessageValidator),
		govtypes.ModuleName:     gov.NewAppModuleBasic([]govclient.ProposalHandler{}),
	})
	app.basics.RegisterLegacyAminoCodec(enc.Amino)
	app.basics.RegisterInterfaces(enc.Registry)

	app.manager.SetOrderPreBlockers(preBlockers...)
	app.manager.SetOrderBeginBlockers(beginBlockers...)
	app.manager.SetOrderEndBlockers(endBlockers...)
	app.manager.SetOrderInitGenesis(genesisOrder...)
	app.manager.SetOrderExportGenesis(genesisOrder...)

	app.configurator = module.NewConfigurator(enc.Codec, app.MsgServiceRouter(), app.GRPCQueryRouter())
	must(app.manager.RegisterServices(app.configurator))
	app.feed.market = app.MarketKeeper
	markettypes.RegisterFeedServer(app.GRPCQueryRouter(), &app.feed)
	autocliv1.RegisterQueryServer(app.GRPCQueryRouter(), runtimeservices.NewAutoCLIQueryService(app.manager.Modules))
}

//nolint:staticcheck // the SDK's own modules still have this type, and its manager takes it
func (app *App) sdkModules() []module.AppModule {
	cdc, registry := app.encoding.Codec, app.encoding.Registry
	return []module.AppModule{
		genutil.NewAppModule(app.AccountKeeper, app.StakingKeeper, app, app.encoding.TxConfig),
		auth.NewAppModule(cdc, app.AccountKeeper, authsims.RandomGenesisAccounts),
		vesting.NewAppModule(app.AccountKeeper, app.BankKeeper),
		bank.NewAppModule(cdc, app.BankKeeper, app.AccountKeeper),
		feegrantmodule.NewAppModule(cdc, app.AccountKeeper, app.BankKeeper, app.FeeGrantKeeper, registry),
		gov.NewAppModule(cdc, app.GovKeeper, app.AccountKeeper, app.BankKeeper),
		mint.NewAppModule(cdc, app.MintKeeper, app.AccountKeeper, nil),
		slashing.NewAppModule(cdc, app.SlashingKeeper, app.AccountKeeper, app.BankKeeper, app.StakingKeeper, registry),
		distr.NewAppModule(cdc, app.DistrKeeper, app.AccountKeeper, app.BankKeeper, app.StakingKeeper),
		staking.NewAppModule(cdc, app.StakingKeeper, app.AccountKeeper, app.BankKeeper),
		upgrade.NewAppModule(app.UpgradeKeeper, accountCodec()),
		evidence.NewAppModule(app.EvidenceKeeper),
		authzmodule.NewAppModule(cdc, app.AuthzKeeper, app.AccountKeeper, app.BankKeeper, registry),
		consensus.NewAppModule(cdc, app.ConsensusKeeper),
	}
}
