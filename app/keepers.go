package app

import (
	"maps"
	"slices"

	transferkeeper "github.com/cosmos/ibc-go/v11/modules/apps/transfer/keeper"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibckeeper "github.com/cosmos/ibc-go/v11/modules/core/keeper"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/runtime"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	auditkeeper "berth.dev/berth/x/audit/keeper"
	audittypes "berth.dev/berth/x/audit/types"
	deploymentkeeper "berth.dev/berth/x/deployment/keeper"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowkeeper "berth.dev/berth/x/escrow/keeper"
	escrowtypes "berth.dev/berth/x/escrow/types"
	marketkeeper "berth.dev/berth/x/market/keeper"
	markettypes "berth.dev/berth/x/market/types"
	providerkeeper "berth.dev/berth/x/provider/keeper"
	providertypes "berth.dev/berth/x/provider/types"
)

// Keepers are the modules' keepers, in the order of their dependence.
type Keepers struct {
	AccountKeeper   authkeeper.AccountKeeper
	BankKeeper      bankkeeper.BaseKeeper
	StakingKeeper   *stakingkeeper.Keeper
	SlashingKeeper  slashingkeeper.Keeper
	MintKeeper      mintkeeper.Keeper
	DistrKeeper     distrkeeper.Keeper
	GovKeeper       *govkeeper.Keeper
	UpgradeKeeper   *upgradekeeper.Keeper
	AuthzKeeper     authzkeeper.Keeper
	EvidenceKeeper  evidencekeeper.Keeper
	FeeGrantKeeper  feegrantkeeper.Keeper
	ConsensusKeeper consensuskeeper.Keeper
	IBCKeeper       *ibckeeper.Keeper
	TransferKeeper  *transferkeeper.Keeper

	ProviderKeeper   *providerkeeper.Keeper
	AuditKeeper      *auditkeeper.Keeper
	EscrowKeeper     *escrowkeeper.Keeper
	DeploymentKeeper *deploymentkeeper.Keeper
	MarketKeeper     *marketkeeper.Keeper
}

// moduleAccounts are the accounts that modules own, with what they may do to the supply. Escrow's may do nothing: it
// only holds. Transfer's mints and burns the vouchers of other chains' coins.
var moduleAccounts = map[string][]string{
	authtypes.FeeCollectorName:          nil,
	distrtypes.ModuleName:               nil,
	minttypes.ModuleName:                {authtypes.Minter},
	stakingtypes.BondedPoolName:         {authtypes.Burner, authtypes.Staking},
	stakingtypes.NotBondedPoolName:      {authtypes.Burner, authtypes.Staking},
	stakingtypes.KeyRotationFeePoolName: {authtypes.Burner},
	govtypes.ModuleName:                 {authtypes.Burner},
	escrowtypes.ModuleName:              nil,
	transfertypes.ModuleName:            {authtypes.Minter, authtypes.Burner},
}

// blockedAddresses may not be sent coins, so that a module account holds what its module put there and nothing else
// (INV-1). Governance's may: it spends what it is given.
func blockedAddresses() map[string]bool {
	blocked := make(map[string]bool, len(moduleAccounts))
	for _, name := range slices.Sorted(maps.Keys(moduleAccounts)) {
		if name != govtypes.ModuleName {
			blocked[authtypes.NewModuleAddress(name).String()] = true
		}
	}
	return blocked
}

// Authority is the address of governance, which alone may change parameters.
func Authority() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// newKeepers builds the SDK's keepers, then Berth's.
func newKeepers(base *baseapp.BaseApp, enc Encoding, s stores, home string, skipUpgrades map[int64]bool) Keepers {
	var k Keepers
	k.buildAccounts(base, enc, s)
	k.buildStaking(enc, s)
	k.buildGovernance(base, enc, s, home, skipUpgrades)
	k.buildIBC(base, enc, s)
	k.buildMarket(enc, s)
	return k
}

