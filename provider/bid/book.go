package bid

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// stage is where one of our bids stands.
type stage uint8

const (
	// sending: a transaction with the bid is on its way; its outcome is not known yet (PINV-6).
	sending stage = iota + 1
	// open: the chain has the bid.
	open
	// won: the bid is a lease.
	won
	// expired: the bid can't become a lease any more and holds no capacity, but its deposit waits to be taken back.
	expired
)

// ownBid is our bid on one order. While it is sending, open or won, the inventory holds the order's capacity.
type ownBid struct {
	stage      stage
	order      *candidate
	validUntil int64
	since      int64     // the height at which the stage was learned to hold
	closeAt    int64     // expired: the height from which the deposit is asked back (again)
	gone       bool      // sending: the order left the market meanwhile
	taken      bool      // sending: Take has given it out
	deposit    *sdk.Coin // sending: what goes with it; shared by all bids of a denom
	holding    policy.Holding
	tallied    bool // the tally has the holding
}

// candidate is an open order without a bid of ours.
type candidate struct {
	order     Order
	broken    bool // malformed: never looked at again
	seq       uint64
	reason    Code
	notBefore int64    // no decision below this height; 0 when it waits for a change of capacity or policy
	tries     int      // bids on it that came to nothing, and failures of a pricing program
	asked     bool     // it waits for the answer of a pricing program
	turn      uint32   // counts how often it was made to wait for room
	limit     *limited // what it waits for room under, if anything
}

// Book is everything the provider knows about the market: which orders are open, which bids are its own, and what
// capacity they hold. It is a pure state machine: updates of the chain and outcomes of transactions go in, offers come
// out. It is not safe for concurrent use.
//
// What keeps the promises: an order has at most one entry in bids, and an offer is made only for an order without one
// (PINV-6); the inventory holds an order's capacity exactly while its entry is sending, open or won (PINV-1).
type Book struct {
	policy   Policy
	deposits []sdk.Coin // what the chain takes for a bid, by denom
	validFor int64

	inv     inventory.Inventory
	words   Words
	sharing sharing
	bids    map[markettypes.OrderID]*ownBid
	waiting map[markettypes.OrderID]*candidate
	fresh   []markettypes.OrderID // to be decided in the next pass, in the order of arrival
	later   []markettypes.OrderID // to be decided at their notBefore
	// questions are for a pricing program
	questions []markettypes.OrderID
	seq       uint64
	height    int64
	most      int // the most orders that waited at once since the map of them was made

	nextExpiry int64               // no open bid expires below this height; 0: none does
	toClose    int                 // expired bids
	grew       bool                // capacity came back since the last pass
	eased      map[string]struct{} // the owners of whom a bid or lease of ours ended since the last pass
	limits     map[limit]*limited
	stirred    bool  // either of them, since expressions were last asked again
	nextLook   int64 // they are not asked again below this height
	tally      policy.Tally
}

// NewBook makes an empty book for a policy. Bids are valid for validFor blocks; 0 means without end.
func NewBook(policy Policy, deposits []sdk.Coin, validFor int64) *Book {
	return &Book{
		policy: policy, deposits: deposits, validFor: validFor,
		bids: make(map[markettypes.OrderID]*ownBid), waiting: make(map[markettypes.OrderID]*candidate),
	}
}

// SetTerms replaces prices, rules, deposits and validity of bids to come; orders that were refused for their price or by
// a rule are looked at again.
func (b *Book) SetTerms(prices *pricing.Set, rules *policy.Rules, deposits []sdk.Coin, validFor int64) {
	b.policy.Prices, b.policy.Rules, b.deposits, b.validFor = prices, rules, deposits, validFor
	b.wake(Code.isTerms)
}

