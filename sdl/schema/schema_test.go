package schema_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/schema"
)

const published = "../../docs/schema"

func TestPublishedSchemasAreCurrent(t *testing.T) {
	want := map[string]bool{"README.md": true}
	for _, f := range schema.Files() {
		want[f.Name] = true
		have, err := os.ReadFile(filepath.Join(published, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, f.Data) {
			t.Errorf("docs/schema/%s is not what the front-ends read: run make generate", f.Name)
		}
	}
	files, err := os.ReadDir(published)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f.Name()] {
			t.Errorf("docs/schema/%s is not a schema", f.Name())
		}
	}
}

// walk calls a function with every schema of a schema, and where it stands.
func walk(path string, schema any, call func(path string, schema map[string]any)) {
	m, ok := schema.(map[string]any)
	if !ok {
		return
	}
	call(path, m)
	for _, key := range []string{"items", "additionalProperties", "propertyNames", "if", "then", "else", "not"} {
		walk(path+"/"+key, m[key], call)
	}
	for _, key := range []string{"allOf", "anyOf"} {
		list, _ := m[key].([]any)
		for _, s := range list {
			walk(path+"/"+key, s, call)
		}
	}
	for _, key := range []string{"properties", "definitions"} {
		props, _ := m[key].(map[string]any)
		for name, s := range props {
			walk(path+"/"+key+"/"+name, s, call)
		}
	}
}

func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// conditions are where schemas stand that only decide, and show nothing to anybody.
var conditions = regexp.MustCompile(`/(if|not|allOf|anyOf)(/|$)|/(then|else)/properties/`)

func TestEverythingIsDescribed(t *testing.T) {
	for _, f := range schema.Files() {
		walk(f.Name, decode(t, f.Data), func(path string, s map[string]any) {
			at := path[strings.LastIndex(path, "/")+1:]
			named := strings.Contains(path, "/") && (strings.HasSuffix(strings.TrimSuffix(path, at), "/properties/") || at == "additionalProperties" || at == "items" || at == "propertyNames")
			if _, defined := s["$ref"]; !named || defined || conditions.MatchString(path) {
				return
			}
			description, _ := s["description"].(string)
			if len(description) < 5 || !strings.HasSuffix(description, ".") {
				t.Errorf("%s: description %q", path, description)
			}
			if s["pattern"] != nil && s["patternErrorMessage"] == nil {
				t.Errorf("%s: nothing is said of a text that does not match", path)
			}
		})
	}
}

// TestExamplesAreRight holds that what editors offer to insert is taken by the schema that offers it.
func TestExamplesAreRight(t *testing.T) {
	for _, f := range schema.Files() {
		if f.Version == "" || f.Version == "2.0" {
			continue // made of the same parts
		}
		root := decode(t, f.Data)
		examples := 0
		walk(f.Name, root, func(path string, s map[string]any) {
			offered, _ := s["examples"].([]any)
			if d, ok := s["default"]; ok {
				offered = append(offered, d)
			}
			if words, ok := s["enum"].([]any); ok && s["type"] != nil {
				offered = append(offered, words...)
			}
			if len(offered) == 0 {
				return
			}
			one := map[string]any{"$schema": root["$schema"], "allOf": []any{s}}
			if bytes.Contains(encode(t, s), []byte(`"$ref"`)) {
				one["definitions"] = root["definitions"]
			}
			v := validator(t, one)
			for _, x := range offered {
				examples++
				if err := v.Validate(x); err != nil {
					t.Errorf("%s: %v: %v", path, x, err)
				}
			}
		})
		if examples < 30 {
			t.Errorf("%s: only %d examples", f.Name, examples)
		}
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStartersCompile holds that the documents that editors offer to begin with are accepted.
func TestStartersCompile(t *testing.T) {
	for _, f := range schema.Files() {
		snippets, _ := decode(t, f.Data)["defaultSnippets"].([]any)
		if len(snippets) == 0 {
			t.Errorf("%s offers no document to begin with", f.Name)
		}
		for _, s := range snippets {
			body := bytes.ReplaceAll(encode(t, s.(map[string]any)["body"]), []byte(`"^\"`), []byte(`"`)) // what editors leave out
			body = bytes.ReplaceAll(body, []byte(`\""`), []byte(`"`))
			if plan, found := compile.Compile("deploy.yaml", body); plan == nil || len(found) > 0 {
				t.Errorf("%s: %s: %v", f.Name, body, found)
			}
		}
	}
}
