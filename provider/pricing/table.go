package pricing

import (
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Month is the length of a month in prices: 30 days.
const Month = 30 * 24 * time.Hour

const (
	milliPerCore = 1000
	bytesPerGiB  = 1 << 30
)

// Table prices a group by what it takes. All rates are per block.
type Table struct {
	// Denom is the coin that is asked for.
	Denom string
	// CPU is per core, Memory and Storage per GiB, GPU per device, Endpoint per way in from outside.
	CPU, Memory, Storage, GPU, Endpoint Amount
	// Minimum is the least that is asked for any group.
	Minimum Amount
}

// Validate refuses a table that could ask for nothing.
func (t Table) Validate() error {
	if t.Denom == "" {
		return errors.New("pricing: a denom must be given")
	}
	if t.CPU.IsZero() && t.Memory.IsZero() && t.Minimum.IsZero() {
		return errors.New("pricing: cpu, memory and minimum are all zero, so that bids could be for nothing")
	}
	return nil
}

// PerBlock turns a table of prices per month into one per block of the given length. Each rate is rounded up to
// 10^-12, so that a month's blocks never sum to less than the month's price.
func (t Table) PerBlock(block time.Duration) (Table, error) {
	if block <= 0 {
		return Table{}, fmt.Errorf("pricing: block time %s is not positive", block)
	}
	out := t
	for _, rate := range []*Amount{&out.CPU, &out.Memory, &out.Storage, &out.GPU, &out.Endpoint, &out.Minimum} {
		n := rate.big()
		n.Mul(n, big.NewInt(int64(block)))
		q, r := n.QuoRem(n, big.NewInt(int64(Month)), new(big.Int))
		if r.Sign() > 0 {
			q.Add(q, big.NewInt(1))
		}
		var err error
		if *rate, err = amountOf(q); err != nil {
			return Table{}, fmt.Errorf("pricing: per block: %w", err)
		}
	}
	return out, nil
}

// Totals is what a group takes over all its instances.
type Totals struct {
	CPUMilli, MemoryBytes, StorageBytes, GPUs, Endpoints uint64
}

// Price is what the table asks for a group per block, rounded up to 10^-12; false when it does not fit an Amount.
func (t Table) Price(g Totals) (Amount, bool) {
	var sum Amount
	for _, part := range [...]struct {
		rate     Amount
		quantity uint64
		per      uint64
	}{
		{t.CPU, g.CPUMilli, milliPerCore},
		{t.Memory, g.MemoryBytes, bytesPerGiB},
		{t.Storage, g.StorageBytes, bytesPerGiB},
		{t.GPU, g.GPUs, 1},
		{t.Endpoint, g.Endpoints, 1},
	} {
		cost, ok := part.rate.scale(part.quantity, part.per)
		if !ok {
			return Amount{}, false
		}
		if sum, ok = sum.add(cost); !ok {
			return Amount{}, false
		}
	}
	if sum.Cmp(t.Minimum) < 0 {
		sum = t.Minimum
	}
	return sum, true
}
