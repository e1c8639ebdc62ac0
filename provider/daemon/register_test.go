package daemon

import (
	"testing"

	providertypes "berth.dev/berth/x/provider/types"
)

func TestRegistration(t *testing.T) {
	pin, old := []byte("0123456789abcdef0123456789abcdef"), []byte("fedcba9876543210fedcba9876543210")
	want := validConfig().record("berth1us", pin)
	same := func(edit func(*providertypes.Provider)) providertypes.Provider {
		p := want
		p.Attributes = append([]providertypes.Attribute(nil), want.Attributes...)
		p.CreatedAt = 5
		edit(&p)
		return p
	}
	for name, tc := range map[string]struct {
		have  providertypes.Provider
		found bool
		msg   string
		pins  int
	}{
		"none":          {providertypes.Provider{}, false, "create", 1},
		"equal":         {same(func(*providertypes.Provider) {}), true, "", 0},
		"other order":   {same(func(p *providertypes.Provider) { p.Attributes[0], p.Attributes[1] = p.Attributes[1], p.Attributes[0] }), true, "", 0},
		"further pin":   {same(func(p *providertypes.Provider) { p.TlsPins = [][]byte{old, pin} }), true, "", 0},
		"further, host": {same(func(p *providertypes.Provider) { p.TlsPins = [][]byte{old, pin}; p.HostUri = "https://x" }), true, "update", 2},
		"other pin":     {same(func(p *providertypes.Provider) { p.TlsPins = [][]byte{old} }), true, "update", 1},
		"host":          {same(func(p *providertypes.Provider) { p.HostUri = "https://x" }), true, "update", 1},
		"attribute":     {same(func(p *providertypes.Provider) { p.Attributes = p.Attributes[:1] }), true, "update", 1},
		"info":          {same(func(p *providertypes.Provider) { p.Info.Email = "a@b" }), true, "update", 1},
	} {
		t.Run(name, func(t *testing.T) {
			switch m := registration(want, tc.have, tc.found).(type) {
			case nil:
				if tc.msg != "" {
					t.Errorf("nothing to do, want %s", tc.msg)
				}
			case *providertypes.MsgCreateProvider:
				if tc.msg != "create" || len(m.TlsPins) != tc.pins {
					t.Errorf("creates %v, want %q", m, tc.msg)
				}
			case *providertypes.MsgUpdateProvider:
				if tc.msg != "update" || len(m.TlsPins) != tc.pins || m.HostUri != want.HostUri {
					t.Errorf("updates to %v, want %q with %d pins", m, tc.msg, tc.pins)
				}
			}
		})
	}
}
