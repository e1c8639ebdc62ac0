package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// defaultFunding is how long the default deposit pays for the maximum price.
const defaultFunding = 24 * time.Hour

// Request is what a tenant asks to have deployed.
type Request struct {
	Plan *sdl.Plan
	// Document is the path that the plan came from, for people.
	Document string
	// Deposit is what to put into escrow; nil means the larger of the chain's minimum and a day of the maximum price.
	Deposit *sdk.Coin
	Auction AuctionState
	// Granters are accounts whose grants pay the deposit before the account's own balance does.
	Granters []string
}

// Quote is what a deployment would cost, before anything is sent.
type Quote struct {
	Dseq    uint64   `json:"dseq"`
	ChainID string   `json:"chain_id"`
	Owner   string   `json:"owner"`
	Deposit sdk.Coin `json:"deposit"`
	// Fee is the create transaction's, simulated.
	Fee sdk.Coins `json:"fee"`
	Gas uint64    `json:"gas"`
	// Balance is what the account can spend.
	Balance sdk.Coin `json:"balance"`
	// MaxPricePerBlock is the most that all groups together may cost.
	MaxPricePerBlock Price  `json:"max_price_per_block"`
	MaxPricePerMonth *Price `json:"max_price_per_month"`
	// FundedUntil is how long the deposit lasts at least, that is at the maximum price.
	FundedUntil *Moment `json:"funded_until"`
	BlockTime   float64 `json:"block_time_seconds"`

	state *State
}

// Quote prepares a deployment: it chooses its number, seals its manifests and works out what it costs. It sends
// nothing and writes nothing. Its error is a *Failure.
func (m *Machine) Quote(ctx context.Context, r Request) (*Quote, error) {
	q, err := m.quote(ctx, r)
	if err == nil {
		return q, nil
	}
	f := asFailure(err)
	if ctx.Err() != nil {
		return nil, &Failure{Kind: KindInterrupted, Err: interruption{"while reading the chain; nothing was sent", ctx.Err()}}
	}
	return nil, f
}

func (m *Machine) quote(ctx context.Context, r Request) (*Quote, error) {
	specs := chainspec.Groups(r.Plan)
	price, err := maxPrice(specs)
	if err != nil {
		return nil, err
	}
	head, err := m.Chain.Head(ctx)
	if err != nil {
		return nil, err
	}
	if head.CatchingUp {
		return nil, failf(KindUnreachable, []Hint{HintNode}, "the node is still catching up with chain %s (height %d): try again later or use another node", head.ChainID, head.Height)
	}
	blockTime := m.blockTime(ctx)
	deposit, err := m.deposit(ctx, r.Deposit, price, blockTime)
	if err != nil {
		return nil, err
	}
	s, err := m.newState(ctx, head, specs, r)
	if err != nil {
		return nil, err
	}
	s.Deposit = deposit
	q := &Quote{
		Dseq: s.Dseq, ChainID: s.ChainID, Owner: s.Owner, Deposit: deposit, state: s, BlockTime: blockTime.Seconds(),
		MaxPricePerBlock: price, MaxPricePerMonth: price.Over(Month, blockTime), FundedUntil: fundedUntil(deposit, price, head, blockTime),
	}
	return q, m.price(ctx, q)
}

// price fills in the fee, and checks that the account can pay.
func (m *Machine) price(ctx context.Context, q *Quote) error {
	balance, err := m.Chain.Balance(ctx, q.Owner, q.Deposit.Denom)
	if err != nil {
		return err
	}
	q.Balance = sdk.NewCoin(q.Deposit.Denom, balance)
	// What grants are good for is the chain's to say; it does so when the fee is estimated.
	own := q.Deposit.Amount
	if len(q.state.Granters) > 0 {
		own = math.ZeroInt()
	}
	if balance.LT(own) {
		return shortOf(q.Owner, q.Balance, q.Deposit, nil)
	}
	msg, err := q.state.createMsg()
	if err != nil {
		return err
	}
	fee, err := m.Chain.Estimate(ctx, msg)
	if errors.Is(err, client.ErrNoAccount) {
		return shortOf(q.Owner, q.Balance, q.Deposit, nil)
	}
	if err != nil {
		return fmt.Errorf("the chain would refuse the deployment: %w", err)
	}
	q.Fee, q.Gas = fee.Amount, fee.Gas
	if balance.LT(own.Add(fee.Amount.AmountOf(q.Deposit.Denom))) {
		return shortOf(q.Owner, q.Balance, q.Deposit, fee.Amount)
	}
	return nil
}

func shortOf(owner string, balance, deposit sdk.Coin, fee sdk.Coins) error {
	need := "a deposit of " + FormatCoin(deposit)
	if !fee.IsZero() {
		need += " and a fee of " + FormatCoin(sdk.NewCoin(deposit.Denom, fee.AmountOf(deposit.Denom)))
	}
	if balance.IsZero() {
		return failf(KindFunds, []Hint{HintFund}, "account %s has no funds; it needs %s", owner, need)
	}
	return failf(KindFunds, []Hint{HintFund}, "account %s has %s; it needs %s", owner, FormatCoin(balance), need)
}

