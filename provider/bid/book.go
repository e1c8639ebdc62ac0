package bid

import (
	"slices"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/inventory"
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
	since      int64 // the height at which the stage was learned to hold
	closeAt    int64 // expired: the height from which the deposit is asked back (again)
	gone       bool  // sending: the order left the market meanwhile
}

// candidate is an open order without a bid of ours.
type candidate struct {
	order     Order
	broken    bool // malformed: never looked at again
	seq       uint64
	reason    Code
	notBefore int64 // no decision below this height; 0 when it waits for a change of capacity or policy
	tries     int   // bids on it that came to nothing
}

// Book is everything the provider knows about the market: which orders are open, which bids are its own, and what
// capacity they hold. It is a pure state machine: updates of the chain and outcomes of transactions go in, offers come
// out. It is not safe for concurrent use.
//
// What keeps the promises: an order has at most one entry in bids, and an offer is made only for an order without one
// (PINV-6); the inventory holds an order's capacity exactly while its entry is sending, open or won (PINV-1).
type Book struct {
	policy   Policy
	deposit  sdk.Coin
	validFor int64

	inv     inventory.Inventory
	bids    map[markettypes.OrderID]*ownBid
	waiting map[markettypes.OrderID]*candidate
	fresh   []markettypes.OrderID // to be decided in the next pass, in the order of arrival
	later   []markettypes.OrderID // to be decided at their notBefore
	seq     uint64
	height  int64

	nextExpiry int64 // no open bid expires below this height; 0: none does
	toClose    int   // expired bids
	grew       bool  // capacity came back since the last pass
}

// NewBook makes an empty book for a policy. Bids are valid for validFor blocks; 0 means without end.
func NewBook(policy Policy, deposit sdk.Coin, validFor int64) *Book {
	return &Book{
		policy: policy, deposit: deposit, validFor: validFor,
		bids: make(map[markettypes.OrderID]*ownBid), waiting: make(map[markettypes.OrderID]*candidate),
	}
}

// SetTerms replaces prices, deposit and validity of bids to come; orders that were refused for their price are looked
// at again.
func (b *Book) SetTerms(prices pricing.Table, deposit sdk.Coin, validFor int64) {
	changed := b.policy.Prices != prices
	b.policy.Prices, b.deposit, b.validFor = prices, deposit, validFor
	if changed {
		b.wake(Price, Denom)
	}
}

// SetNodes replaces the cluster's capacity.
func (b *Book) SetNodes(nodes []inventory.Node) { b.grew = b.inv.SetNodes(nodes) || b.grew }

// Chain is what the chain holds for us at a height; see chain.Snapshot for its fields.
type Chain struct {
	Height int64
	Orders []markettypes.Order
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
	b.height = max(b.height, c.Height)
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
		b.own(c.Leases[i].Id.OrderID(), find(c.Leases[i].Id.OrderID()), won, 0, c.Height)
	}
	for i := range c.Bids {
		b.own(c.Bids[i].Id.OrderID(), find(c.Bids[i].Id.OrderID()), open, c.Bids[i].ValidUntil, c.Height)
	}
	b.carryOver(old, c.Height)
	b.expire()
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
			delete(b.waiting, id)
			b.bids[id] = bid
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
func (b *Book) own(id markettypes.OrderID, o *candidate, s stage, validUntil, since int64) {
	if bid := b.bids[id]; bid != nil && bid.stage == won && s == open {
		return
	}
	bid := &ownBid{stage: s, order: o, validUntil: validUntil, since: since}
	b.bids[id] = bid
	delete(b.waiting, id)
	if o != nil {
		b.inv.Adopt(id, o.order.Units)
	}
	b.noteExpiry(bid)
}

func (b *Book) noteExpiry(bid *ownBid) {
	if bid.stage == open && bid.validUntil > 0 && (b.nextExpiry == 0 || bid.validUntil < b.nextExpiry) {
		b.nextExpiry = bid.validUntil
	}
}

func (b *Book) compile(o *markettypes.Order) *candidate {
	b.seq++
	compiled, err := Compile(o)
	if err != nil {
		return &candidate{order: Order{ID: o.Id}, broken: true, seq: b.seq, reason: Malformed}
	}
	return &candidate{order: compiled, seq: b.seq}
}

