package rewrite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/sdl/rewrite"
)

// golden compares got with a file, or rewrites that.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (go test ./sdl/rewrite -update rewrites it); got:\n%s", file, got)
	}
}

// TestFormatGolden holds the form of some documents, to the letter.
func TestFormatGolden(t *testing.T) {
	for file, data := range documents(t, "testdata/fmt/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", checkFormat(t, file, data))
		})
	}
}

// TestExamplesHaveTheForm holds that the examples are written as the tool writes them.
func TestExamplesHaveTheForm(t *testing.T) {
	for file, data := range documents(t, "../../examples/*/*.yaml") {
		if out := checkFormat(t, file, data); string(out) != string(data) {
			t.Errorf("%s becomes\n%s", file, out)
		}
	}
}

// TestFormat looks at forms of YAML one by one.
func TestFormat(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"line ends":              {"version: '1.0'\r\nservices:\r\n  a: |\r\n    x\r\n", "version: '1.0'\nservices:\n  a: |\n    x\n"},
		"old line ends":          {"version: '1.0'\rservices: {}", "version: '1.0'\nservices: {}\n"},
		"byte order mark":        {"\uFEFFversion: '1.0'", "version: '1.0'\n"},
		"order":                  {"deployment: 1\nx: 2\nservices: 3\nversion: '1.0'\n", "version: '1.0'\nservices: 3\ndeployment: 1\nx: 2\n"},
		"comments move":          {"# a\nservices: 1 # b\n# c\nversion: '1.0' # d\n# e\n", "# c\nversion: '1.0' # d\n# a\nservices: 1 # b\n# e\n"},
		"the document's comment": {"# a\n\n# b\nservices: 1\nversion: '1.0'\n", "# a\nversion: '1.0'\n\n# b\nservices: 1\n"},
		"empty lines":            {"\n\nversion: '1.0'\n\n\n\nservices: 1\n\n\n", "version: '1.0'\n\nservices: 1\n"},
		"empty line moves":       {"services: 1\n\nversion: '1.0'\n", "version: '1.0'\n\nservices: 1\n"},
		"commented out entries":  {"services:\n  env:\n    # - A=1\n  image: x\n", "services:\n  env:\n    # - A=1\n  image: x\n"},
		"commented out at the beginning of lines": {
			"services:\n  a:\n    image: x\n    expose:\n      - port: 80\n#        as: 81\n    args: [a]\n",
			"services:\n  a:\n    image: x\n    args: [a]\n    expose:\n      - port: 80\n        #        as: 81\n"},
		"lists below keys":     {"services:\n  a:\n    args:\n    - x\n    # c\n    - y\n", "services:\n  a:\n    args:\n      - x\n      # c\n      - y\n"},
		"dash alone":           {"services:\n  a:\n    expose:\n      -\n        port: 1\n      - # c\n        port: 2\n", "services:\n  a:\n    expose:\n      - port: 1\n      - # c\n        port: 2\n"},
		"lists in lists":       {"services:\n  - - # c\n      a: 1\n      # d\n    - b\n", "services:\n  - - # c\n      a: 1\n      # d\n    - b\n"},
		"brackets":             {"services: { a: [ x,y , {b:  1} ], c: { } }\n", "services: {a: [x, y, {b: 1}], c: {}}\n"},
		"comma at the end":     {"services: [ a,{b: 1 , }, ]\n", "services: [a, {b: 1,},]\n"},
		"brackets with order":  {"version: '1.0'\ndeployment: {a: {b: {count: 1, profile: x}}}\n", "version: '1.0'\ndeployment: {a: {b: {profile: x, count: 1}}}\n"},
		"brackets over lines":  {"services:\n      a: [x,\n         y, # c\n      ]\n", "services:\n  a: [x,\n     y, # c\n  ]\n"},
		"unusual brackets":     {"services: [a: 1, {b: , c},  ? d ]\n", "services: [a: 1, {b: , c},  ? d ]\n"},
		"JSON":                 {"{\"services\":\n  {\"a\": 1},\n\"version\": \"1.0\"}", "{\"services\":\n  {\"a\": 1},\n\"version\": \"1.0\"}\n"},
		"values as written":    {"services: [1e-4, \"0.10\", 0x1F, yes, ~, 'it''s', \"\\u00b5\"]\n", "services: [1e-4, \"0.10\", 0x1F, yes, ~, 'it''s', \"\\u00b5\"]\n"},
		"text over lines":      {"services:\n    a: x\n     y\n\n       z # c\n    b: \"x  \n  y\"\n", "services:\n  a: x\n    y\n\n     z # c\n  b: \"x\n    y\"\n"},
		"value in a next line": {"services:\n  a:\n      x\n  b: # c\n      x\n", "services:\n  a: x\n  b: # c\n    x\n"},
		"block scalars": {
			"services:\n    a: |\n        x\n          y  \n\n        # z\n    # c\n    b: >-  # d\n     x\n     y\n    c: |2\n         x\n    d: |+\n        x\n\n\n    e: 1\n",
			"services:\n  a: |\n    x\n      y  \n\n    # z\n  # c\n  b: >-  # d\n    x\n    y\n  c: |2\n       x\n  d: |+\n    x\n\n\n  e: 1\n"},
		"a block scalar without a line end": {"services:\n  a: |\n    x", "services:\n  a: |-\n    x\n"},
		"anchors": {
			"version: '1.0'\nservices:\n  a: &x\n    image: y # c\n  b: {<<: *x, image: z}\n  c:\n    args: [1]\n    <<: *x\n",
			"version: '1.0'\nservices:\n  a: &x\n    image: y # c\n  b: {<<: *x, image: z}\n  c:\n    <<: *x\n    args: [1]\n"},
		"an anchor before its alias": {"version: '1.0'\nprofiles: &x {a: 1}\nservices: *x\n", "version: '1.0'\nprofiles: &x {a: 1}\nservices: *x\n"},
		"an anchor that moves":       {"services: {a: &x 1}\nversion: *x\n", "services: {a: &x 1}\nversion: *x\n"},
		"keys with anchors":          {"version: '1.0'\nservices:\n  &a a : 1\n  *a : 2\n  'b': 3\n", "version: '1.0'\nservices:\n  &a a: 1\n  *a : 2\n  'b': 3\n"},
		"tags":                       {"services: !!map\n  a: !!str 1\n  b: !!str\n", "services: !!map\n  a: !!str 1\n  b: !!str\n"},
		"several of one key":         {"services: 1\nversion: '1.0'\nservices: 2\n", "version: '1.0'\nservices: 1\nservices: 2\n"},
		"wrong indentation":          {"profiles:\n  placement: {}\n  compute:\n  small: {cpu: 1}\n", "profiles:\n  placement: {}\n  compute:\n  small: {cpu: 1}\n"},
		"start marker":               {"# a\n--- # b\n\n# c\n\nversion: '1.0'\n", "# a\n--- # b\n\n# c\n\nversion: '1.0'\n"},
		"tabs":                       {"version:\t'1.0'\t# c\nservices: {a:\t1}\t\n", "version: '1.0' # c\nservices: {a: 1}\n"},
		"wide letters":               {"ä: ö # ü\nversion: {ß:   'µ'} # c\n", "version: {ß: 'µ'} # c\nä: ö # ü\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(checkFormat(t, "deploy.yaml", []byte(tc.in))); got != tc.want {
				t.Errorf("Format(%q) =\n%q, want\n%q", tc.in, got, tc.want)
			}
		})
	}
}

