package types

import (
	"slices"
	"strings"

	providertypes "berth.dev/berth/x/provider/types"
)

// Merge returns the record with attrs signed as well: a key that was signed before gets its new value. The result is in
// ascending order of keys. The receiver is not changed.
func (r SignedAttributes) Merge(attrs []providertypes.Attribute) SignedAttributes {
	merged := append(slices.Clone(attrs), r.Attributes...)
	slices.SortStableFunc(merged, func(a, b providertypes.Attribute) int { return strings.Compare(a.Key, b.Key) })
	// Of equal keys the first stays: the new one, as the sort is stable.
	r.Attributes = slices.CompactFunc(merged, func(a, b providertypes.Attribute) bool { return a.Key == b.Key })
	return r
}

// Without returns the record without the attributes of keys, or without any if there are no keys. It fails with
// ErrKeyNotSigned if one of them is not in the record. The receiver is not changed.
func (r SignedAttributes) Without(keys []string) (SignedAttributes, error) {
	if len(keys) == 0 {
		r.Attributes = nil
		return r, nil
	}
	kept := slices.Clone(r.Attributes)
	for _, k := range keys {
		i := slices.IndexFunc(kept, func(a providertypes.Attribute) bool { return a.Key == k })
		if i < 0 {
			return SignedAttributes{}, ErrKeyNotSigned.Wrapf("%q of provider %s by auditor %s", k, r.Provider, r.Auditor)
		}
		kept = slices.Delete(kept, i, i+1)
	}
	r.Attributes = kept
	return r, nil
}

// Validate checks a stored record: addresses, one attribute at least, keys in ascending order.
func (r SignedAttributes) Validate() error {
	if err := validateParties(r.Auditor, r.Provider); err != nil {
		return err
	}
	if len(r.Attributes) == 0 {
		return ErrInvalidMessage.Wrap("a record holds at least one attribute")
	}
	if err := providertypes.ValidateAttributes(r.Attributes); err != nil {
		return err
	}
	for i := 1; i < len(r.Attributes); i++ {
		if r.Attributes[i-1].Key >= r.Attributes[i].Key {
			return ErrInvalidMessage.Wrapf("key %q is not after %q: keys stand in ascending order", r.Attributes[i].Key, r.Attributes[i-1].Key)
		}
	}
	if r.UpdatedAt < 0 {
		return ErrInvalidMessage.Wrapf("updated_at %d is below 0", r.UpdatedAt)
	}
	return nil
}
