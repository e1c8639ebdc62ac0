package schema_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/schema"
)

// validators are the schemas, by the version of the documents that they are for; the one for all under "".
func validators(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	out := map[string]*jsonschema.Schema{}
	for _, f := range schema.Files() {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out[f.Version] = validator(t, doc)
	}
	return out
}

func validator(t testing.TB, doc any) *jsonschema.Schema {
	t.Helper()
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// document is a document that is looked at.
type document struct {
	text  []byte
	root  *yaml.Node
	found sdl.Diagnostics
	// version is what the document has as its version.
	version string
}

// at is the scalar that a diagnostic points at, or nil. Of a variable's name, it may point at the key.
func (d document) at(x sdl.Diagnostic) *yaml.Node {
	n := find(d.root, x.Line, x.Column)
	if n != nil && n.Value == "name" && strings.HasSuffix(x.Path, ".name") {
		return valueOf(d.root, n)
	}
	return n
}

// excuse is a reason for which a schema may accept what the compiler refuses.
type excuse struct {
	why string
	// when limits the excuse to some of the problems of a code; nil is all of them.
	when func(document, sdl.Diagnostic) bool
}

const (
	outside  = "what is outside of the document: variables and other files"
	reads    = "the reader of YAML finds it, before there is a value that a schema could look at"
	together = "what parts of a document mean together: names that must exist, sums, things that may occur once only"
)

// excuses are the codes of errors that a schema cannot express, or not in all cases. docs/schema/README.md lists them for people.
var excuses = map[string]excuse{
	"E-SIZE": {reads, nil}, "E-UTF8": {reads, nil}, "E-CHARACTER": {reads, nil}, "E-TAB": {reads, nil}, "E-YAML": {reads, nil},
	"E-YAML-EMPTY": {reads, nil}, "E-YAML-MULTI": {reads, nil}, "E-YAML-DEPTH": {reads, nil}, "E-YAML-NODES": {reads, nil},
	"E-YAML-ALIAS": {reads, nil}, "E-YAML-TAG": {reads, nil},
	"E-DUPLICATE-KEY": {reads, func(_ document, x sdl.Diagnostic) bool { return strings.Contains(x.Message, "appears twice") }},
	"E-TYPE": {reads, func(_ document, x sdl.Diagnostic) bool {
		return strings.Contains(x.Message, "a key is a single value") || strings.Contains(x.Message, "<<")
	}},
	"E-INCLUDE": {outside, nil}, "E-INCLUDE-CYCLE": {outside, nil}, "E-INCLUDE-DUPLICATE": {outside, nil}, "E-INCLUDE-LIMIT": {outside, nil},
	"E-VARIABLE": {outside, nil}, "E-FILE": {outside, nil}, "E-ENV-FILE": {outside, nil},
	"E-TOO-MANY": {"it stands for others", nil},
	"E-INDENT":   {"a key that belongs elsewhere, where keys that are not known are merely ignored", func(d document, _ sdl.Diagnostic) bool { return d.version != "1.0" }},

	"E-UNKNOWN-SERVICE": {together, nil}, "E-UNKNOWN-PROFILE": {together, nil}, "E-UNKNOWN-PLACEMENT": {together, nil},
	"E-NO-PRICE": {together, nil}, "E-UNKNOWN-VOLUME": {together, nil}, "E-UNMOUNTED": {together, nil}, "E-NO-GLOBAL": {together, nil},
	"E-PORT-DUPLICATE": {together, nil}, "E-HOST-DUPLICATE": {together, nil}, "E-DEPENDS-CYCLE": {together, nil},
	"E-DEPENDS-UNDEPLOYED": {together, nil}, "E-DEPENDS-GROUP": {together, nil}, "E-MANIFEST": {together, nil}, "E-MANIFEST-SIZE": {together, nil},
	"E-ENV":      {together, already},
	"E-VOLUME":   {together, already},
	"E-ENDPOINT": {together, func(_ document, x sdl.Diagnostic) bool { return !strings.HasSuffix(x.Path, ".kind") }},
	"E-TEE":      {together, func(_ document, x sdl.Diagnostic) bool { return !strings.Contains(x.Message, "is not a kind") }},
	"E-DENOM":    {together, func(_ document, x sdl.Diagnostic) bool { return !strings.Contains(x.Message, "is not a denomination") }},
	"E-GPU":      {together, func(_ document, x sdl.Diagnostic) bool { return strings.Contains(x.Message, "the chain would refuse") }},
	"E-LIMIT": {together, func(_ document, x sdl.Diagnostic) bool {
		return !strings.HasSuffix(x.Path, ".attributes") && !strings.Contains(x.Message, "auditors in") && !strings.Contains(x.Message, "the document has")
	}},
	"E-AUDITOR": {"a checksum, or one that stands twice", func(d document, x sdl.Diagnostic) bool {
		return strings.Contains(x.Message, "twice") || strings.HasPrefix(x.Found, "berth1")
	}},
	"E-MOUNT": {"a path that leads back to the root with .., or is taken", func(_ document, x sdl.Diagnostic) bool {
		return already(document{}, x) || strings.Contains(x.Found, "..")
	}},
	"E-RECLAMATION": {"a sum of hours, minutes and seconds", func(_ document, x sdl.Diagnostic) bool {
		return strings.Count(x.Found, "h")+strings.Count(x.Found, "m")+strings.Count(x.Found, "s") > 1
	}},
	"E-BYTES": {"whether a long fraction of powers of 1024 is a whole number", func(_ document, x sdl.Diagnostic) bool {
		return strings.Contains(x.Message, "whole number of bytes") && strings.HasSuffix(x.Found, "i")
	}},
	"E-PRICE":     {"the size of a number with an exponent", func(_ document, x sdl.Diagnostic) bool { return strings.ContainsAny(x.Found, "eE") }},
	"E-ATTRIBUTE": {"bytes are not characters", func(_ document, x sdl.Diagnostic) bool { return len(x.Found) > 80 }},
}

func already(_ document, x sdl.Diagnostic) bool { return strings.Contains(x.Message, "already") }

// texts are the codes of what is a text, or an amount of which a schema can look at the digits of a text only.
var texts = []string{"E-VERSION", "E-IMAGE", "E-HOST", "E-NAME", "E-ATTRIBUTE", "E-ENV", "E-GPU", "E-DENOM", "E-CPU", "E-PRICE"}

// general tells whether a schema may miss a problem for a reason that has nothing to do with its code.
func general(d document, x sdl.Diagnostic) bool {
	if n := d.at(x); n != nil {
		// A schema sees the value of a number, not how it is written: 07, 0x7, 1.0 and 1e1 are numbers like others.
		if unquoted(n) && (slices.Contains(texts, x.Code) || n.Value != canonical(n)) {
			return true
		}
		// What a variable stands for is not known.
		if strings.Contains(n.Value, "${") {
			return true
		}
	}
	// Under a key that is not known, and read as another with a warning, a schema sees nothing.
	for _, w := range d.found {
		if w.Code != "W-UNKNOWN-KEY" && (w.Code != "E-INDENT" || d.version == "1.0") {
			continue
		}
		if strings.HasPrefix(x.Path+".", w.Path+".") || strings.HasPrefix(x.Path, w.Path+"[") {
			return true
		}
		// Beside such a key nothing is required: it may be a required one that is misspelt.
		of := above(w.Path)
		if (x.Code == "E-MISSING" || x.Code == "E-TO") && (x.Path == of || strings.HasPrefix(x.Path, of+".") || of == "") {
			return true
		}
	}
	return false
}

// above is the path of the mapping that holds a key.
func above(path string) string {
	if strings.HasSuffix(path, `"]`) {
		return path[:strings.LastIndex(path, `["`)]
	}
	return path[:max(0, strings.LastIndexByte(path, '.'))]
}

// agree holds that schemas and compiler say the same of a document: whatever the compiler accepts the schema accepts,
// and what the compiler refuses the schema refuses, too, unless there is an excuse for each of its errors.
// It returns whether the compiler accepts the document, and whether the schemas do.
func agree(t testing.TB, all map[string]*jsonschema.Schema, text []byte) (compiles, conforms bool) {
	t.Helper()
	result := compile.Document(compile.Input{File: "deploy.yaml", Data: text})
	root, ok := parse(text)
	if !ok {
		if result.Plan != nil {
			t.Errorf("no YAML, and yet compiled:\n%s", text)
		}
		return result.Plan != nil, false
	}
	v := value(root)
	d := document{text, root, result.Found, versionOf(v)}
	err := all[""].Validate(v)
	if of := all[d.version]; of != nil {
		if single := of.Validate(v); (single == nil) != (err == nil) {
			t.Errorf("the schema for all versions says %v, that for %s %v:\n%s", err, d.version, single, text)
		}
	}
	if result.Plan != nil && err != nil {
		t.Errorf("compiled, but the schema refuses it: %v\n%s\n%s", err, warnings(result.Found), text)
	}
	if result.Plan == nil && err == nil {
		for _, x := range result.Found {
			if e, known := excuses[x.Code]; x.Severity == sdl.Error && !general(d, x) && !(known && (e.when == nil || e.when(d, x))) {
				t.Errorf("the schema accepts what the compiler refuses: %v\n%s", x, text)
			}
		}
	}
	return result.Plan != nil, err == nil
}

func warnings(found sdl.Diagnostics) string {
	var out []string
	for _, d := range found {
		out = append(out, d.String())
	}
	return strings.Join(out, "\n")
}

func versionOf(v any) string {
	if m, ok := v.(map[string]any); ok {
		if s, ok := m["version"].(string); ok {
			return s
		}
	}
	return "?"
}

// corpusDir holds real documents of others, which are not part of the project; see its README.
const corpusDir = "../../../shared/corpus"

func files(t testing.TB, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		some, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, some...)
	}
	return out
}

