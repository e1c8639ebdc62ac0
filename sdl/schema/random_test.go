package schema_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/sdl20"
	"berth.dev/berth/sdl/stack"
)

// writer writes random documents, with all that the front-ends read.
type writer struct {
	*rand.Rand
	version  string
	services []string
	profiles []string
	places   []string
	ips      []string
	// data says that there is a volume of this name, everywhere.
	data bool
}

func (w *writer) chance(percent int) bool { return w.IntN(100) < percent }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// text is a scalar, quoted or not.
func (w *writer) text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	if w.chance(25) {
		n.Style = yaml.DoubleQuotedStyle
	} else if w.chance(10) {
		n.Style = yaml.SingleQuotedStyle
	}
	if s == "" || strings.HasPrefix(s, "*") {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func (w *writer) one(of ...string) *yaml.Node { return w.text(pick(w.Rand, of)) }

// word is a scalar without quotes.
func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// builder builds a mapping.
type builder struct {
	w *writer
	n *yaml.Node
}

func (w *writer) mapping() builder { return builder{w, &yaml.Node{Kind: yaml.MappingNode}} }

func (b builder) put(key string, value *yaml.Node) builder {
	k := b.w.text(key)
	if k.Style = 0; b.w.chance(3) {
		k.Style = yaml.DoubleQuotedStyle
	}
	b.n.Content = append(b.n.Content, k, value)
	return b
}

// maybe puts a key in some of the documents, and in a few nothing as its value.
func (b builder) maybe(percent int, key string, value func() *yaml.Node) builder {
	switch {
	case b.w.chance(percent):
		return b.put(key, value())
	case b.w.chance(4):
		return b.put(key, word(pick(b.w.Rand, []string{"", "~", "null"})))
	}
	return b
}

// names returns some names, each once.
func (w *writer) names(most int, of ...string) []string {
	var out []string
	for range 1 + w.IntN(most) {
		if n := pick(w.Rand, of); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func newWriter(r *rand.Rand) *writer {
	w := &writer{Rand: r, version: pick(r, []string{"1.0", "2.0", "2.1"})}
	w.services = w.names(3, "web", "db", "api", "a", "job-1", strings.Repeat("s", 63))
	w.profiles = w.names(2, "small", "web", "8", "Large_1", "true")
	w.data = w.two() && w.chance(50)
	w.places = w.names(2, "east", "West.1", "eu_1", "7")
	if w.two() && w.chance(30) {
		w.ips = w.names(2, "public", "ip_1", "x-y")
	}
	return w
}

func (w *writer) two() bool { return w.version != "1.0" }

// document is a whole document.
func (w *writer) document() *yaml.Node {
	b := w.mapping().put("version", w.text(w.version))
	if w.two() {
		if len(w.ips) > 0 {
			e := w.mapping()
			for _, ip := range w.ips {
				e.put(ip, w.mapping().put("kind", w.text("ip")).n)
			}
			b.put("endpoints", e.n)
		} else if w.chance(3) {
			b.put("endpoints", w.mapping().n)
		}
		b.maybe(15, "reclamation", func() *yaml.Node {
			return w.mapping().put("min_window", w.one("1h", "90m", "1s", "720h", "1h30m", "2592000s", "0h5m", "0000001h", "43200m")).n
		})
	}
	b.maybe(0, "include", nil)
	services := w.mapping()
	for i, s := range w.services {
		services.put(s, w.service(i))
	}
	profiles := w.mapping().put("compute", w.computes()).put("placement", w.placements())
	deployment := w.mapping()
	for _, s := range w.services {
		where := w.mapping()
		for _, p := range w.places {
			if len(where.n.Content) == 0 || w.chance(50) {
				where.put(p, w.mapping().put("profile", w.text(pick(w.Rand, w.profiles))).put("count", w.one("1", "2", "1", "50")).n)
			}
		}
		deployment.put(s, where.n)
	}
	b.put("services", services.n).put("profiles", profiles.n).put("deployment", deployment.n)
	return b.n
}

func (w *writer) service(i int) *yaml.Node {
	b := w.mapping().put("image", w.one("nginx", "nginx:1.27", "ghcr.io/a/b:v1", "localhost:5000/x/y@sha256:"+strings.Repeat("0a", 32),
		"5", "1.5", "true", "a__b--c.d", "Example.COM/x", "a/b_c", strings.Repeat("a", 512)))
	words := func() *yaml.Node {
		n := sequence()
		for range w.IntN(3) {
			n.Content = append(n.Content, w.one("--verbose", "8080", "true", "", "1e3", "a b", "${X}", "0x1f", "2020-01-01"))
		}
		return n
	}
	b.maybe(30, "args", words).maybe(40, "env", w.env)
	depends := "depends-on"
	if w.two() {
		depends = pick(w.Rand, []string{"dependencies", "dependencies", "depends_on", "depends-on"})
		b.maybe(20, "command", words)
		b.maybe(15, "credentials", func() *yaml.Node {
			return w.mapping().put("host", w.one("ghcr.io", "5")).put("username", w.one("me", "1.5", "true")).
				put("password", w.one("secret", "x y", "\u00a0x")).maybe(40, "email", func() *yaml.Node { return w.one("", "me@example.com", "7") }).n
		})
	}
	if i > 0 {
		b.maybe(40, depends, func() *yaml.Node {
			s := pick(w.Rand, w.services[:i])
			if w.chance(50) {
				return sequence(w.text(s))
			}
			return sequence(w.mapping().put("service", w.text(s)).n)
		})
	}
	expose := func() *yaml.Node {
		n := sequence()
		for j := range 1 + w.IntN(2) {
			n.Content = append(n.Content, w.expose(i, j))
		}
		return n
	}
	if i == 0 {
		b.put("expose", expose())
	} else {
		b.maybe(80, "expose", expose)
	}
	if w.data {
		b.put("params", w.params())
	} else if w.two() {
		b.maybe(30, "params", w.params)
	}
	return b.n
}

func (w *writer) params() *yaml.Node {
	b := w.mapping()
	if w.data {
		b.put("storage", w.mapping().put("data", w.mapping().put("mount", w.one("/data", "/var/lib/x/", "/a/../b", "/ ", "/.a", "/...")).
			maybe(30, "readOnly", func() *yaml.Node { return word(pick(w.Rand, []string{"true", "false", "True"})) }).n).n)
	}
	b.maybe(10, "permissions", func() *yaml.Node {
		return w.mapping().maybe(80, "read", func() *yaml.Node { return sequence(w.one("logs", "events"), w.text("deployment"), w.text("logs")) }).n
	})
	b.maybe(10, "tee", func() *yaml.Node { return w.text("cpu") })
	return b.n
}

func (w *writer) env() *yaml.Node {
	value := func() *yaml.Node {
		return w.one("info", "1", "true", "", "a=b", "1.50", "\u00e9", "$$", "$X", "$${X}", "0o7", "a: b # c")
	}
	source := func(b builder) *yaml.Node {
		b.put("value", w.text(pick(w.Rand, []string{"x", "1", "y=z"})))
		return b.maybe(60, "secret", func() *yaml.Node { return word(pick(w.Rand, []string{"true", "false"})) }).maybe(0, "file", nil).n
	}
	if w.chance(50) {
		b := w.mapping()
		for _, n := range w.names(3, "A", "LOG_LEVEL", "a.b-c", "_", "-", ".x", strings.Repeat("E", 256)) {
			v := value()
			switch {
			case w.chance(30):
				v = source(w.mapping())
			case v.Value == "":
				v.Style = yaml.DoubleQuotedStyle
			}
			b.put(n, v)
		}
		return b.n
	}
	n := sequence()
	for _, name := range w.names(3, "A", "LOG_LEVEL", "a.b-c", "_", "-5", "true") {
		if w.chance(30) {
			n.Content = append(n.Content, source(w.mapping().put("name", w.text(name))))
		} else {
			n.Content = append(n.Content, w.text(name+"="+value().Value))
		}
	}
	return n
}

func (w *writer) expose(i, j int) *yaml.Node {
	b := w.mapping().put("port", w.text(fmt.Sprint([]int{80, 443, 1, 65535, 8080 + i}[w.IntN(5)])))
	b.put("as", w.text(fmt.Sprint(10000+10*i+j)))
	if j == 0 && i == 0 {
		b.n.Content = b.n.Content[:2]
	}
	protos := []string{"tcp", "http", "https"}
	if w.two() {
		protos = []string{"tcp", "udp", "TCP", "Udp"}
	}
	b.maybe(40, "proto", func() *yaml.Node { return w.one(protos...) })
	b.maybe(30, "accept", func() *yaml.Node {
		return sequence(w.text(fmt.Sprintf("h%d-%d.example.com", i, j)), w.one(fmt.Sprintf("%de1", 10*i+j), fmt.Sprintf("0x%d", 10*i+j), fmt.Sprintf("a.1.x%d%d", i, j)))
	})
	global := func() *yaml.Node { return word(pick(w.Rand, []string{"true", "true", "True", "TRUE"})) }
	client := func() *yaml.Node {
		t := w.mapping()
		switch w.IntN(4) {
		case 0:
			t.put("service", w.text(pick(w.Rand, w.services))).maybe(50, "global", func() *yaml.Node { return word("false") })
		case 1:
			t.put("service", w.text(pick(w.Rand, w.services))).put("global", global())
		default:
			t.put("global", global()).maybe(0, "service", nil)
			if w.two() {
				if i == 0 && j == 0 && len(w.ips) > 0 {
					t.put("ip", w.text(w.ips[0]))
				}
				t.maybe(10, "http_options", w.http)
			}
		}
		return t.n
	}
	to := func() *yaml.Node {
		n := sequence(client())
		if i == 0 && j == 0 { // somebody must have access
			n = sequence(w.mapping().put("global", global()).n)
			for _, ip := range w.ips {
				n.Content = append(n.Content, w.mapping().put("global", global()).put("ip", w.text(ip)).n)
			}
		}
		for range w.IntN(2) {
			n.Content = append(n.Content, client())
		}
		return n
	}
	if i == 0 && j == 0 {
		b.put("to", to())
	} else {
		b.maybe(90, "to", to)
	}
	if w.two() {
		b.maybe(10, "http_options", w.http)
	}
	return b.n
}

func (w *writer) http() *yaml.Node {
	b := w.mapping()
	b.maybe(30, "max_body_size", func() *yaml.Node { return w.one("0", "104857600") }).
		maybe(30, "read_timeout", func() *yaml.Node { return w.one("0", "60000") }).
		maybe(30, "send_timeout", func() *yaml.Node { return w.one("1", "60000") }).
		maybe(30, "next_timeout", func() *yaml.Node { return w.one("1", "60000") }).
		maybe(30, "next_tries", func() *yaml.Node { return w.one("0", "1000") }).
		maybe(30, "h2c", func() *yaml.Node { return word(pick(w.Rand, []string{"true", "false"})) }).
		maybe(30, "proxy_buffer_size", func() *yaml.Node { return w.one("0", "1048576") }).
		maybe(40, "next_cases", func() *yaml.Node {
			if w.chance(30) {
				return sequence(w.text("off"), w.text("off"))
			}
			return sequence(w.one("error", "timeout"), w.one("403", "404", "429", "500", "502", "503", "504"))
		})
	return b.n
}

var (
	cpus     = []string{"1", "0.5", ".5", "5.", "100m", "10m", "384", "2", "1.5", "250m", "384000m", "0.01", "10.0m", "000.25", "1.250000"}
	memories = []string{"512Mi", "1Gi", "1.5G", "1048576", "1048576.0", "0.5Gi", "2Ti", "1e0", "1048.576k", "0.125Gi", "1.0625Gi", "2097152Ki", ".25Gi", "007Gi"}
	volumes  = []string{"5Mi", "1Gi", "10Gi", "5G", "100Gi", "32Ti", "5242880", "1.5G", "0.5Gi", "10000000k"}
	prices   = []string{"20u", "1", "1e-4", ".5", "20mu", "5\u00b5", "0.5\u03bc", "1E-3", "1e+2", "0.000001", "007u", "1.e-2u"}
	amounts  = []string{"20", "0.5", ".5", "100.", "1000000", "0.000000000000000001", "007"}
)

func (w *writer) computes() *yaml.Node {
	b := w.mapping()
	for _, p := range w.profiles {
		cpu, memory, volume := w.one(cpus...), w.one(memories...), w.one(volumes...)
		if memory.Value == "1e0" {
			memory.Value = "64Mi"
		}
		if !w.two() {
			c := w.mapping().put("cpu", cpu).put("memory", memory)
			if w.chance(15) {
				c.put("disk", volume)
			} else {
				c.put("storage", volume).maybe(0, "disk", nil)
				if last := c.n.Content[len(c.n.Content)-1]; last != volume { // storage, and disk without a value
					c.n.Content = c.n.Content[:len(c.n.Content)-2]
				}
			}
			b.put(p, c.n)
			continue
		}
		r := w.mapping().
			put("cpu", w.mapping().put("units", cpu).maybe(15, "attributes", func() *yaml.Node {
				return w.mapping().maybe(90, "arch", func() *yaml.Node { return w.one("amd64", "arm64", "7", "1.5") }).n
			}).n).
			put("memory", w.mapping().put("size", memory).n).
			put("storage", w.storage(volume)).
			maybe(25, "gpu", w.gpu)
		b.put(p, w.mapping().put("resources", r.n).n)
	}
	return b.n
}

func (w *writer) storage(size *yaml.Node) *yaml.Node {
	root := w.mapping().put("size", size).maybe(20, "name", func() *yaml.Node { return w.one("default", "root", "5", "0-a") }).n
	if !w.data && w.chance(60) {
		return root
	}
	n := sequence(root)
	if w.data {
		n.Content = append(n.Content, w.mapping().put("name", w.text("data")).put("size", w.one(volumes...)).
			maybe(90, "attributes", func() *yaml.Node {
				if w.chance(30) {
					return w.mapping().put("class", w.text("ram")).maybe(60, "persistent", func() *yaml.Node { return w.one("false", "no", "OFF", "False") }).n
				}
				return w.mapping().put("persistent", w.one("true", "yes", "ON", "True")).
					maybe(60, "class", func() *yaml.Node { return w.one("default", "beta1", "beta2", "beta3") }).n
			}).n)
	}
	return n
}

func (w *writer) gpu() *yaml.Node {
	if w.chance(15) {
		return w.mapping().put("units", w.text("0")).maybe(30, "attributes", func() *yaml.Node {
			return w.mapping().put("vendor", w.mapping().n).n
		}).n
	}
	vendor := w.mapping()
	for _, v := range w.names(2, "nvidia", "amd", "5", "x.y_z-1") {
		models := sequence()
		for range w.IntN(3) {
			models.Content = append(models.Content, w.mapping().put("model", w.one("a100", "h100", "4090", "1.5")).
				maybe(40, "ram", func() *yaml.Node { return w.one("80Gi", "24576Mi", "1024", "0.5Ti") }).
				maybe(30, "interface", func() *yaml.Node { return w.one("pcie", "sxm") }).n)
		}
		if w.chance(10) {
			models = word("")
		}
		vendor.put(v, models)
	}
	return w.mapping().put("units", w.one("1", "8")).put("attributes", w.mapping().put("vendor", vendor.n).n).n
}

func (w *writer) placements() *yaml.Node {
	b := w.mapping()
	for _, p := range w.places {
		pricing := w.mapping()
		for _, profile := range w.profiles {
			if w.two() {
				pricing.put(profile, w.mapping().put("denom", w.text("ubrt")).put("amount", w.one(amounts...)).n)
			} else {
				pricing.put(profile, w.one(prices...))
			}
		}
		place := w.mapping().maybe(50, "attributes", func() *yaml.Node {
			a := w.mapping()
			for _, k := range w.names(2, "region", "a/b.c-d", "tier_1", "ab*", strings.Repeat("k", 128)) {
				a.put(k, w.one("us-east", "1", "true", "a b", "\u00e9", strings.Repeat("v", 256)))
			}
			return a.n
		}).put("pricing", pricing.n)
		if w.two() {
			place.maybe(20, "signedBy", func() *yaml.Node {
				return w.mapping().maybe(60, "allOf", func() *yaml.Node { return sequence(w.text("akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63")) }).
					maybe(60, "anyOf", func() *yaml.Node { return sequence(w.text("berth1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqyppglv")) }).n
			})
		}
		b.put(p, place.n)
	}
	return b.n
}

// mutator makes mistakes.
type mutator struct{ *rand.Rand }

// scraps are texts that stand somewhere at the bounds of something.
var scraps = slices.Concat(cpus, memories, volumes, prices, amounts, []string{
	"", "~", "null", "true", "false", "True", "yes", "on", "0", "1", "-1", "+1", "07", "0x7", "0o7", "1.0", "1.5", "1e1", "1e0", "1_000", ".inf", ".nan",
	"50", "51", "100", "101", "65535", "65536", "80:8080", "8080/tcp", "100001", "60001", "104857601", "1048577", "1001",
	"9m", "0.009", "384001m", "384.001", "0.0005", "0.0105", "1.0005", "10.5m", "1e-3", "500M", "0.5cpu", "1,5", "50%",
	"512mi", "16GB", "2gb", "1048575", "1M", "2199023255553", "1Gb", "0.1Ki", "1.3Gi", "0.00001Gi", "1.00048828125Ti", "33Ti", "4Mi", "-1Gi", "1 Gi", " 1Gi", "1e3Ki", "18446744073709551616",
	"0u", "-1u", "1e-25", "1e-24", "1e18", "1e17", "1e99", "1e100", "1U", "20 u", "1e-30u", "0.0000000000000000000000001", "1000000000000000000000000u", "00.00", "1000000000000000000", "0e5",
	"udp", "UDP", "http", "https", "HTTP", "sctp", "ip", "IP", "cpu", "cpu-gpu", "ram", "default", "beta1", "beta4", "logs", "shell", "off", "error", "403", "405", "403.0", "pcie", "sxm5", "nvlink",
	"nginx", "Nginx", "nginx:", "nginx:latest ", "docker://nginx", "a.b_c/x", "a..b/x", "x/", "/x", "a:b:c", "nginx@sha256:00", "localhost/x", "x:70000/y", "a-/b", "x:5000/Y", "-5",
	"example.com", "Example.com", "example.com.", "http://example.com", "1.2.3.4", "5", "*.example.com", "a_b.c", "-a.b", "x.1e5", "${HOST}", "$${HOST}", "${HOST:-example.com}", "a${", "$",
	"web", "db", "Web", "web_1", "1web", "web-", strings.Repeat("s", 64), strings.Repeat("a", 513), strings.Repeat("v", 257), strings.Repeat("\u00e9", 200), strings.Repeat("E", 257) + "=x",
	"A=b", "=b", "A", "1A=b", "A B=c", "A==", "\u00c9=1", "A=${B}", "${A}=b", "A=\nB",
	"/", "//", "/..", "/.", "/a/..", "data", "/a:b", "~/x", "/a\x00b", "/data", "/....", "/..a",
	"ubrt", "u", "1ubrt", "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2", "uakt",
	"berth1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqyppglv", "berth1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqyppglw", "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63", "BERTH1QQ", "berth1b", "me",
	"1h", "0s", "0h0m0s", "721h", "720h1s", "43201m", "60", "1d", "1h1h", "1m1h", "1.5h", "12345678s", "1H", "00000001h",
	"us-east", " us", "us ", "a\tb", "\u200e", "\u2028", "\u00a0", "\u3000", "   ", "a1", "a", "region", "r*", "re*gion", "1region", "reg ion",
	"1.0", "2.0", "2.1", "2", "1", "2.00", "2.0.0", "2.1.0", "3.0", "v2.0", "a100", "A100", "rtx 4090", "-x", "arm64", "amd/64", "5.", "1.e-2u", "2020-01-01", "!x", "&x", "- x", "a: b", "\u212a8s.io/x",
})

// document makes some mistakes in a document.
func (m mutator) document(root *yaml.Node) {
	for range 1 + m.IntN(3) {
		var all []*yaml.Node
		each(root, func(n *yaml.Node) { all = append(all, n) })
		m.node(pick(m.Rand, all), all)
	}
}

func each(n *yaml.Node, call func(*yaml.Node)) {
	call(n)
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			each(c, call)
		}
	}
}

func (m mutator) node(n *yaml.Node, all []*yaml.Node) {
	switch m.IntN(12) {
	case 0:
		*n = *word("")
	case 1:
		*n = *sequence(clone(n))
	case 2:
		*n = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{word(m.key()), clone(n)}}
	case 3:
		*n = *clone(pick(m.Rand, all))
	case 4:
		*n = yaml.Node{Kind: pick(m.Rand, []yaml.Kind{yaml.MappingNode, yaml.SequenceNode})}
	case 5:
		if len(n.Content) > 0 && n.Kind == yaml.SequenceNode {
			*n = *clone(pick(m.Rand, n.Content))
			break
		}
		fallthrough
	default:
		m.inside(n, all)
	}
}