// SetRecord replaces what the chain says of us; orders that were refused for what it said are looked at again.
func (b *Book) SetRecord(r Record) (changed bool) {
	if b.policy.Record.Equal(r) {
		return false
	}
	b.policy.Forget()
	b.policy.Record = r
	b.policy.Learn(&b.words)
	b.wake(func(c Code) bool { return c == Attribute || c == Signature })
	return true
}

// noDeposit is what a bid puts at risk where the chain takes none.
var noDeposit sdk.Coin

// depositFor is the deposit of a bid: in the order's denom if the chain takes that, else in the first that it takes.
func (b *Book) depositFor(denom string) *sdk.Coin {
	for i := range b.deposits {
		if b.deposits[i].Denom == denom {
			return &b.deposits[i]
		}
	}
	if len(b.deposits) > 0 {
		return &b.deposits[0]
	}
	return &noDeposit
}

// SetSupply replaces what the cluster can give.
func (b *Book) SetSupply(s inventory.Supply) { b.grew = b.inv.Set(s) || b.grew }

// Chain is what the chain holds for us at a height; see chain.Snapshot for its fields. The open orders are in Orders or in
// Draft, which the book takes over.
type Chain struct {
	Height int64
	Orders []markettypes.Order
	Draft  *Draft
	Bids   []markettypes.Bid
	Leases []markettypes.Lease
	Held   []markettypes.Order
}

// Reset replaces what the book knows by what the chain holds. Bids on their way stay on their way; every open order
// without a bid of ours is decided anew.
func (b *Book) Reset(c Chain) {
	old := b.bids
	b.bids = make(map[markettypes.OrderID]*ownBid, len(c.Bids)+len(c.Leases))
	b.waiting = make(map[markettypes.OrderID]*candidate, len(c.Orders))
	b.fresh, b.later, b.nextExpiry, b.toClose = nil, nil, 0, 0
	b.tally, b.limits, b.eased = policy.Tally{}, nil, nil
	b.height = max(b.height, c.Height)
	if c.Draft != nil {
		b.take(c.Draft)
	}
	for i := range c.Orders {
		b.addOrder(&c.Orders[i])
	}
	held := make(map[markettypes.OrderID]*candidate, len(c.Held))
	for i := range c.Held {
		held[c.Held[i].Id] = b.compile(&c.Held[i])
	}
	find := func(id markettypes.OrderID) *candidate {
		if w := b.waiting[id]; w != nil {
			return w
		}
		return held[id]
	}
	for i := range c.Leases {
		b.own(c.Leases[i].Id.OrderID(), find(c.Leases[i].Id.OrderID()), won, 0, c.Height, b.leaseHolding(&c.Leases[i]))
	}
	for i := range c.Bids {
		b.own(c.Bids[i].Id.OrderID(), find(c.Bids[i].Id.OrderID()), open, c.Bids[i].ValidUntil, c.Height, bidHolding(&c.Bids[i]))
	}
	b.carryOver(old, c.Height)
	b.expire()
}

// take makes the orders of a draft those that wait.
func (b *Book) take(d *Draft) {
	b.waiting, b.sharing = d.known, d.sharing
	b.fresh = make([]markettypes.OrderID, len(d.orders))
	for i, w := range d.orders {
		b.number(w)
		b.fresh[i] = w.order.ID
	}
	*d = Draft{}
}

// carryOver keeps, of the entries before a Reset, those that the chain could not show at its height: bids that are on
// their way, and those that were learned to stand at a later height. The capacity of all others comes back.
func (b *Book) carryOver(old map[markettypes.OrderID]*ownBid, height int64) {
	for id, bid := range old {
		if _, known := b.bids[id]; known {
			continue
		}
		if bid.stage == sending || bid.since > height {
			bid.gone = b.waiting[id] == nil
			b.unwait(id)
			b.bids[id] = bid
			bid.tallied = false
			b.account(bid)
			b.noteExpiry(bid)
			if bid.stage == expired {
				b.toClose++
			}
			continue
		}
		b.release(id)
	}
}

