package types

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxAttributes is the most attributes that one list may hold.
	MaxAttributes = 64
	// MaxAttributeValue is the longest value of an attribute, in bytes.
	MaxAttributeValue = 256
)

// A key has 2 to 128 characters and starts with a letter; only a required key may end in a glob.
var (
	attributeKey     = regexp.MustCompile(`^[a-zA-Z][\w/.\-]{1,126}\w?$`)
	requirementKey   = regexp.MustCompile(`^[a-zA-Z][\w/.\-]{1,126}[\w*]?$`)
	keyRule          = "2 to 128 letters, digits, '_', '/', '.' or '-', beginning with a letter"
	requirementExtra = "; a required key may end in '*'"
)

// ValidateAttributes checks what a provider says of itself: at most MaxAttributes, unique keys, bounded values.
func ValidateAttributes(attrs []Attribute) error {
	return validateAttributes(attrs, attributeKey, keyRule)
}

// ValidateRequirements checks what a tenant asks of a provider: as ValidateAttributes, and a key may end in '*'.
func ValidateRequirements(attrs []Attribute) error {
	return validateAttributes(attrs, requirementKey, keyRule+requirementExtra)
}

// ValidateAttributeKey checks one key of what a provider says of itself.
func ValidateAttributeKey(key string) error {
	if !attributeKey.MatchString(key) {
		return ErrInvalidAttributes.Wrapf("key %q: a key has %s", clip(key), keyRule)
	}
	return nil
}

func validateAttributes(attrs []Attribute, key *regexp.Regexp, rule string) error {
	if len(attrs) > MaxAttributes {
		return ErrInvalidAttributes.Wrapf("%d attributes, at most %d are allowed", len(attrs), MaxAttributes)
	}
	seen := make(map[string]struct{}, len(attrs))
	for i, a := range attrs {
		if !key.MatchString(a.Key) {
			return ErrInvalidAttributes.Wrapf("key %q at position %d: a key has %s", clip(a.Key), i+1, rule)
		}
		if _, dup := seen[a.Key]; dup {
			return ErrInvalidAttributes.Wrapf("key %q stands twice", a.Key)
		}
		seen[a.Key] = struct{}{}
		if err := ValidateText(a.Value, 1, MaxAttributeValue); err != nil {
			return ErrInvalidAttributes.Wrapf("value of %q: %s", a.Key, err)
		}
	}
	return nil
}

// ValidateText checks a short text for people: min to max bytes of valid UTF-8 without control characters and without
// space at its ends.
func ValidateText(s string, min, max int) error {
	switch {
	case len(s) < min || len(s) > max:
		return fmt.Errorf("%d bytes, %d to %d are allowed", len(s), min, max)
	case !utf8.ValidString(s):
		return fmt.Errorf("not valid UTF-8")
	case strings.ContainsFunc(s, isControl):
		return fmt.Errorf("%q has control characters", s)
	case strings.Trim(s, " ") != s:
		return fmt.Errorf("%q begins or ends with a space", s)
	}
	return nil
}

// isControl knows the control characters, line separators and changes of direction by number: the tables of package
// unicode differ between releases of Go, and all validators must agree.
func isControl(r rune) bool {
	return r < 0x20 || (r >= 0x7f && r < 0xa0) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// MatchAttributes says whether have meets every requirement. A requirement is met by an attribute of an equal value
// whose key equals the required key, or matches it when the required key holds a glob ('*' stands for any run of
// characters but '/').
func MatchAttributes(required, have []Attribute) bool {
	for _, r := range required {
		if !meets(r, have) {
			return false
		}
	}
	return true
}

func meets(required Attribute, have []Attribute) bool {
	for _, h := range have {
		if h.Value != required.Value {
			continue
		}
		if h.Key == required.Key {
			return true
		}
		if ok, err := path.Match(required.Key, h.Key); err == nil && ok {
			return true
		}
	}
	return false
}

// ChangedKeys are the keys of attributes of before that after has not, or has with another value, in ascending order.
func ChangedKeys(before, after []Attribute) []string {
	var keys []string
	for _, a := range before {
		if !slices.Contains(after, a) {
			keys = append(keys, a.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// clip shortens what a user gave, so that an error stays readable.
func clip(s string) string {
	if len(s) > 140 {
		return s[:140] + "..."
	}
	return s
}