func (m mutator) inside(n *yaml.Node, all []*yaml.Node) {
	switch {
	case n.Kind == yaml.ScalarNode:
		m.scalar(n)
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		i := m.IntN(len(n.Content))
		if m.IntN(2) == 0 {
			n.Content = slices.Delete(n.Content, i, i+1)
		} else {
			n.Content = append(n.Content, clone(n.Content[i]))
		}
	case n.Kind == yaml.MappingNode:
		m.mapping(n, all)
	}
}

func (m mutator) mapping(n *yaml.Node, all []*yaml.Node) {
	if len(n.Content) == 0 || m.IntN(4) == 0 {
		n.Content = append(n.Content, word(m.key()), clone(pick(m.Rand, all)))
		return
	}
	i := 2 * m.IntN(len(n.Content)/2)
	switch m.IntN(4) {
	case 0:
		n.Content = slices.Delete(n.Content, i, i+2)
	case 1:
		k := *n.Content[i]
		k.Value = m.typo(k.Value)
		n.Content[i] = &k
	case 2:
		n.Content[i] = word(m.key())
	case 3:
		n.Content[i] = word(pick(m.Rand, scraps))
		if n.Content[i].Value == "" {
			n.Content[i].Style = yaml.DoubleQuotedStyle
		}
	}
}

