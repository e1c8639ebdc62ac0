package compile_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

// The documents in which mistakes are made: every key of each version stands in one of them.
const (
	full10 = `version: "1.0"
services:
  web:
    image: nginx:1.27
    depends-on:
      - service: db
    args: [run]
    env:
      - A=1
    expose:
      - port: 8080
        as: 80
        proto: http
        accept:
          - www.example.com
        to:
          - global: true
  db:
    image: postgres:16
    expose:
      - port: 5432
        to:
          - service: web
            global: false
profiles:
  compute:
    small:
      cpu: 500m
      memory: 512Mi
      storage: 1Gi
  placement:
    east:
      attributes:
        region: us-east
      pricing:
        small: 20u
deployment:
  web:
    east:
      profile: small
      count: 2
  db:
    east:
      profile: small
      count: 1
`
	full20 = `version: "2.0"
endpoints:
  front:
    kind: ip
reclamation:
  min_window: 1h
services:
  web:
    image: nginx:1.27
    command: [serve]
    args: [run]
    env:
      - A=1
    dependencies:
      - service: db
    params:
      storage:
        data:
          mount: /data
          readOnly: false
      permissions:
        read: [logs]
      tee: cpu
    credentials:
      host: registry.example.com
      email: a@example.com
      username: me
      password: hunter2
    expose:
      - port: 8080
        as: 80
        proto: tcp
        accept:
          - www.example.com
        http_options:
          max_body_size: 1000
          read_timeout: 1000
          send_timeout: 1000
          next_tries: 3
          next_timeout: 0
          next_cases: [error]
          proxy_buffer_size: 1000
        to:
          - global: true
            ip: front
  db:
    image: postgres:16
    params:
      storage:
        data:
          mount: /data
      tee: cpu
    expose:
      - port: 5432
        to:
          - service: web
            global: false
profiles:
  compute:
    small:
      resources:
        cpu:
          units: 0.5
          attributes:
            arch: amd64
        memory:
          size: 512Mi
        storage:
          - size: 1Gi
          - name: data
            size: 1Gi
            attributes:
              persistent: true
              class: beta2
        gpu:
          units: 1
          attributes:
            vendor:
              nvidia:
                - model: a100
                  ram: 80Gi
                  interface: sxm
  placement:
    east:
      attributes:
        region: us-east
      signedBy:
        allOf:
          - berth1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqyppglv
        anyOf:
          - berth1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqyppglv
      pricing:
        small:
          denom: ubrt
          amount: 20
deployment:
  web:
    east:
      profile: small
      count: 2
  db:
    east:
      profile: small
      count: 1
`
)

func full21() string { return strings.Replace(full20, `"2.0"`, `"2.1"`, 1) }

// at finds what is said at a place.
func at(found sdl.Diagnostics, line, column int) []sdl.Diagnostic {
	return slices.DeleteFunc(slices.Clone(found), func(d sdl.Diagnostic) bool { return d.Line != line || d.Column != column })
}

// place is the line and column of a text in a document.
func place(text, what string) (line, column int) {
	i := strings.Index(text, what)
	before := text[:i]
	return strings.Count(before, "\n") + 1, i - strings.LastIndexByte(before, '\n')
}

