// Package tenanttest is a small market in memory for tests of what stands on package tenant: a chain whose blocks come
// as its clock is advanced by waiting, providers that bid at set prices, and gateways that become ready after a set
// time. Nothing in it sleeps.
package tenanttest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// The constants of every World.
const (
	ChainID   = "world-1"
	BlockTime = 500 * time.Millisecond
	// FirstHeight is the height at the start.
	FirstHeight = 1000
	// MinDeposit is the smallest deposit, and Fee what each transaction costs, in ubrt.
	MinDeposit = 500_000
	Fee        = 450
)

// Epoch is the time at the start.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Bidder is a provider of a World.
type Bidder struct {
	Record providertypes.Provider
	// Price is bid per block on every group whose attributes match; zero bids nothing.
	Price math.LegacyDec
	// Delay is how many blocks after an order the bid comes.
	Delay int64
	// ValidFor is how many blocks a bid can be taken; 0 means no end.
	ValidFor int64
}

// World is the market. Its fields may be set before use, and looked at when nothing runs.
type World struct {
	mu      sync.Mutex
	now     time.Time
	height  int64
	Owner   string
	Bidders []Bidder
	Funds   math.Int
	// Floor is the owner's prune floor.
	Floor uint64
	// Audits are the auditors that have signed attributes, by provider.
	Audits map[string][]string
	// Sent counts the included messages by type.
	Sent map[string]int
	// BeforeSend, if set, may make a transaction fail without effect; AfterSend although it took effect.
	BeforeSend, AfterSend func(msgs []sdk.Msg) error
	// Offline makes every question to the chain fail as unreachable.
	Offline bool

	// Gateways are the providers' own side, by address.
	Gateways map[string]*Gateway

	deployments []*deploymenttypes.QueryDeploymentResponse
	accounts    map[string]*escrowtypes.Account
	orders      []*markettypes.Order
	bids        []*markettypes.Bid
	leases      []*markettypes.Lease
}

// Address makes a valid account address of a name.
func Address(name string) string {
	b := make([]byte, 20)
	copy(b, name)
	return sdk.AccAddress(b).String()
}

// New is a world with an owner, who has 1000 BRT, and the given bidders.
func New(bidders ...Bidder) *World {
	w := &World{
		now: Epoch, height: FirstHeight, Owner: Address("owner"), Bidders: bidders, Funds: math.NewInt(1000 * units.MicroPerToken),
		Sent: map[string]int{}, Gateways: map[string]*Gateway{}, accounts: map[string]*escrowtypes.Account{},
	}
	for _, b := range bidders {
		w.Gateways[b.Record.Owner] = &Gateway{world: w, ReadyAfter: time.Second, held: map[string]*held{}}
	}
	return w
}

// NewBidder is a provider in a region that bids a price one block after an order.
func NewBidder(name, region, price string) Bidder {
	return Bidder{
		Record: providertypes.Provider{
			Owner: Address(name), HostUri: "https://" + name + ".example:8443", TlsPins: [][]byte{make([]byte, 32)},
			Attributes: []providertypes.Attribute{{Key: "region", Value: region}}, CreatedAt: 10,
		},
		Price: math.LegacyMustNewDecFromStr(price), Delay: 1,
	}
}

// Now implements tenant.Clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Sleep implements tenant.Clock: time passes at once, and blocks come.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(d)
	return ctx.Err()
}

// Pass lets time go by.
func (w *World) Pass(d time.Duration) { _ = w.Sleep(context.Background(), d) }

func (w *World) advance(d time.Duration) {
	w.now = w.now.Add(d)
	for target := FirstHeight + int64(w.now.Sub(Epoch)/BlockTime); w.height < target; {
		w.height++
		w.block()
	}
}

// nextBlock lets time go by until a block comes.
func (w *World) nextBlock() {
	next := Epoch.Add(time.Duration(w.height+1-FirstHeight) * BlockTime)
	w.advance(next.Sub(w.now))
}

