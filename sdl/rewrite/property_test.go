package rewrite_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/rewrite"
)

// scribe writes random documents as people do: keys in any order, any indentation, lists beside or below their keys,
// brackets, all kinds of quotes, comments and empty lines everywhere. Each comment has a number of its own.
type scribe struct {
	*rand.Rand
	b        strings.Builder
	comments int
	tidy     bool // no comments and empty lines
}

func (s *scribe) chance(n int) bool { return s.IntN(n) == 0 }

func (s *scribe) comment() string {
	s.comments++
	return fmt.Sprintf("#%s c%d.", strings.Repeat(" ", s.IntN(3)), s.comments)
}

// line starts a line at an indentation, perhaps after others that mean nothing.
func (s *scribe) line(indent int) {
	for !s.tidy && s.chance(5) {
		if s.chance(2) {
			s.b.WriteString(strings.Repeat(" ", s.IntN(3)) + "\n")
			continue
		}
		s.b.WriteString(strings.Repeat(" ", max(0, indent+s.IntN(5)-2)) + s.comment() + "\n")
	}
	s.b.WriteString(strings.Repeat(" ", indent))
}

// end ends a line, perhaps with a comment.
func (s *scribe) end() {
	if !s.tidy && s.chance(6) {
		s.b.WriteString(strings.Repeat(" ", 1+s.IntN(3)) + s.comment())
	}
	s.b.WriteString(strings.Repeat(" ", s.IntN(2)) + "\n")
}

// node is something to write: a text, pairs, or items.
type node struct {
	text  string
	pairs []pair
	items []node
}

type pair struct {
	key   string
	value node
}

func text(s string) node       { return node{text: s} }
func pairs(p ...pair) node     { return node{pairs: p} }
func items(n ...node) node     { return node{items: n} }
func kv(k string, v node) pair { return pair{k, v} }

