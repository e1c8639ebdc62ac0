package types_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/provider/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

func addr(b byte) string { a := make([]byte, 20); a[0] = b; return sdk.AccAddress(a).String() }

func pin(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestValidateHostURI(t *testing.T) {
	for uri, ok := range map[string]bool{
		"https://gateway.example.com":                     true,
		"https://gateway.example.com:8443":                true,
		"https://127.0.0.1:8443":                          true,
		"https://[2001:db8::1]:8443":                      true,
		"https://localhost:1":                             true,
		"https://a.example:65535":                         true,
		"https://" + strings.Repeat("a", 63) + ".example": true,
		"https://" + strings.Repeat("a", 64) + ".example": false,
		"https://a.example:65536":                         false,
		"https://a.example:0":                             false,
		"https://a.example:":                              false,
		"https://a.example/":                              false,
		"https://a.example/path":                          false,
		"https://a.example?q=1":                           false,
		"https://a.example#f":                             false,
		"https://user@a.example":                          false,
		"http://a.example":                                false,
		"HTTPS://a.example":                               false,
		"//a.example":                                     false,
		"a.example":                                       false,
		"https://":                                        false,
		"https://:8443":                                   false,
		"https://-a.example":                              false,
		"https://a_b.example":                             false,
		"https://a b.example":                             false,
		"https:a.example":                                 false,
		"":                                                false,
		"\x00":                                            false,
		"https://" + strings.Repeat("a.", 115) + "example.com": true,
		"https://" + strings.Repeat("a.", 124) + "example.com": false,
	} {
		if err := types.ValidateHostURI(uri); (err == nil) != ok {
			t.Errorf("ValidateHostURI(%q) = %v, want ok=%v", uri, err, ok)
		}
	}
}

func TestValidateTLSPins(t *testing.T) {
	for name, tc := range map[string]struct {
		pins [][]byte
		ok   bool
	}{
		"none":       {nil, false},
		"one":        {[][]byte{pin(1)}, true},
		"three":      {[][]byte{pin(1), pin(2), pin(3)}, true},
		"four":       {[][]byte{pin(1), pin(2), pin(3), pin(4)}, false},
		"31 bytes":   {[][]byte{pin(1)[:31]}, false},
		"33 bytes":   {[][]byte{append(pin(1), 0)}, false},
		"empty":      {[][]byte{{}}, false},
		"equal ones": {[][]byte{pin(1), pin(2), pin(1)}, false},
	} {
		if err := types.ValidateTLSPins(tc.pins); (err == nil) != tc.ok {
			t.Errorf("%s: ValidateTLSPins = %v, want ok=%v", name, err, tc.ok)
		}
	}
}

func attrs(n int) (as []types.Attribute) {
	for i := range n {
		as = append(as, types.Attribute{Key: fmt.Sprintf("key-%d", i), Value: "v"})
	}
	return as
}

func TestValidateAttributes(t *testing.T) {
	one := func(k, v string) []types.Attribute { return []types.Attribute{{Key: k, Value: v}} }
	for name, tc := range map[string]struct {
		attrs              []types.Attribute
		provided, required bool
	}{
		"none":                      {nil, true, true},
		"64":                        {attrs(64), true, true},
		"65":                        {attrs(65), false, false},
		"a key twice":               {append(attrs(1), attrs(1)...), false, false},
		"shortest key":              {one("ab", "v"), true, true},
		"one letter":                {one("a", "v"), false, false},
		"no key":                    {one("", "v"), false, false},
		"128 characters":            {one(strings.Repeat("a", 128), "v"), true, true},
		"129 characters":            {one(strings.Repeat("a", 129), "v"), false, false},
		"begins with a digit":       {one("1a", "v"), false, false},
		"all allowed characters":    {one("a/B.c-d_9", "v"), true, true},
		"a space":                   {one("a b", "v"), false, false},
		"a glob at the end":         {one("gpu/nvidia/*", "v"), false, true},
		"a glob inside":             {one("gpu/*/a", "v"), false, false},
		"two globs":                 {one("gpu/**", "v"), false, false},
		"only a glob":               {one("*", "v"), false, false},
		"no value":                  {one("key", ""), false, false},
		"longest value":             {one("key", strings.Repeat("v", 256)), true, true},
		"too long a value":          {one("key", strings.Repeat("v", 257)), false, false},
		"a value with a line break": {one("key", "a\nb"), false, false},
		"a value that is no text":   {one("key", "\xff"), false, false},
		"a value in other letters":  {one("key", "Zürich 東京"), true, true},
		"a value that turns text":   {one("key", "a\u202eb"), false, false},
		"a value with outer spaces": {one("key", " v"), false, false},
	} {
		if err := types.ValidateAttributes(tc.attrs); (err == nil) != tc.provided {
			t.Errorf("%s: ValidateAttributes = %v, want ok=%v", name, err, tc.provided)
		}
		if err := types.ValidateRequirements(tc.attrs); (err == nil) != tc.required {
			t.Errorf("%s: ValidateRequirements = %v, want ok=%v", name, err, tc.required)
		}
	}
}

func TestMatchAttributes(t *testing.T) {
	have := []types.Attribute{{Key: "region", Value: "eu"}, {Key: "gpu/nvidia/a100", Value: "true"}, {Key: "host", Value: "akash"}}
	for name, tc := range map[string]struct {
		required []types.Attribute
		want     bool
	}{
		"nothing":             {nil, true},
		"one":                 {[]types.Attribute{{Key: "region", Value: "eu"}}, true},
		"all":                 {have, true},
		"another value":       {[]types.Attribute{{Key: "region", Value: "us"}}, false},
		"another key":         {[]types.Attribute{{Key: "zone", Value: "eu"}}, false},
		"one of two":          {[]types.Attribute{{Key: "region", Value: "eu"}, {Key: "zone", Value: "a"}}, false},
		"glob":                {[]types.Attribute{{Key: "gpu/nvidia/*", Value: "true"}}, true},
		"glob, another value": {[]types.Attribute{{Key: "gpu/nvidia/*", Value: "false"}}, false},
		"glob over a slash":   {[]types.Attribute{{Key: "gpu/*", Value: "true"}}, false},
		"prefix, no glob":     {[]types.Attribute{{Key: "gpu/nvidia/a", Value: "true"}}, false},
	} {
		if got := types.MatchAttributes(tc.required, have); got != tc.want {
			t.Errorf("%s: MatchAttributes = %v, want %v", name, got, tc.want)
		}
	}
}

// A subset always matches, and what matches still does when the provider has more.
func TestMatchAttributesIsMonotone(t *testing.T) {
	list := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) types.Attribute {
		return types.Attribute{Key: rapid.StringMatching(`[a-c]{2}`).Draw(t, "key"), Value: rapid.StringMatching(`[xy]`).Draw(t, "value")}
	}), 0, 8, func(a types.Attribute) string { return a.Key })
	rapid.Check(t, func(t *rapid.T) {
		have, required := list.Draw(t, "have"), list.Draw(t, "required")
		require.True(t, types.MatchAttributes(have[:len(have)/2], have))
		if types.MatchAttributes(required, have[:len(have)/2]) {
			require.True(t, types.MatchAttributes(required, have))
		}
	})
}

