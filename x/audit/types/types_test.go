package types_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

func addr(b byte) string { a := make([]byte, 20); a[0] = b; return sdk.AccAddress(a).String() }

func keys(n int) []string {
	ks := make([]string, n)
	for i := range ks {
		ks[i] = fmt.Sprintf("key-%02d", i)
	}
	return ks
}

func attrs(n int) []providertypes.Attribute {
	as := make([]providertypes.Attribute, n)
	for i, k := range keys(n) {
		as[i] = providertypes.Attribute{Key: k, Value: "v"}
	}
	return as
}

func TestMessages(t *testing.T) {
	sign := func(f func(*types.MsgSignAttributes)) sdk.HasValidateBasic {
		m := &types.MsgSignAttributes{Auditor: addr(1), Provider: addr(2), Attributes: attrs(1)}
		f(m)
		return m
	}
	revoke := func(keys ...string) sdk.HasValidateBasic {
		return &types.MsgRevokeAttributes{Auditor: addr(1), Provider: addr(2), Keys: keys}
	}
	for name, tc := range map[string]struct {
		msg  sdk.HasValidateBasic
		want error
	}{
		"sign one":                {sign(func(*types.MsgSignAttributes) {}), nil},
		"sign oneself":            {sign(func(m *types.MsgSignAttributes) { m.Auditor = m.Provider }), nil},
		"sign none":               {sign(func(m *types.MsgSignAttributes) { m.Attributes = nil }), types.ErrInvalidMessage},
		"sign 64":                 {sign(func(m *types.MsgSignAttributes) { m.Attributes = attrs(64) }), nil},
		"sign 65":                 {sign(func(m *types.MsgSignAttributes) { m.Attributes = attrs(65) }), providertypes.ErrInvalidAttributes},
		"sign a key twice":        {sign(func(m *types.MsgSignAttributes) { m.Attributes = append(attrs(1), attrs(1)...) }), providertypes.ErrInvalidAttributes},
		"sign a glob":             {sign(func(m *types.MsgSignAttributes) { m.Attributes[0].Key = "gpu/*" }), providertypes.ErrInvalidAttributes},
		"sign an empty value":     {sign(func(m *types.MsgSignAttributes) { m.Attributes[0].Value = "" }), providertypes.ErrInvalidAttributes},
		"sign as nobody":          {sign(func(m *types.MsgSignAttributes) { m.Auditor = "" }), providertypes.ErrInvalidAddress},
		"sign for nobody":         {sign(func(m *types.MsgSignAttributes) { m.Provider = "x" }), providertypes.ErrInvalidAddress},
		"revoke all":              {revoke(), nil},
		"revoke 64":               {revoke(keys(64)...), nil},
		"revoke 65":               {revoke(keys(65)...), types.ErrInvalidMessage},
		"revoke twice":            {revoke("ab", "ab"), types.ErrInvalidMessage},
		"revoke what is no key":   {revoke(""), providertypes.ErrInvalidAttributes},
		"revoke as nobody":        {&types.MsgRevokeAttributes{Provider: addr(2)}, providertypes.ErrInvalidAddress},
		"revoke of nobody":        {&types.MsgRevokeAttributes{Auditor: addr(2)}, providertypes.ErrInvalidAddress},
		"revoke, nothing is said": {&types.MsgRevokeAttributes{}, providertypes.ErrInvalidAddress},
	} {
		require.ErrorIs(t, tc.msg.ValidateBasic(), tc.want, name)
	}
}

