package bid

import (
	providertypes "berth.dev/berth/x/provider/types"
)

// maxWords bounds what tenants can make us remember. Attributes beyond are compared as text, at a microsecond instead of
// a nanosecond.
const maxWords = 1 << 14

// noWord is the number of an attribute that has none.
const noWord = maxWords

// Words numbers the attributes that orders require. An attribute is compared with a provider's once, by the chain's
// rule, however many orders require it: to decide an order is then to look up a bit for each. The zero value knows none.
type Words struct {
	numbers map[providertypes.Attribute]uint16
	all     []providertypes.Attribute
}

// Number gives the attributes of an order their numbers.
func (w *Words) Number(o *Order) {
	o.words, o.numbers = w, make([]uint16, len(o.Attributes))
	for i, a := range o.Attributes {
		o.numbers[i] = w.number(a)
	}
}

func (w *Words) number(a providertypes.Attribute) uint16 {
	if n, ok := w.numbers[a]; ok {
		return n
	}
	if len(w.all) == maxWords {
		return noWord
	}
	if w.numbers == nil {
		w.numbers = make(map[providertypes.Attribute]uint16)
	}
	n := uint16(len(w.all))
	w.numbers[a] = n
	w.all = append(w.all, a)
	return n
}

// Learn makes a policy know which words its attributes meet. It costs nothing when there are no new ones. After a change
// of Attributes, Forget comes first.
func (p *Policy) Learn(w *Words) {
	if p.words != w {
		p.Forget()
		p.words = w
	}
	for ; p.known < len(w.all); p.known++ {
		if p.known%64 == 0 {
			p.met = append(p.met, 0)
		}
		if providertypes.MatchAttributes(w.all[p.known:p.known+1], p.Attributes) {
			p.met[p.known/64] |= 1 << (p.known % 64)
		}
	}
}

// Forget drops what Learn has learned.
func (p *Policy) Forget() { p.words, p.met, p.known = nil, nil, 0 }

// unmet is the position of the first attribute that the order requires and the policy does not offer; -1 if none.
func (p *Policy) unmet(o *Order) int {
	if o.words == nil || o.words != p.words {
		return p.unmetText(o, 0)
	}
	for i, n := range o.numbers {
		switch {
		case int(n) >= p.known:
			return p.unmetText(o, i)
		case p.met[n/64]&(1<<(n%64)) == 0:
			return i
		}
	}
	return -1
}

// unmetText is unmet by the chain's own rule, from the attribute at i.
func (p *Policy) unmetText(o *Order, i int) int {
	for ; i < len(o.Attributes); i++ {
		if !providertypes.MatchAttributes(o.Attributes[i:i+1], p.Attributes) {
			return i
		}
	}
	return -1
}