func TestParseAddress(t *testing.T) {
	good := addr(1)
	for s, ok := range map[string]bool{good: true, strings.ToUpper(good): false, good + "x": false, "": false, "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du": false} {
		if _, err := types.ParseAddress("owner", s); (err == nil) != ok {
			t.Errorf("ParseAddress(%q) = %v, want ok=%v", s, err, ok)
		}
	}
}

func TestGenesis(t *testing.T) {
	p := types.Provider{Owner: addr(1), HostUri: "https://a.example", TlsPins: [][]byte{pin(1)}}
	bad := p
	bad.HostUri = "http://a.example"
	key := types.GatewayKey{Owner: addr(1), Key: point(1)}
	for name, tc := range map[string]struct {
		gs types.GenesisState
		ok bool
	}{
		"default":           {*types.DefaultGenesis(), true},
		"one of each":       {types.GenesisState{Providers: []types.Provider{p}, GatewayKeys: []types.GatewayKey{key}}, true},
		"a provider twice":  {types.GenesisState{Providers: []types.Provider{p, p}}, false},
		"a bad provider":    {types.GenesisState{Providers: []types.Provider{bad}}, false},
		"a key twice":       {types.GenesisState{GatewayKeys: []types.GatewayKey{key, key}}, false},
		"a key of nobody":   {types.GenesisState{GatewayKeys: []types.GatewayKey{{Key: point(1)}}}, false},
		"an empty key":      {types.GenesisState{GatewayKeys: []types.GatewayKey{{Owner: addr(1)}}}, false},
		"a key that is not": {types.GenesisState{GatewayKeys: []types.GatewayKey{{Owner: addr(1), Key: make([]byte, 33)}}}, false},
	} {
		err := tc.gs.Validate()
		if tc.ok {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, types.ErrInvalidGenesis, name)
	}
}

