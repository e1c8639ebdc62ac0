package bid

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"cosmossdk.io/math"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Order is an order made ready for Decide: integers in place of decimals, totals in place of lists.
type Order struct {
	ID         markettypes.OrderID
	Bytes      int // the order's size on chain, or a few bytes more
	Denom      string
	Max        pricing.Amount // the most that the whole group may cost per block
	Demand     inventory.Demand
	Ask        pricing.Ask // what its price depends on
	Attributes []providertypes.Attribute
	AllOf      []string // auditors that must all have signed
	AnyOf      []string // auditors of which one must have signed
	// Notice is how many seconds of notice a bid must offer before its lease is taken back; 0 is none.
	Notice uint32
	// Unsupported is why no provider could run it, such as an attribute of a volume that nobody knows; nil for most.
	Unsupported *Reason
	// Excluded may not bid below ExcludedUntil.
	Excluded      string
	ExcludedUntil int64
	// WindowEnd is the height at which the chain picks a winner; 0 when the tenant does.
	WindowEnd int64

	words   *Words   // by which numbers are
	numbers []uint16 // of Attributes
}

// ErrMalformed marks an order that the chain should have refused.
var ErrMalformed = errors.New("malformed order")

// Bounds on what Compile accepts, above what the chain admits: they keep all sums within 63 bits.
const (
	maxUnits    = 24
	maxCount    = 256
	maxSmall    = 1024    // endpoints, devices
	maxQuantity = 1 << 50 // 1 PiB of memory and volumes together, or as many milli-cpus
)

// Compile prepares an order for Decide. It returns ErrMalformed for what no chain should let through; such an order
// gets no bid and harms no other.
func Compile(o *markettypes.Order) (Order, error) {
	out := Order{
		ID: o.Id, Bytes: sizeOf(o),
		Demand:     inventory.Demand{Units: make([]inventory.Unit, 0, len(o.Spec.Units))},
		Attributes: o.Spec.Requirements.Attributes,
		AllOf:      o.Spec.Requirements.SignedBy.AllOf, AnyOf: o.Spec.Requirements.SignedBy.AnyOf,
		Excluded: o.Excluded, ExcludedUntil: o.ExcludedUntil, Notice: o.Reclamation.MinWindowSeconds,
	}
	if n := len(o.Spec.Units); n == 0 || n > maxUnits {
		return Order{}, fmt.Errorf("order %s has %d units: %w", o.Id, n, ErrMalformed)
	}
	if o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST {
		out.WindowEnd = o.CreatedAt + int64(o.Auction.Window)
	}
	var limit, part big.Int
	for i := range o.Spec.Units {
		u := &o.Spec.Units[i]
		if err := out.addUnit(u); err != nil {
			return Order{}, fmt.Errorf("order %s, unit %d: %w", o.Id, u.Id, err)
		}
		limit.Add(&limit, part.Mul(u.Price.Amount.BigIntMut(), part.SetUint64(uint64(u.Count))))
	}
	out.Max = pricing.FloorDec(math.LegacyNewDecFromBigIntWithPrec(&limit, math.LegacyPrecision))
	out.Demand.Addresses = addresses(o.Spec.Units)
	out.Ask = askOf(o.Id.Owner, out.Denom, out.Max, &o.Spec, uint64(out.Demand.Addresses))
	out.readArch()
	slices.SortStableFunc(out.Demand.Units, harder)
	return out, nil
}

// sizeOf is the encoded size of an order, or a few bytes more: to write each price out as text, only to count its digits,
// takes longer than all the rest.
func sizeOf(o *markettypes.Order) int {
	rest := *o
	rest.Spec.Units = nil
	size := rest.Size()
	for i := range o.Spec.Units {
		u := o.Spec.Units[i]
		digits := 1
		if !u.Price.Amount.IsNil() {
			digits = digitsOf(u.Price.Amount.BigIntMut())
		}
		u.Price.Amount = math.LegacyDec{} // has one
		size += u.Size() - 1 + digits
		size += 4 // what tells the length of each part
	}
	return size
}

// digitsOf is how many digits a number has at most, its sign included.
func digitsOf(n *big.Int) int { return n.BitLen()*1233>>12 + 2 }

// harder orders units by how hard it is to find a place for them: those with devices first, then by size. Small ones
// fit into what large ones leave, seldom the other way round.
func harder(a, b inventory.Unit) int {
	return cmp.Or(
		cmp.Compare(b.Need[inventory.GPU], a.Need[inventory.GPU]), cmp.Compare(b.Need[inventory.Memory], a.Need[inventory.Memory]),
		cmp.Compare(b.Need[inventory.CPU], a.Need[inventory.CPU]),
	)
}

// addresses counts the leased addresses of a group: endpoints of the same number share one.
func addresses(units []deploymenttypes.ResourceUnit) int64 {
	var seen []uint32
	for i := range units {
		for _, e := range units[i].Endpoints {
			if e.Kind == deploymenttypes.ENDPOINT_KIND_IP && !slices.Contains(seen, e.Sequence) {
				seen = append(seen, e.Sequence)
			}
		}
	}
	return int64(len(seen))
}

// archAbility is the attribute by which a group asks for an architecture; docs/spec/abilities.md.
const archAbility = "ability/arch/"