// own enters a bid of ours that the chain holds.
func (b *Book) own(id markettypes.OrderID, o *candidate, s stage, validUntil, since int64, h policy.Holding) {
	if bid := b.bids[id]; bid != nil {
		if bid.stage == won && s == open {
			return
		}
		b.unaccount(bid)
	}
	bid := &ownBid{stage: s, order: o, validUntil: validUntil, since: since, holding: h}
	b.bids[id] = bid
	b.account(bid)
	b.unwait(id)
	if o != nil {
		b.inv.Adopt(id, &o.order.Demand)
	}
	b.noteExpiry(bid)
}

func (b *Book) noteExpiry(bid *ownBid) {
	if bid.stage == open && bid.validUntil > 0 && (b.nextExpiry == 0 || bid.validUntil < b.nextExpiry) {
		b.nextExpiry = bid.validUntil
	}
}

func (b *Book) compile(o *markettypes.Order) *candidate {
	w := b.sharing.compile(o)
	b.number(w)
	return w
}

// number gives an order its place in the order of arrival, and its attributes theirs.
func (b *Book) number(w *candidate) {
	b.seq++
	w.seq = b.seq
	if !w.broken {
		b.words.Number(&w.order)
		b.policy.Learn(&b.words)
	}
}

func (b *Book) addOrder(o *markettypes.Order) {
	if b.waiting[o.Id] != nil || b.bids[o.Id] != nil {
		return
	}
	w := b.compile(o)
	b.waiting[w.order.ID] = w
	b.fresh = append(b.fresh, w.order.ID)
}

// Block applies the events of one block. Events may repeat what is known already.
func (b *Book) Block(height int64, events []proto.Message) {
	b.height = max(b.height, height)
	for _, ev := range events {
		b.apply(ev)
	}
	b.expire()
}

func (b *Book) apply(ev proto.Message) {
	switch e := ev.(type) {
	case *markettypes.EventOrderCreated:
		b.addOrder(&e.Order)
	case *markettypes.EventOrderClosed:
		b.leftMarket(e.Order.Id)
	case *markettypes.EventBidCreated:
		b.created(&e.Bid)
	case *markettypes.EventBidClosed:
		if e.Bid.Id.Provider == b.policy.Provider {
			b.drop(e.Bid.Id.OrderID())
		}
	case *markettypes.EventLeaseCreated:
		b.leased(&e.Lease)
	case *markettypes.EventLeaseClosed:
		if e.Lease.Id.Provider == b.policy.Provider {
			b.drop(e.Lease.Id.OrderID())
		}
	}
}

// leftMarket forgets an order that takes no more bids.
func (b *Book) leftMarket(id markettypes.OrderID) {
	b.unwait(id)
	if bid := b.bids[id]; bid != nil && bid.stage == sending {
		bid.gone = true
	}
}

func (b *Book) created(e *markettypes.Bid) {
	if e.Id.Provider != b.policy.Provider {
		return
	}
	id := e.Id.OrderID()
	if bid := b.bids[id]; bid != nil {
		if bid.stage == sending {
			bid.stage, bid.validUntil, bid.since = open, e.ValidUntil, b.height
			b.noteExpiry(bid)
		}
		return
	}
	// A bid that this process did not send: its predecessor's last one, or the operator's.
	b.own(id, b.waiting[id], open, e.ValidUntil, b.height, bidHolding(e))
}

func (b *Book) leased(e *markettypes.Lease) {
	id := e.Id.OrderID()
	if e.Id.Provider != b.policy.Provider {
		b.leftMarket(id)
		return
	}
	bid := b.bids[id]
	if bid == nil {
		b.own(id, b.waiting[id], won, 0, b.height, b.leaseHolding(e))
		return
	}
	if bid.stage == expired {
		b.toClose--
	}
	if bid.order != nil {
		b.inv.Adopt(id, &bid.order.order.Demand) // only an expired bid does not hold it already
	}
	bid.stage, bid.since = won, b.height
	b.account(bid)
}