// scalar writes a text in one of the ways in which it can be written.
func (s *scribe) scalar(v string, indent int, flow bool) string {
	plain := regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9 ./=:-]*[A-Za-z0-9]$|^[A-Za-z0-9]$`).MatchString(v) && !strings.Contains(v, ": ")
	switch {
	case !flow && strings.Contains(v, "\n"):
		return "|-\n" + s.block(v, indent)
	case plain && s.chance(6) && !flow && strings.Count(v, " ") == 1:
		return strings.Replace(v, " ", "\n"+strings.Repeat(" ", indent+1+s.IntN(4)), 1)
	case v == "true" || plain && !s.chance(4):
		return v
	case !strings.ContainsAny(v, "\n\\\"'") && s.chance(2):
		return "'" + v + "'"
	}
	return fmt.Sprintf("%q", v)
}

func (s *scribe) block(v string, indent int) string {
	pad := strings.Repeat(" ", indent+1+s.IntN(4))
	var out []string
	for _, line := range strings.Split(v, "\n") {
		if line != "" {
			line = pad + line
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// flow writes a node in brackets.
func (s *scribe) flow(n node) string {
	pad := strings.Repeat(" ", s.IntN(2))
	var parts []string
	for _, p := range s.shuffled(n.pairs) {
		parts = append(parts, p.key+": "+pad+s.flow(p.value))
	}
	for _, i := range n.items {
		parts = append(parts, s.flow(i))
	}
	switch {
	case n.pairs != nil:
		return "{" + pad + strings.Join(parts, ","+pad) + pad + "}"
	case n.items != nil:
		return "[" + pad + strings.Join(parts, pad+", ") + pad + "]"
	}
	return s.scalar(n.text, 0, true)
}

func (s *scribe) shuffled(in []pair) []pair {
	out := slices.Clone(in)
	if s.chance(2) {
		s.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// value writes what follows a key or dash in column.
func (s *scribe) value(n node, column int, dash bool) {
	switch {
	case n.pairs == nil && n.items == nil:
		s.b.WriteString(" " + s.scalar(n.text, column, false))
		if strings.Contains(n.text, "\n") {
			s.b.WriteString("\n")
			return
		}
		s.end()
	case s.chance(5) || len(n.pairs)+len(n.items) == 0:
		s.b.WriteString(" " + s.flow(n))
		s.end()
	case n.pairs != nil:
		inner := column + 1 + s.IntN(4)
		if dash && s.chance(2) {
			inner = column + 2
			s.b.WriteString(" ")
			s.mapping(n.pairs, inner, true)
			return
		}
		s.end()
		s.mapping(n.pairs, inner, false)
	default:
		s.end()
		inner := column + s.IntN(4)
		if dash {
			inner = column + 2
		}
		for _, i := range n.items {
			s.line(inner)
			s.b.WriteString("-")
			s.value(i, inner, true)
		}
	}
}

func (s *scribe) mapping(in []pair, column int, begun bool) {
	for i, p := range s.shuffled(in) {
		if i > 0 || !begun {
			s.line(column)
		}
		s.b.WriteString(p.key + ":")
		s.value(p.value, column, false)
	}
}

// random is a random document of a version, and whether its text was made without comments.
func random(seed uint64, version string) (text string, comments int) {
	s := &scribe{Rand: rand.New(rand.NewPCG(seed, 0))}
	if s.chance(3) {
		s.b.WriteString("---\n")
	}
	s.mapping(s.document(version), 0, false)
	if s.chance(4) {
		s.line(0)
		s.b.WriteString(s.comment())
	}
	out := s.b.String()
	if s.chance(6) {
		out = strings.ReplaceAll(out, "\n", "\r\n")
	}
	return out, s.comments
}

func (s *scribe) pick(all ...string) string { return all[s.IntN(len(all))] }

func (s *scribe) document(version string) []pair {
	names := []string{"web", "db", "job"}[:1+s.IntN(3)]
	places := []string{"east", "west"}[:1+s.IntN(2)]
	var services, compute, placements, deployment []pair
	for i, name := range names {
		services = append(services, kv(name, pairs(s.service(version, names, i)...)))
		deployed := []pair{}
		for _, place := range places {
			deployed = append(deployed, kv(place, pairs(kv("profile", text(s.pick("small", "large"))), kv("count", text(fmt.Sprint(1+s.IntN(3)))))))
		}
		deployment = append(deployment, kv(name, pairs(deployed...)))
	}
	for _, name := range []string{"small", "large"} {
		compute = append(compute, kv(name, pairs(s.compute(version)...)))
	}
	for _, place := range places {
		prices := []pair{}
		for _, name := range []string{"small", "large"} {
			price := text(s.pick("20u", "1e-4", "0.5", ".001", "3"))
			if version != "1.0" {
				price = pairs(kv("denom", text("ubrt")), kv("amount", text(s.pick("20", "0.10", "100.5"))))
			}
			prices = append(prices, kv(name, price))
		}
		placements = append(placements, kv(place, pairs(kv("attributes", pairs(kv("region", text("us")), kv("tier", text("0.10")))), kv("pricing", pairs(prices...)))))
	}
	return []pair{
		kv("version", text(version)), kv("services", pairs(services...)),
		kv("profiles", pairs(kv("compute", pairs(compute...)), kv("placement", pairs(placements...)))),
		kv("deployment", pairs(deployment...)),
	}
}

func (s *scribe) compute(version string) []pair {
	storage := "storage"
	if version == "1.0" && s.chance(3) {
		storage = "disk"
	}
	out := []pair{kv("cpu", text(s.pick("0.5", "100m", "2"))), kv("memory", text(s.pick("512Mi", "1G"))), kv(storage, text("1Gi"))}
	if version == "1.0" {
		return out
	}
	out[0].value = pairs(kv("units", out[0].value))
	out[1].value = pairs(kv("size", out[1].value))
	out[2].value = pairs(kv("size", out[2].value))
	if s.chance(2) {
		out[2].value = items(out[2].value)
	}
	return []pair{kv("resources", pairs(out...))}
}

func (s *scribe) service(version string, names []string, i int) []pair {
	out := []pair{kv("image", text(s.pick("nginx", "registry.example.com:5000/a/b:1.2")))}
	if s.chance(2) {
		out = append(out, kv("args", items(text("serve"), text("yes"), text("# no comment"), text("two words"), text("a\n\n  b # c\nd"))))
	}
	if s.chance(2) {
		out = append(out, kv("env", items(text("A=1"), text("B= # x"), text("MODE=very fast"), text("C=it's"))))
	} else {
		out = append(out, kv("env", pairs(kv("A", text("1e-4")), kv("B", text("x: y")), kv("C", text("a\nb")))))
	}
	if i > 0 && s.chance(2) {
		key := "depends-on"
		if version != "1.0" {
			key = "dependencies"
		}
		out = append(out, kv(key, items(pairs(kv("service", text(names[0]))))))
	}
	expose := []node{pairs(kv("port", text("80")), kv("to", items(pairs(kv("global", text("true"))))))}
	for p := range s.IntN(3) {
		to := []node{pairs(kv("service", text(names[0])), kv("global", text("true")))}
		if s.chance(2) {
			to = []node{pairs(kv("global", text("true")))}
		}
		port := []pair{kv("port", text(fmt.Sprint(8000+p))), kv("to", items(to...))}
		if s.chance(2) {
			port = append(port, kv("as", text(fmt.Sprint(9000+p))))
		}
		if version == "1.0" && s.chance(3) {
			port = append(port, kv("proto", text(s.pick("tcp", "http", "https"))))
		}
		expose = append(expose, pairs(port...))
	}
	return append(out, kv("expose", items(expose...)))
}

var number = regexp.MustCompile(`#+ *c\d+\.`)

