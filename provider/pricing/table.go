package pricing

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"time"
)

// Month is the length of a month in prices: 30 days.
const Month = 30 * 24 * time.Hour

const (
	milliPerCore = 1000
	bytesPerGiB  = 1 << 30
)

// Rate is a rate that may be left out: what has none is not sold.
type Rate struct {
	Amount Amount
	Given  bool
}

// ClassRate is the rate of a class of persistent storage.
type ClassRate struct {
	Class string
	Rate  Amount
}

// GPURate is the rate of all devices of a kind.
type GPURate struct {
	Kind GPUKind
	Rate Amount
}

// Table prices a group by what it takes. CPU is per core, Memory and storage per GiB, all others each. Its rates are
// for the time that its maker means; PerBlock makes them rates per block.
type Table struct {
	// Denom is the coin that is asked for.
	Denom                               string
	CPU, Memory, Ephemeral, HTTP, Ports Amount
	// RAM is for volumes in memory; without a rate they cost what memory does.
	RAM, IP Rate
	// Classes are those of persistent storage; AnyClass is for the others.
	Classes  []ClassRate
	AnyClass Rate
	// GPU lists kinds as SortGPUs leaves them.
	GPU []GPURate
	// Minimum is the least that is asked for any group.
	Minimum Amount
}

// SortGPUs puts the most specific kinds first: those that name more parts, and of these those that name an earlier one.
func SortGPUs(rates []GPURate) {
	weight := func(k GPUKind) (w uint) {
		for _, p := range k.parts() {
			w <<= 1
			if p != "" {
				w |= 1
			}
		}
		return w
	}
	slices.SortStableFunc(rates, func(a, b GPURate) int {
		x, y := weight(a.Kind), weight(b.Kind)
		return cmp.Or(cmp.Compare(bits.OnesCount(y), bits.OnesCount(x)), cmp.Compare(y, x))
	})
}

// Validate refuses a table that could ask for nothing.
func (t *Table) Validate() error {
	if t.Denom == "" {
		return errors.New("pricing: a denom must be given")
	}
	if t.CPU.IsZero() && t.Memory.IsZero() && t.Minimum.IsZero() {
		return errors.New("pricing: cpu, memory and minimum are all zero, so that bids could be for nothing")
	}
	return nil
}