// block lets the bidders bid, and the chain pick, in auctions of its own.
func (w *World) block() {
	for _, o := range w.orders {
		if o.State != markettypes.ORDER_STATE_OPEN {
			continue
		}
		for _, b := range w.Bidders {
			w.maybeBid(o, b)
		}
		lowest := o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST
		if lowest && w.height >= o.CreatedAt+int64(o.Auction.Window) {
			w.pick(o)
		}
	}
}

func (w *World) maybeBid(o *markettypes.Order, b Bidder) {
	matches := true
	for _, want := range o.Spec.Requirements.Attributes {
		found := false
		for _, a := range b.Record.Attributes {
			found = found || a == want
		}
		matches = matches && found
	}
	if !matches || !b.Price.IsPositive() || w.height < o.CreatedAt+b.Delay || w.findBid(o.Id.BidID(b.Record.Owner)) != nil || o.Excluded == b.Record.Owner {
		return
	}
	bid := &markettypes.Bid{Id: o.Id.BidID(b.Record.Owner), State: markettypes.BID_STATE_OPEN, Price: sdk.NewDecCoinFromDec(units.BaseDenom, b.Price), CreatedAt: w.height}
	bid.Deposit = sdk.NewInt64Coin(units.BaseDenom, 1)
	if b.ValidFor > 0 {
		bid.ValidUntil = w.height + b.ValidFor
	}
	w.bids = append(w.bids, bid)
}

func (w *World) pick(o *markettypes.Order) {
	var best *markettypes.Bid
	for _, b := range w.bids {
		if b.Id.OrderID() == o.Id && b.State == markettypes.BID_STATE_OPEN && (best == nil || b.Price.Amount.LT(best.Price.Amount)) {
			best = b
		}
	}
	if best != nil {
		w.lease(o, best)
	}
}

func (w *World) lease(o *markettypes.Order, b *markettypes.Bid) {
	o.State = markettypes.ORDER_STATE_ACTIVE
	for _, other := range w.bids {
		if other.Id.OrderID() == o.Id {
			other.State = markettypes.BID_STATE_LOST
		}
	}
	b.State = markettypes.BID_STATE_ACTIVE
	w.leases = append(w.leases, &markettypes.Lease{Id: b.Id, State: markettypes.LEASE_STATE_ACTIVE, Price: b.Price, CreatedAt: w.height})
	a := w.accounts[o.Id.DeploymentID().String()]
	a.Rate = a.Rate.Add(b.Price.Amount)
}

// EndLease closes the lease of a group as its provider would, and reopens the order.
func (w *World) EndLease(dseq uint64, gseq uint32, reason markettypes.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.leases {
		if l.Id.Dseq != dseq || l.Id.Gseq != gseq || l.State == markettypes.LEASE_STATE_CLOSED {
			continue
		}
		w.endLease(l, reason)
		old := w.findOrder(l.Id.OrderID())
		next := *old
		old.State = markettypes.ORDER_STATE_CLOSED
		next.Id.Oseq++
		next.State, next.CreatedAt, next.Excluded = markettypes.ORDER_STATE_OPEN, w.height, l.Id.Provider
		w.orders = append(w.orders, &next)
		return
	}
}

// Reclaim announces that the provider of a group's lease takes it back.
func (w *World) Reclaim(dseq uint64, gseq uint32, from time.Time, reason markettypes.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.leases {
		if l.Id.Dseq == dseq && l.Id.Gseq == gseq && l.State != markettypes.LEASE_STATE_CLOSED {
			l.ReclaimDeadline, l.ReclaimReason = from.Unix(), reason
		}
	}
}

// WithdrawBids closes all open bids, as if their providers had thought better of it.
func (w *World) WithdrawBids() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.bids {
		if b.State == markettypes.BID_STATE_OPEN {
			b.State = markettypes.BID_STATE_CLOSED
		}
	}
}