// drop ends our bid or lease on an order; its capacity comes back at once.
func (b *Book) drop(id markettypes.OrderID) {
	if bid := b.bids[id]; bid != nil {
		if bid.stage == expired {
			b.toClose--
		}
		b.unaccount(bid)
	}
	delete(b.bids, id)
	b.unwait(id) // the chain takes no second bid on this order
	b.release(id)
}

func (b *Book) release(id markettypes.OrderID) { b.grew = b.inv.Release(id) || b.grew }

// expire takes back the capacity of open bids that can't become leases any more: after the events of height h are
// applied, a bid valid until h has missed its last chance.
func (b *Book) expire() {
	if b.nextExpiry == 0 || b.height < b.nextExpiry {
		return
	}
	b.nextExpiry = 0
	for id, bid := range b.bids {
		if bid.stage != open || bid.validUntil == 0 {
			continue
		}
		if bid.validUntil > b.height {
			b.noteExpiry(bid)
			continue
		}
		bid.stage, bid.closeAt = expired, b.height
		b.account(bid)
		b.toClose++
		b.release(id)
	}
}

// wake puts the waiting orders with such a reason up for decision again, in the order of their arrival.
func (b *Book) wake(because func(Code) bool) {
	var up []*candidate
	for _, w := range b.waiting {
		if w.notBefore == 0 && because(w.reason) {
			up = append(up, w)
		}
	}
	slices.SortFunc(up, func(x, y *candidate) int { return cmp.Compare(x.seq, y.seq) })
	b.fresh = slices.Grow(b.fresh, len(up))
	for _, w := range up {
		b.fresh = append(b.fresh, w.order.ID)
	}
}

// lookAgain is how many blocks pass at least until orders that an expression refused are looked at again.
const lookAgain = 10

// wakeChanged wakes the orders whose reasons may have gone since the last pass. What expressions make of a change is not
// known before they are asked, and asking takes time, so that happens now and then only.
//
// Those that a limit refused are not among them: their turn comes where the returned number of fresh ones have been decided.
func (b *Book) wakeChanged() (limitedAt int) {
	b.stirred = b.stirred || b.grew || len(b.eased) > 0
	if b.grew {
		b.grew = false
		b.wake(func(c Code) bool { return c == Capacity })
	}
	limitedAt = len(b.fresh)
	if b.stirred && b.height >= b.nextLook {
		b.stirred, b.nextLook = false, b.height+lookAgain
		rule, price := b.policy.Rules.NeedsStanding(), b.policy.Prices.NeedsStanding() && !b.policy.Prices.Quoted()
		if rule || price {
			b.wake(func(c Code) bool {
				return rule && policy.Code(c).Stated() || price && (c == Price || c == Code(pricing.ExpressionFailed))
			})
		}
	}
	return limitedAt
}

// Decide is a Pass whose bids are all made into what the chain takes at once.
func (b *Book) Decide(observe func(*Order, Decision)) []markettypes.BidItem {
	var items []markettypes.BidItem
	b.Pass(observe, func(id markettypes.OrderID) {
		if item, ok := b.Take(id); ok {
			items = append(items, item)
		}
	})
	return items
}

// Pass looks once at every order that is new or worth another look, and takes the capacity of those it bids on. offered is
// told of each bid as soon as it is decided, in the order of decisions: it is on its way from then on, and Take makes it
// into what the chain takes. offered must change nothing in the book but by Take. observe, which may be nil, is told of
// every bid and of every refusal that has a new reason.
func (b *Book) Pass(observe func(*Order, Decision), offered func(markettypes.OrderID)) {
	b.most = max(b.most, len(b.waiting))
	b.dueLater()
	limitedAt := b.wakeChanged()
	eased := b.easedLimits()
	b.eased = nil
	st := Standing{Tally: &b.tally, Cluster: b.cluster()}
	decide := func(id markettypes.OrderID) { b.decide(id, &st, observe, offered) }
	for i := 0; i <= len(b.fresh); i++ {
		if i == limitedAt && len(eased) > 0 {
			b.lookAtLimited(eased, decide)
		}
		if i < len(b.fresh) {
			decide(b.fresh[i])
		}
	}
	b.fresh = b.fresh[:0]
	b.shrink()
}

