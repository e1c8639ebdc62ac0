package compile_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	"berth.dev/berth/sdl/compile"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// The documents in which the table changes one thing: a service that is open to anyone, in both languages.
const (
	base20 = `version: "2.0"
endpoints: ENDPOINTS
services:
  web: {image: nginx, params: PARAMS, expose: EXPOSE}
profiles:
  compute:
    web: {resources: {cpu: {units: CPU}, memory: {size: MEMORY}, storage: STORAGE, gpu: GPU}}
  placement:
    west: {attributes: {region: us-west}, pricing: {web: {denom: ubrt, amount: PRICE}}}
deployment:
  web: {west: {profile: web, count: COUNT}}
`
	base10 = `version: "1.0"
services:
  web: {image: nginx, expose: EXPOSE}
profiles:
  compute: {web: {cpu: CPU, memory: MEMORY, storage: STORAGE}}
  placement: {west: {attributes: {region: us-west}, pricing: {web: PRICE}}}
deployment: {web: {west: {profile: web, count: COUNT}}}
`
)

// based is a base with things changed: pairs of a name in capital letters and what stands there.
func based(base string, change ...string) string {
	defaults := []string{"ENDPOINTS", "", "PARAMS", "", "EXPOSE", "[{port: 80, to: [{global: true}]}]", "CPU", "1", "MEMORY", "1Gi",
		"STORAGE", "{size: 1Gi}", "GPU", "", "PRICE", "1000", "COUNT", "1"}
	if base == base10 {
		defaults = append([]string{"STORAGE", "1Gi", "PRICE", "1000u"}, defaults...)
	}
	return strings.NewReplacer(append(change, defaults...)...).Replace(base)
}

// boundary is one case of the table: it is of the line of that number in the list of behaviours that a market for
// compute must show. Without a code the document is accepted, by the compiler and by the chain; otherwise it is refused
// with that code, or, for "chain", by the chain's own parameters.
type boundary struct {
	line       int
	what, text string
	code       string
	check      func(t *testing.T, plan *sdl.Plan)
}

const byTheChain = "chain"

func boundaries() []boundary {
	var all []boundary
	add := func(line int, what, text, code string) { all = append(all, boundary{line, what, text, code, nil}) }
	checked := func(line int, what, text string, check func(t *testing.T, plan *sdl.Plan)) {
		all = append(all, boundary{line, what, text, "", check})
	}
	each := func(line int, name, code string, values ...string) {
		for _, v := range values {
			add(line, name+" "+v, based(base20, name, v), code)
			if name == "CPU" || name == "MEMORY" || name == "COUNT" {
				add(line, "1.0: "+name+" "+v, based(base10, name, v), code)
			}
		}
	}

	// 1: the version.
	add(1, "no version", strings.Replace(based(base20), "version: \"2.0\"\n", "", 1), "E-VERSION")
	add(1, "2.0", based(base20), "")
	add(1, "2.1", strings.Replace(based(base20), "2.0", "2.1", 1), "")
	add(1, "1.0", based(base10), "")
	add(1, "3.0", strings.Replace(based(base20), "2.0", "3.0", 1), "E-VERSION") // REF takes it for 2.1
	add(1, "unquoted", strings.Replace(based(base10), `"1.0"`, "1.0", 1), "")

	// 2: processors, 1.0 as well.
	each(2, "CPU", "", "10m", "384", "0.01", "384000m", "0.010")
	each(2, "CPU", "E-RANGE", "9m", "384001m", "0.009", "384.001", "0", "0m")
	each(2, "CPU", "E-CPU", "0.0099", "-1", "1e3", "500mm")

	// 3: memory, 1.0 as well.
	each(3, "MEMORY", "", "1Mi", "1048576", "2Ti", "2199023255552", "1.5Gi")
	each(3, "MEMORY", "E-RANGE", "1048575", "2199023255553", "0", "1M")
	checked(3, "1.5Gi is exact", based(base20, "MEMORY", "1.5Gi"), func(t *testing.T, plan *sdl.Plan) {
		if got := plan.Groups[0].Resources[0].MemoryBytes; got != 1610612736 {
			t.Errorf("%d bytes", got)
		}
	})

	// 4: storage of a volume, 1.0 as well.
	for value, code := range map[string]string{"5Mi": "", "5242880": "", "5242879": "E-RANGE", "32Ti": "", "35184372088833": "E-RANGE", "35184372088832": ""} {
		add(4, value, based(base20, "STORAGE", "{size: "+value+"}"), code)
		add(4, "second of "+value, based(base20, "STORAGE", "[{size: 1Gi}, {name: data, size: "+value+"}]"), code)
		add(4, "1.0: "+value, based(base10, "STORAGE", value), code)
	}

	boundariesOfGPUs(add, checked)
	boundariesOfPrices(add)
	boundariesOfPorts(add, checked)
	boundariesOfVolumes(add)
	boundariesOfEndpoints(add, checked)
	boundariesOfCounts(add)
	return all
}