// sameComments tells whether two texts hold the same comments, each as often.
func sameComments(a, b string) bool {
	all := func(s string) []string {
		found := number.FindAllString(s, -1)
		slices.Sort(found)
		return found
	}
	return slices.Equal(all(a), all(b))
}

func checkRandom(t testing.TB, seed uint64) {
	t.Helper()
	for _, version := range []string{"1.0", "2.0", "2.1"} {
		text, comments := random(seed, version)
		plan, found := compile.Compile("deploy.yaml", []byte(text))
		if plan == nil {
			t.Fatalf("seed %d: the document is not valid: %v\n%s", seed, found, text)
		}
		out := string(checkFormat(t, fmt.Sprintf("seed %d of version %s", seed, version), []byte(text)))
		if got := len(number.FindAllString(out, -1)); got != comments || !sameComments(text, out) {
			t.Errorf("seed %d: %d comments of %d:\n%s\nbecomes\n%s", seed, got, comments, text, out)
		}
		if strings.Contains(out, "\r") || !strings.HasSuffix(out, "\n") || strings.HasSuffix(out, "\n\n") || strings.Contains(out, "\n\n\n") {
			t.Errorf("seed %d: line ends:\n%q", seed, out)
		}
		for _, line := range strings.Split(out, "\n") {
			if strings.TrimRight(line, " \t") != line {
				t.Errorf("seed %d: space at the end of %q", seed, line)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

var seeds = flag.Int("seeds", 150, "how many random documents to try")

// TestFormatRandom holds over random documents that formatting keeps the plan and every comment, is done after once, and
// leaves neither space at line ends nor two empty lines.
func TestFormatRandom(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d on", base)
	for i := range uint64(*seeds) {
		checkRandom(t, base+i)
	}
}

// addSeeds gives fuzzing the project's documents and some random ones.
func addSeeds(f *testing.F) {
	f.Helper()
	for _, data := range documents(f, "../compile/testdata/*/*.yaml", "../../examples/*/*.yaml", "testdata/*/*.yaml") {
		f.Add(data)
	}
	for seed := range uint64(20) {
		text, _ := random(seed, "1.0")
		f.Add([]byte(text))
	}
}

// FuzzFormat holds that formatting panics for no text, and that what it gives has the plan of the text, is its own
// form, and compiles if and only if the text does.
func FuzzFormat(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		out, found := rewrite.Format("deploy.yaml", data)
		if (out == nil) != (found.Errors() > 0) {
			t.Fatalf("text %q with %v", out, found)
		}
		if out == nil {
			return
		}
		if before, after := planBytes(t, "deploy.yaml", data), planBytes(t, "deploy.yaml", out); !bytes.Equal(before, after) {
			t.Fatalf("another plan:\n%s\nthen\n%s", data, out)
		}
		if again, found := rewrite.Format("deploy.yaml", out); !bytes.Equal(again, out) {
			t.Fatalf("formatting twice changes it again (%v):\n%q\nthen\n%q\nfrom\n%q", found, out, again, data)
		}
	})
}