func (w *World) endLease(l *markettypes.Lease, reason markettypes.CloseReason) {
	a := w.accounts[l.Id.DeploymentID().String()]
	earned := l.Price.Amount.MulInt64(w.height - l.CreatedAt)
	a.Accrued, a.Rate = a.Accrued.Add(earned), a.Rate.Sub(l.Price.Amount)
	l.State, l.ClosedAt, l.Reason = markettypes.LEASE_STATE_CLOSED, w.height, reason
}

func (w *World) findBid(id markettypes.BidID) *markettypes.Bid {
	for _, b := range w.bids {
		if b.Id == id {
			return b
		}
	}
	return nil
}

func (w *World) findOrder(id markettypes.OrderID) *markettypes.Order {
	for _, o := range w.orders {
		if o.Id == id {
			return o
		}
	}
	return nil
}

func (w *World) findDeployment(id deploymenttypes.DeploymentID) *deploymenttypes.QueryDeploymentResponse {
	for _, d := range w.deployments {
		if d.Deployment.Id == id {
			return d
		}
	}
	return nil
}

// apply does one message, at the present height.
func (w *World) apply(msg sdk.Msg) error {
	refused := func(code uint32, log string) error {
		return &client.TxError{Codespace: "world", Code: code, Log: log}
	}
	switch msg := msg.(type) {
	case *deploymenttypes.MsgCreateDeployment:
		if w.findDeployment(msg.Id) != nil {
			return refused(2, "deployment exists")
		}
		if w.Funds.LT(msg.Deposit.Amount) {
			return refused(3, "insufficient funds")
		}
		w.create(msg)
	case *deploymenttypes.MsgUpdateDeployment:
		d := w.findDeployment(msg.Id)
		d.Deployment.ManifestHash, d.Deployment.UpdatedAt = msg.ManifestHash, w.height
	case *deploymenttypes.MsgCloseDeployment:
		d := w.findDeployment(msg.Id)
		if d == nil || d.Deployment.State != deploymenttypes.DEPLOYMENT_STATE_ACTIVE {
			return refused(4, "not active")
		}
		w.close(d)
	case *deploymenttypes.MsgPauseGroup:
		return w.move(msg.Id, deploymenttypes.GROUP_STATE_OPEN, deploymenttypes.GROUP_STATE_PAUSED, msg)
	case *deploymenttypes.MsgStartGroup:
		return w.move(msg.Id, deploymenttypes.GROUP_STATE_PAUSED, deploymenttypes.GROUP_STATE_OPEN, msg)
	case *markettypes.MsgCreateLease:
		b, o := w.findBid(msg.Id), w.findOrder(msg.Id.OrderID())
		if b == nil || b.State != markettypes.BID_STATE_OPEN || o.State != markettypes.ORDER_STATE_OPEN {
			return refused(5, "bid is not open")
		}
		w.lease(o, b)
	case *escrowtypes.MsgDeposit:
		w.Funds = w.Funds.Sub(msg.Amount.Amount)
		a := w.accounts[msg.AccountId.Xid]
		a.Deposited = a.Deposited.Add(msg.Amount.Amount)
	default:
		return fmt.Errorf("the world does not know %T", msg)
	}
	w.Sent[sdk.MsgTypeURL(msg)]++
	return nil
}