type (
	adder   func(line int, what, text, code string)
	checker func(line int, what, text string, check func(t *testing.T, plan *sdl.Plan))
)

// 5: gpus.
func boundariesOfGPUs(add adder, checked checker) {
	gpu := func(text string) string { return based(base20, "GPU", text) }
	add(5, "24", gpu("{units: 24, attributes: {vendor: {nvidia: []}}}"), "")
	add(5, "25", gpu("{units: 25, attributes: {vendor: {nvidia: []}}}"), "E-RANGE")
	add(5, "units without attributes", gpu("{units: 1}"), "E-GPU")
	add(5, "attributes without units", gpu("{units: 0, attributes: {vendor: {nvidia: []}}}"), "E-GPU")
	add(5, "nvlink", gpu("{units: 1, attributes: {vendor: {nvidia: [{model: a100, interface: nvlink}]}}}"), "E-GPU")
	checked(5, "amd stays amd", gpu("{units: 1, attributes: {vendor: {amd: [{model: mi300}]}}}"), func(t *testing.T, plan *sdl.Plan) { // REF: nvidia
		if got := plan.Groups[0].Resources[0].GPUAttributes; len(got) != 1 || got[0].Key != "vendor/amd/model/mi300" {
			t.Errorf("attributes %v", got)
		}
	})
	checked(5, "any of amd", gpu("{units: 1, attributes: {vendor: {amd: }}}"), func(t *testing.T, plan *sdl.Plan) {
		if got := plan.Groups[0].Resources[0].GPUAttributes; len(got) != 1 || got[0].Key != "vendor/amd/model/*" {
			t.Errorf("attributes %v", got)
		}
	})
}

// 6: prices, 1.0 as well. The limit is the chain's parameter.
func boundariesOfPrices(add adder) {
	most := deploymenttypes.DefaultParams().MaxUnitPrice.String()
	for value, code := range map[string]string{
		"0": "E-PRICE", `"-1"`: "E-PRICE", most: "", most + ".000000000000000001": byTheChain, `"0.000000000000000001"`: "", "0.0000000000000000001": "E-PRICE",
	} {
		add(6, value, based(base20, "PRICE", value), code)
		add(6, "1.0: "+value+"u", based(base10, "PRICE", strings.Trim(value, `"`)+"u"), code)
	}
}

