package bid

import (
	"cmp"
	"container/heap"
	"slices"

	"berth.dev/berth/provider/policy"
	markettypes "berth.dev/berth/x/market/types"
)

// A limit is what a bid of ours that ends makes room under: how many bids there may be, or what they may come to, in all,
// for an owner or in a denom.
type limit struct {
	code Code
	of   string // the owner, or the denom of deposits; empty for all
}

// limited are the orders that wait for room under one limit, the first that came on top: a heap. Its size does not matter to
// a pass: where the first of them is refused by the limit again, so would be all others, as the limits on numbers and on
// deposits do not look at the order. Only exposure does.
type limited struct {
	limit
	orders []parked
	dead   int // of them, those that do not wait here any more
}

// parked is an order that waits, until it was unparked or parked anew.
type parked struct {
	*candidate
	turn uint32
}

// waits says whether an order still waits here by this entry.
func (l *limited) waits(p parked) bool { return p.limit == l && p.candidate.turn == p.turn }

func (l *limited) Len() int           { return len(l.orders) }
func (l *limited) Less(i, j int) bool { return l.orders[i].seq < l.orders[j].seq }
func (l *limited) Swap(i, j int)      { l.orders[i], l.orders[j] = l.orders[j], l.orders[i] }
func (l *limited) Push(x any)         { l.orders = append(l.orders, x.(parked)) }
func (l *limited) Pop() any {
	last := len(l.orders) - 1
	p := l.orders[last]
	l.orders[last], l.orders = parked{}, l.orders[:last]
	return p
}

// first is the first order that still waits here; nil if none does.
func (l *limited) first() *candidate {
	for len(l.orders) > 0 {
		if p := l.orders[0]; l.waits(p) {
			return p.candidate
		}
		heap.Pop(l)
		l.dead--
	}
	return nil
}

// park makes an order wait for room under the limit that refused it.
func (b *Book) park(w *candidate, r Reason) {
	at := limit{code: r.Code}
	switch policy.Code(r.Code) {
	case policy.OwnerOpenBids, policy.Exposure:
		at.of = w.order.ID.Owner
	case policy.Deposit:
		at.of = r.Policy.What
	}
	l := b.limits[at]
	if l == nil {
		l = &limited{limit: at}
		if b.limits == nil {
			b.limits = make(map[limit]*limited)
		}
		b.limits[at] = l
	}
	if w.limit == l {
		return
	}
	b.unpark(w)
	w.limit, w.turn = l, w.turn+1
	heap.Push(l, parked{w, w.turn})
}

// unpark makes an order wait for no limit.
func (b *Book) unpark(w *candidate) {
	l := w.limit
	if l == nil {
		return
	}
	w.limit = nil
	l.dead++
	if l.dead*2 <= len(l.orders) {
		return
	}
	l.orders = slices.DeleteFunc(l.orders, func(p parked) bool { return !l.waits(p) })
	if l.dead = 0; len(l.orders) == 0 {
		delete(b.limits, l.limit)
		return
	}
	heap.Init(l)
}

// unwait takes an order off those that wait for a decision.
func (b *Book) unwait(id markettypes.OrderID) {
	if w := b.waiting[id]; w != nil {
		b.unpark(w)
		delete(b.waiting, id)
	}
}

// easedLimits are the limits under which there may be room since the last pass, as bids and leases of ours have ended.
func (b *Book) easedLimits() (out []*limited) {
	if len(b.eased) == 0 {
		return nil
	}
	add := func(at limit) {
		if l := b.limits[at]; l != nil {
			out = append(out, l)
		}
	}
	add(limit{code: Code(policy.OpenBids)})
	for i := range b.deposits {
		add(limit{code: Code(policy.Deposit), of: b.deposits[i].Denom})
	}
	for owner := range b.eased {
		add(limit{code: Code(policy.OwnerOpenBids), of: owner})
		add(limit{code: Code(policy.Exposure), of: owner})
	}
	return out
}

// lookAtLimited decides the orders under eased limits again, in the order of their arrival, as far as there may be room.
func (b *Book) lookAtLimited(eased []*limited, decide func(markettypes.OrderID)) {
	var rest []*candidate // those whose exposure has to be looked at one by one
	eased = slices.DeleteFunc(eased, func(l *limited) bool {
		if policy.Code(l.code) != policy.Exposure {
			return false
		}
		for _, p := range l.orders {
			if l.waits(p) {
				rest = append(rest, p.candidate)
			}
		}
		return true
	})
	slices.SortFunc(rest, func(x, y *candidate) int { return cmp.Compare(x.seq, y.seq) })
	for {
		var next *candidate
		if len(rest) > 0 {
			next = rest[0]
		}
		from := -1
		for i, l := range eased {
			if w := l.first(); w != nil && (next == nil || w.seq < next.seq) {
				next, from = w, i
			}
		}
		if next == nil {
			return
		}
		if from < 0 {
			rest = rest[1:]
		}
		decide(next.order.ID)
		if from >= 0 && next.limit == eased[from] {
			eased = slices.Delete(eased, from, from+1) // it has no room
		}
	}
}