func TestAgreesOnDocuments(t *testing.T) {
	all := validators(t)
	own := files(t, "../compile/testdata/*/*.yaml", "../../examples/*/*.yaml")
	real := files(t, corpusDir+"/sdl-1.0/*.yml", corpusDir+"/sdl-2/*.yaml", corpusDir+"/sdl-2/*.yml")
	if len(own) < 20 {
		t.Errorf("only %d documents of our own", len(own))
	}
	if len(real) == 0 {
		t.Log("the corpus of real documents is not there")
	}
	for _, file := range append(own, real...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, all, text)
		})
	}
}

var (
	count = flag.Int("documents", 500, "how many random documents TestAgreesOnRandomDocuments writes")
	seed  = flag.Uint64("seed", 1, "the seed of the first of them")
)

// TestAgreesOnRandomDocuments writes documents with all that the front-ends read, and makes mistakes in them.
func TestAgreesOnRandomDocuments(t *testing.T) {
	all := validators(t)
	written, compiled, refused, missed := 0, 0, 0, 0
	for s := *seed; s < *seed+uint64(*count); s++ {
		r := rand.New(rand.NewPCG(s, 0))
		root := newWriter(r).document()
		for round := range 4 {
			if round > 0 {
				root = clone(root)
				mutator{r}.document(root)
			}
			text, err := yaml.Marshal(root)
			if err != nil {
				continue // a key that is a mapping
			}
			compiles, conforms := agree(t, all, text)
			if t.Failed() {
				t.Fatalf("seed %d, %d mistakes", s, round)
			}
			written++
			if compiles {
				compiled++
			}
			if !conforms {
				refused++
			}
			if conforms && !compiles {
				missed++
			}
			if round == 0 && !conforms {
				t.Fatalf("seed %d: a document without a mistake is refused:\n%s", s, text)
			}
		}
	}
	t.Logf("%d documents: %d compiled, %d refused by the schemas, %d by the compiler alone", written, compiled, refused, missed)
	if compiled < written/8 || refused < written/4 {
		t.Errorf("of %d documents only %d compiled and %d were refused", written, compiled, refused)
	}
}