// TestSuggestions holds what is suggested for mistakes that people make, to the letter, and that the document is right
// with it.
func TestSuggestions(t *testing.T) {
	type mistakes map[string]string
	for _, tc := range []struct {
		text, old string // what is replaced by the mistake
		is        mistakes
	}{
		{full10, "500m", mistakes{
			`"0,5"`: "0.5", "500 m": "500m", "1000mcpu": "1000m", "2 cores": "2", "500M": "500m", "50%": "500m", "2vCPU": "2", "1/2": "0.5", "+1": "1",
			"1 CPU": "1", "500millicores": "500m", "1000": "1000m", "4096": "4096m", "two": "", "0.0005": "", "0": "", "-1": "", `"0,5 cores"`: "0.5", "1_000m": "1000m",
		}},
		{full20, "units: 0.5", mistakes{"units: 2 cores": "2", "units: 500 m": "500m", "units: 1000mcpu": "1000m", `units: "0,5"`: "0.5"}},
		{full10, "memory: 512Mi", mistakes{
			"memory: 512mi": "512Mi", "memory: 512MB": "512M", "memory: 16GB": "16G", "memory: 2gb": "2G", "memory: 1GiB": "1Gi", "memory: 1.5 Gi": "1.5Gi",
			"memory: 512m": "512Mi", "memory: 512": "512Mi", "memory: 512 mb": "512M", `memory: "1,5Gi"`: "1.5Gi", `memory: "1,024Mi"`: "1024Mi", "memory: 1gi": "1Gi",
			"memory: 1e9": "1G", "memory: 2g": "2G", "memory: 16gigs": "16G", "memory: lots": "", "memory: 0.5mi": "", "memory: 1K": "", `memory: " 1Gi"`: "1Gi",
		}},
		{full10, "storage: 1Gi", mistakes{"storage: 1m": "", "storage: 10gb": "10G", "storage: 5": "5Mi", "storage: 1TB": "1T", "storage: 512mib": "512Mi"}},
		{full20, "size: 512Mi", mistakes{"size: 512mi": "512Mi", "size: 4GB": "4G", "size: 512m": "512Mi"}},
		{full20, "ram: 80Gi", mistakes{"ram: 80GB": "80G", "ram: 80gi": "80Gi"}},
		{full10, "small: 20u", mistakes{
			"small: 20 u": "20u", "small: 20uakt": "20u", "small: 20ubrt": "20u", "small: 1,000u": "1000u", "small: $5": "", "small: 5 USD": "", "small: 20U": "20u",
			"small: 0,5": "0.5", "small: 5 BRT": "5", "small: free": "", "small: 20 micro": "20u", "small: -5": "",
		}},
		{full20, "amount: 20", mistakes{"amount: 20u": "20", "amount: 20uakt": "20", "amount: 20 ubrt": "20", "amount: 1,000": "1000", "amount: 1e3": "1000", "amount: $5": ""}},
		{full10, "port: 8080", mistakes{
			`port: "80:8080"`: "8080", "port: 8080/tcp": "8080", "port: 8080-8090": "", "port: http": "80", "port: 08080": "8080", `port: "8080:8080/tcp"`: "8080",
			"port: 127.0.0.1:80:8080": "8080", "port: 8080.0": "8080", "port: web": "", "port: 70000": "", "port: 0": "", `port: " 8080"`: "8080",
		}},
		{full20, "port: 8080", mistakes{`port: "80:8080"`: "8080", "port: 8080/udp": "8080", "port: https": "443"}},
		{full10, "as: 80", mistakes{`as: "80:8080"`: "80", "as: http": "80", "as: 080": "80"}},
		{full10, "proto: http", mistakes{"proto: TCP": "tcp", "proto: HTTP": "http", "proto: grpc": "tcp", "proto: udp": "", "proto: htpp": "http", "proto: ws": "http", "proto: tls": "https", "proto: HTTPS": "https"}},
		{full20, "proto: tcp", mistakes{"proto: http": "tcp", "proto: https": "tcp", "proto: grpc": "tcp", "proto: tpc": "tcp", "proto: udb": "udp", "proto: sctp": ""}},
		{full10, "global: true", mistakes{"global: yes": "true", `global: "true"`: "true", "global: on": "true", "global: 1": "true", "global: ture": "true", "global: maybe": ""}},
		{full10, "global: false", mistakes{"global: no": "false", `global: "false"`: "false", "global: off": "false", "global: 0": "false"}},
		{full20, "readOnly: false", mistakes{"readOnly: no": "false", `readOnly: 'false'`: "false"}},
		{full10, "- www.example.com", mistakes{
			"- https://www.example.com/": "www.example.com", "- www.example.com:8080": "www.example.com", "- WWW.Example.com": "www.example.com",
			"- http://Example.com:80/path": "example.com", "- www.example.com.": "www.example.com", `- "*.example.com"`: "", "- 10.0.0.1": "", "- a_b.example.com": "",
		}},
		{full10, "image: nginx:1.27", mistakes{
			"image: https://ghcr.io/a/b": "ghcr.io/a/b", "image: docker://nginx": "nginx", "image: Nginx": "nginx", "image: Registry/App:V1": "registry/app:V1",
			`image: "nginx: 1.27"`: "nginx:1.27", `image: "nginx:"`: "nginx", "image: docker pull nginx": "nginx", `image: " nginx"`: "nginx", "image: http://Docker.io/Library/Nginx:1": "docker.io/library/nginx:1",
		}},
		{full10, `"1.0"`, mistakes{"1": `"1.0"`, `"1.0.0"`: `"1.0"`, "v1.0": `"1.0"`, `"1,0"`: `"1.0"`, `"3.0"`: `"1.0"`, "one": `"1.0"`, `""`: `"1.0"`}},
		{full20, `"2.0"`, mistakes{"2": `"2.0"`, "v2.0": `"2.0"`, `"3.0"`: `"2.1"`, `"2.0.0"`: `"2.0"`, "v2.1": `"2.1"`, `"2.1.0"`: `"2.1"`, `"2.0.1"`: `"2.0"`, "latest": `"2.1"`, `"1.5"`: `"2.0"`}},
		{full20, "- berth1", mistakes{}},
		{full10, "profile: small", mistakes{"profile: smal": "small", "profile: Small": "small", "profile: large": ""}},
		{full10, "service: web", mistakes{"service: wbe": "web", "service: api": ""}},
		{full20, "ip: front", mistakes{"ip: fornt": "front"}},
		{full20, "mount: /data", mistakes{"mount: data": "/data", "mount: ./data": "/data"}},
		{full20, "kind: ip", mistakes{"kind: IP": "ip"}},
		{full20, "class: beta2", mistakes{"class: Beta2": "beta2", "class: beta4": "beta1"}},
		{full20, "interface: sxm", mistakes{"interface: SXM": "sxm", "interface: pci": "pcie"}},
		{full20, "tee: cpu\n", mistakes{"tee: CPU\n": "cpu"}},
		{full20, "model: a100", mistakes{"model: A100": "a100"}},
		{full20, "arch: amd64", mistakes{"arch: AMD64": "amd64"}},
		{full20, "read: [logs]", mistakes{"read: [log]": "logs", "read: logs": "[logs]"}},
		{full10, "- A=1", mistakes{"- export A=1": "A", "- TOKEN": "", `- "MY VAR=1"`: "MY_VAR"}},
	} {
		for mistake, want := range tc.is {
			if !strings.Contains(tc.text, tc.old) {
				t.Fatalf("no %q", tc.old)
			}
			text := strings.Replace(tc.text, tc.old, mistake, 1)
			line, _ := place(tc.text, tc.old)
			_, found := compile.Compile("deploy.yaml", []byte(text))
			found = slices.DeleteFunc(found, func(d sdl.Diagnostic) bool {
				return d.Line != line || d.Code == "W-NO-CLIENT" || d.Code == "W-ACCEPT-IGNORED"
			})
			if len(found) != 1 || found[0].Suggestion != want {
				t.Errorf("%s: %d problems in line %d, suggestion %q, want %q: %v", mistake, len(found), line, suggestionOf(found), want, found)
				continue
			}
			if want == "" {
				continue
			}
			edit, ok := found[0].Edit([]byte(text))
			if !ok {
				t.Errorf("%s: the suggestion %s cannot be put in place", mistake, want)
				continue
			}
			fixed := edit.Apply([]byte(text))
			if plan, more := compile.Compile("deploy.yaml", fixed); plan == nil {
				t.Errorf("%s: with the suggestion the line is %q: %v", mistake, strings.Split(string(fixed), "\n")[line-1], more)
			}
		}
	}
}

