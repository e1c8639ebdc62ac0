package explain

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"berth.dev/berth/sdl/compile"
)

// randomDocument is a document of services that connect to each other at random, the more the denser.
func randomDocument(r *rand.Rand, groups, services int, dense float64) []byte {
	var b strings.Builder
	b.WriteString("version: \"1.0\"\nservices:\n")
	for i := range services {
		fmt.Fprintf(&b, "  service-%d:\n    image: registry.example.com/team/service:%d\n    expose:\n", i, i)
		for port := range 1 + r.IntN(3) {
			fmt.Fprintf(&b, "      - port: %d\n", 80+port)
			var to []string
			if r.IntN(6) == 0 {
				to = append(to, "{global: true}")
			}
			for j := range services {
				if r.Float64() < dense && len(to) < 60 {
					to = append(to, fmt.Sprintf("{service: service-%d, global: %t}", j, r.IntN(4) == 0))
				}
			}
			if len(to) > 0 {
				fmt.Fprintf(&b, "        to: [%s]\n", strings.Join(to, ", "))
			}
		}
	}
	b.WriteString("profiles:\n  compute: {a: {cpu: 1, memory: 1Gi, storage: 1Gi}}\n  placement:\n")
	for g := range groups {
		fmt.Fprintf(&b, "    g%d: {attributes: {region: r%d}, pricing: {a: 10u}}\n", g, g)
	}
	b.WriteString("deployment:\n")
	for i := range services {
		fmt.Fprintf(&b, "  service-%d: {g%d: {profile: a, count: 2}}\n", i, i%groups)
	}
	return []byte(b.String())
}

func explainRandom(t testing.TB, r *rand.Rand, groups, services int, dense float64) *Explanation {
	t.Helper()
	data := randomDocument(r, groups, services, dense)
	plan, found := compile.Compile("deploy.yaml", data)
	if plan == nil {
		t.Fatalf("Compile: %v of:\n%s", found, data)
	}
	return Explain(plan, Options{BlockNanos: 6 * second})
}

type rectangle struct{ left, top, right, bottom int }

func (a rectangle) overlaps(b rectangle) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

// TestNothingOverlaps: boxes and labels are apart from each other and on the page, and no line runs through a box.
func TestNothingOverlaps(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 0))
		groups := 1 + r.IntN(5)
		services := 1 + r.IntN(10*groups)
		e := explainRandom(t, r, groups, services, []float64{0.02, 0.1, 0.4}[seed%3])
		d := e.layout()
		var boxes, labels []rectangle
		for _, x := range d.boxes {
			boxes = append(boxes, rectangle{x.x(d), x.y(), x.x(d) + boxWidth, x.y() + x.item.h})
			for _, y := range x.doors {
				labels = append(labels, rectangle{x.x(d) - y.width(), y.y() - 5 - labelSize, x.x(d), y.y() - 5})
			}
		}
		all := append(boxes[:len(boxes):len(boxes)], labels...)
		for i, a := range all {
			if a.left < 0 || a.top < 0 || a.right > d.width || a.bottom > d.height {
				t.Errorf("seed %d: %v is outside of the page", seed, a)
			}
			for _, b := range all[:i] {
				if a.overlaps(b) {
					t.Errorf("seed %d: %v overlaps %v", seed, a, b)
				}
			}
		}
		s := svg{drawing: d}
		for _, x := range d.edges {
			for _, p := range points(t, s.path(x)) {
				for _, b := range boxes {
					if p[0] > b.left && p[0] < b.right && p[1] > b.top && p[1] < b.bottom {
						t.Fatalf("seed %d: the line to %s runs through %v at %v: %s", seed, x.to.box.service.Name, b, p, s.path(x))
					}
				}
				if p[0] < 0 || p[0] > d.width || p[1] < 0 || p[1] > d.height {
					t.Fatalf("seed %d: a line leaves the page at %v", seed, p)
				}
			}
		}
	}
}