// deposit decides how much to put into escrow.
func (m *Machine) deposit(ctx context.Context, asked *sdk.Coin, price Price, blockTime time.Duration) (sdk.Coin, error) {
	params, err := m.Chain.EscrowParams(ctx)
	if err != nil {
		return sdk.Coin{}, err
	}
	minimum, ok := coinOf(params.MinDeposits, price.Denom)
	if !ok {
		return sdk.Coin{}, failf(KindUsage, nil, "the document's prices are in %s, which the chain does not accept for deposits (accepted: %s)", price.Denom, sdk.Coins(params.MinDeposits))
	}
	if asked == nil {
		return DefaultDeposit(price, minimum, blockTime), nil
	}
	if asked.Denom != price.Denom {
		return sdk.Coin{}, failf(KindUsage, nil, "the deposit is in %s, but the document's prices are in %s", asked.Denom, price.Denom)
	}
	if asked.Amount.LT(minimum.Amount) {
		return sdk.Coin{}, failf(KindFunds, []Hint{HintDeploy}, "a deposit of %s is below the minimum of %s: deploy with --deposit %s", FormatCoin(*asked), FormatCoin(minimum), minimum)
	}
	return *asked, nil
}

// DefaultDeposit is what is put into escrow when no deposit is named: a day of the maximum price, at least the minimum.
func DefaultDeposit(price Price, minimum sdk.Coin, blockTime time.Duration) sdk.Coin {
	day := price.Amount.MulInt64(blocksIn(defaultFunding, blockTime)).Ceil().TruncateInt()
	return sdk.NewCoin(price.Denom, math.MaxInt(minimum.Amount, day))
}

func coinOf(coins []sdk.Coin, denom string) (sdk.Coin, bool) {
	for _, c := range coins {
		if c.Denom == denom {
			return c, true
		}
	}
	return sdk.Coin{}, false
}

// maxPrice is the most that all groups may cost per block.
func maxPrice(specs []deploymenttypes.GroupSpec) (Price, error) {
	var prices []Price
	for _, g := range specs {
		for _, u := range g.Units {
			prices = append(prices, Price{sdk.DecCoin{Denom: u.Price.Denom, Amount: u.Price.Amount.MulInt64(int64(u.Count))}})
		}
	}
	if len(prices) == 0 {
		return Price{}, failf(KindUsage, nil, "the document asks for no resources")
	}
	sum, err := SumPrices(prices...)
	if err != nil {
		return Price{}, failf(KindUsage, nil, "the document's prices: %w", err)
	}
	return sum, nil
}

func fundedUntil(deposit sdk.Coin, rate Price, head client.Head, blockTime time.Duration) *Moment {
	if !rate.Amount.IsPositive() {
		return nil
	}
	blocks := math.LegacyNewDecFromInt(deposit.Amount).Quo(rate.Amount).TruncateInt()
	if !blocks.IsInt64() {
		return nil
	}
	return momentAt(head.Height+blocks.Int64(), head.Height, head.Time, blockTime)
}

// newState seals the plan's manifests under fresh salts and finds an unused number.
func (m *Machine) newState(ctx context.Context, head client.Head, specs []deploymenttypes.GroupSpec, r Request) (*State, error) {
	salts, err := m.salts(len(r.Plan.Manifests))
	if err != nil {
		return nil, err
	}
	root, envelopes, err := manifest.Seal(r.Plan.Manifests, salts)
	if err != nil {
		return nil, failf(KindUsage, nil, "seal the manifests: %w", err)
	}
	s := &State{
		Version: stateVersion, Network: m.Network, ChainID: head.ChainID, Owner: m.Chain.Address(), Step: StepCreate,
		Document: r.Document, Auction: r.Auction, Reclaim: r.Plan.Reclaim, Granters: r.Granters, CreatedAt: m.Clock.Now().UTC(),
	}
	if err := s.setSealed(specs, root[:], envelopes); err != nil {
		return nil, err
	}
	s.Dseq, err = m.unusedDseq(ctx, s.Owner, uint64(head.Height))
	return s, err
}

func (m *Machine) salts(n int) ([][]byte, error) {
	salts := make([][]byte, n)
	for i := range salts {
		salts[i] = make([]byte, manifest.SaltBytes)
		if _, err := io.ReadFull(m.Rand, salts[i]); err != nil {
			return nil, fmt.Errorf("draw a salt: %w", err)
		}
	}
	return salts, nil
}

// unusedDseq is the first number from first on that neither the chain nor this machine has used. The chain refuses those
// up to the owner's prune floor, which may lie above the height: after a client that chose higher numbers.
func (m *Machine) unusedDseq(ctx context.Context, owner string, first uint64) (uint64, error) {
	floor, err := m.Chain.PruneFloor(ctx, owner)
	if err != nil {
		return 0, err
	}
	for dseq := max(1, first, floor+1); ; dseq++ {
		if _, err := m.Store.Load(dseq); !errors.Is(err, ErrNoState) {
			continue // also a state that cannot be read holds its number
		}
		_, err := m.Chain.Deployment(ctx, deploymenttypes.DeploymentID{Owner: owner, Dseq: dseq})
		if errors.Is(err, ErrNotFound) {
			return dseq, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// Begin writes the first state of a quoted deployment; Run then deploys it. Nothing has been sent before it returns.
func (m *Machine) Begin(q *Quote) (*State, error) {
	s := q.state
	for {
		err := m.Store.Create(s)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, &Failure{Kind: KindOther, Err: err}
		}
		s.Dseq++ // another run took the number since the quote
	}
}
