package bid

import (
	"errors"
	"fmt"

	"cosmossdk.io/math"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Order is an order made ready for Decide: integers in place of decimals, totals in place of lists.
type Order struct {
	ID         markettypes.OrderID
	Bytes      int // the order's size on chain
	Denom      string
	Max        pricing.Amount // the most that the whole group may cost per block
	Units      []inventory.Unit
	Ask        pricing.Ask // what its price depends on
	Attributes []providertypes.Attribute
	AllOf      []string // auditors that must all have signed
	AnyOf      []string // auditors of which one must have signed
	// Volumes and GPUs are attributes that a volume or graphics processor must have.
	Volumes []providertypes.Attribute
	GPUs    []providertypes.Attribute
	// Addresses counts endpoints that need an address of their own.
	Addresses int
	// Excluded may not bid below ExcludedUntil.
	Excluded      string
	ExcludedUntil int64
	// WindowEnd is the height at which the chain picks a winner; 0 when the tenant does.
	WindowEnd int64
}

// ErrMalformed marks an order that the chain should have refused.
var ErrMalformed = errors.New("malformed order")

// Bounds on what Compile accepts, above what the chain admits: they keep all sums within 63 bits.
const (
	maxUnits    = 32
	maxCount    = 256
	maxSmall    = 1024    // endpoints, devices
	maxQuantity = 1 << 50 // 1 PiB, or as many milli-cpus
)

// Compile prepares an order for Decide. It returns ErrMalformed for what no chain should let through; such an order
// gets no bid and harms no other.
func Compile(o *markettypes.Order) (Order, error) {
	out := Order{
		ID: o.Id, Bytes: o.Size(), Units: make([]inventory.Unit, len(o.Spec.Units)),
		Attributes: o.Spec.Requirements.Attributes,
		AllOf:      o.Spec.Requirements.SignedBy.AllOf, AnyOf: o.Spec.Requirements.SignedBy.AnyOf,
		Excluded: o.Excluded, ExcludedUntil: o.ExcludedUntil,
	}
	if n := len(o.Spec.Units); n == 0 || n > maxUnits {
		return Order{}, fmt.Errorf("order %s has %d units: %w", o.Id, n, ErrMalformed)
	}
	if o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST {
		out.WindowEnd = o.CreatedAt + int64(o.Auction.Window)
	}
	limit := math.LegacyZeroDec()
	for i := range o.Spec.Units {
		u := &o.Spec.Units[i]
		if err := out.addUnit(i, u); err != nil {
			return Order{}, fmt.Errorf("order %s, unit %d: %w", o.Id, u.Id, err)
		}
		limit = limit.Add(u.Price.Amount.MulInt64(int64(u.Count)))
	}
	out.Max = pricing.FloorDec(limit)
	out.Ask = askOf(o.Id.Owner, out.Denom, out.Max, &o.Spec)
	return out, nil
}

func (o *Order) addUnit(i int, u *deploymenttypes.ResourceUnit) error {
	storage := o.addVolumes(u.Storage)
	if err := checkUnit(u, storage); err != nil {
		return err
	}
	if i == 0 {
		o.Denom = u.Price.Denom
	} else if u.Price.Denom != o.Denom {
		return fmt.Errorf("prices in both %q and %q: %w", o.Denom, u.Price.Denom, ErrMalformed)
	}
	if u.Gpu.Count > 0 {
		o.GPUs = append(o.GPUs, u.Gpu.Attributes...)
	}
	for _, e := range u.Endpoints {
		if e.Kind == deploymenttypes.ENDPOINT_KIND_IP {
			o.Addresses++
		}
	}
	o.Units[i] = inventory.Unit{Count: int32(u.Count), Need: inventory.Amounts{
		int64(u.CpuMilli), int64(u.MemoryBytes), int64(storage), int64(u.Gpu.Count),
	}}
	return nil
}

// addVolumes notes what the volumes must be and returns their size in all, or something above maxQuantity.
func (o *Order) addVolumes(volumes []deploymenttypes.Volume) (bytes uint64) {
	for _, v := range volumes {
		if bytes += min(v.Bytes, maxQuantity+1); bytes > maxQuantity {
			return bytes
		}
		o.Volumes = append(o.Volumes, v.Attributes...)
	}
	return bytes
}

// checkUnit refuses numbers that the chain should not have let through.
func checkUnit(u *deploymenttypes.ResourceUnit, storage uint64) error {
	switch {
	case u.Count == 0 || u.Count > maxCount || len(u.Endpoints) > maxSmall || u.Gpu.Count > maxSmall:
		return fmt.Errorf("count %d, %d endpoints, %d gpus: %w", u.Count, len(u.Endpoints), u.Gpu.Count, ErrMalformed)
	case u.CpuMilli > maxQuantity || u.MemoryBytes > maxQuantity || storage > maxQuantity:
		return fmt.Errorf("cpu %dm, memory %d, storage %d are beyond any node: %w", u.CpuMilli, u.MemoryBytes, storage, ErrMalformed)
	case u.Price.Amount.IsNil() || u.Price.Amount.IsNegative() || u.Price.Amount.BigInt().BitLen() > 200:
		return fmt.Errorf("price %s: %w", u.Price, ErrMalformed)
	}
	return nil
}