// 7, 8, 9 and 12: ports, hosts, routes, protocols. 7 and 12 hold for versions 2 only.
func boundariesOfPorts(add adder, checked checker) {
	expose := func(text string) string { return based(base20, "EXPOSE", text) }
	add(7, "nothing exposed", expose(""), "E-NO-GLOBAL")
	add(7, "exposed to itself only", expose("[{port: 80, to: [{service: web}]}]"), "E-NO-GLOBAL")
	add(7, "a ghost", expose("[{port: 80, to: [{global: true}, {service: ghost}]}]"), "E-UNKNOWN-SERVICE") // REF accepts
	add(7, "neither service nor global", expose("[{port: 80, to: [{global: true}, {}]}]"), "E-TO")
	add(7, "1.0: nothing exposed", based(base10, "EXPOSE", ""), "")
	add(7, "1.0: a ghost", based(base10, "EXPOSE", "[{port: 80, to: [{service: ghost}]}]"), "E-UNKNOWN-SERVICE")

	name := func(n int) string { // of n characters, in labels of at most 63
		const end = ".example"
		labels := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250
		return labels[:n-len(end)-3] + "bbb" + end
	}
	if len(name(253)) != 253 || len(name(254)) != 254 {
		panic("the names are of another length")
	}
	for what, tc := range map[string]struct{ accept, code string }{
		"twice": {"[a.example.com, a.example.com]", "E-HOST-DUPLICATE"}, "underscore": {"[a_b.example.com]", "E-HOST"},
		"upper case": {"[A.example.com]", "E-HOST"}, "253 characters": {"[" + name(253) + "]", ""}, "254 characters": {"[" + name(254) + "]", "E-HOST"},
		"64 in a label": {"[" + strings.Repeat("a", 64) + ".example.com]", "E-HOST"},
	} {
		add(8, what, expose("[{port: 80, accept: "+tc.accept+", to: [{global: true}]}]"), tc.code)
		add(8, "1.0: "+what, based(base10, "EXPOSE", "[{port: 80, accept: "+tc.accept+", to: [{global: true}]}]"), tc.code)
	}
	add(8, "two services", strings.NewReplacer("  web: {image", "  other: {image: nginx, expose: [{port: 80, accept: [a.example.com], to: [{global: true}]}]}\n  web: {image",
		"deployment:\n", "deployment:\n  other: {west: {profile: web, count: 1}}\n").Replace(expose("[{port: 80, accept: [a.example.com], to: [{global: true}]}]")), "E-HOST-DUPLICATE")

	for options, code := range map[string]string{
		"read_timeout: 60000": "", "read_timeout: 60001": "E-HTTP", "max_body_size: 104857600": "", "max_body_size: 104857601": "E-HTTP",
		"next_cases: [off, error]": "E-HTTP", `next_cases: ["418"]`: "E-HTTP", "next_cases: [off]": "", `next_cases: [error, "403"]`: "", "proxy_buffer_size: 1048577": "E-HTTP",
		"h2c: true": "", "h2c: false": "", "h2c: maybe": "E-TYPE",
	} {
		add(9, options, expose("[{port: 80, http_options: {"+options+"}, to: [{global: true}]}]"), code)
	}

	for port, code := range map[string]string{"0": "E-PORT", "65536": "E-PORT", "1": "", "65535": ""} {
		add(12, "port "+port, expose("[{port: "+port+", to: [{global: true}]}]"), code)
		add(12, "as "+port, expose("[{port: 80, as: "+port+", to: [{global: true}]}]"), code)
		add(12, "1.0: port "+port, based(base10, "EXPOSE", "[{port: "+port+", to: [{global: true}]}]"), code)
	}
	add(12, "as 70000", expose("[{port: 80, as: 70000, to: [{global: true}]}]"), "E-PORT") // REF accepts
	add(12, "http", expose("[{port: 80, proto: http, to: [{global: true}]}]"), "E-PROTO")
	add(12, "1.0: http", based(base10, "EXPOSE", "[{port: 80, proto: http, to: [{global: true}]}]"), "")
	checked(12, "UDP", expose("[{port: 53, proto: UDP, to: [{global: true}]}]"), func(t *testing.T, plan *sdl.Plan) {
		if got := plan.Manifests[0].Services[0].Expose[0].Proto; got != manifesttypes.PROTO_UDP {
			t.Errorf("protocol %v", got)
		}
	})
}

// 10: volumes.
func boundariesOfVolumes(add adder) {
	for what, tc := range map[string]struct{ storage, params, code string }{
		"beta2, not persistent":    {"{name: data, size: 1Gi, attributes: {class: beta2, persistent: false}}", "{storage: {data: {mount: /data}}}", "E-VOLUME"},
		"ram, persistent":          {"{name: data, size: 1Gi, attributes: {class: ram, persistent: true}}", "{storage: {data: {mount: /data}}}", "E-VOLUME"},
		"persistent, not mounted":  {"{name: data, size: 1Gi, attributes: {class: beta2, persistent: true}}", "", "E-UNMOUNTED"},
		"a relative mount":         {"{name: data, size: 1Gi, attributes: {class: beta2, persistent: true}}", "{storage: {data: {mount: data}}}", "E-MOUNT"},
		"beta9":                    {"{name: data, size: 1Gi, attributes: {class: beta9, persistent: true}}", "{storage: {data: {mount: /data}}}", "E-VOLUME"},
		"a name twice":             {"[{name: data, size: 1Gi}, {name: data, size: 2Gi}]", "", "E-VOLUME"},
		"two without a name":       {"[{size: 1Gi}, {size: 2Gi}]", "", "E-VOLUME"}, // REF accepts
		"a place twice":            {"[{name: a, size: 1Gi}, {name: b, size: 2Gi}]", "{storage: {a: {mount: /data}, b: {mount: /data/}}}", "E-MOUNT"},
		"beta2, persistent, /data": {"{name: data, size: 1Gi, attributes: {class: beta2, persistent: true}}", "{storage: {data: {mount: /data}}}", ""},
	} {
		add(10, what, based(base20, "STORAGE", tc.storage, "PARAMS", tc.params), tc.code)
	}
}

