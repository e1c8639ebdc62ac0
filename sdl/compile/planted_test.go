package compile_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

// mistake is one that can be made in a document whatever else is wrong with it: what is replaced, by what, and what is
// said then.
type mistake struct{ old, wrong, code string }

// mistakes10 and mistakes20 are independent of each other: none hides what another one needs to be found.
var (
	mistakes10 = []mistake{
		{"image: nginx:1.27", "image: https://nginx", "E-IMAGE"}, {"depends-on:", "dependson:", "E-UNKNOWN-KEY"}, {"- service: db", "- service: bd", "E-UNKNOWN-SERVICE"},
		{"args: [run]", "args: run", "E-TYPE"}, {"- A=1", "- 1A=1", "E-ENV"}, {"port: 8080", "port: 80800", "E-PORT"}, {"as: 80\n", "as: http\n", "E-PORT"},
		{"proto: http", "proto: htp", "E-PROTO"}, {"- www.example.com", "- https://www.example.com", "E-HOST"}, {"global: true", "global: yes", "E-TYPE"},
		{"service: web", "service: wbe", "E-UNKNOWN-SERVICE"}, {"global: false", "global: 0", "E-TYPE"}, {"cpu: 500m", "cpu: 500 milli", "E-CPU"},
		{"memory: 512Mi", "memory: 512mi", "E-BYTES"}, {"storage: 1Gi", "storage: 1GB", "E-BYTES"}, {"region: us-east", "r: us-east", "E-ATTRIBUTE"},
		{"small: 20u", "small: 20 u", "E-PRICE"}, {"profile: small\n      count: 2", "profile: smal\n      count: 2", "E-UNKNOWN-PROFILE"},
		{"count: 2", "count: 200", "E-RANGE"}, {"profile: small\n      count: 1\n", "profile: small\n      count: 0\n", "E-RANGE"}, {"image: postgres:16", "imag: postgres:16", "E-UNKNOWN-KEY"},
		{"port: 5432", "prot: 5432", "E-UNKNOWN-KEY"}, {`version: "1.0"`, `version: "1.1"`, "E-VERSION"}, {"\n  placement:", "\nplacement:", "E-INDENT"},
	}
	mistakes20 = []mistake{
		{"kind: ip", "kind: up", "E-ENDPOINT"}, {"min_window: 1h", "min_window: 1 hour", "E-RECLAMATION"}, {"command: [serve]", "command: serve", "E-TYPE"},
		{"mount: /data\n          readOnly", "mount: data\n          readOnly", "E-MOUNT"}, {"readOnly: false", "readOnly: no", "E-TYPE"}, {"read: [logs]", "read: [log]", "E-PERMISSION"},
		{"tee: cpu\n    credentials", "tee: gpu\n    credentials", "E-TEE"}, {"username: me", "username: ''", "E-CREDENTIALS"}, {"proto: tcp", "proto: http", "E-PROTO"},
		{"max_body_size: 1000", "max_body_size: 1k", "E-HTTP"}, {"next_cases: [error]", "next_cases: [errors]", "E-HTTP"}, {"ip: front", "ip: fornt", "E-ENDPOINT"},
		{"units: 0.5", `units: "0,5"`, "E-CPU"}, {"arch: amd64", "arch: AMD64", "E-ATTRIBUTE"}, {"size: 512Mi", "size: 512MB!", "E-BYTES"}, {"class: beta2", "class: beta9", "E-VOLUME"},
		{"- size: 1Gi", "- size: 1GB", "E-BYTES"}, {"model: a100", "model: A100", "E-GPU"}, {"interface: sxm", "interface: nvlink", "E-GPU"}, {"ram: 80Gi", "ram: 80gb", "E-BYTES"},
		{"amount: 20", "amount: 20u", "E-PRICE"}, {"denom: ubrt", "denom: 1", "E-DENOM"}, {"count: 2", "count: two", "E-RANGE"}, {"port: 8080", `port: "80:8080"`, "E-PORT"},
		{"- service: db", "- service: bd", "E-UNKNOWN-SERVICE"}, {"global: false", "global: never", "E-TYPE"}, {`version: "2.0"`, `version: "2.2"`, "E-VERSION"},
	}
)

// TestAllProblemsAtOnce makes some mistakes, chosen at random, in a right document and holds that all are found, each at
// its place, and that no other error is.
func TestAllProblemsAtOnce(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 2))
	for _, base := range []struct {
		text     string
		mistakes []mistake
	}{{full10, mistakes10}, {full20, mistakes20}} {
		for round := range 300 {
			k := 1 + rng.IntN(len(base.mistakes))
			if round == 0 {
				k = len(base.mistakes)
			}
			text, planted := base.text, []mistake{}
			for _, i := range rng.Perm(len(base.mistakes))[:k] {
				m := base.mistakes[i]
				if strings.Count(base.text, m.old) < 1 {
					t.Fatalf("there is no %q", m.old)
				}
				text = strings.Replace(text, m.old, m.wrong, 1)
				planted = append(planted, m)
			}
			lines := strings.Split(text, "\n")
			_, found := compile.Compile("deploy.yaml", []byte(text))
			found = slices.DeleteFunc(found, func(d sdl.Diagnostic) bool { return d.Severity == sdl.Warning })
			says := func(d sdl.Diagnostic, m mistake) bool {
				return d.Code == m.code && d.Line > 0 && strings.Contains(lines[d.Line-1], difference(m))
			}
			for _, d := range found {
				if !slices.ContainsFunc(planted, func(m mistake) bool { return says(d, m) }) {
					t.Errorf("seed %d, round %d: nobody planted %v in\n%s", seed, round, d, text)
				}
			}
			for _, m := range planted {
				if !slices.ContainsFunc(found, func(d sdl.Diagnostic) bool { return says(d, m) }) {
					t.Errorf("seed %d, round %d: %q is not found: %v", seed, round, m.wrong, found)
				}
			}
			if len(found) != k {
				t.Errorf("seed %d, round %d: %d errors for %d mistakes", seed, round, len(found), k)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// difference is the first line of a mistake that differs from what it replaces.
func difference(m mistake) string {
	old := strings.Split(m.old, "\n")
	for i, l := range strings.Split(m.wrong, "\n") {
		if i >= len(old) || l != old[i] {
			return l
		}
	}
	return m.wrong
}
