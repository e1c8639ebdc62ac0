package bid

import (
	"slices"

	providertypes "berth.dev/berth/x/provider/types"
)

// Record is what the chain says of a provider.
type Record struct {
	// Attributes are those of the provider's record.
	Attributes []providertypes.Attribute
	// Audits are what auditors vouch for.
	Audits []Audit
}

// Audit is what one auditor has signed of a provider.
type Audit struct {
	Auditor    string                    `json:"auditor"`
	Attributes []providertypes.Attribute `json:"attributes"`
}

// Equal reports whether two records say the same, in the same order.
func (r Record) Equal(other Record) bool {
	return slices.Equal(r.Attributes, other.Attributes) && slices.EqualFunc(r.Audits, other.Audits, func(a, b Audit) bool {
		return a.Auditor == b.Auditor && slices.Equal(a.Attributes, b.Attributes)
	})
}

// checkSignatures is the chain's rule: each auditor of all_of, and one of any_of if it names any, must have signed all that
// the order requires. Where it requires nothing they must have signed something.
func (p *Policy) checkSignatures(o *Order) Reason {
	for _, auditor := range o.AllOf {
		if missing, ok := p.vouches(auditor, o); !ok {
			return unsigned(auditor, o, missing)
		}
	}
	if len(o.AnyOf) == 0 {
		return Reason{}
	}
	first := -1
	for i, auditor := range o.AnyOf {
		missing, ok := p.vouches(auditor, o)
		if ok {
			return Reason{}
		}
		if i == 0 {
			first = missing
		}
	}
	return unsigned(o.AnyOf[0], o, first)
}

// vouches says whether an auditor has signed all that an order requires, and if not, what the first is that it has not;
// -1 when it has signed nothing.
func (p *Policy) vouches(auditor string, o *Order) (missing int, ok bool) {
	at := p.auditBy(auditor)
	if at < 0 {
		return -1, false
	}
	var signed bits
	if at < len(p.signed) {
		signed = p.signed[at]
	}
	missing = p.missing(o, signed, p.Audits[at].Attributes)
	return missing, missing < 0
}

// auditBy is the position of what an auditor has signed; -1 if that is nothing.
func (p *Policy) auditBy(auditor string) int {
	if p.audits != nil {
		if at, ok := p.audits[auditor]; ok {
			return at
		}
		return -1
	}
	return slices.IndexFunc(p.Audits, func(a Audit) bool { return a.Auditor == auditor && len(a.Attributes) > 0 })
}

func unsigned(auditor string, o *Order, missing int) Reason {
	r := Reason{Code: Signature, Auditor: auditor}
	if missing >= 0 {
		r.Key, r.Value = o.Attributes[missing].Key, o.Attributes[missing].Value
	}
	return r
}
