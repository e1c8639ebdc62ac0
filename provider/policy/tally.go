package policy

import "berth.dev/berth/provider/pricing"

// Holding is what one bid or lease of ours adds to how we stand.
type Holding struct {
	Owner string
	// Open and Lease say what it is; a bid that has expired is neither, but its deposit is still held.
	Open, Lease bool
	// Denom and Price are those of the bid.
	Denom string
	Price pricing.Amount
	// DepositDenom and Deposit are what the chain holds for it.
	DepositDenom string
	Deposit      pricing.Amount
}

// most bounds one amount in the sums, so that no number of holdings that a machine can remember overflows them. It is
// beyond any amount of money.
var most = pricing.Whole(1 << 50)

func bounded(a pricing.Amount) pricing.Amount {
	if a.Cmp(most) > 0 {
		return most
	}
	return a
}

// coins are sums by denom; there are few denoms.
type coins []struct {
	denom string
	sum   pricing.Amount
}

func (c coins) of(denom string) pricing.Amount {
	for i := range c {
		if c[i].denom == denom {
			return c[i].sum
		}
	}
	return pricing.Amount{}
}

// add puts an amount in, or takes it out again.
func (c *coins) add(denom string, a pricing.Amount, out bool) {
	if a.IsZero() {
		return
	}
	for i := range *c {
		if e := &(*c)[i]; e.denom == denom {
			var ok bool
			if out {
				e.sum, ok = e.sum.Sub(a)
			} else {
				e.sum, ok = e.sum.Add(a)
			}
			if !ok {
				panic("policy: a sum of holdings left its range") // what is taken out was put in, and all is bounded
			}
			return
		}
	}
	if out {
		panic("policy: a holding is taken out that was not put in")
	}
	*c = append(*c, struct {
		denom string
		sum   pricing.Amount
	}{denom, a})
}

// Tally is how we stand: the sums over all holdings, kept in constant time for each change. The zero value is empty.
type Tally struct {
	openBids, leases int64
	deposits         coins
	owners           map[string]*ownerTally
}

type ownerTally struct {
	openBids, leases, holdings int64
	exposure                   coins
}

// Add puts a holding in.
func (t *Tally) Add(h *Holding) { t.change(h, 1) }

// Remove takes out a holding that was put in just so.
func (t *Tally) Remove(h *Holding) { t.change(h, -1) }

func (t *Tally) change(h *Holding, by int64) {
	o := t.owners[h.Owner]
	if o == nil {
		if t.owners == nil {
			t.owners = make(map[string]*ownerTally)
		}
		o = new(ownerTally)
		t.owners[h.Owner] = o
	}
	o.holdings += by
	if h.Open {
		t.openBids += by
		o.openBids += by
	}
	if h.Lease {
		t.leases += by
		o.leases += by
	}
	if h.Open || h.Lease {
		o.exposure.add(h.Denom, bounded(h.Price), by < 0)
	}
	t.deposits.add(h.DepositDenom, bounded(h.Deposit), by < 0)
	if o.holdings == 0 {
		delete(t.owners, h.Owner)
	}
}

// OpenBids counts bids that may become leases, and bids on their way.
func (t *Tally) OpenBids() int64 { return t.openBids }

// Leases counts leases.
func (t *Tally) Leases() int64 { return t.leases }

// Deposits is what the chain holds in a denom for all bids and leases.
func (t *Tally) Deposits(denom string) pricing.Amount { return t.deposits.of(denom) }

// Owner tells what of it is an owner's; exposure is the sum of the prices per block of its bids and leases in a denom.
func (t *Tally) Owner(owner, denom string) (openBids, leases int64, exposure pricing.Amount) {
	o := t.owners[owner]
	if o == nil {
		return 0, 0, pricing.Amount{}
	}
	return o.openBids, o.leases, o.exposure.of(denom)
}