// readArch finds the architecture in what the group requires. A group of which one part asks for one architecture and
// another for another is left alone, as an order does not say which unit asks for which.
func (o *Order) readArch() {
	for _, a := range o.Attributes {
		arch, ok := strings.CutPrefix(a.Key, archAbility)
		switch {
		case !ok || a.Value != "true" || strings.Contains(arch, "*"):
		case o.Demand.Arch != "" && o.Demand.Arch != arch:
			o.unsupported("arch", o.Demand.Arch+" and "+arch+" in one group")
		default:
			o.Demand.Arch = arch
		}
	}
}

// unsupported notes why no provider could run the order, if nothing was noted before.
func (o *Order) unsupported(key, value string) {
	if o.Unsupported == nil {
		o.Unsupported = &Reason{Code: Unsupported, Key: key, Value: value}
	}
}

func (o *Order) addUnit(u *deploymenttypes.ResourceUnit) error {
	if err := checkUnit(u); err != nil {
		return err
	}
	if len(o.Demand.Units) == 0 {
		o.Denom = u.Price.Denom
	} else if u.Price.Denom != o.Denom {
		return fmt.Errorf("prices in both %q and %q: %w", o.Denom, u.Price.Denom, ErrMalformed)
	}
	count := uint64(u.Count)
	disk, ram := o.addVolumes(u.Storage, count)
	for _, e := range u.Endpoints {
		if e.Kind == deploymenttypes.ENDPOINT_KIND_PORT {
			o.Demand.Ports++
		}
	}
	o.Demand.Units = append(o.Demand.Units, inventory.Unit{
		ID: u.Id, Count: int32(u.Count), GPUs: o.devices(u.Gpu),
		Need: inventory.Amounts{
			inventory.CPU: int64(u.CpuMilli), inventory.Memory: int64(u.MemoryBytes + ram),
			inventory.Storage: max(int64(disk), int64(cluster.MinStorage)), inventory.GPU: int64(u.Gpu.Count), inventory.Pods: 1,
		},
	})
	return nil
}

// devices reads which graphics processors will do: any of those that the attributes name. Attributes that name none
// are passed over while another one does.
func (o *Order) devices(g deploymenttypes.GPU) (wants []inventory.GPUWant) {
	if g.Count == 0 {
		return nil
	}
	for _, a := range g.Attributes {
		if w, ok := inventory.ParseGPU(a.Key); ok && a.Value == "true" {
			wants = append(wants, w)
		}
	}
	if len(wants) == 0 && len(g.Attributes) > 0 {
		o.unsupported("gpu "+g.Attributes[0].Key, g.Attributes[0].Value)
	}
	return wants
}

// addVolumes takes the volumes of one unit apart: disk ends with its instance, ram is memory, and persistent volumes of
// all instances are taken of the cluster.
func (o *Order) addVolumes(volumes []deploymenttypes.Volume, count uint64) (disk, ram uint64) {
	for i := range volumes {
		v := &volumes[i]
		switch class, kind := o.volumeKind(v); kind {
		case inMemory:
			ram += v.Bytes
		case persistent:
			o.addPersistent(class, int64(v.Bytes*count))
		default:
			disk += v.Bytes
		}
	}
	return disk, ram
}

type volumeKind uint8

const (
	ephemeral volumeKind = iota
	inMemory
	persistent
)

// volumeKind reads the attributes of a volume: none means ephemeral.
func (o *Order) volumeKind(v *deploymenttypes.Volume) (class string, kind volumeKind) {
	lasts := false
	for _, a := range v.Attributes {
		switch {
		case a.Key == volumeClass:
			class = a.Value
		case a.Key == volumePersistent && (a.Value == "true" || a.Value == "false"):
			lasts = a.Value == "true"
		default:
			o.unsupported("storage "+a.Key, a.Value)
		}
	}
	switch {
	case class == classRAM && !lasts:
		return class, inMemory
	case class == classRAM || !lasts && class != "" && class != classDefault:
		o.unsupported("storage class", fmt.Sprintf("%s with persistent=%t", class, lasts))
	}
	if lasts {
		return cmp.Or(class, classDefault), persistent
	}
	return class, ephemeral
}

func (o *Order) addPersistent(class string, bytes int64) {
	for i := range o.Demand.Persistent {
		if v := &o.Demand.Persistent[i]; v.Class == class {
			v.Bytes += bytes
			return
		}
	}
	o.Demand.Persistent = append(o.Demand.Persistent, inventory.Volume{Class: class, Bytes: bytes})
}

// checkUnit refuses numbers that the chain should not have let through.
func checkUnit(u *deploymenttypes.ResourceUnit) error {
	storage := uint64(0)
	for i := range u.Storage {
		storage = min(storage+min(u.Storage[i].Bytes, maxQuantity+1), maxQuantity+1)
	}
	switch {
	case u.Count == 0 || u.Count > maxCount || len(u.Endpoints) > maxSmall || u.Gpu.Count > maxSmall:
		return fmt.Errorf("count %d, %d endpoints, %d gpus: %w", u.Count, len(u.Endpoints), u.Gpu.Count, ErrMalformed)
	case u.CpuMilli > maxQuantity || u.MemoryBytes > maxQuantity || u.MemoryBytes+storage > maxQuantity:
		return fmt.Errorf("cpu %dm, memory %d, storage %d are beyond any node: %w", u.CpuMilli, u.MemoryBytes, storage, ErrMalformed)
	case u.Price.Amount.IsNil() || u.Price.Amount.IsNegative() || u.Price.Amount.BigInt().BitLen() > 200:
		return fmt.Errorf("price %s: %w", u.Price, ErrMalformed)
	}
	return nil
}
