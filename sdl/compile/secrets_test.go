package compile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/explain"
	"berth.dev/berth/sdl/files"
)

// canary is in every secret value of the documents here, and must be in nothing that is shown of them.
const canary = "kanarienvogel"

// secretDocuments use every form in which a value can be secret, and every version.
func secretDocuments() map[string]string {
	const mapping = `
    env:
      PLAIN: kanarienvogel-1
      QUOTED: "kanarienvogel: 2"
      SINGLE: 'kanarienvogel #3'
      LINES: |
        kanarienvogel-4
        more of kanarienvogel
      FOLDED: >-
        kanarienvogel-5
        goes on kanarienvogel
      VARIABLE: ${CANARY}
      PART: postgres://u:${CANARY:-kanarienvogel}@db/${NONE:-kanarienvogel}
      MARKED: {value: kanarienvogel-6, secret: true}
      BLOCK:
        value: kanarienvogel-7
        secret: true
      FILED: {file: secret.txt}`
	const list = `
    env:
      - PLAIN=kanarienvogel-1
      - "QUOTED=kanarienvogel 2"
      - VARIABLE=${CANARY}
      - {name: MARKED, value: kanarienvogel-3, secret: true}
      - name: BLOCK
        value: kanarienvogel-4
        secret: true
      - name: FILED
        file: secret.txt`
	const rest = `
    env-file:
      - first.env
      - second.env
    expose:
      - port: 80
        as: 80
        accept:
          - ${HOST}
        to:
          - global: true
`
	const credentials = `
    credentials:
      host: registry.example.com
      username: kanarienvogel-user
      password: kanarienvogel-pass`
	const v10 = `profiles:
  compute:
    small:
      cpu: 100m
      memory: 64Mi
      storage: 64Mi
  placement:
    east:
      attributes:
        region: east
      pricing:
        small: 10u
deployment:
  web:
    east:
      profile: small
      count: 1
`
	const v20 = `profiles:
  compute:
    small:
      resources:
        cpu:
          units: 100m
        memory:
          size: 64Mi
        storage:
          size: 64Mi
  placement:
    east:
      pricing:
        small:
          denom: ubrt
          amount: 10
deployment:
  web:
    east:
      profile: small
      count: 1
`
	head := func(version string) string {
		return "version: \"" + version + "\"\nservices:\n  web:\n    image: ${IMAGE:-nginx}"
	}
	return map[string]string{
		"1.0 mapping": head("1.0") + mapping + rest + v10,
		"1.0 list":    head("1.0") + list + rest + v10,
		"2.0 mapping": head("2.0") + credentials + mapping + rest + v20,
		"2.1 list":    head("2.1") + list + credentials + rest + v20,
		"1.0 flow":    head("1.0") + "\n    env: {A: kanarienvogel, B: \"${CANARY}\", C: {value: kanarienvogel, secret: true}, D: '${NONE:-kanarienvogel}', E: {file: secret.txt}}" + rest + v10,
		"2.0 merged":  head("2.0") + "\n    env: &e\n      A: kanarienvogel\n      B: ${CANARY}\n    credentials: {host: h, username: &u kanarienvogel, password: *u}" + rest + v20,
	}
}

// secretInput is the input of such a document, with all that it refers to.
func secretInput(text string) compile.Input {
	has := map[string]string{
		"secret.txt": canary + "\n", "first.env": "FROM_FILE=" + canary + "\nBOTH=1", "second.env": "export BOTH='" + canary + "'\n",
	}
	return compile.Input{
		File: "deploy.yaml", Data: []byte(text), Names: []string{"CANARY", "HOST"},
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := has[path]; ok {
				return []byte(text), nil
			}
			return nil, files.ErrOutside
		},
		Lookup: func(name string) (string, bool) {
			switch name {
			case "CANARY":
				return canary + "-v", true
			case "HOST":
				return "www.example.com", true
			}
			return "", false
		},
	}
}