// 11: leased addresses.
func boundariesOfEndpoints(add adder, checked checker) {
	const declared = "{front: {kind: ip}}"
	add(11, "not used", based(base20, "ENDPOINTS", declared), "E-ENDPOINT")
	add(11, "not global", based(base20, "ENDPOINTS", declared, "EXPOSE", "[{port: 80, to: [{global: true}, {service: web, ip: front}]}]"), "E-TO")
	add(11, "not declared", based(base20, "EXPOSE", "[{port: 80, to: [{global: true, ip: front}]}]"), "E-ENDPOINT")
	add(11, "taken twice", based(base20, "ENDPOINTS", declared, "EXPOSE", "[{port: 80, to: [{global: true, ip: front}]}, {port: 81, as: 80, to: [{global: true, ip: front}]}]"), "E-ENDPOINT")
	checked(11, "declared and global", based(base20, "ENDPOINTS", declared, "EXPOSE", "[{port: 80, to: [{global: true, ip: front}]}]"), func(t *testing.T, plan *sdl.Plan) {
		got := chainspec.Groups(plan)[0].Units[0].Endpoints
		want := []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}, {Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}}
		if !slices.Equal(got, want) {
			t.Errorf("endpoints %v", got)
		}
	})
}

// 18: counts, 1.0 as well.
func boundariesOfCounts(add adder) {
	for value, code := range map[string]string{"0": "E-RANGE", "1": "", "50": "", "51": "E-RANGE", "100000": "E-RANGE", "-1": "E-RANGE", "1.5": "E-RANGE"} { // REF takes 51 and 100000
		add(18, value, based(base20, "COUNT", value), code)
		add(18, "1.0: "+value, based(base10, "COUNT", value), code)
	}
	add(18, "50 of 384 processors", based(base20, "COUNT", "50", "CPU", "384"), "")
	add(18, "1.0: 50 of 384 processors", based(base10, "COUNT", "50", "CPU", "384"), "")
	two := strings.NewReplacer("  web: {image", "  two: {image: nginx}\n  web: {image", "deployment:\n", "deployment:\n  two: {west: {profile: web, count: 1}}\n")
	add(18, "51 of 384 processors", two.Replace(based(base20, "COUNT", "50", "CPU", "384")), "E-LIMIT")
	add(18, "a service of none beside another", two.Replace(based(base20, "COUNT", "0")), "E-RANGE") // REF accepts
}

// TestBoundariesOfTheMarket is the table of what must be accepted and refused, and of what a plan must say then.
func TestBoundariesOfTheMarket(t *testing.T) {
	for _, tc := range boundaries() {
		t.Run(fmt.Sprintf("%02d %s", tc.line, tc.what), func(t *testing.T) {
			plan, found := compile.Compile("deploy.yaml", []byte(tc.text))
			if tc.code != "" && tc.code != byTheChain {
				if plan != nil || !slices.ContainsFunc(found, func(d sdl.Diagnostic) bool { return d.Code == tc.code && d.Severity == sdl.Error }) {
					t.Errorf("no %s among %v in\n%s", tc.code, found, tc.text)
				}
				return
			}
			if plan == nil {
				t.Fatalf("refused: %v", found)
			}
			err := deploymenttypes.ValidateGroups(chainspec.Groups(plan), sdl.Denom, deploymenttypes.DefaultParams().MaxUnitPrice)
			if (err != nil) != (tc.code == byTheChain) {
				t.Errorf("the chain says %v", err)
			}
			if tc.code == "" {
				checkFitsTheChain(t, tc.what, plan)
			}
			if tc.check != nil {
				tc.check(t, plan)
			}
		})
	}
}