// points are many places on a path of M, H, V, C and Q.
func points(t *testing.T, path string) [][2]int {
	t.Helper()
	var out [][2]int
	x, y := 0, 0
	curve := func(control ...int) {
		// De Casteljau's construction, in steps of a sixteenth.
		const steps = 16
		for s := 1; s <= steps; s++ {
			ps := append([]int{x, y}, control...)
			for len(ps) > 2 {
				for i := 0; i+3 < len(ps); i++ {
					ps[i] = (ps[i]*(steps-s) + ps[i+2]*s) / steps
				}
				ps = ps[:len(ps)-2]
			}
			out = append(out, [2]int{ps[0], ps[1]})
		}
		x, y = control[len(control)-2], control[len(control)-1]
	}
	for i := 0; i < len(path); {
		command := path[i]
		end := i + 1
		for end < len(path) && !unicode.IsLetter(rune(path[end])) {
			end++
		}
		var n []int
		for f := range strings.FieldsSeq(path[i+1 : end]) {
			v, err := strconv.Atoi(f)
			if err != nil {
				t.Fatalf("%v in %s", err, path)
			}
			n = append(n, v)
		}
		switch command {
		case 'M':
			x, y = n[0], n[1]
		case 'H':
			curve(n[0], y)
		case 'V':
			curve(x, n[0])
		case 'C', 'Q':
			curve(n...)
		default:
			t.Fatalf("command %c in %s", command, path)
		}
		i = end
	}
	return out
}

// TestDrawingsAreRepeatable: the same plan gives the same drawing.
func TestDrawingsAreRepeatable(t *testing.T) {
	first := explainRandom(t, rand.New(rand.NewPCG(1, 1)), 4, 40, 0.1)
	again := explainRandom(t, rand.New(rand.NewPCG(1, 1)), 4, 40, 0.1)
	if first.SVG() != again.SVG() || first.Mermaid() != again.Mermaid() || first.Text() != again.Text() {
		t.Error("two drawings of one plan differ")
	}
}

// TestHeadOfANarrowPlacement holds that name and price stand there whole where a single service is all that there is.
func TestHeadOfANarrowPlacement(t *testing.T) {
	long := strings.Repeat("w", 63)
	data := strings.ReplaceAll(string(randomDocument(rand.New(rand.NewPCG(1, 1)), 1, 1, 0)), "g0", long)
	plan, found := compile.Compile("deploy.yaml", []byte(data))
	if plan == nil {
		t.Fatal(found)
	}
	drawn := Explain(plan, Options{BlockNanos: 6 * second}).SVG()
	for _, want := range []string{">placement " + long + "<", ">at most 8.64 BRT per month<"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("the drawing does not show %s:\n%s", want, drawn)
		}
	}
}

// TestLargestDocument: 400 services in 20 placements are drawn to the end, and markdown leaves out what a code host would
// not draw.
func TestLargestDocument(t *testing.T) {
	e := explainRandom(t, rand.New(rand.NewPCG(7, 7)), 20, 400, 0.02)
	if n := strings.Count(e.SVG(), `class="edge"`); n == 0 || len(e.layout().boxes) != 400 {
		t.Errorf("%d lines and %d boxes", n, len(e.layout().boxes))
	}
	if text := e.Markdown(); strings.Contains(text, "```mermaid") || !strings.Contains(text, "--format svg") {
		t.Error("a code host is given a drawing that it would refuse")
	}
}

func TestSpan(t *testing.T) {
	for in, want := range map[int64]string{
		0: "0 seconds", 1: "1 second", 59: "59 seconds", 60: "1 minute", 3600: "1 hour", 5400: "1 hour and 30 minutes", 86400: "1 day", 90000: "1 day and 1 hour",
		86460: "1 day", 30 * 86400: "30 days",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int64]string{6 * second: "6s", second / 2: "500ms", 1_500_000_000: "1.5s", 1: "1ns", 60 * second: "60s"} {
		if got := exactSpan(in); got != want {
			t.Errorf("exactSpan(%d) = %q, want %q", in, got, want)
		}
	}
}

func BenchmarkExplain400(b *testing.B) {
	plan, _ := compile.Compile("deploy.yaml", randomDocument(rand.New(rand.NewPCG(7, 7)), 20, 400, 0.005))
	if plan == nil {
		b.Fatal("no plan")
	}
	for name, f := range map[string]func(*Explanation) string{
		"text": (*Explanation).Text, "markdown": (*Explanation).Markdown, "mermaid": (*Explanation).Mermaid, "svg": (*Explanation).SVG,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f(Explain(plan, Options{BlockNanos: 6 * second}))
			}
		})
	}
}
