package compile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/sdl/compile"
)

// hostile are documents that try to cost time or memory, with the code they are refused with.
func hostile() map[string]struct{ text, code string } {
	bomb := "version: \"1.0\"\na: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	merges := "a: &a {x: 1}\n"
	for c := 'b'; c < 'y'; c++ {
		merges += fmt.Sprintf("%c: &%c {<<: [*%c, *%c, *%c, *%c]}\n", c, c, c-1, c-1, c-1, c-1)
	}
	stairs := ""
	for i := range 1200 {
		stairs += strings.Repeat(" ", i) + "a:\n"
	}
	return map[string]struct{ text, code string }{
		"10 MB of nesting":        {strings.Repeat("[", 10<<20), "E-SIZE"},
		"10^4 brackets":           {strings.Repeat("[", 10_000), "E-YAML"},
		"10^4 closed brackets":    {strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "E-YAML-DEPTH"},
		"more brackets":           {strings.Repeat("[", 90_000), "E-YAML-DEPTH"},
		"10^4 braces":             {strings.Repeat("{a: ", 10_000), "E-YAML"},
		"nested dashes":           {strings.Repeat("- ", 9_000) + "x", "E-YAML-DEPTH"},
		"nested question marks":   {strings.Repeat("? ", 9_000) + "x", "E-TYPE"},
		"stairs":                  {stairs + strings.Repeat(" ", 1300) + "x", "E-YAML-DEPTH"},
		"1 MiB of entries":        {strings.Repeat("- a\n", 1<<18), "E-YAML-NODES"},
		"many entries":            {strings.Repeat("- a\n", 49_000/2), "E-TYPE"},
		"many keys":               {manyKeys(12_000), "E-TOO-MANY"},
		"1 MiB of one text":       {"a: " + strings.Repeat("x", 1<<20-3), "E-MISSING"},
		"1 MiB of words":          {"a: " + strings.Repeat("x ", 1<<19-2), "E-MISSING"},
		"1 MiB of colons":         {strings.Repeat(":", 1<<20), "E-YAML-NODES"},
		"1 MiB of quotes":         {strings.Repeat("\"\" ", 1<<20/3), "E-YAML"},
		"1 MiB of anchors":        {strings.Repeat("&a ", 1<<20/3), "E-YAML"},
		"1 MiB of tags":           {strings.Repeat("! ", 1<<19), "E-YAML"},
		"1 MiB of comments":       {strings.Repeat("#\n", 49_000), "E-YAML-EMPTY"},
		"1 MiB of blanks":         {strings.Repeat(" ", 1<<20), "E-YAML-EMPTY"},
		"tabs":                    {strings.Repeat("\t", 1<<20), "E-YAML"},
		"1 MiB of pipes":          {strings.Repeat("|", 1<<20), "E-YAML"},
		"1 MiB of escapes":        {"a: \"" + strings.Repeat("\\n", 1<<19-3) + "\"", "E-MISSING"},
		"long line of words":      {"a: [" + strings.Repeat("word ", 190_000) + "]", "E-MISSING"},
		"a comment of 1 MiB":      {"# " + strings.Repeat("x", 1<<20-3), "E-YAML-EMPTY"},
		"alias bomb":              {bomb, "E-YAML-NODES"},
		"merge bomb":              {merges, "E-YAML-ALIAS"},
		"alias of itself":         {"a: &a [*a]", "E-YAML-ALIAS"},
		"merge of itself":         {"a: &a {<<: *a}", "E-YAML-ALIAS"},
		"key that is a structure": {"? [a, b]\n: c\n", "E-TYPE"},
		"not UTF-8":               {"version: \"1.0\xff\"", "E-UTF8"},
		"zero byte":               {"version: \"1.0\x00\"", "E-CHARACTER"},
		"old line ends":           {"version: \"1.0\"\rservices: {}", "E-CHARACTER"},
		"line separator":          {"version: \"1.0\"\nservices: {a: \"\u2028\"}", "E-CHARACTER"},
		"UTF-16":                  {"\xff\xfev\x00e\x00", "E-UTF8"},
		"nothing":                 {"", "E-YAML-EMPTY"},
		"only a comment":          {"# deploy\n", "E-YAML-EMPTY"},
		"only null":               {"~", "E-TYPE"},
		"a text":                  {"hello", "E-TYPE"},
		"a list":                  {"[1, 2]", "E-TYPE"},
		"two documents":           {"version: \"1.0\"\n---\nversion: \"1.0\"\n", "E-YAML-MULTI"},
		"binary tag":              {"version: !!binary aGVsbG8=", "E-YAML-TAG"},
		"own tag":                 {"version: !secret x", "E-YAML-TAG"},
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: v\n", i)
	}
	return b.String()
}

func TestHostile(t *testing.T) {
	for name, tc := range hostile() {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			plan, found := compile.Compile("deploy.yaml", []byte(tc.text))
			took := time.Since(began)
			if plan != nil {
				t.Fatal("Compile accepted it")
			}
			has := false
			for _, d := range found {
				has = has || strings.HasPrefix(d.Code, tc.code)
			}
			if !has {
				t.Errorf("Compile: no %s among %v", tc.code, found)
			}
			// Far above what it takes, so that a slow machine passes and a quadratic parser does not.
			if took > 30*time.Second {
				t.Errorf("Compile took %s", took)
			}
			t.Logf("%s: %v", took, found[0])
		})
	}
}