func point(b byte) []byte {
	return secp256k1.PrivKeyFromBytes([]byte{b}).PubKey().SerializeCompressed()
}

// ChangedKeys names exactly the keys whose attribute is not the same afterwards.
func TestChangedKeys(t *testing.T) {
	list := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) types.Attribute {
		return types.Attribute{Key: rapid.StringMatching(`[a-c]{2}`).Draw(t, "key"), Value: rapid.StringMatching(`[xy]`).Draw(t, "value")}
	}), 0, 8, func(a types.Attribute) string { return a.Key })
	rapid.Check(t, func(t *rapid.T) {
		before, after := list.Draw(t, "before"), list.Draw(t, "after")
		changed := types.ChangedKeys(before, after)
		require.True(t, slices.IsSorted(changed))
		values := map[string]string{}
		for _, a := range after {
			values[a.Key] = a.Value
		}
		for _, a := range before {
			require.Equal(t, values[a.Key] != a.Value, slices.Contains(changed, a.Key), a.Key)
		}
		require.Empty(t, types.ChangedKeys(before, before))
		require.Len(t, types.ChangedKeys(before, nil), len(before))
	})
}

// decoded is a message that came off the wire.
type decoded interface {
	Reset()
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
	sdk.HasValidateBasic
}

// messages are one of each kind, all valid.
func messages() []decoded {
	return []decoded{
		&types.MsgCreateProvider{Owner: addr(1), HostUri: "https://a.example", TlsPins: [][]byte{pin(1)}, Attributes: attrs(1)},
		&types.MsgUpdateProvider{Owner: addr(1), HostUri: "https://a.example", TlsPins: [][]byte{pin(1)}, Attributes: attrs(1)},
		&types.MsgDeleteProvider{Owner: addr(1)},
		&types.MsgSetGatewayKey{Owner: addr(1), Key: point(1)},
	}
}

// FuzzMessages: no message that decodes makes validation panic, and what passes keeps the limits.
func FuzzMessages(f *testing.F) {
	for i, m := range messages() {
		require.NoError(f, m.ValidateBasic())
		b, err := m.Marshal()
		require.NoError(f, err)
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		all := messages()
		m := all[int(kind)%len(all)]
		m.Reset()
		if m.Unmarshal(b) != nil || m.ValidateBasic() != nil {
			return
		}
		switch m := m.(type) {
		case *types.MsgCreateProvider:
			if !strings.HasPrefix(m.HostUri, "https://") || len(m.TlsPins) < 1 || len(m.TlsPins) > 3 {
				t.Errorf("%q with %d pins was accepted", m.HostUri, len(m.TlsPins))
			}
		case *types.MsgSetGatewayKey:
			if n := len(m.Key); n != 0 && n != 33 {
				t.Errorf("a key of %d bytes was accepted", n)
			}
		}
	})
}

// FuzzGenesis: no genesis that decodes makes validation panic, and owners are unique in what passes.
func FuzzGenesis(f *testing.F) {
	g := types.GenesisState{
		Providers:   []types.Provider{{Owner: addr(1), HostUri: "https://a.example", TlsPins: [][]byte{pin(1)}}},
		GatewayKeys: []types.GatewayKey{{Owner: addr(1), Key: point(1)}},
	}
	require.NoError(f, g.Validate())
	b, err := g.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var g types.GenesisState
		if g.Unmarshal(b) != nil || g.Validate() != nil {
			return
		}
		for i := 1; i < len(g.Providers); i++ {
			if g.Providers[i].Owner == g.Providers[0].Owner {
				t.Errorf("provider %s passes twice", g.Providers[i].Owner)
			}
		}
	})
}
