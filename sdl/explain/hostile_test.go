package explain_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/explain"
)

// named is a plan in which everything that has a name is called so, as no compiler would let it be.
func named(s string) *sdl.Plan {
	attributes := []sdl.Attribute{{Key: s, Value: s}}
	return &sdl.Plan{
		Groups: []sdl.Group{{
			Name: s, Attributes: attributes, SignedBy: sdl.SignedBy{AllOf: []string{s}, AnyOf: []string{s, s}},
			Resources: []sdl.Resource{{
				Service: s, Count: 2, CPUMilli: 1000, MemoryBytes: 1 << 30, GPU: 1, GPUAttributes: attributes,
				Storage: []sdl.Volume{{Name: s, Bytes: 1 << 30, Attributes: attributes}}, Price: math.LegacyOneDec(), Denom: sdl.Denom,
			}},
		}},
		Manifests: []manifesttypes.Group{{
			Name: s,
			Services: []manifesttypes.Service{{
				Name: s, Image: s, Count: 2, UnitId: 1, DependsOn: []string{s}, Env: []manifesttypes.EnvVar{{Name: s, Value: "hunter2"}, {Name: s, Value: "hunter2", Secret: true}},
				Credentials: &manifesttypes.Credentials{Host: s, Username: "hunter2", Password: "hunter2"}, Permissions: []string{s}, Tee: s,
				GpuAttributes: []manifesttypes.Attribute{{Key: "vendor/" + s + "/model/" + s, Value: "true"}}, Args: []string{"hunter2"}, Command: []string{"hunter2"},
				Volumes: []manifesttypes.Volume{
					{Name: s, Bytes: 1 << 30, Mount: s, Attributes: []manifesttypes.Attribute{{Key: "class", Value: s}, {Key: "persistent", Value: "true"}}},
				},
				Expose: []manifesttypes.Expose{
					{Port: 80, As: 80, Proto: manifesttypes.PROTO_HTTP, Accept: []string{s, s}, To: []manifesttypes.To{{Global: true, Ip: s}, {Service: s, Global: true}}},
					{Port: 81, As: 81, Proto: manifesttypes.PROTO_UDP},
				},
			}},
		}},
	}
}

var hostileNames = []string{
	"", " ", "end", "subgraph", "a b", `"`, `"]`, `a"] --> b["x`, "a|b", "`", "``` \n# x", "a\nb", "a\r\n| b | c |", "</text></svg><script>alert(1)</script>",
	`" onload="alert(1)`, "]]>", "&amp;", "&#34;", "#quot;", "#34;", "%%{init: {}}%%", "click p1s1 call alert()", "<img src=x onerror=alert(1)>", "javascript:x",
	"[x](https://evil.example)", "![x](y)", "*a*_b_", "\\", "\\`", "$(x)", "a\x00b", "\x1b[2J", "\u202eabc", "\u2028", "\u200b", "\xff\xfe", "\x01\x02", "ä世界🚢",
	strings.Repeat("x", 5000), strings.Repeat("世", 300), "style p1s1 fill:#f00", "--", "<!--", "1. a", "- a", "@everyone",
}

// The lines that a Mermaid drawing of one placement with one service may have.
var mermaidLine = regexp.MustCompile(`^(flowchart LR|  anyone\(\("anyone"\)\)|  subgraph p1\["placement [^"<>]*"\]|    p1s1\["<b>[^"<>]*</b><br/>2 × [^"<>]*"\]|  end|  (anyone|p1s1) -->\|"[^"<>]*"\| p1s1|)$`)

// mermaidSafe are the characters that text in a drawing is made of, besides what is escaped.
var mermaidSafe = regexp.MustCompile(`^[-a-zA-Z0-9 .,/:@_×#;]*$`)

func checkHostile(t testing.TB, s string) {
	t.Helper()
	e := explain.Explain(named(s), explain.Options{BlockNanos: sixSeconds})
	texts := map[string]string{"text": e.Text(), "markdown": e.Markdown(), "Mermaid": e.Mermaid(), "SVG": e.SVG()}
	for what, text := range texts {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%q: %s shows a secret", s, what)
		}
		if !utf8.ValidString(text) {
			t.Errorf("%q: %s is not UTF-8", s, what)
		}
		for _, r := range text {
			if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Fatalf("%q: %s holds the character %q", s, what, r)
			}
		}
	}
	wellFormed(t, texts["SVG"])
	for line := range strings.SplitSeq(texts["Mermaid"], "\n") {
		if !mermaidLine.MatchString(line) {
			t.Errorf("%q: the drawing has the line %q", s, line)
		}
		for text := range strings.SplitSeq(strings.NewReplacer("<b>", "", "</b>", "", "<br/>", "").Replace(line), `"`) {
			if text = strings.Trim(text, "()[]|> "); !mermaidSafe.MatchString(text) {
				t.Errorf("%q: the drawing has the text %q", s, text)
			}
		}
	}
	checkMarkdown(t, s, texts["markdown"])
	if _, err := json.Marshal(e); err != nil {
		t.Errorf("%q: %v", s, err)
	}
}

// checkMarkdown holds that each table keeps its columns, and that outside of code stands nothing but the page's own text.
func checkMarkdown(t testing.TB, s, text string) {
	t.Helper()
	before, _, _ := strings.Cut(text, "```mermaid")
	columns := 0
	for line := range strings.SplitSeq(before, "\n") {
		bare := line
		for { // from the left, cut out code spans, whose fences are equally long
			i := strings.IndexByte(bare, '`')
			if i < 0 {
				break
			}
			n := len(bare[i:]) - len(strings.TrimLeft(bare[i:], "`"))
			rest, end := bare[i+n:], -1
			for at := 0; at < len(rest); at++ {
				run := len(rest[at:]) - len(strings.TrimLeft(rest[at:], "`"))
				if run == n {
					end = at
					break
				}
				at += run
			}
			if end < 0 {
				t.Fatalf("%q: code that does not end in %q", s, line)
			}
			if strings.Contains(strings.ReplaceAll(rest[:end], `\|`, ""), "|") && strings.HasPrefix(line, "|") {
				t.Errorf("%q: a name ends its cell in %q", s, line)
			}
			bare = bare[:i] + rest[end+n:]
		}
		if strings.ContainsAny(bare, "<>[]*_\\@$") {
			t.Errorf("%q: outside of code stands %q", s, bare)
		}
		if !strings.HasPrefix(bare, "|") {
			columns = 0
			continue
		}
		if n := strings.Count(bare, "|"); columns != 0 && n != columns {
			t.Errorf("%q: a row of %d instead of %d columns: %q", s, n, columns, line)
		} else {
			columns = n
		}
	}
}

func TestHostileNames(t *testing.T) {
	for _, s := range hostileNames {
		checkHostile(t, s)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range hostileNames {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1<<12 {
			checkHostile(t, s)
		}
	})
}
