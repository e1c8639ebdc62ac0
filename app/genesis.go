package app

import (
	"encoding/json"
	"fmt"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/version"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"berth.dev/berth/units"
)

// Limits of a block. A proposal is full when the gas limits of its transactions add up to MaxBlockGas: such a block
// executes within the time between two blocks on two cores (docs/benchmarks.md has the derivation, `make bench-chain` prints
// the time), and what the modules allow in one transaction takes less than half of it. The evidence limit and the rest
// are CometBFT's defaults.
const (
	MaxBlockBytes = 4 << 20
	MaxBlockGas   = 100_000_000
)

// ConsensusParams are the consensus parameters of a new chain.
func ConsensusParams() *cmttypes.ConsensusParams {
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = MaxBlockBytes
	params.Block.MaxGas = MaxBlockGas
	return params
}

// GenesisAccount is an account that has coins from the start.
type GenesisAccount struct {
	Address sdk.AccAddress
	Coins   sdk.Coins
}

// GenesisValidator is a validator that is bonded from the start.
type GenesisValidator struct {
	Moniker string
	// PubKey is the key that signs blocks.
	PubKey cryptotypes.PubKey
	// Operator is the account that owns the validator and its stake.
	Operator sdk.AccAddress
	// Stake is in units.BaseDenom; one whole token is one unit of voting power.
	Stake math.Int
}

// Genesis describes a new chain.
type Genesis struct {
	ChainID    string
	Time       time.Time
	Accounts   []GenesisAccount
	Validators []GenesisValidator
	// Edit, if set, changes the modules' state before it is encoded.
	Edit func(state map[string]json.RawMessage) error
}

// BuildGenesis writes a genesis that needs no further transaction: its validators bond when the chain starts. It fails
// if two accounts have one address, or if a module refuses its state.
func (app *App) BuildGenesis(g Genesis) (*genutiltypes.AppGenesis, error) {
	state := app.DefaultGenesis()
	if err := app.addAccounts(state, g); err != nil {
		return nil, err
	}
	if err := app.addValidators(state, g.Validators); err != nil {
		return nil, err
	}
	if g.Edit != nil {
		if err := g.Edit(state); err != nil {
			return nil, fmt.Errorf("edit the genesis: %w", err)
		}
	}
	if err := app.basics.ValidateGenesis(app.encoding.Codec, app.encoding.TxConfig, state); err != nil {
		return nil, fmt.Errorf("validate the genesis: %w", err)
	}
	bz, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the genesis: %w", err)
	}
	return &genutiltypes.AppGenesis{
		AppName:       Name,
		AppVersion:    version.Version,
		GenesisTime:   g.Time.UTC(),
		ChainID:       g.ChainID,
		InitialHeight: 1,
		AppState:      bz,
		Consensus:     &genutiltypes.ConsensusGenesis{Params: ConsensusParams()},
	}, nil
}

// addAccounts writes the accounts with their coins, the validators' operators, and the pool from which staking bonds.
func (app *App) addAccounts(state map[string]json.RawMessage, g Genesis) error {
	cdc := app.encoding.Codec
	var auth authtypes.GenesisState
	cdc.MustUnmarshalJSON(state[authtypes.ModuleName], &auth)
	var bank banktypes.GenesisState
	cdc.MustUnmarshalJSON(state[banktypes.ModuleName], &bank)

	accounts, err := baseAccounts(g)
	if err != nil {
		return err
	}
	if auth.Accounts, err = authtypes.PackAccounts(accounts); err != nil {
		return fmt.Errorf("encode the genesis accounts: %w", err)
	}
	bank.Balances = banktypes.SanitizeGenesisBalances(balances(g))
	bank.DenomMetadata = append(bank.DenomMetadata, denomMetadata())
	state[authtypes.ModuleName] = cdc.MustMarshalJSON(&auth)
	state[banktypes.ModuleName] = cdc.MustMarshalJSON(&bank)
	return nil
}

// baseAccounts are the accounts of a genesis in its order, then the operators that are not among them.
func baseAccounts(g Genesis) (authtypes.GenesisAccounts, error) {
	known := map[string]bool{}
	var accounts authtypes.GenesisAccounts
	add := func(address sdk.AccAddress) {
		known[address.String()] = true
		accounts = append(accounts, authtypes.NewBaseAccount(address, nil, uint64(len(accounts)), 0))
	}
	for _, a := range g.Accounts {
		if known[a.Address.String()] {
			return nil, fmt.Errorf("genesis account %s is named twice", a.Address)
		}
		add(a.Address)
	}
	for _, v := range g.Validators {
		if !known[v.Operator.String()] {
			add(v.Operator)
		}
	}
	return accounts, nil
}

// balances are the accounts' coins, and the validators' stake in the pool of what is not bonded yet.
func balances(g Genesis) []banktypes.Balance {
	var out []banktypes.Balance
	for _, a := range g.Accounts {
		if !a.Coins.Empty() {
			out = append(out, banktypes.Balance{Address: a.Address.String(), Coins: a.Coins})
		}
	}
	stake := math.ZeroInt()
	for _, v := range g.Validators {
		stake = stake.Add(v.Stake)
	}
	if stake.IsPositive() {
		out = append(out, banktypes.Balance{
			Address: authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName).String(),
			Coins:   sdk.NewCoins(sdk.NewCoin(units.BaseDenom, stake)),
		})
	}
	return out
}

// addValidators writes validators that are not bonded yet, each with its operator's delegation. Staking bonds them at
// the start, which tells slashing and distribution of them as any other bonding does.
func (app *App) addValidators(state map[string]json.RawMessage, validators []GenesisValidator) error {
	cdc := app.encoding.Codec
	var staking stakingtypes.GenesisState
	cdc.MustUnmarshalJSON(state[stakingtypes.ModuleName], &staking)
	for _, v := range validators {
		pubKey, err := codectypes.NewAnyWithValue(v.PubKey)
		if err != nil {
			return fmt.Errorf("validator %q: encode its key: %w", v.Moniker, err)
		}
		operator := sdk.ValAddress(v.Operator).String()
		staking.Validators = append(staking.Validators, stakingtypes.Validator{
			OperatorAddress:   operator,
			ConsensusPubkey:   pubKey,
			Status:            stakingtypes.Unbonded,
			Tokens:            v.Stake,
			DelegatorShares:   math.LegacyNewDecFromInt(v.Stake),
			Description:       stakingtypes.Description{Moniker: v.Moniker},
			UnbondingTime:     time.Unix(0, 0).UTC(),
			Commission:        stakingtypes.NewCommission(math.LegacyNewDecWithPrec(5, 2), math.LegacyOneDec(), math.LegacyNewDecWithPrec(1, 2)),
			MinSelfDelegation: math.OneInt(),
		})
		staking.Delegations = append(staking.Delegations,
			stakingtypes.NewDelegation(v.Operator.String(), operator, math.LegacyNewDecFromInt(v.Stake)))
	}
	state[stakingtypes.ModuleName] = cdc.MustMarshalJSON(&staking)
	return nil
}

// denomMetadata tells wallets how to show the token.
func denomMetadata() banktypes.Metadata {
	return banktypes.Metadata{
		Description: "The token of the Berth network",
		Base:        units.BaseDenom,
		Display:     "brt",
		Name:        "Berth",
		Symbol:      units.DisplayDenom,
		DenomUnits: []*banktypes.DenomUnit{
			{Denom: units.BaseDenom, Exponent: 0},
			{Denom: "brt", Exponent: 6},
		},
	}
}