func suggestionOf(found sdl.Diagnostics) string {
	if len(found) == 0 {
		return ""
	}
	return found[0].Suggestion
}

// TestKeys makes every mistake of one letter in every key of every version, and those of case and of words, and holds
// that the key is suggested.
func TestKeys(t *testing.T) {
	for name, text := range map[string]string{"1.0": full10, "2.0": full20, "2.1": full21()} {
		if plan, found := compile.Compile("deploy.yaml", []byte(text)); plan == nil || found.Errors() > 0 {
			t.Fatalf("%s: %v", name, found)
		}
		for i, l := range strings.Split(text, "\n") {
			key, _, ok := strings.Cut(strings.TrimLeft(strings.TrimSpace(l), "- "), ":")
			if !ok || isName(key) || len(key) < 3 {
				continue
			}
			column := strings.Index(l, key)
			for j, wrong := range wrongKeys(key) {
				if name == "2.1" && j%10 != 0 { // 2.0 has the same keys
					continue
				}
				lines := strings.Split(text, "\n")
				lines[i] = strings.Replace(l, key, wrong, 1)
				changed := []byte(strings.Join(lines, "\n"))
				_, found := compile.Compile("deploy.yaml", changed)
				said := at(found, i+1, column+1)
				if len(said) != 1 || said[0].Suggestion != key {
					t.Errorf("version %s: %s instead of %s in line %d: %v", name, wrong, key, i+1, said)
					continue
				}
				edit, ok := said[0].Edit(changed)
				if !ok || string(edit.Apply(changed)) != text {
					t.Errorf("version %s: %s is not mended to %s: %v", name, wrong, key, edit)
				}
			}
		}
	}
}

