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

// bits is a set of words by their numbers.
type bits []uint64

func (b bits) has(n int) bool { return b[n/64]&(1<<(n%64)) != 0 }

// put adds the word n, or only room for it.
func (b *bits) put(n int, in bool) {
	if n/64 == len(*b) {
		*b = append(*b, 0)
	}
	if in {
		(*b)[n/64] |= 1 << (n % 64)
	}
}

// Learn makes a policy know which words its attributes meet, and which of them each auditor has signed. It costs nothing
// when there are no new ones. After a change of the record, Forget comes first.
func (p *Policy) Learn(w *Words) {
	if p.words != w {
		p.Forget()
		p.words, p.signed = w, make([]bits, len(p.Audits))
	}
	p.indexAudits()
	for ; p.known < len(w.all); p.known++ {
		word := w.all[p.known : p.known+1]
		p.met.put(p.known, providertypes.MatchAttributes(word, p.Attributes))
		for i := range p.Audits {
			p.signed[i].put(p.known, providertypes.MatchAttributes(word, p.Audits[i].Attributes))
		}
	}
}

// indexAudits finds auditors by their addresses.
func (p *Policy) indexAudits() {
	if p.audits != nil {
		return
	}
	p.audits = make(map[string]int, len(p.Audits))
	for i := range p.Audits {
		if len(p.Audits[i].Attributes) > 0 {
			p.audits[p.Audits[i].Auditor] = i
		}
	}
}

// Forget drops what Learn has learned.
func (p *Policy) Forget() { p.words, p.met, p.signed, p.audits, p.known = nil, nil, nil, nil, 0 }

// unmet is the position of the first attribute that the order requires and the policy does not offer; -1 if none.
func (p *Policy) unmet(o *Order) int { return p.missing(o, p.met, p.Attributes) }

// missing is the position of the first attribute that the order requires and that is not met by those of have, whose words
// met holds; -1 if none.
func (p *Policy) missing(o *Order, met bits, have []providertypes.Attribute) int {
	if o.words == nil || o.words != p.words {
		return missingText(o, 0, have)
	}
	for i, n := range o.numbers {
		switch {
		case int(n) >= p.known:
			return missingText(o, i, have)
		case !met.has(int(n)):
			return i
		}
	}
	return -1
}

// missingText is missing by the chain's own rule, from the attribute at i.
func missingText(o *Order, i int, have []providertypes.Attribute) int {
	for ; i < len(o.Attributes); i++ {
		if !providertypes.MatchAttributes(o.Attributes[i:i+1], have) {
			return i
		}
	}
	return -1
}