// scalar changes a text, or its quotes.
func (m mutator) scalar(n *yaml.Node) {
	switch m.IntN(5) {
	case 0:
		n.Style ^= yaml.DoubleQuotedStyle
	case 1:
		n.Value = m.typo(n.Value)
	default:
		n.Value = pick(m.Rand, scraps)
		n.Style = pick(m.Rand, []yaml.Style{0, 0, yaml.DoubleQuotedStyle})
	}
}

// typo changes a letter.
func (m mutator) typo(s string) string {
	if s == "" {
		return "x"
	}
	i := m.IntN(len(s))
	letter := string("abcgmikMGT01.-_ /:$"[m.IntN(19)])
	switch m.IntN(5) {
	case 0:
		return s[:i] + s[i+1:]
	case 1:
		return s[:i] + letter + s[i:]
	case 2:
		return strings.ToUpper(s)
	case 3:
		return s + letter
	}
	return s[:i] + letter + s[i+1:]
}

// key is a key that means something somewhere, or is read as one that does.
func (m mutator) key() string { return pick(m.Rand, allKeys) }

var allKeys = func() []string {
	one, two, both := sdl10.TheGrammar(), sdl20.TheGrammar(), stack.TheGrammar()
	var keys []string
	for _, s := range []doc.Shape{
		one.Document, one.Service, one.Expose, one.To, one.Profiles, one.Compute, one.Placement, one.Deployment, one.Dependency,
		two.Document, two.Service, two.Expose, two.To, two.HTTP, two.Params, two.Mount, two.Permissions, two.Credentials, two.Profiles, two.Compute,
		two.Resources, two.CPU, two.CPUAttributes, two.Memory, two.Volume, two.VolumeAttributes, two.GPU, two.GPUAttributes, two.GPUModel,
		two.Placement, two.SignedBy, two.Price, two.Deployment, two.Endpoint, two.Reclamation, both.EnvValue, both.EnvEntry,
	} {
		keys = append(keys, s.Keys...)
		for _, m := range []map[string]string{s.Meant, s.Advice, s.Elsewhere} {
			for k := range m {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return append(slices.Compact(keys), "x", "note", "Web", "1", "true", "ports2", "imagee")
}()

func clone(n *yaml.Node) *yaml.Node {
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = clone(c)
	}
	return &out
}