// TestFormatRefuses holds what is said of texts that are left alone.
func TestFormatRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, code string }{
		"no YAML":           {"a: [", "E-YAML"},
		"tabs":              {"a:\n\tb: 1\n", "E-TAB"},
		"nothing":           {"# c\n", "E-YAML-EMPTY"},
		"two documents":     {"a: 1\n---\nb: 1\n", "E-YAML-MULTI"},
		"a list":            {"- a\n", "E-TYPE"},
		"question mark":     {"version: '1.0'\n? a\n: b\n", "E-FORM"},
		"directive":         {"%YAML 1.1\n---\na: b\n", "E-FORM"},
		"end marker":        {"a: b\n...\n", "E-FORM"},
		"line separator":    {"a: 'b\u2028c'\n", "E-CHARACTER"},
		"anchor at the top": {"--- &a\nb: 1\n", "E-FORM"},
	} {
		out, found := rewrite.Format("deploy.yaml", []byte(tc.in))
		if out != nil || len(found) == 0 || found[0].Code != tc.code || found[0].Line == 0 {
			t.Errorf("%s: Format(%q) = %q, %v, want %s", name, tc.in, out, found, tc.code)
		}
	}
}

// TestFormatIsFast holds that the time it takes grows with the document and not with its square.
func TestFormatIsFast(t *testing.T) {
	for name, text := range map[string]string{
		"comments":      "a: 1\n" + strings.Repeat("# c\n", 90_000),
		"block scalars": "a:\n" + strings.Repeat("  - |\n    x\n", 20_000),
		"one block":     "a: |\n" + strings.Repeat("  x\n", 90_000),
		"brackets":      "a: [" + strings.Repeat("{ä: 1}, ", 12_000) + "]\n",
		"open brackets": "a: [" + strings.Repeat("{ä: 1}, # c\n", 12_000) + "]\n",
		"nested":        "a: " + strings.Repeat("[", 60) + strings.Repeat("x, ", 40_000) + strings.Repeat("]", 60) + "\n",
		"keys":          strings.Repeat("a: 1\n", 10_000) + "version: 1\n",
		"anchors":       "b: &b 1\n" + strings.Repeat("a: &a 1\nc: *a\n", 5_000) + "version: *b\n",
		"plain text":    "a: x\n" + strings.Repeat(" y\n", 90_000),
	} {
		began := time.Now()
		out, found := rewrite.Format("deploy.yaml", []byte(text))
		took := time.Since(began)
		if out == nil && found[0].Code == "E-FORM" {
			t.Errorf("%s: %v", name, found)
		}
		// Far above what it takes, so that a slow machine passes and what is quadratic does not.
		if took > 30*time.Second {
			t.Errorf("%s: Format took %s", name, took)
		}
		t.Logf("%s: %s, %d bytes, %d diagnostics", name, took, len(text), len(found))
	}
}