// rates visits every rate of the table.
func (t *Table) rates(visit func(*Amount) error) error {
	all := []*Amount{&t.CPU, &t.Memory, &t.Ephemeral, &t.HTTP, &t.Ports, &t.RAM.Amount, &t.IP.Amount, &t.AnyClass.Amount, &t.Minimum}
	for i := range t.Classes {
		all = append(all, &t.Classes[i].Rate)
	}
	for i := range t.GPU {
		all = append(all, &t.GPU[i].Rate)
	}
	for _, r := range all {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// PerBlock turns a table of prices per month into one per block of the given length; see Per.
func (t Table) PerBlock(block time.Duration) (Table, error) { return t.Per(Month, block) }

// Per turns a table of prices per period into one per block of the given length. Each rate is rounded up to 10^-12, so
// that the blocks of a period never sum to less than its price.
func (t Table) Per(period, block time.Duration) (Table, error) {
	if block <= 0 {
		return Table{}, fmt.Errorf("pricing: block time %s is not positive", block)
	}
	t.Classes, t.GPU = slices.Clone(t.Classes), slices.Clone(t.GPU)
	err := t.rates(func(rate *Amount) (err error) {
		*rate, err = rate.Per(period, block)
		return err
	})
	if err != nil {
		return Table{}, fmt.Errorf("pricing: per block: %w", err)
	}
	return t, nil
}

// Per is what a sum for each period comes to in a block of the given length, rounded up to 10^-12.
func (a Amount) Per(period, block time.Duration) (Amount, error) {
	n := a.big()
	n.Mul(n, big.NewInt(int64(block)))
	q, r := n.QuoRem(n, big.NewInt(int64(period)), new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return amountOf(q)
}

// sum adds up costs and remembers whether one did not fit.
type sum struct {
	total Amount
	over  bool
}

// add adds quantity/per times the rate, rounded up.
func (s *sum) add(rate Amount, quantity, per uint64) {
	if quantity == 0 || s.over {
		return
	}
	cost, ok := rate.scale(quantity, per)
	if ok {
		s.total, ok = s.total.Add(cost)
	}
	s.over = !ok
}

// Price is what the table asks for a group, each part rounded up to 10^-12; or why it has no price. It allocates
// nothing when there is one.
func (t *Table) Price(a *Ask) (Amount, Refusal) {
	var s sum
	s.add(t.CPU, a.CPUMilli, milliPerCore)
	s.add(t.Memory, a.MemoryBytes, bytesPerGiB)
	s.add(t.Ephemeral, a.EphemeralBytes, bytesPerGiB)
	if t.RAM.Given {
		s.add(t.RAM.Amount, a.RAMBytes, bytesPerGiB)
	} else {
		s.add(t.Memory, a.RAMBytes, bytesPerGiB)
	}
	s.add(t.HTTP, a.HTTP, 1)
	s.add(t.Ports, a.Ports, 1)
	if a.IPs > 0 && !t.IP.Given {
		return Amount{}, Refusal{Code: Unpriced, What: "a leased ip"}
	}
	s.add(t.IP.Amount, a.IPs, 1)
	for i := range a.Volumes {
		rate, ok := t.class(a.Volumes[i].Class)
		if !ok {
			return Amount{}, Refusal{Code: Unpriced, What: "storage of class " + a.Volumes[i].Class}
		}
		s.add(rate, a.Volumes[i].Bytes, bytesPerGiB)
	}
	for i := range a.GPUs {
		rate, ok := t.gpu(&a.GPUs[i])
		if !ok {
			return Amount{}, Refusal{Code: Unpriced, What: "gpu " + a.GPUs[i].String()}
		}
		s.add(rate, a.GPUs[i].Count, 1)
	}
	if s.over {
		return Amount{}, Refusal{Code: Overflow}
	}
	return s.total.max(t.Minimum), Refusal{}
}

// class is the rate of a class of persistent storage.
func (t *Table) class(class string) (Amount, bool) {
	for i := range t.Classes {
		if t.Classes[i].Class == class {
			return t.Classes[i].Rate, true
		}
	}
	return t.AnyClass.Amount, t.AnyClass.Given
}

// gpu is the rate of devices. Where the order leaves the kind open it is that of the dearest kind that it may be given,
// as which one it gets is not known before it is placed. Kinds without a rate are not given.
func (t *Table) gpu(g *GPUs) (Amount, bool) {
	if len(g.Any) == 0 {
		return t.kind(GPUKind{})
	}
	var dearest Amount
	found := false
	for _, k := range g.Any {
		if rate, ok := t.kind(k); ok {
			dearest, found = dearest.max(rate), true
		}
	}
	return dearest, found
}

// kind is the dearest rate of what a kind may be: of the rates for kinds within it, and of the most specific rate
// that is for all of it.
func (t *Table) kind(k GPUKind) (Amount, bool) {
	var dearest Amount
	found := false
	for i := range t.GPU {
		r := &t.GPU[i]
		both, can := k.meet(r.Kind)
		if !can || found && r.Rate.Cmp(dearest) <= 0 || t.beaten(i, both) {
			continue
		}
		dearest, found = r.Rate, true
		if both == k {
			break // it is for all of the kind, and what follows is less specific
		}
	}
	return dearest, found
}

// beaten reports whether a rate more specific than the i-th is for all devices of a kind.
func (t *Table) beaten(i int, k GPUKind) bool {
	for j := range i {
		if t.GPU[j].Kind.covers(k) {
			return true
		}
	}
	return false
}
