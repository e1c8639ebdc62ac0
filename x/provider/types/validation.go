package types

import (
	"bytes"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// MaxHostURI is the longest gateway address, in bytes.
	MaxHostURI = 256
	// MaxTLSPins is the most keys that a gateway may be recognised by.
	MaxTLSPins = 3
	// TLSPinSize is the size of a pin: a SHA-256 digest.
	TLSPinSize = 32
	// MaxEmail is the longest email address, in bytes.
	MaxEmail = 254
	// MaxWebsite is the longest address of a website, in bytes.
	MaxWebsite = 256
)

// hostName is a DNS name: labels of letters, digits and inner hyphens.
var hostName = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

var (
	_ sdk.HasValidateBasic = (*MsgCreateProvider)(nil)
	_ sdk.HasValidateBasic = (*MsgUpdateProvider)(nil)
	_ sdk.HasValidateBasic = (*MsgDeleteProvider)(nil)
	_ sdk.HasValidateBasic = (*MsgSetGatewayKey)(nil)
)

// ValidateBasic checks the message without state.
func (m *MsgCreateProvider) ValidateBasic() error {
	return validateRecord(m.Owner, m.HostUri, m.TlsPins, m.Attributes, m.Info)
}

// ValidateBasic checks the message without state.
func (m *MsgUpdateProvider) ValidateBasic() error {
	return validateRecord(m.Owner, m.HostUri, m.TlsPins, m.Attributes, m.Info)
}

// ValidateBasic checks the message without state.
func (m *MsgDeleteProvider) ValidateBasic() error {
	_, err := ParseAddress("owner", m.Owner)
	return err
}

// ValidateBasic checks the message without state.
func (m *MsgSetGatewayKey) ValidateBasic() error {
	if _, err := ParseAddress("owner", m.Owner); err != nil {
		return err
	}
	if len(m.Key) == 0 {
		return nil
	}
	return ValidateGatewayKey(m.Key)
}

// Validate checks a whole record.
func (p Provider) Validate() error {
	return validateRecord(p.Owner, p.HostUri, p.TlsPins, p.Attributes, p.Info)
}

func validateRecord(owner, hostURI string, pins [][]byte, attrs []Attribute, info Info) error {
	if _, err := ParseAddress("owner", owner); err != nil {
		return err
	}
	if err := ValidateHostURI(hostURI); err != nil {
		return err
	}
	if err := ValidateTLSPins(pins); err != nil {
		return err
	}
	if err := ValidateAttributes(attrs); err != nil {
		return err
	}
	return info.Validate()
}

// ValidateHostURI checks a gateway's address: https, a host, optionally a port, and nothing else.
func ValidateHostURI(s string) error {
	if len(s) > MaxHostURI {
		return ErrInvalidHostURI.Wrapf("%d bytes, at most %d are allowed", len(s), MaxHostURI)
	}
	u, err := url.Parse(s)
	if err != nil {
		return ErrInvalidHostURI.Wrapf("%q: %s", s, err)
	}
	switch {
	case u.Scheme != "https":
		return ErrInvalidHostURI.Wrapf("%q: the scheme is %q, not https", s, u.Scheme)
	case u.Hostname() == "":
		return ErrInvalidHostURI.Wrapf("%q has no host", s)
	case !isHost(u.Hostname()):
		return ErrInvalidHostURI.Wrapf("%q: %q is neither a host name nor an address", s, u.Hostname())
	case !isPort(u):
		return ErrInvalidHostURI.Wrapf("%q: a port is 1 to 65535", s)
	case s != "https://"+u.Host:
		return ErrInvalidHostURI.Wrapf("%q has more than a host and a port: remove the path, user, query or fragment", s)
	}
	return nil
}

func isHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return len(h) <= 253 && hostName.MatchString(h)
}

// isPort accepts an absent port too, but not a colon without one.
func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return u.Host[len(u.Host)-1] != ':'
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// ValidateTLSPins checks the digests of a gateway's public keys: one to three, so that a key can be rotated.
func ValidateTLSPins(pins [][]byte) error {
	if len(pins) < 1 || len(pins) > MaxTLSPins {
		return ErrInvalidTLSPins.Wrapf("there are %d", len(pins))
	}
	for i, p := range pins {
		if len(p) != TLSPinSize {
			return ErrInvalidTLSPins.Wrapf("pin %d has %d bytes", i+1, len(p))
		}
		for j := range i {
			if bytes.Equal(p, pins[j]) {
				return ErrInvalidTLSPins.Wrapf("pins %d and %d are equal", j+1, i+1)
			}
		}
	}
	return nil
}

// Validate checks the contact texts; both may be empty.
func (i Info) Validate() error {
	if err := ValidateText(i.Email, 0, MaxEmail); err != nil {
		return ErrInvalidInfo.Wrapf("email: %s", err)
	}
	if err := ValidateText(i.Website, 0, MaxWebsite); err != nil {
		return ErrInvalidInfo.Wrapf("website: %s", err)
	}
	return nil
}