// isName tells which keys of the documents are names.
func isName(key string) bool {
	return slices.Contains([]string{"web", "db", "small", "east", "region", "front", "data", "nvidia"}, key)
}

// known are keys of one level that are near to keys of another.
var known = map[string]bool{"profile": true, "profiles": true, "services": true, "service": true, "as": true, "to": true, "ip": true, "mount": true}

func wrongKeys(key string) []string {
	var out []string
	for i := range len(key) {
		out = append(out, key[:i]+key[i+1:], key[:i]+key[i:i+1]+key[i:], key[:i]+"x"+key[i:])
		if i > 0 && key[i] != key[i-1] {
			out = append(out, key[:i-1]+key[i:i+1]+key[i-1:i]+key[i+1:])
		}
	}
	out = append(out, strings.ToUpper(key), strings.ToUpper(key[:1])+key[1:], key+"s")
	for _, sep := range []string{"-", "_"} {
		if strings.Contains(key, sep) {
			out = append(out, strings.ReplaceAll(key, sep, ""), strings.ReplaceAll(key, sep, map[string]string{"-": "_", "_": "-"}[sep]))
		}
	}
	return slices.DeleteFunc(out, func(w string) bool { return w == key || known[w] })
}

// TestForeignKeys holds what is said of keys that documents of other tools have.
func TestForeignKeys(t *testing.T) {
	const none = ""
	for _, tc := range []struct {
		text, before, key string
		want              string // the suggestion; without one there is a hint
	}{
		{full10, "    args:", "ports", none}, // expose is there already
		{full10, "    args:", "volumes", none}, {full10, "    args:", "entrypoint", none}, {full10, "    args:", "cmd", none},
		{full10, "    args:", "replicas", none}, {full10, "    args:", "container_name", none}, {full10, "    args:", "restart", none},
		{full10, "    args:", "build", none}, {full10, "    args:", "networks", none}, {full10, "    args:", "cpus", none}, {full10, "    args:", "mem", none},
		{full10, "profiles:", "volumes", none}, {full10, "profiles:", "networks", none}, {full10, "profiles:", "apiVersion", none},
		{full20, "    args:", "volumes", none}, {full20, "    args:", "replicas", none}, {full20, "    args:", "healthcheck", none}, {full20, "profiles:", "volumes", none},
	} {
		text := strings.Replace(tc.text, tc.before, strings.Repeat(" ", len(tc.before)-len(strings.TrimLeft(tc.before, " ")))+tc.key+": x\n"+tc.before, 1)
		_, found := compile.Compile("deploy.yaml", []byte(text))
		i := slices.IndexFunc(found, func(d sdl.Diagnostic) bool { return strings.HasSuffix(d.Code, "-UNKNOWN-KEY") && d.Found == tc.key })
		if i < 0 || found[i].Suggestion == "" && found[i].Hint == "" {
			t.Errorf("%s: %v", tc.key, found)
		}
	}
	for _, tc := range []struct{ text, key, foreign string }{
		{full10, "env", "environment"}, {full10, "expose", "ports"}, {full10, "depends-on", "depends_on"}, {full10, "depends-on", "dependsOn"},
		{full10, "depends-on", "dependencies"}, {full10, "cpu", "cpus"}, {full10, "memory", "mem"}, {full10, "memory", "ram"}, {full10, "count", "replicas"},
		{full10, "accept", "hosts"}, {full10, "proto", "protocol"}, {full10, "port", "containerPort"}, {full10, "deployment", "deployments"},
		{full20, "env", "environment"}, {full20, "expose", "ports"}, {full20, "dependencies", "depends_on"}, {full20, "command", "cmd"}, {full20, "command", "entrypoint"},
		{full20, "cpu", "cpus"}, {full20, "memory", "mem"}, {full20, "storage", "disk"}, {full20, "gpu", "gpus"}, {full20, "mount", "mountPath"},
		{full20, "signedBy", "signed_by"}, {full20, "count", "instances"}, {full20, "username", "user"},
	} {
		i := strings.LastIndex(tc.text, " "+tc.key+":") + 1
		if tc.key == "deployment" {
			i = strings.Index(tc.text, "\ndeployment:") + 1
		}
		text := tc.text[:i] + tc.foreign + tc.text[i+len(tc.key):]
		_, found := compile.Compile("deploy.yaml", []byte(text))
		j := slices.IndexFunc(found, func(d sdl.Diagnostic) bool { return strings.HasSuffix(d.Code, "-UNKNOWN-KEY") && d.Found == tc.foreign })
		if j < 0 || found[j].Suggestion != tc.key || found.Errors() > 1 {
			t.Errorf("%s: want %s: %v", tc.foreign, tc.key, found)
		}
	}
}

