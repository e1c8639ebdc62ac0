package sdl

import (
	"strings"
	"testing"
)

// TestLinesOfJSONShowNoSecrets holds what is shown of the lines of a manifest: keys, and values of keys that are no
// secrets, up to the first that is hidden.
func TestLinesOfJSONShowNoSecrets(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`{"cron": [}`, `{"cron": [}`},
		{`{"cron": [{"schedule": "61 * * * *", "command": "hunter2", "maintenance": true}]}`, `{"cron": [{"schedule": "61 * * * *", "command": ...`},
		{"{\n\"env\": {\n\"name\": \"hunter2\",\n\"type\": {\"value\": \"hunter2\",\n\"type\": \"hunter2\"}\n},\n\"name\": \"shop\"\n}",
			"{\n\"env\": {\n\"name\": ...\n\"type\": {\"value\": ...\n\"type\": ...\n},\n\"name\": \"shop\"\n}"},
		{"{ // hunter2\n\"name\": \"a\" /* hunter2\nhunter2 */ , \"stack\": \"b\"\n}", "{ //...\n\"name\": \"a\" /*...\n...\n}"},
		{`{"buildpacks": ["heroku/go", {"url": "https://u:hunter2@x"}]}`, `{"buildpacks": ["heroku/go", {"url": ...`},
		{"{\"env\": {\"A\": \"hunter2\n\"B\": \"hunter2", "{\"env\": {\"A\": ...\n..."},
		{`{"A=hunter2": 1, hunter2: 2, 'q: hunter2`, `{...`},
		{"{\"healthchecks\": {\"web\": [{\"path\": \"/x\", \"httpHeaders\": [{\"name\": \"hunter2\"", "{\"healthchecks\": {\"web\": [{\"path\": \"/x\", \"httpHeaders\": [{\"name\": ..."},
		{"{\"formation\": {\"web\": {\"quantity\": 3}}}\r\n", "{\"formation\": {\"web\": {\"quantity\": 3}}}\r\n"},
	} {
		got := strings.Join(redactJSON(c.source), "\n")
		if got != c.want {
			t.Errorf("%q is shown as\n%q, want\n%q", c.source, got, c.want)
		}
		if strings.Contains(got, "hunter") {
			t.Errorf("%q shows a secret", c.source)
		}
		if n := strings.Count(c.source, "\n"); n != strings.Count(got, "\n") {
			t.Errorf("%q has %d line ends, shown %d", c.source, n, strings.Count(got, "\n"))
		}
	}
}

// FuzzLinesOfJSON holds that reading ends, that lines are those of the source, and that what is shown of one begins it.
func FuzzLinesOfJSON(f *testing.F) {
	f.Add("{\"a\": [1, \"b\" // c\n]} /* d \n e */")
	f.Fuzz(func(t *testing.T, source string) {
		lines, got := strings.Split(source, "\n"), redactJSON(source)
		if len(lines) != len(got) {
			t.Fatalf("%d lines of %d", len(got), len(lines))
		}
		for i, line := range got {
			if !strings.HasPrefix(lines[i], strings.TrimSuffix(line, hidden)) {
				t.Fatalf("line %q is shown as %q", lines[i], line)
			}
		}
	})
}
