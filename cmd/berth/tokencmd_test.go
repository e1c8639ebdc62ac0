package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/provider/gateway/token"
	markettypes "berth.dev/berth/x/market/types"
)

func TestTokenFlags(t *testing.T) {
	sum := strings.Repeat("9f", 32)
	good := tokenFlags{scopes: []string{"logs", "status"}, leases: []string{"7/1"}, fingerprint: sum, lifetime: time.Minute}
	c, err := good.claims()
	if err != nil || len(c.Scopes) != 2 || c.Leases[0] != (token.Lease{Dseq: 7, Gseq: 1}) || c.Thumbprint[31] != 0x9f {
		t.Errorf("claims = %+v, %v", c, err)
	}
	for _, same := range []string{
		"SHA256 Fingerprint=" + strings.TrimSuffix(strings.Repeat("9F:", 32), ":"), strings.ToUpper(sum), "n5-fn5-fn5-fn5-fn5-fn5-fn5-fn5-fn5-fn5-fn58",
	} {
		if got, err := parseFingerprint(same); err != nil || got != c.Thumbprint {
			t.Errorf("parseFingerprint(%q) = %x, %v", same, got, err)
		}
	}
	for want, change := range map[string]func(*tokenFlags){
		`"root" is none of`: func(o *tokenFlags) { o.scopes = []string{"root"} },
		"without a scope":   func(o *tokenFlags) { o.scopes = nil },
		"--lease":           func(o *tokenFlags) { o.leases = []string{"x"} },
		"--lifetime":        func(o *tokenFlags) { o.lifetime = token.MaxLifetime },
		"between 1s":        func(o *tokenFlags) { o.lifetime = 0 },
		"whose certificate": func(o *tokenFlags) { o.fingerprint = "" },
		"64 hexadecimal":    func(o *tokenFlags) { o.fingerprint = "9f" },
	} {
		o := good
		change(&o)
		if _, err := o.claims(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("claims = %v, want %q", err, want)
		}
	}
}

func TestTokenProvider(t *testing.T) {
	lease := func(provider string, state markettypes.LeaseState) markettypes.QueryLeaseResponse {
		return markettypes.QueryLeaseResponse{Lease: markettypes.Lease{Id: markettypes.BidID{Provider: provider}, State: state}}
	}
	a, b := lease("a", markettypes.LEASE_STATE_ACTIVE), lease("b", markettypes.LEASE_STATE_SUSPENDED)
	closed := lease("c", markettypes.LEASE_STATE_CLOSED)
	for name, tc := range map[string]struct {
		leases       []markettypes.QueryLeaseResponse
		chosen, want string
		err          string
	}{
		"one":              {[]markettypes.QueryLeaseResponse{a, a, closed}, "", "a", ""},
		"none":             {[]markettypes.QueryLeaseResponse{closed}, "", "", "no lease"},
		"several":          {[]markettypes.QueryLeaseResponse{b, a}, "", "", "--provider: a, b"},
		"chosen":           {[]markettypes.QueryLeaseResponse{b, a}, "b", "b", ""},
		"another is meant": {[]markettypes.QueryLeaseResponse{a}, "c", "", "no lease with c"},
	} {
		got, err := tokenProvider(tc.leases, 7, tc.chosen)
		if got != tc.want || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: %q, %v, want %q, %q", name, got, err, tc.want, tc.err)
		}
	}
}

func TestTokenDeployment(t *testing.T) {
	ask := func(dseq uint64, err error) func() (uint64, error) {
		return func() (uint64, error) { return dseq, err }
	}
	seven := []token.Lease{{Dseq: 7, Gseq: 1}, {Dseq: 7, Gseq: 2}}
	for name, tc := range map[string]struct {
		leases []token.Lease
		args   []string
		ask    func() (uint64, error)
		want   uint64
	}{
		"of the leases":    {seven, nil, ask(0, errors.New("nobody asks")), 7},
		"asked for":        {nil, nil, ask(9, nil), 9},
		"both":             {seven, []string{"7"}, ask(7, nil), 7},
		"both, and differ": {seven, []string{"9"}, ask(9, nil), 0},
		"two":              {append(seven, token.Lease{Dseq: 8}), nil, ask(7, nil), 0},
		"not known":        {nil, nil, ask(0, errors.New("none")), 0},
	} {
		got, err := tokenDeployment(tc.leases, tc.args, tc.ask)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tc.want)
		}
	}
}
