package daemon

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSettingsOfTheDocumentation: what the page shows of provider.yaml, as yml, has only keys that there are.
func TestSettingsOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/ops/provider.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yml\n(.*?)```").FindAllSubmatch(text, -1)
	for _, m := range found {
		c := DefaultConfig()
		dec := yaml.NewDecoder(bytes.NewReader(m[1]))
		dec.KnownFields(true)
		if err := dec.Decode(&c); err != nil {
			t.Errorf("%v in\n%s", err, m[1])
		}
	}
	if len(found) < 2 {
		t.Errorf("found only %d", len(found))
	}
}