func TestGenesis(t *testing.T) {
	good := func() types.SignedAttributes {
		return types.SignedAttributes{Provider: addr(1), Auditor: addr(2), Attributes: attrs(2), UpdatedAt: 3}
	}
	for name, tc := range map[string]struct {
		change func(*types.GenesisState)
		ok     bool
	}{
		"one":          {func(*types.GenesisState) {}, true},
		"empty":        {func(g *types.GenesisState) { *g = *types.DefaultGenesis() }, true},
		"twice":        {func(g *types.GenesisState) { g.Records = append(g.Records, good()) }, false},
		"no auditor":   {func(g *types.GenesisState) { g.Records[0].Auditor = "" }, false},
		"no provider":  {func(g *types.GenesisState) { g.Records[0].Provider = "" }, false},
		"nothing":      {func(g *types.GenesisState) { g.Records[0].Attributes = nil }, false},
		"out of order": {func(g *types.GenesisState) { slices.Reverse(g.Records[0].Attributes) }, false},
		"a bad value":  {func(g *types.GenesisState) { g.Records[0].Attributes[0].Value = "\xff" }, false},
		"height -1":    {func(g *types.GenesisState) { g.Records[0].UpdatedAt = -1 }, false},
	} {
		g := &types.GenesisState{Records: []types.SignedAttributes{good()}}
		tc.change(g)
		if tc.ok {
			require.NoError(t, g.Validate(), name)
			continue
		}
		require.ErrorIs(t, g.Validate(), types.ErrInvalidGenesis, name)
	}
}

// TestRecordModel compares merging and revoking with a map.
func TestRecordModel(t *testing.T) {
	key := rapid.StringMatching(`[a-c]{2}`)
	attr := rapid.Custom(func(t *rapid.T) providertypes.Attribute {
		return providertypes.Attribute{Key: key.Draw(t, "key"), Value: rapid.StringMatching(`[xyz]`).Draw(t, "value")}
	})
	list := rapid.SliceOfNDistinct(attr, 1, 4, func(a providertypes.Attribute) string { return a.Key })
	rapid.Check(t, func(t *rapid.T) {
		r, model := types.SignedAttributes{Provider: addr(1), Auditor: addr(2)}, map[string]string{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before := slices.Clone(r.Attributes)
			was := r
			if rapid.Bool().Draw(t, "sign") {
				as := list.Draw(t, "attributes")
				r = r.Merge(as)
				for _, a := range as {
					model[a.Key] = a.Value
				}
			} else {
				ks := rapid.SliceOfNDistinct(key, 0, 3, rapid.ID).Draw(t, "keys")
				signed := !slices.ContainsFunc(ks, func(k string) bool { return model[k] == "" })
				next, err := r.Without(ks)
				require.Equal(t, signed, err == nil, "%v of %v", ks, model)
				if err == nil {
					r = next
					maps.DeleteFunc(model, func(k, _ string) bool { return len(ks) == 0 || slices.Contains(ks, k) })
				}
			}
			require.Equal(t, before, was.Attributes, "the record before is left alone")
			got := map[string]string{}
			for _, a := range r.Attributes {
				got[a.Key] = a.Value
			}
			require.Equal(t, model, got)
			if len(model) > 0 {
				require.NoError(t, r.Validate())
			}
		}
	})
}

// FuzzMessages: no message that decodes makes validation panic, and what passes keeps the limits.
func FuzzMessages(f *testing.F) {
	sign, err := (&types.MsgSignAttributes{Auditor: addr(1), Provider: addr(2), Attributes: attrs(2)}).Marshal()
	require.NoError(f, err)
	revoke, err := (&types.MsgRevokeAttributes{Auditor: addr(1), Provider: addr(2), Keys: keys(2)}).Marshal()
	require.NoError(f, err)
	f.Add(sign)
	f.Add(revoke)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s types.MsgSignAttributes
		if s.Unmarshal(b) == nil && s.ValidateBasic() == nil {
			r := types.SignedAttributes{Auditor: s.Auditor, Provider: s.Provider}.Merge(s.Attributes)
			if err := r.Validate(); err != nil {
				t.Errorf("a signature that passes makes a record that does not: %s", err)
			}
		}
		var r types.MsgRevokeAttributes
		if r.Unmarshal(b) == nil && r.ValidateBasic() == nil && len(r.Keys) > providertypes.MaxAttributes {
			t.Errorf("%d keys pass", len(r.Keys))
		}
	})
}

// FuzzGenesis: no genesis that decodes makes validation panic.
func FuzzGenesis(f *testing.F) {
	g := types.GenesisState{Records: []types.SignedAttributes{{Provider: addr(1), Auditor: addr(2), Attributes: attrs(2)}}}
	b, err := g.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var g types.GenesisState
		if g.Unmarshal(b) != nil || g.Validate() != nil {
			return
		}
		for _, r := range g.Records {
			if len(r.Attributes) == 0 {
				t.Error("a record without attributes passes")
			}
		}
	})
}
