package sdl_test

import (
	"strings"
	"testing"

	"berth.dev/berth/sdl"
)

// shown is what an error in each line shows of a document.
func shown(t *testing.T, source string) string {
	t.Helper()
	var out []string
	for i, line := range strings.Split(source, "\n") {
		got := text(t, sdl.Diagnostic{File: "f.yaml", Line: i + 1, Column: 1}, source)
		_, got, _ = strings.Cut(got, " | ")
		got, _, _ = strings.Cut(got, "\n")
		if line == "" && got == "" {
			continue
		}
		out = append(out, got)
	}
	return strings.Join(out, "\n")
}

// TestPrintable holds that nothing of a document steers a terminal, in messages and in excerpts.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "größe, 大": "größe, 大", "a\x1b[31m": "a\ufffd[31m", "a\u009b1m": "a\ufffd1m", "a\nb\tc\x7f": "a\ufffdb\ufffdc\ufffd",
		"a\u202eb\u2066c\u200fd": "a\ufffdb\ufffdc\ufffdd", "a\u2028b\ufeff": "a\ufffdb\ufffd", "a\xffb": "a\ufffdb",
	} {
		if got := sdl.Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
	if got := shown(t, "image:\ta\u202eb"); got != "image:\ta\ufffdb" {
		t.Errorf("the excerpt is %q", got)
	}
}

func TestExcerptsShowNoSecrets(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"list":             {"env:\n  - A=hunter2\n  - hunter2\n  - \"A=hunter2\"", "env:\n  - A=...\n  - ...\n  - \"A=..."},
		"list at the key":  {"env:\n- A=hunter2\n- hunter2\nimage: x", "env:\n- A=...\n- ...\nimage: x"},
		"mapping":          {"env:\n  A: hunter2\n  image: hunter2\nimage: x", "env:\n  A: ...\n  image: ...\nimage: x"},
		"quoted":           {"env:\n  \"A\": \"hunter2\"\n  'B': 'hunter2'", "env:\n  \"A\": ...\n  'B': ..."},
		"lines":            {"env:\n  A: |\n    hunter2\n    port: hunter2\n  B: \"\n    hunter2\"", "env:\n  A: ...\n    ...\n    port: ...\n  B: ...\n    ..."},
		"objects":          {"env:\n  A:\n    value: hunter2\n    file: a/b\n  - name: A\n    value: hunter2", "env:\n  A:\n    value: ...\n    file: ...\n  - name: ...\n    value: ..."},
		"value anywhere":   {"- name: A\n  value: hunter2\n  password: hunter2", "- name: A\n  value: ...\n  password: ..."},
		"credentials":      {"credentials:\n  host: x\n  username: hunter2\n  password: hunter2", "credentials:\n  host: ...\n  username: ...\n  password: ..."},
		"flow":             {"web: {image: x, env: {A: hunter2}, count: 1}", "web: {image: x, env: {A: ..."},
		"flow list":        {"web: {image: x, env: [A=hunter2], count: 1}", "web: {image: x, env: [..."},
		"flow of lines":    {"env: {\n  image: hunter2,\n  A: hunter2\n}\nimage: x", "env: {\n  image: ...\n  A: ...\n}\nimage: x"},
		"flow of lines 2":  {"web: {image: x, env: {\n  image: hunter2,\n  A: hunter2\n}}", "web: {image: x, env: {\n  image: ...\n  A: ...\n}}"},
		"flow of lines 3":  {"web: {image: x, env:\n  {image: hunter2, A: hunter2}}", "web: {image: x, env:\n  {image: ..."},
		"flow, prices":     {"pricing: {web: 20uu, db: 1}", "pricing: {web: 20uu, db: 1}"},
		"flow, quotes":     {"accept: [\"a, b]\", 'c', d]\nenv: [\"A: {b}\", c]", "accept: [\"a, b]\", 'c', d]\nenv: [..."},
		"profiles":         {"profiles:\n  compute:\n    web: 5\n  placement:\n    east:\n      pricing:\n        web: 20uu\n      attributes:\n        region: x", "profiles:\n  compute:\n    web: 5\n  placement:\n    east:\n      pricing:\n        web: 20uu\n      attributes:\n        region: x"},
		"services":         {"services:\n  pricing:\n    A: hunter2\n    image: x", "services:\n  pricing:\n    A: ...\n    image: x"},
		"lost env":         {"services:\n  web:\n    image: x\n      A: hunter2\n      - A=hunter2", "services:\n  web:\n    image: x\n      A: ...\n      - A=..."},
		"commands":         {"args: [hunter2]\ncommand:\n  - sh\n  - hunter2", "args: [...\ncommand:\n  - ...\n  - ..."},
		"comments":         {"# hunter2\nmemory: 64mi # hunter2\n  # hunter2", "...\nmemory: 64mi #...\n  ..."},
		"no colon":         {"image hunter\nhunter2\nmemory:64Mi\nA:hunter2", "image hunter\n...\nmemory:64Mi\n..."},
		"unknown":          {"imagge: hunter2\nenvironmental: hunter2", "imagge: ...\nenvironmental: ..."},
		"brackets":         {"}\n]}\n---\n- -\n- - A=hunter2", "}\n]}\n---\n- -\n- - A=..."},
		"odd starts":       {"&a hunter2\n*hunter2\n!hunter2 x\n| hunter2\n? hunter2\n: hunter2\n\"hunter2", "...\n...\n...\n...\n...\n: ...\n..."},
		"equals":           {"image: a=hunter2\naccept:\n  - a=hunter2", "image: a=...\naccept:\n  - a=..."},
		"windows":          {"env:\r\n  A: hunter2\r\nimage: x\r\n", "env:\n  A: ...\nimage: x"},
		"anchor":           {"env: &e\n  A: hunter2\nother: *e", "env: ...\n  A: ...\nother: ..."},
		"indented by tabs": {"env:\n\tA: hunter2\n\t- hunter2", "env:\n\tA: ...\n\t- ..."},
	} {
		if got := shown(t, tc.source); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}