// TestSuggestionsAreRight puts every suggestion for every wrong document, and for good documents with mistakes made at
// random, in place: what it was for is gone, and nothing comes instead that has nothing to do with it.
func TestSuggestionsAreRight(t *testing.T) {
	all := map[string]string{}
	for file, data := range documents(t, "testdata/bad/*.yaml") {
		all[file] = string(data)
	}
	seed := uint64(1)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, base := range []string{full10, full20, full21()} {
		for i := range 300 {
			all[fmt.Sprintf("seed %d, change %d of version %s", seed, i, base[10:13])] = mutate(rng, base)
		}
	}
	applied := 0
	for name, text := range all {
		_, found := compile.Compile("deploy.yaml", []byte(text))
		for _, d := range found {
			if d.Suggestion == "" {
				continue
			}
			edit, ok := d.Edit([]byte(text))
			if !ok {
				t.Errorf("%s: it cannot be put in place: %v, suggestion %s", name, d, d.Suggestion)
				continue
			}
			applied++
			fixed := edit.Apply([]byte(text))
			_, after := compile.Compile("deploy.yaml", fixed)
			checkMended(t, name, d, found, after, edit)
		}
	}
	if applied < 300 {
		t.Errorf("only %d suggestions were put in place", applied)
	}
}

// checkMended looks at what is said after a suggestion was put in place.
func checkMended(t *testing.T, name string, d sdl.Diagnostic, before, after sdl.Diagnostics, edit sdl.Edit) {
	t.Helper()
	shift := strings.Count(edit.Text, "\n")
	for _, a := range after {
		if a.Code == d.Code && a.Line == d.Line+shift && a.Column == d.Column {
			t.Errorf("%s: %v, suggestion %s: after it %v", name, d, d.Suggestion, a)
		}
		same := func(b sdl.Diagnostic) bool { return b.Code == a.Code && b.Line+shift == a.Line }
		related := strings.Contains(a.Message, d.Found) || strings.Contains(a.Message, strings.Trim(d.Suggestion, `"`)) || strings.HasPrefix(a.Path, d.Path)
		if a.Severity == sdl.Error && !slices.ContainsFunc(before, same) && !related {
			t.Errorf("%s: %v, suggestion %s: it brings %v", name, d, d.Suggestion, a)
		}
	}
}

// mutate makes one or two mistakes in a document: a letter more, less, other or swapped, or another letter case.
func mutate(rng *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + rng.IntN(2) {
		i := rng.IntN(len(b) - 1)
		if strings.IndexByte(" \n-", b[i]) >= 0 || strings.IndexByte(" \n-", b[i+1]) >= 0 {
			continue
		}
		switch rng.IntN(5) {
		case 0:
			b = slices.Delete(b, i, i+1)
		case 1:
			b = slices.Insert(b, i, byte('a'+rng.IntN(26)))
		case 2:
			b[i] = byte('a' + rng.IntN(26))
		case 3:
			b[i], b[i+1] = b[i+1], b[i]
		case 4:
			b[i] = strings.ToUpper(string(b[i]))[0]
		}
	}
	return string(b)
}
