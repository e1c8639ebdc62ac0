package openapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the document anew")

const (
	source   = "../../../../proto/berth/gateway/v1/gateway.proto"
	document = "../../../../docs/gateway.openapi.json"
)

// The published document is the one that the service gives.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Document(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(document, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the published document differs; run scripts/generate.sh")
	}
}

// Every reference of the document leads somewhere.
func TestReferences(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for k, x := range v {
				if ref, ok := x.(string); ok && k == "$ref" {
					n++
					if schemas[ref[len("#/components/schemas/"):]] == nil {
						t.Errorf("%s leads nowhere", ref)
					}
				}
				walk(x)
			}
		}
	}
	walk(doc)
	if n == 0 {
		t.Error("the document refers to nothing")
	}
}
