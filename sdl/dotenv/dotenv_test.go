package dotenv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"berth.dev/berth/sdl/dotenv"
)

func TestParse(t *testing.T) {
	const text = "\ufeff# comment\n\n" +
		"A=1\r\n" +
		"  export B = two words  # comment\n" +
		"exported=x\n" +
		"C='a\nb\\n\"' # comment\n" +
		"D=\"a\\nb\\t\\\"\\\\ $X ${Y}\"\n" +
		"E=\n" +
		"F=#nothing\n" +
		"G=a#b\n" +
		"H=a=b\n" +
		"I=\"\"\n" +
		"J.k-l=it's\n" +
		"A=last"
	want := []dotenv.Var{
		{"A", "1", 3}, {"B", "two words", 4}, {"exported", "x", 5}, {"C", "a\nb\\n\"", 6}, {"D", "a\nb\t\"\\ $X ${Y}", 8},
		{"E", "", 9}, {"F", "", 10}, {"G", "a#b", 11}, {"H", "a=b", 12}, {"I", "", 13}, {"J.k-l", "it's", 14}, {"A", "last", 15},
	}
	got, err := dotenv.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if m := dotenv.Map(got); m["A"] != "last" || len(m) != len(want)-1 {
		t.Errorf("map: %q", m)
	}
}

func TestParseRefuses(t *testing.T) {
	const value = "hunter2"
	for text, want := range map[string]string{
		"A=1\n" + value:                              "line 2: NAME=VALUE was expected, found no =",
		"A=1\n9=" + value:                            "line 2: what stands before the = cannot name a variable",
		value + " x=1":                               "line 1: what stands before the = cannot name a variable",
		"export=" + value + "\n=1":                   "line 2: what stands before the = cannot name a variable",
		"A='" + value + "\n\n":                       "line 1: a quote is not closed",
		"\nA=\"" + value + "\\\"":                    "line 2: a quote is not closed",
		"A=\"" + value + "\\q\"":                     "line 1: an unknown escape",
		"A='" + value + "'" + value:                  "line 1: something follows a closing quote",
		"A=1\nB=" + value + "\xff":                   "line 2: it is not text in UTF-8",
		"A=" + value + "\x00":                        "line 1: it is not text in UTF-8",
		strings.Repeat("#", dotenv.MaxBytes+1):       "more than 524288 bytes",
		strings.Repeat("A="+value+"\n", 5000):        "line 4097: the file sets more than 4096 variables",
		strings.Repeat("A", 300) + "=" + value:       "cannot name a variable",
		"A=\"" + value + "\nB=1\nC=\"x\" D" + value:  "line",
		"export A" + value + "\nexport B=" + "1\nC=": "line 1: NAME=VALUE was expected",
	} {
		vars, err := dotenv.Parse([]byte(text))
		var e *dotenv.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || vars != nil {
			t.Errorf("%.40q: %v, want %q", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), value) {
			t.Errorf("%.40q: the error shows a value: %v", text, err)
		}
	}
}

// TestParseReadsWhatIsQuoted holds that any text can be written in double quotes.
func TestParseReadsWhatIsQuoted(t *testing.T) {
	quote := strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n", "\t", "\\t")
	rapid.Check(t, func(t *rapid.T) {
		value := strings.ReplaceAll(rapid.String().Draw(t, "value"), "\x00", "")
		got, err := dotenv.Parse([]byte("A=\"" + quote.Replace(value) + "\" # x\nB='y'"))
		if err != nil || len(got) != 2 || got[0].Value != value || got[1].Value != "y" {
			t.Fatalf("%q: %+v, %v", value, got, err)
		}
	})
}

// FuzzParse holds that no file panics, and that what is read is text with names.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "A=1", "export A='b\nc'\n", "A=\"\\n\\t\\\"\\\\\"#", "# x\r\nA = b # c", "A=\"", "\ufeffA=1\n\n=", "A='x' y"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vars, err := dotenv.Parse(data)
		var e *dotenv.Error
		if err != nil {
			if !errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(string(data), "\n")+1 {
				t.Fatalf("error %v", err)
			}
			return
		}
		last := 0
		for _, v := range vars {
			if !dotenv.IsName(v.Name) || !utf8.ValidString(v.Value) || strings.ContainsRune(v.Value, 0) || v.Line <= last {
				t.Fatalf("%+v after line %d", v, last)
			}
			last = v.Line
		}
	})
}