func (b *Book) addOrder(o *markettypes.Order) {
	if b.waiting[o.Id] != nil || b.bids[o.Id] != nil {
		return
	}
	b.waiting[o.Id] = b.compile(o)
	b.fresh = append(b.fresh, o.Id)
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
	delete(b.waiting, id)
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
	b.own(id, b.waiting[id], open, e.ValidUntil, b.height)
}

func (b *Book) leased(e *markettypes.Lease) {
	id := e.Id.OrderID()
	if e.Id.Provider != b.policy.Provider {
		b.leftMarket(id)
		return
	}
	bid := b.bids[id]
	if bid == nil {
		b.own(id, b.waiting[id], won, 0, b.height)
		return
	}
	if bid.stage == expired {
		b.toClose--
	}
	if bid.order != nil {
		b.inv.Adopt(id, bid.order.order.Units) // only an expired bid does not hold it already
	}
	bid.stage, bid.since = won, b.height
}

// drop ends our bid or lease on an order; its capacity comes back at once.
func (b *Book) drop(id markettypes.OrderID) {
	if bid := b.bids[id]; bid != nil && bid.stage == expired {
		b.toClose--
	}
	delete(b.bids, id)
	delete(b.waiting, id) // the chain takes no second bid on this order
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
		b.toClose++
		b.release(id)
	}
}

// wake puts the waiting orders with one of the reasons up for decision again, in the order of their arrival.
func (b *Book) wake(reasons ...Code) {
	var ids []markettypes.OrderID
	for id, w := range b.waiting {
		if w.notBefore == 0 && slices.Contains(reasons, w.reason) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y markettypes.OrderID) int {
		return int(int64(b.waiting[x].seq) - int64(b.waiting[y].seq))
	})
	b.fresh = append(b.fresh, ids...)
}

// Decide looks once at every order that is new or worth another look, takes the capacity of those it bids on, and
// returns the bids. observe, which may be nil, is told of every bid and of every refusal that has a new reason.
func (b *Book) Decide(observe func(*Order, Decision)) []markettypes.BidItem {
	b.dueLater()
	if b.grew {
		b.grew = false
		b.wake(Capacity)
	}
	var items []markettypes.BidItem
	for _, id := range b.fresh {
		w := b.waiting[id]
		if w == nil || w.broken || w.notBefore > b.height {
			continue
		}
		d := Decide(&w.order, &b.inv, &b.policy, b.height)
		if observe != nil && (d.Bid || d.Reason.Code != w.reason) {
			observe(&w.order, d)
		}
		if !d.Bid {
			b.refuse(id, w, d.Reason)
			continue
		}
		items = append(items, b.offer(id, w, d.Price))
	}
	b.fresh = b.fresh[:0]
	return items
}

func (b *Book) refuse(id markettypes.OrderID, w *candidate, r Reason) {
	w.reason = r.Code
	if r.Code == Excluded {
		b.postpone(id, w, r.Until)
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

func (b *Book) offer(id markettypes.OrderID, w *candidate, price pricing.Amount) markettypes.BidItem {
	if _, ok, err := b.inv.Reserve(id, w.order.Units); err != nil || !ok {
		panic("bid: Decide accepted an order that can't be reserved: " + id.String()) // Fits and Reserve are one code
	}
	delete(b.waiting, id)
	w.reason = Accepted
	bid := &ownBid{stage: sending, order: w, since: b.height}
	if b.validFor > 0 {
		bid.validUntil = max(b.height, w.order.WindowEnd) + b.validFor
	}
	b.bids[id] = bid
	return markettypes.BidItem{
		OrderId: id, Price: sdk.DecCoin{Denom: b.policy.Prices.Denom, Amount: price.Dec()},
		Deposit: b.deposit, ValidUntil: bid.validUntil,
	}
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
	b.release(id)
	if bid.gone || bid.order == nil {
		return
	}
	w := bid.order
	b.waiting[id] = w
	if w.tries++; retry && w.tries < maxTries {
		b.postpone(id, w, b.height+int64(4)<<w.tries)
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

// Blocks is how many blocks make up a duration, rounded up.
func Blocks(d, block time.Duration) int64 {
	if d <= 0 || block <= 0 {
		return 0
	}
	return int64((d + block - 1) / block)
}
