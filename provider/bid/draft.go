package bid

import (
	"encoding/binary"
	"unique"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Draft is a market that is being read: its orders come one by one and are made ready for decisions at once, so that
// nothing else of them is kept. A Book takes it whole with Reset, or never hears of it when the reading fails.
type Draft struct {
	orders  []*candidate
	known   map[markettypes.OrderID]*candidate
	sharing sharing
}

var _ chain.Collector = (*Draft)(nil)

// NewDraft makes an empty draft.
func NewDraft() *Draft { return &Draft{known: make(map[markettypes.OrderID]*candidate)} }

// Order implements chain.Collector.
func (d *Draft) Order(o *markettypes.Order) {
	if d.known[o.Id] != nil {
		return
	}
	c := d.sharing.compile(o)
	d.orders = append(d.orders, c)
	d.known[c.order.ID] = c
}

// sharing makes orders share what they have in common, which for a hundred thousand of them is half of what they take.
type sharing struct {
	lists map[string][]providertypes.Attribute
	wants map[string]inventory.GPUWant
	key   []byte // room for a key of lists
}

// maxLists bounds how many lists and kinds of devices are remembered, as tenants can write as many as they like.
const maxLists = 1 << 12

// compile makes an order ready for decisions. What is made holds on to nothing of the order but texts of its own.
func (s *sharing) compile(o *markettypes.Order) *candidate {
	out, err := Compile(o)
	if err != nil {
		return &candidate{order: Order{ID: shareID(o.Id)}, broken: true, reason: Malformed}
	}
	out.ID, out.Denom, out.Excluded = shareID(out.ID), share(out.Denom), share(out.Excluded)
	out.Attributes, out.AllOf, out.AnyOf = s.attributes(out.Attributes), shareTexts(out.AllOf), shareTexts(out.AnyOf)
	out.Demand.Arch = share(out.Demand.Arch)
	a := &out.Ask
	a.Owner, a.Denom, a.Attributes = out.ID.Owner, out.Denom, out.Attributes
	for i := range a.Volumes {
		a.Volumes[i].Class = share(a.Volumes[i].Class)
	}
	for i := range a.GPUs {
		for j, k := range a.GPUs[i].Any {
			a.GPUs[i].Any[j] = pricing.GPUKind{Vendor: share(k.Vendor), Model: share(k.Model), RAM: share(k.RAM), Interface: share(k.Interface)}
		}
	}
	for i := range out.Demand.Persistent {
		out.Demand.Persistent[i].Class = share(out.Demand.Persistent[i].Class)
	}
	for i := range out.Demand.Units {
		for j, w := range out.Demand.Units[i].GPUs {
			out.Demand.Units[i].GPUs[j] = s.want(w)
		}
	}
	return &candidate{order: out}
}

// want gives the same kind of devices, which holds on to no order's text.
func (s *sharing) want(w inventory.GPUWant) inventory.GPUWant {
	if shared, ok := s.wants[w.Key]; ok {
		return shared
	}
	w, _ = inventory.ParseGPU(share(w.Key)) // it was parsed before
	if s.wants == nil {
		s.wants = make(map[string]inventory.GPUWant)
	}
	if len(s.wants) < maxLists {
		s.wants[w.Key] = w
	}
	return w
}

// share gives a text that is equal, and the same for all that are.
func share(text string) string {
	if text == "" {
		return ""
	}
	return unique.Make(text).Value()
}

func shareID(id markettypes.OrderID) markettypes.OrderID {
	id.Owner = share(id.Owner)
	return id
}

func shareTexts(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i := range list {
		out[i] = share(list[i])
	}
	return out
}

// attributes gives a list that is equal, and the same for all that are.
func (s *sharing) attributes(list []providertypes.Attribute) []providertypes.Attribute {
	if len(list) == 0 {
		return nil
	}
	s.key = s.key[:0]
	for _, a := range list {
		for _, text := range [...]string{a.Key, a.Value} {
			s.key = binary.AppendUvarint(s.key, uint64(len(text)))
			s.key = append(s.key, text...)
		}
	}
	if shared, ok := s.lists[string(s.key)]; ok {
		return shared
	}
	out := make([]providertypes.Attribute, len(list))
	for i, a := range list {
		out[i] = providertypes.Attribute{Key: share(a.Key), Value: share(a.Value)}
	}
	if s.lists == nil {
		s.lists = make(map[string][]providertypes.Attribute)
	}
	if len(s.lists) < maxLists {
		s.lists[string(s.key)] = out
	}
	return out
}