// decide looks at one order.
func (b *Book) decide(id markettypes.OrderID, st *Standing, observe func(*Order, Decision), offered func(markettypes.OrderID)) {
	w := b.waiting[id]
	if w == nil || w.broken || w.notBefore > b.height {
		return
	}
	deposit := b.depositFor(w.order.Denom)
	st.Deposit = policy.Limit{Denom: deposit.Denom, Amount: pricing.OfInt(deposit.Amount)}
	d := Decide(&w.order, &b.inv, &b.policy, st, b.height)
	w.order.Ask.Quote = nil // it was for this decision
	if observe != nil && d.Reason.Code != Code(pricing.Unquoted) && (d.Bid || d.Reason.Code != w.reason) {
		observe(&w.order, d)
	}
	if !d.Bid {
		b.refuse(id, w, d.Reason)
		return
	}
	b.offer(id, w, d.Price, deposit)
	offered(id)
}

// roomy is how many orders may wait without their lists being given back when they are gone.
const roomy = 1 << 14

// shrink gives back what a long list and a large map keep after most of what they held has left.
func (b *Book) shrink() {
	if cap(b.fresh) > roomy {
		b.fresh = nil
	}
	if b.most > roomy && len(b.waiting) < b.most/8 {
		b.most = len(b.waiting)
		kept := make(map[markettypes.OrderID]*candidate, len(b.waiting))
		maps.Copy(kept, b.waiting)
		b.waiting = kept
	}
}

func (b *Book) refuse(id markettypes.OrderID, w *candidate, r Reason) {
	w.reason = r.Code
	if policy.Code(r.Code).Passing() {
		b.park(w, r)
		return
	}
	b.unpark(w)
	switch {
	case r.Code == Excluded:
		b.postpone(id, w, r.Until)
	case r.Code == Code(pricing.Unquoted) && !w.asked:
		w.asked = true
		b.questions = append(b.questions, id)
	case r.Pricing.Transient():
		b.again(id, w)
	}
}

// again puts an order up for decision after a growing number of blocks, a few times.
func (b *Book) again(id markettypes.OrderID, w *candidate) {
	w.notBefore = never
	if w.tries++; w.tries < maxTries {
		b.postpone(id, w, b.height+int64(4)<<w.tries)
	}
}

// Question is an order that an external program has to be asked about.
type Question struct {
	ID markettypes.OrderID
	pricing.Question
}

// Questions takes the orders that wait for the answer of an external program. Each is to be answered with Answer.
func (b *Book) Questions() []Question {
	st := Standing{Tally: &b.tally, Cluster: b.cluster()}
	var out []Question
	for _, id := range b.questions {
		if w := b.waiting[id]; w != nil && w.asked {
			out = append(out, Question{ID: id, Question: b.policy.Prices.Question(id.String(), &w.order.Ask, st.of(&w.order))})
		}
	}
	b.questions = b.questions[:0]
	return out
}

// Answer gives the answer to a question; the next Decide uses it.
func (b *Book) Answer(id markettypes.OrderID, q pricing.Quote) {
	w := b.waiting[id]
	if w == nil || !w.asked {
		return
	}
	w.asked, w.order.Ask.Quote = false, &q
	b.fresh = append(b.fresh, id)
}

// cluster is what expressions and programs see of the cluster, if any look.
func (b *Book) cluster() pricing.Standing {
	if !b.policy.Prices.NeedsStanding() && !b.policy.Rules.NeedsStanding() {
		return pricing.Standing{}
	}
	return pricing.Standing{Nodes: int64(b.inv.Nodes()), Height: b.height, Capacity: resources(b.inv.Capacity()), Free: resources(b.inv.Free())}
}