// told is all that is shown of a result.
func told(t *testing.T, result compile.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := result.Found.WriteText(&b, result.Sources); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%v %+v %q", result.Found, result.Found, fmt.Sprint(result.Found))
	for _, v := range []any{result.Found, result.Plan} {
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if result.Plan != nil {
		e := explain.Explain(result.Plan, explain.Options{BlockNanos: 6e9})
		fmt.Fprintf(&b, "%+v %s %s %s %s", explain.Doors(result.Plan), e.Text(), e.Markdown(), e.Mermaid(), e.SVG())
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestSecretsAreNotShown holds that values of env that are marked, and values that come from outside, are in the
// manifest and in nothing that is shown of a document. The values that stand in the document without a mark are part of
// its plan, which is not looked at here for them.
func TestSecretsAreNotShown(t *testing.T) {
	for name, text := range secretDocuments() {
		t.Run(name, func(t *testing.T) {
			for _, plain := range []string{"PLAIN: ", "PLAIN=", "QUOTED: ", "\"QUOTED=", "SINGLE: ", "A: "} {
				text = strings.ReplaceAll(text, plain+canary, plain+"public")
				text = strings.ReplaceAll(text, plain+"\""+canary, plain+"\"")
				text = strings.ReplaceAll(text, plain+"'"+canary, plain+"'")
			}
			if i := strings.Index(text, "      LINES:"); i >= 0 {
				text = text[:i] + text[strings.Index(text, "      VARIABLE:"):]
			}
			result := compile.Document(secretInput(text))
			if result.Plan == nil {
				t.Fatal(result.Found)
			}
			if got := told(t, result); strings.Contains(got, canary) {
				t.Errorf("the secret is shown:\n%s", got)
			}
			service := result.Plan.Manifests[0].Services[0]
			secrets := 0
			for _, e := range service.Env {
				if strings.Contains(e.Value, canary) {
					secrets++
					if !e.Secret {
						t.Errorf("%s is not marked as secret", e.Name)
					}
				}
			}
			if secrets < 3 {
				t.Errorf("only %d secrets in %v", secrets, service.Env)
			}
		})
	}
}

// TestReferencesInBraces holds that the mistake that YAML itself makes of a reference is explained.
func TestReferencesInBraces(t *testing.T) {
	for _, env := range []string{"{A: ${B}}", "{A: 1, B: ${B}, C: x}", "[A=${B}, C]"} {
		doc := strings.Replace(string(document()), "{image: nginx}", "\n    image: nginx\n    env: "+env, 1)
		in := secretInput(doc)
		in.Lookup = func(string) (string, bool) { return "b", true }
		found := compile.Document(in).Found
		if len(found) != 1 || found[0].Code != "E-YAML" || !strings.Contains(found[0].Hint, "needs quotes") {
			t.Errorf("%s: %v %q", env, found, found[0].Hint)
		}
	}
}

// TestUnsetVariables holds that a value that lacks a variable's is reported for that alone: what it would be is not known.
func TestUnsetVariables(t *testing.T) {
	text := strings.NewReplacer("image: a", "image: 'a:${TAG:?say which}'\n    credentials: {host: '${HOST}', username: '${USER}', password: '${PASSWORD}'}",
		"port: 80", "port: 80\n        accept: ['${NAME}', '*.${NAME}']").Replace(unsetDocument)
	_, found := compile.Compile("deploy.yaml", []byte(text))
	for _, d := range found {
		if d.Code != "E-VARIABLE" {
			t.Errorf("found %s", d)
		}
	}
	if len(found) != 6 {
		t.Errorf("%d problems, want 6", len(found))
	}
	if plan, found := compile.Compile("deploy.yaml", []byte(unsetDocument)); plan == nil {
		t.Errorf("without the variables: %v", found)
	}
}

const unsetDocument = `version: "2.1"
services:
  web:
    image: a
    expose:
      - port: 80
        to: [{global: true}]
profiles:
  compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}
  placement: {east: {pricing: {web: {denom: ubrt, amount: 1}}}}
deployment: {web: {east: {profile: web, count: 1}}}
`

// mutants are a document with one mistake each, in the lines up to profiles, which hold the secrets.
func mutants(text string) []string {
	lines := strings.Split(text, "\n")
	last := slices.Index(lines, "profiles:")
	var out []string
	with := func(i int, by ...string) {
		out = append(out, strings.Join(slices.Concat(lines[:i], by, lines[i+1:]), "\n"))
	}
	for i, line := range lines[:last] {
		body := strings.TrimLeft(line, " ")
		space := line[:len(line)-len(body)]
		with(i)
		with(i, line, line)
		with(i, "  "+line)
		with(i, "      "+line)
		with(i, strings.TrimPrefix(line, "  "))
		with(i, body)
		with(i, "\t"+line)
		with(i, space+"- "+body)
		with(i, space+strings.TrimPrefix(body, "- "))
		with(i, space+"x"+body)
		with(i, space+"\""+body)
		with(i, space+"'"+body)
		with(i, space+"{"+body)
		with(i, space+"["+body)
		with(i, space+"!x "+body)
		with(i, space+"&"+body)
		with(i, space+"*"+body)
		with(i, space+"? "+body)
		with(i, line+":")
		with(i, line+"}")
		with(i, line+"]")
		with(i, line+" \"")
		with(i, line+"\x01")
		with(i, line+"\xff")
		with(i, strings.Replace(line, ": ", ":", 1))
		with(i, strings.Replace(line, ": ", " ", 1))
		with(i, strings.Replace(line, ": ", ": !", 1))
		with(i, strings.Replace(line, ": ", ": *", 1))
		with(i, strings.Replace(line, ": ", ": &", 1))
		with(i, strings.Replace(line, ": ", ": {", 1))
		with(i, strings.Replace(line, ": ", ": [", 1))
		with(i, strings.Replace(line, ":", "", 1))
		with(i, strings.Replace(line, "=", "", 1))
		with(i, strings.Replace(line, "=", ": ", 1))
		with(i, strings.Replace(line, "env", "evn", 1))
		with(i, strings.Replace(line, "env", "environment", 1))
		with(i, strings.Replace(line, "value", "valeu", 1))
		with(i, strings.Replace(line, "name", "naem", 1))
		with(i, strings.Replace(line, "}", "", 1))
		with(i, strings.Replace(line, "\"", "", 1))
		with(i, strings.Replace(line, "|", "", 1))
		with(i, strings.Replace(line, "CANARY", "CANARI", 1))
		with(i, strings.Replace(line, "${", "${9", 1))
		swapped := slices.Clone(lines)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		out = append(out, strings.Join(swapped, "\n"))
		out = append(out, strings.Join(lines[:i], "\n"))
	}
	return out
}

// TestBrokenDocumentsShowNoSecrets holds that no mistake brings a value of env or credentials into a message. What a
// document that compiles in spite of it shows in its plan is the business of TestSecretsAreNotShown.
func TestBrokenDocumentsShowNoSecrets(t *testing.T) {
	broken := 0
	for name, text := range secretDocuments() {
		for _, mutant := range mutants(text) {
			result := compile.Document(secretInput(mutant))
			if result.Plan == nil {
				broken++
			}
			result.Plan = nil
			if got := told(t, result); strings.Contains(got, canary) {
				at := strings.Index(got, canary)
				t.Errorf("%s: a message shows a secret:\n...%s...\nin\n%s", name, got[max(0, at-300):at+20], mutant)
				return
			}
		}
	}
	if broken < 1000 {
		t.Errorf("only %d documents were broken", broken)
	}
}

// TestMarkOfASecret holds that the mark alone makes another manifest.
func TestMarkOfASecret(t *testing.T) {
	encoded := func(mark string) []byte {
		doc := strings.Replace(string(document()), "{image: nginx}", "{image: nginx, env: {A: {value: b, secret: "+mark+"}}}", 1)
		plan := mustCompile(t, []byte(doc))
		g := plan.Manifests[0]
		if got := g.Services[0].Env[0]; got != (manifesttypes.EnvVar{Name: "A", Value: "b", Secret: mark == "true"}) {
			t.Errorf("%s: %+v", mark, got)
		}
		out, err := manifest.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if bytes.Equal(encoded("true"), encoded("false")) {
		t.Error("the mark is not part of the canonical bytes")
	}
}