// TestSharedUnits is line 13: services of one profile share a resource unit from 2.1 on.
func TestSharedUnits(t *testing.T) {
	text := strings.NewReplacer("  web: {image", "  two: {image: nginx}\n  web: {image", "deployment:\n", "deployment:\n  two: {west: {profile: web, count: 2}}\n").Replace(based(base20))
	counts := func(text string) (out []uint32) {
		for i, u := range chainspec.Groups(mustCompile(t, []byte(text)))[0].Units {
			if u.Id != uint32(i)+1 {
				t.Errorf("unit %d has id %d", i, u.Id)
			}
			out = append(out, u.Count)
		}
		slices.Sort(out)
		return out
	}
	if got := counts(text); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("2.0: counts %v", got)
	}
	if got := counts(strings.Replace(text, "2.0", "2.1", 1)); !slices.Equal(got, []uint32{3}) {
		t.Errorf("2.1: counts %v", got)
	}
}

// TestWhatTheHashFollows is line 14: what the 32 bytes on chain follow, and what not. Dependencies are a part of what
// runs here, and so they are followed.
func TestWhatTheHashFollows(t *testing.T) {
	const text = full20
	before := root(t, mustCompile(t, []byte(text)))
	for what, tc := range map[string]struct {
		old, new string
		follows  bool
	}{
		"image":               {"nginx:1.27", "nginx:1.28", true},
		"dependencies":        {"    dependencies:\n      - service: db\n", "", true},
		"price":               {"amount: 20", "amount: 21", false},
		"placement attribute": {"us-east", "us-west", false},
		"reclamation":         {"min_window: 1h", "min_window: 2h", false},
		"comment":             {"services:", "services: # all", false},
	} {
		if got := root(t, mustCompile(t, []byte(strings.Replace(text, tc.old, tc.new, 1)))) != before; got != tc.follows {
			t.Errorf("%s: the hash changed: %v", what, got)
		}
	}
	for seed := range uint64(20) {
		other := reorder([]byte(text), seed)
		if bytes.Equal(other, []byte(text)) {
			t.Fatal("nothing was put into another order")
		}
		if root(t, mustCompile(t, other)) != before {
			t.Errorf("another order of keys changes the hash:\n%s", other)
		}
	}
}

// TestUnits is what suffixes stand for, and that a bound is met from both sides in every unit.
func TestUnits(t *testing.T) {
	for suffix, size := range map[string]uint64{
		"": 1, "k": 1e3, "Ki": 1 << 10, "M": 1e6, "Mi": 1 << 20, "G": 1e9, "Gi": 1 << 30, "T": 1e12, "Ti": 1 << 40,
	} {
		const wanted = 2 << 30
		for name, text := range map[string]string{"1.0": base10, "2.0": base20} {
			n := uint64(1)
			if size < wanted {
				n = wanted / size
			}
			got := mustCompile(t, []byte(based(text, "MEMORY", fmt.Sprint(n)+suffix))).Groups[0].Resources[0].MemoryBytes
			if got != n*size {
				t.Errorf("%s: %d%s is %d bytes", name, n, suffix, got)
			}
		}
	}
	for price, micro := range map[string]int64{"1": 1_000_000, "1e-4": 100, "20u": 20, "20mu": 20, "20\u00b5": 20, "20\u03bc": 20} {
		if got := mustCompile(t, []byte(based(base10, "PRICE", price))).Groups[0].Resources[0].Price; !got.Equal(math.LegacyNewDec(micro)) {
			t.Errorf("%s is %s", price, got)
		}
	}
	for cpu, milli := range map[string]uint64{"1": 1000, "0.5": 500, "100m": 100, "50m": 50} {
		if got := mustCompile(t, []byte(based(base10, "CPU", cpu))).Groups[0].Resources[0].CPUMilli; got != milli {
			t.Errorf("%s is %d", cpu, got)
		}
	}
}