func resources(a inventory.Amounts) pricing.Resources {
	return pricing.Resources{
		CPUMilli: a[inventory.CPU], MemoryBytes: a[inventory.Memory], EphemeralBytes: a[inventory.Storage], GPUs: a[inventory.GPU],
	}
}

// account brings the tally in line with the stage of a bid.
func (b *Book) account(bid *ownBid) {
	b.unaccount(bid)
	bid.holding.Open, bid.holding.Lease = bid.stage == sending || bid.stage == open, bid.stage == won
	b.tally.Add(&bid.holding)
	bid.tallied = true
}

// unaccount takes a bid out of the tally.
func (b *Book) unaccount(bid *ownBid) {
	if bid.tallied {
		b.tally.Remove(&bid.holding)
		bid.tallied = false
		if b.eased == nil {
			b.eased = make(map[string]struct{})
		}
		b.eased[bid.holding.Owner] = struct{}{}
	}
}

func bidHolding(e *markettypes.Bid) policy.Holding {
	return policy.Holding{
		Owner: e.Id.Owner, Denom: e.Price.Denom, Price: pricing.FloorDec(e.Price.Amount),
		DepositDenom: e.Deposit.Denom, Deposit: pricing.OfInt(e.Deposit.Amount),
	}
}

// leaseHolding is what a lease adds. The record does not say what deposit its bid has: about what one has now.
func (b *Book) leaseHolding(e *markettypes.Lease) policy.Holding {
	deposit := b.depositFor(e.Price.Denom)
	return policy.Holding{
		Owner: e.Id.Owner, Denom: e.Price.Denom, Price: pricing.FloorDec(e.Price.Amount),
		DepositDenom: deposit.Denom, Deposit: pricing.OfInt(deposit.Amount),
	}
}

func (b *Book) postpone(id markettypes.OrderID, w *candidate, until int64) {
	w.notBefore = until
	b.later = append(b.later, id)
}

// dueLater moves postponed orders whose height has come to the fresh ones.
func (b *Book) dueLater() {
	b.later = slices.DeleteFunc(b.later, func(id markettypes.OrderID) bool {
		w := b.waiting[id]
		if w == nil || w.notBefore == 0 {
			return true
		}
		if w.notBefore > b.height {
			return false
		}
		w.notBefore = 0
		b.fresh = append(b.fresh, id)
		return true
	})
}

// offer makes a bid on an order one that is on its way. What the chain takes of it is made of this when it is sent: a
// hundred thousand of those would be more memory than all that is known of the market.
func (b *Book) offer(id markettypes.OrderID, w *candidate, price pricing.Amount, deposit *sdk.Coin) {
	if _, ok, err := b.inv.Reserve(id, &w.order.Demand); err != nil || !ok {
		panic("bid: Decide accepted an order that can't be reserved: " + id.String()) // Fits and Reserve are one code
	}
	b.unwait(id)
	w.reason = Accepted
	bid := &ownBid{stage: sending, order: w, since: b.height, deposit: deposit}
	if b.validFor > 0 {
		bid.validUntil = max(b.height, w.order.WindowEnd) + b.validFor
	}
	b.bids[id] = bid
	bid.holding = policy.Holding{
		Owner: id.Owner, Denom: w.order.Denom, Price: price, DepositDenom: deposit.Denom, Deposit: pricing.OfInt(deposit.Amount),
	}
	b.account(bid)
}

