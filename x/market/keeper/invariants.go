package keeper

import (
	"context"
	"fmt"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/types"
)

// audit collects what is broken while it reads the whole state.
type audit struct {
	k      *Keeper
	ctx    context.Context
	broken []string

	live      map[types.OrderID]types.Lease // living leases
	open      map[types.OrderID]int         // open bids
	providers map[string]*books
}

// Invariants checks the market's part of INV-3 to INV-8 and returns what is broken, one sentence each; none is good.
// It holds after each end block. It reads the whole state: it is for tests, simulations and a query, never for a block.
func (k *Keeper) Invariants(ctx context.Context) []string {
	a := &audit{k: k, ctx: ctx, live: map[types.OrderID]types.Lease{}, open: map[types.OrderID]int{}, providers: map[string]*books{}}
	for _, check := range []func() error{a.leases, a.liveBids, a.endedBids, a.orders, a.deltas, a.balance, a.indexes, a.auctions, a.refunds} {
		if err := check(); err != nil {
			a.fail("the market's state cannot be read: %s", err)
		}
	}
	return a.broken
}

func (a *audit) fail(format string, args ...any) {
	a.broken = append(a.broken, fmt.Sprintf(format, args...))
}

// leases checks INV-3, INV-4 and INV-5.
func (a *audit) leases() error {
	return a.k.leases.Walk(a.ctx, nil, func(_ types.BidKey, l types.Lease) (bool, error) {
		b, err := a.k.Bid(a.ctx, l.Id)
		if err != nil {
			a.fail("INV-4: lease %s has no bid: %s", l.Id, err)
		}
		o, err := a.k.Order(a.ctx, l.Id.OrderID())
		if err != nil {
			a.fail("INV-4: lease %s has no order: %s", l.Id, err)
		}
		p, err := a.k.escrow.Payment(a.ctx, l.Id.PaymentID())
		if err != nil {
			a.fail("INV-4: lease %s has no payment: %s", l.Id, err)
		}
		if want := paymentState(l.State); p.State != want {
			a.fail("INV-4: lease %s is %s, its payment is %s", l.Id, l.State, p.State)
		}
		if (l.State == types.LEASE_STATE_RECLAIMING && l.ReclaimDeadline == 0) || (l.State == types.LEASE_STATE_ACTIVE && l.ReclaimDeadline != 0) {
			a.fail("INV-4: lease %s is %s with the deadline %d", l.Id, l.State, l.ReclaimDeadline)
		}
		if !living(l.State) {
			if b.State != types.BID_STATE_CLOSED || o.State != types.ORDER_STATE_CLOSED {
				a.fail("INV-4: lease %s is closed, its bid is %s, its order is %s", l.Id, b.State, o.State)
			}
			a.book(l.Id.Provider).ended++
			return false, nil
		}
		if other, dup := a.live[o.Id]; dup {
			a.fail("INV-3: order %s has the leases %s and %s", o.Id, other.Id, l.Id)
		}
		a.live[o.Id] = l
		a.book(l.Id.Provider).living++
		if b.State != types.BID_STATE_ACTIVE || o.State != types.ORDER_STATE_ACTIVE {
			a.fail("INV-4: lease %s is %s, its bid is %s, its order is %s", l.Id, l.State, b.State, o.State)
		}
		a.account(l)
		return false, nil
	})
}

// paymentState is the state of the payment of a lease in a state.
func paymentState(s types.LeaseState) escrowtypes.PaymentState {
	switch s {
	case types.LEASE_STATE_ACTIVE, types.LEASE_STATE_RECLAIMING:
		return escrowtypes.PAYMENT_STATE_OPEN
	case types.LEASE_STATE_SUSPENDED:
		return escrowtypes.PAYMENT_STATE_SUSPENDED
	}
	return escrowtypes.PAYMENT_STATE_CLOSED
}