// buildAccounts builds what holds accounts and coins.
func (k *Keepers) buildAccounts(base *baseapp.BaseApp, enc Encoding, s stores) {
	k.ConsensusKeeper = consensuskeeper.NewKeeper(enc.Codec, s.service(consensustypes.StoreKey), Authority(), runtime.EventService{})
	base.SetParamStore(k.ConsensusKeeper.ParamsStore)
	k.AccountKeeper = authkeeper.NewAccountKeeper(enc.Codec, s.service(authtypes.StoreKey), authtypes.ProtoBaseAccount,
		moduleAccounts, accountCodec(), accountCodec().Bech32Prefix, Authority(), authkeeper.WithUnorderedTransactions(true))
	k.BankKeeper = bankkeeper.NewBaseKeeper(enc.Codec, s.service(banktypes.StoreKey), k.AccountKeeper, blockedAddresses(),
		Authority(), base.Logger()).WithObjStoreKey(s.object[banktypes.ObjectStoreKey])
	k.FeeGrantKeeper = feegrantkeeper.NewKeeper(enc.Codec, s.service(feegrant.StoreKey), k.AccountKeeper)
	k.AuthzKeeper = authzkeeper.NewKeeper(s.service(authzkeeper.StoreKey), enc.Codec, base.MsgServiceRouter(), k.AccountKeeper)
}

// buildStaking builds what secures the chain and pays its validators.
func (k *Keepers) buildStaking(enc Encoding, s stores) {
	k.StakingKeeper = stakingkeeper.NewKeeper(enc.Codec, s.service(stakingtypes.StoreKey), k.AccountKeeper, k.BankKeeper,
		Authority(), validatorCodec(), consensusCodec())
	k.MintKeeper = mintkeeper.NewKeeper(enc.Codec, s.service(minttypes.StoreKey), k.StakingKeeper, k.AccountKeeper, k.BankKeeper,
		authtypes.FeeCollectorName, Authority())
	k.DistrKeeper = distrkeeper.NewKeeper(enc.Codec, s.service(distrtypes.StoreKey), k.AccountKeeper, k.BankKeeper, k.StakingKeeper,
		authtypes.FeeCollectorName, Authority())
	k.SlashingKeeper = slashingkeeper.NewKeeper(enc.Codec, enc.Amino, s.service(slashingtypes.StoreKey), k.StakingKeeper, Authority())
	k.StakingKeeper.SetHooks(stakingtypes.NewMultiStakingHooks(k.DistrKeeper.Hooks(), k.SlashingKeeper.Hooks()))
	k.EvidenceKeeper = *evidencekeeper.NewKeeper(enc.Codec, s.service(evidencetypes.StoreKey), k.StakingKeeper, k.SlashingKeeper,
		accountCodec(), runtime.ProvideCometInfoService())
}

// buildGovernance builds what changes the chain.
func (k *Keepers) buildGovernance(base *baseapp.BaseApp, enc Encoding, s stores, home string, skipUpgrades map[int64]bool) {
	k.UpgradeKeeper = upgradekeeper.NewKeeper(skipUpgrades, s.service(upgradetypes.StoreKey), enc.Codec, home, base, Authority())
	k.GovKeeper = govkeeper.NewKeeper(enc.Codec, s.service(govtypes.StoreKey), k.AccountKeeper, k.BankKeeper, k.DistrKeeper,
		base.MsgServiceRouter(), govtypes.DefaultConfig(), Authority(),
		govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(k.StakingKeeper))
}

// buildMarket builds Berth's own: calls go down from market to escrow, notice comes up by hooks.
func (k *Keepers) buildMarket(enc Encoding, s stores) {
	k.ProviderKeeper = providerkeeper.NewKeeper(enc.Codec, s.service(providertypes.StoreKey))
	k.AuditKeeper = auditkeeper.NewKeeper(enc.Codec, s.service(audittypes.StoreKey))
	k.EscrowKeeper = escrowkeeper.NewKeeper(enc.Codec, s.service(escrowtypes.StoreKey), k.AccountKeeper, k.BankKeeper,
		k.DistrKeeper, k.AuthzKeeper, Authority())
	k.DeploymentKeeper = deploymentkeeper.NewKeeper(enc.Codec, s.service(deploymenttypes.StoreKey), k.EscrowKeeper, Authority())
	k.MarketKeeper = marketkeeper.NewKeeper(enc.Codec, s.service(markettypes.StoreKey), k.EscrowKeeper, k.DeploymentKeeper,
		k.ProviderKeeper, k.AuditKeeper, Authority())
	k.EscrowKeeper.SetHooks(k.DeploymentKeeper)
	k.DeploymentKeeper.SetHooks(k.MarketKeeper)
	k.ProviderKeeper.SetHooks(k.MarketKeeper)
}