// Take gives a bid that was offered as the chain takes it, when it is to be sent, and gives each but once (PINV-6). ok is
// false when sending would be for nothing: the chain has our bid already, or the order has left the market meanwhile, and
// then the bid's capacity comes back.
func (b *Book) Take(id markettypes.OrderID) (item markettypes.BidItem, ok bool) {
	bid := b.bids[id]
	if bid == nil || bid.stage != sending || bid.taken {
		return item, false
	}
	if bid.gone {
		b.Fail(id, false)
		return item, false
	}
	bid.taken = true
	return markettypes.BidItem{
		OrderId: id, Price: sdk.DecCoin{Denom: bid.holding.Denom, Amount: bid.holding.Price.Dec()},
		Deposit: *bid.deposit, ValidUntil: bid.validUntil, ReclaimWindowSeconds: bid.order.order.Notice,
	}, true
}

// Stands says whether the chain has an open bid of ours on an order, which can still become a lease.
func (b *Book) Stands(id markettypes.OrderID) bool {
	bid := b.bids[id]
	return bid != nil && bid.stage == open
}

// weight is what the gas of our bid on an order depends on: the order's size in bytes and how many auditors it names.
func (b *Book) weight(id markettypes.OrderID) (bytes, auditors int) {
	bid := b.bids[id]
	if bid == nil || bid.order == nil {
		return 0, 0
	}
	o := &bid.order.order
	return o.Bytes, len(o.AllOf) + len(o.AnyOf)
}

// never is a height that no chain reaches.
const never = int64(1) << 62

// maxTries is how many times a bid on one order may come to nothing before the order is left alone.
const maxTries = 5

// Confirm records that the chain has taken our bid at a height. It changes nothing when events have told more since.
func (b *Book) Confirm(id markettypes.OrderID, height int64) {
	if bid := b.bids[id]; bid != nil && bid.stage == sending {
		bid.stage, bid.since = open, height
		b.noteExpiry(bid)
		b.expire()
	}
}

// Fail records that our bid certainly does not stand on chain. Its capacity comes back. With retry, while the order is
// open, it is tried again after a growing number of blocks, a few times.
func (b *Book) Fail(id markettypes.OrderID, retry bool) {
	bid := b.bids[id]
	if bid == nil || bid.stage != sending {
		return
	}
	delete(b.bids, id)
	b.unaccount(bid)
	b.release(id)
	if bid.gone || bid.order == nil {
		return
	}
	w := bid.order
	b.waiting[id] = w
	if retry {
		b.again(id, w)
		return
	}
	w.notBefore = never
}

// closeAgain is how many blocks pass before a deposit that did not come back is asked for again.
const closeAgain = 60

// TakeExpired lists at most limit bids whose deposits are to be taken back now, in a stable order.
func (b *Book) TakeExpired(limit int) []markettypes.OrderID {
	if b.toClose == 0 {
		return nil
	}
	var ids []markettypes.OrderID
	for id, bid := range b.bids {
		if bid.stage == expired && bid.closeAt <= b.height {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, inventory.CompareKeys)
	ids = ids[:min(len(ids), limit)]
	for _, id := range ids {
		b.bids[id].closeAt = b.height + closeAgain
	}
	return ids
}

// Counts is the size of the book.
type Counts struct {
	Waiting, Sending, Open, Won, Expired int
	Capacity, Free                       inventory.Amounts
}

// Counts tells the size of the book.
func (b *Book) Counts() Counts {
	c := Counts{Waiting: len(b.waiting), Capacity: b.inv.Capacity(), Free: b.inv.Free()}
	for _, bid := range b.bids {
		switch bid.stage {
		case sending:
			c.Sending++
		case open:
			c.Open++
		case won:
			c.Won++
		case expired:
			c.Expired++
		}
	}
	return c
}

// Seconds is a duration in whole seconds, as the chain counts notice.
func Seconds(d time.Duration) uint32 { return uint32(min(max(d, 0)/time.Second, math.MaxUint32)) }

// Blocks is how many blocks make up a duration, rounded up.
func Blocks(d, block time.Duration) int64 {
	if d <= 0 || block <= 0 {
		return 0
	}
	return int64((d + block - 1) / block)
}