// move pauses or starts a group: its lease and its order end, or a new order opens.
func (w *World) move(id deploymenttypes.GroupID, from, to deploymenttypes.GroupState, msg sdk.Msg) error {
	d := w.findDeployment(deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq})
	if d == nil || int(id.Gseq) > len(d.Groups) || d.Groups[id.Gseq-1].State != from {
		return &client.TxError{Codespace: "world", Code: 6, Log: "the group is in another state"}
	}
	g := &d.Groups[id.Gseq-1]
	g.State = to
	var last uint32
	for _, o := range w.orders {
		if o.Id.GroupID() == id {
			last, o.State = max(last, o.Id.Oseq), markettypes.ORDER_STATE_CLOSED
		}
	}
	for _, l := range w.leases {
		if l.Id.GroupID() == id && l.State != markettypes.LEASE_STATE_CLOSED {
			w.endLease(l, markettypes.CLOSE_REASON_TENANT)
		}
	}
	if to == deploymenttypes.GROUP_STATE_OPEN {
		w.orders = append(w.orders, &markettypes.Order{
			Id:    markettypes.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq, Oseq: last + 1},
			State: markettypes.ORDER_STATE_OPEN, Spec: g.Spec, Auction: d.Deployment.Auction, CreatedAt: w.height,
		})
	}
	w.Sent[sdk.MsgTypeURL(msg)]++
	return nil
}

func (w *World) create(msg *deploymenttypes.MsgCreateDeployment) {
	w.Funds = w.Funds.Sub(msg.Deposit.Amount)
	d := &deploymenttypes.QueryDeploymentResponse{Deployment: deploymenttypes.Deployment{
		Id: msg.Id, State: deploymenttypes.DEPLOYMENT_STATE_ACTIVE, ManifestHash: msg.ManifestHash, Auction: msg.Auction, CreatedAt: w.height,
	}}
	for i, spec := range msg.Groups {
		id := deploymenttypes.GroupID{Owner: msg.Id.Owner, Dseq: msg.Id.Dseq, Gseq: uint32(i + 1)}
		d.Groups = append(d.Groups, deploymenttypes.Group{Id: id, State: deploymenttypes.GROUP_STATE_OPEN, Spec: spec, CreatedAt: w.height})
		w.orders = append(w.orders, &markettypes.Order{
			Id:    markettypes.OrderID{Owner: msg.Id.Owner, Dseq: msg.Id.Dseq, Gseq: uint32(i + 1), Oseq: 1},
			State: markettypes.ORDER_STATE_OPEN, Spec: spec, Auction: msg.Auction, CreatedAt: w.height,
		})
	}
	w.deployments = append(w.deployments, d)
	w.accounts[msg.Id.String()] = &escrowtypes.Account{
		Id: escrowtypes.AccountID{Scope: "deployment", Xid: msg.Id.String()}, Owner: msg.Id.Owner, State: escrowtypes.ACCOUNT_STATE_OPEN,
		Denom: msg.Deposit.Denom, Deposited: msg.Deposit.Amount, Accrued: math.LegacyZeroDec(), Paid: math.ZeroInt(),
		Rate: math.LegacyZeroDec(), Refunded: math.ZeroInt(),
	}
}

func (w *World) close(d *deploymenttypes.QueryDeploymentResponse) {
	d.Deployment.State, d.Deployment.ClosedAt = deploymenttypes.DEPLOYMENT_STATE_CLOSED, w.height
	for i := range d.Groups {
		d.Groups[i].State = deploymenttypes.GROUP_STATE_CLOSED
	}
	for _, l := range w.leases {
		if l.Id.DeploymentID() == d.Deployment.Id && l.State != markettypes.LEASE_STATE_CLOSED {
			w.endLease(l, markettypes.CLOSE_REASON_TENANT)
		}
	}
	for _, o := range w.orders {
		if o.Id.DeploymentID() == d.Deployment.Id {
			o.State = markettypes.ORDER_STATE_CLOSED
		}
	}
	a := w.accounts[d.Deployment.Id.String()]
	a.State, a.Paid = escrowtypes.ACCOUNT_STATE_CLOSED, a.Accrued.TruncateInt()
	a.Refunded = a.Deposited.Sub(a.Paid)
	w.Funds = w.Funds.Add(a.Refunded)
}

// Machine is a tenant's machine in this world, with a store.
func (w *World) Machine(store tenant.Store) *tenant.Machine {
	m := tenant.New(w.Chain(), w.Dial, store, "world")
	m.Clock = w
	return m
}