func (a *audit) account(l types.Lease) {
	acc, err := a.k.escrow.Account(a.ctx, l.Id.DeploymentID().EscrowID())
	if err != nil {
		a.fail("INV-5: the escrow account of lease %s cannot be read: %s", l.Id, err)
		return
	}
	if (l.State != types.LEASE_STATE_SUSPENDED) != (acc.State == escrowtypes.ACCOUNT_STATE_OPEN) {
		a.fail("INV-5: lease %s is %s, its escrow account is %s", l.Id, l.State, acc.State)
	}
}

// liveBids checks INV-4 and INV-6 of the bids that hold a deposit: each is open or active, stands under its own id and
// in no other map, and is active exactly when its order is.
func (a *audit) liveBids() error {
	return a.k.liveBids.Walk(a.ctx, nil, func(key types.BidKey, b types.Bid) (bool, error) {
		o := a.bid(key, b)
		book := a.book(b.Id.Provider)
		book.deposits = book.deposits.Add(b.Deposit)
		if ended, err := a.k.endedBids.Has(a.ctx, key); err != nil || ended {
			a.fail("INV-6: bid %s is live and has ended (%v)", b.Id, err)
		}
		switch b.State {
		case types.BID_STATE_OPEN:
			a.open[o.Id]++
		case types.BID_STATE_ACTIVE:
			if _, has := a.live[o.Id]; !has {
				a.fail("INV-4: bid %s is active, its order has no lease", b.Id)
			}
		default:
			a.fail("INV-6: bid %s is %s and stands with the live ones", b.Id, b.State)
		}
		return false, nil
	})
}

func (a *audit) endedBids() error {
	return a.k.endedBids.Walk(a.ctx, nil, func(key types.BidKey, b types.Bid) (bool, error) {
		a.bid(key, b)
		a.book(b.Id.Provider)
		if types.LiveBid(b.State) {
			a.fail("INV-6: bid %s is %s and stands with those that have ended", b.Id, b.State)
		}
		return false, nil
	})
}

// bid checks that a bid stands where its id says, and returns its order.
func (a *audit) bid(key types.BidKey, b types.Bid) types.Order {
	if k, err := b.Id.Key(); err != nil || types.BidKeyCodec.Stringify(k) != types.BidKeyCodec.Stringify(key) {
		a.fail("INV-6: bid %s is stored as %s", b.Id, types.BidKeyCodec.Stringify(key))
	}
	o, err := a.k.Order(a.ctx, b.Id.OrderID())
	if err != nil {
		a.fail("INV-7: bid %s has no order: %s", b.Id, err)
	}
	return o
}

// orders checks that an order is active exactly when it has a lease, that only the last of a group can be open or active,
// and that it is exactly while the group is open.
func (a *audit) orders() error {
	var last types.Order
	check := func() {
		if last.Id.Oseq == 0 {
			return
		}
		g, err := a.k.deployments.Group(a.ctx, last.Id.GroupID())
		if err != nil {
			a.fail("INV-7: order %s has no group: %s", last.Id, err)
		} else if (last.State != types.ORDER_STATE_CLOSED) != (g.State == deploymenttypes.GROUP_STATE_OPEN) {
			a.fail("INV-4: order %s is %s, its group is %s", last.Id, last.State, g.State)
		}
	}
	err := a.k.orders.Walk(a.ctx, nil, func(_ types.OrderKey, o types.Order) (bool, error) {
		if _, has := a.live[o.Id]; has != (o.State == types.ORDER_STATE_ACTIVE) {
			a.fail("INV-4: order %s is %s, has a lease: %t", o.Id, o.State, has)
		}
		switch {
		case last.Id.GroupID() != o.Id.GroupID():
			check()
		case last.State != types.ORDER_STATE_CLOSED:
			a.fail("INV-3: order %s is %s, but %s follows it", last.Id, last.State, o.Id)
		}
		last = o
		return false, nil
	})
	check()
	return err
}
