package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string // part of the error; empty means accepted
	}{
		"an object":          {`{"a":1,"b":[{"a":"x"}]}`, ""},
		"a bare value":       {`7`, ""},
		"space around":       {" {} \n", ""},
		"nothing":            {``, "EOF"},
		"cut short":          {`{"a":`, "EOF"},
		"unknown key":        {`{"c":1}`, `unknown key "c"`},
		"other case":         {`{"A":1}`, `unknown key "A"`},
		"unknown, deeper":    {`{"a":{"c":1}}`, `unknown key "c"`},
		"twice":              {`{"a":1,"a":1}`, "twice"},
		"twice by escape":    {`{"a":1,"\u0061":1}`, "twice"},
		"same key elsewhere": {`{"a":{"a":1}}`, ""},
		"trailing value":     {`{} {}`, "goes on"},
		"trailing garbage":   {`{}]`, "goes on"},
		"bad UTF-8":          {"{\"a\":\"\xff\"}", "UTF-8"},
		"at the depth":       {nested(maxDepth + 1), ""},
		"too deep":           {nested(maxDepth + 2), "deeper"},
		"far too deep":       {nested(100_000), "deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check([]byte(tc.in), "a", "b")
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Check(%.40q) = %v, want none", tc.in, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Check(%.40q) = %v, want an error with %q", tc.in, err, tc.want)
			}
		})
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[[[1e9]]]`, `{"a":{"b":null}}`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data, "a", "b") == nil && !json.Valid(data) {
			t.Fatalf("Check accepts %q, which is not JSON", data)
		}
	})
}
