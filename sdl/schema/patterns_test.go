package schema

import (
	"math/rand/v2"
	"path"
	"regexp"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestPatternsAgree holds patterns and the functions that decide together, on texts of the letters that matter.
func TestPatternsAgree(t *testing.T) {
	const seed = 1
	attribute := func(key, value string) bool {
		return providertypes.ValidateRequirements([]providertypes.Attribute{{Key: key, Value: value}}) == nil
	}
	digest := "@sha256:" + strings.Repeat("0f", 32)
	for name, tc := range map[string]struct {
		patterns []quantity.Pattern
		is       func(string) bool
		letters  []string
	}{
		"service": {[]quantity.Pattern{serviceName}, manifest.IsServiceName, []string{"a", "z", "1", "-", "_", ".", "A", "é", strings.Repeat("b", 60)}},
		"group":   {[]quantity.Pattern{groupName}, manifest.IsGroupName, []string{"a", "Z", "1", "-", "_", ".", " ", "é", strings.Repeat("b", 60)}},
		"volume":  {[]quantity.Pattern{volumeName}, manifest.IsVolumeName, []string{"a", "1", "-", "_", ".", "A", "é", strings.Repeat("b", 60)}},
		"env":     {[]quantity.Pattern{envName}, manifest.IsEnvName, []string{"a", "Z", "1", "-", "_", ".", "=", " ", "\n", "é", strings.Repeat("b", 253)}},
		"host":    {hosts, manifest.IsHost, []string{"a", "1", "-", "_", ".", ".", "A", ":", "\n", strings.Repeat("b", 60), strings.Repeat("b.", 124)}},
		"image": {images, manifest.IsImage, []string{"a", "1", "-", "_", ".", "/", ":", "@", "A", " ", "\n", "localhost", "5000", "123456", digest,
			strings.Repeat("b", 62), strings.Repeat("b", 126), strings.Repeat("b", 500)}},
		"key":   {[]quantity.Pattern{attributeKey}, func(s string) bool { return attribute(s, "x") }, []string{"a", "Z", "1", "-", "_", ".", "/", "*", " ", "\n", strings.Repeat("b", 124)}},
		"value": {[]quantity.Pattern{attributeValue}, func(s string) bool { return attribute("key", s) }, []string{"a", " ", "\u00a0", "\t", "\x7f", "\u0085", "\u2027", "\u2028", "\u202e", "\u2066", "\u2070", "é"}},
		"denom": {[]quantity.Pattern{denom}, func(s string) bool { return sdk.ValidateDenom(s) == nil }, []string{"a", "Z", "1", "/", ":", ".", "_", "-", " ", "\n", strings.Repeat("b", 124)}},
		"blank": {[]quantity.Pattern{notBlank}, func(s string) bool { return strings.TrimSpace(s) != "" }, []string{"a", " ", "\t", "\v", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff"}},
		"mount": {mounts, func(s string) bool { return path.IsAbs(s) && path.Clean(s) != "/" && !strings.ContainsAny(s, ":\x00") }, []string{"/", "/", ".", "a", " ", ":", "\x00", "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*regexp.Regexp
			for _, p := range tc.patterns {
				all = append(all, regexp.MustCompile(p.Expr))
			}
			r, good := rand.New(rand.NewPCG(seed, 0)), 0
			for range 30_000 {
				var b strings.Builder
				for range r.IntN(8) {
					b.WriteString(tc.letters[r.IntN(len(tc.letters))])
				}
				s, got := b.String(), true
				for _, re := range all {
					got = got && re.MatchString(s)
				}
				want := tc.is(s)
				if want {
					good++
				}
				// What leads back with .. is beyond a pattern.
				if got != want && (name != "mount" || want || !strings.Contains(s, "..")) {
					t.Fatalf("seed %d: %q matches: %v, is one: %v", seed, s, got, want)
				}
			}
			if good < 100 {
				t.Errorf("only %d texts were good", good)
			}
		})
	}
}
