package explain_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/sdl/explain"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A world is a random document, apart from how the compiler sees it.
type world struct {
	services   []randomService
	placements int
}

type randomService struct {
	name  string
	in    []int // placements
	ports []randomPort
}

type randomPort struct {
	port, as int
	to       []randomTo
}

type randomTo struct {
	service string
	global  bool
}

func drawWorld(t *rapid.T) world {
	w := world{placements: rapid.IntRange(1, 4).Draw(t, "placements")}
	n := rapid.IntRange(1, 9).Draw(t, "services")
	for i := range n {
		s := randomService{name: fmt.Sprintf("s%d", i)}
		for p := range w.placements {
			if rapid.IntRange(0, 2).Draw(t, "deployed") > 0 {
				s.in = append(s.in, p)
			}
		}
		if len(s.in) == 0 {
			s.in = []int{0}
		}
		for j := range rapid.IntRange(0, 4).Draw(t, "ports") {
			e := randomPort{port: rapid.SampledFrom([]int{80, 443, 8080, 5432, 9000}).Draw(t, "port"), as: 100 + j}
			for range rapid.IntRange(0, 4).Draw(t, "clients") {
				to := randomTo{global: rapid.Bool().Draw(t, "global")}
				if !to.global || rapid.Bool().Draw(t, "named") {
					to.service = fmt.Sprintf("s%d", rapid.IntRange(0, n-1).Draw(t, "client"))
				}
				e.to = append(e.to, to)
			}
			s.ports = append(s.ports, e)
		}
		w.services = append(w.services, s)
	}
	return w
}

func (w world) document() []byte {
	var b strings.Builder
	b.WriteString("version: \"1.0\"\nservices:\n")
	for _, s := range w.services {
		fmt.Fprintf(&b, "  %s:\n    image: example/%s:1\n", s.name, s.name)
		for i, e := range s.ports {
			if i == 0 {
				b.WriteString("    expose:\n")
			}
			fmt.Fprintf(&b, "      - port: %d\n        as: %d\n", e.port, e.as)
			for j, to := range e.to {
				if j == 0 {
					b.WriteString("        to:\n")
				}
				switch {
				case to.service == "":
					b.WriteString("          - global: true\n")
				case to.global:
					fmt.Fprintf(&b, "          - {service: %s, global: true}\n", to.service)
				default:
					fmt.Fprintf(&b, "          - service: %s\n", to.service)
				}
			}
		}
	}
	b.WriteString("profiles:\n  compute: {small: {cpu: 1, memory: 1Gi, storage: 1Gi}}\n  placement:\n")
	for p := range w.placements {
		fmt.Fprintf(&b, "    p%d: {pricing: {small: 10u}}\n", p)
	}
	b.WriteString("deployment:\n")
	for _, s := range w.services {
		fmt.Fprintf(&b, "  %s:\n", s.name)
		for _, p := range s.in {
			fmt.Fprintf(&b, "    p%d: {profile: small, count: 1}\n", p)
		}
	}
	return []byte(b.String())
}

// mayConnect is the table of expose.to, line by line: may instances of a client in one placement connect to a port of a
// service in another? An empty client is anyone who is no service of the deployment.
func mayConnect(e randomPort, client string, from, at int) bool {
	for _, to := range e.to {
		switch {
		case to.service == "" && to.global: // anyone, from anywhere
			if client == "" {
				return true
			}
		case to.service == client && !to.global: // in the same datacenter
			if from == at {
				return true
			}
		case to.service == client && to.global: // in this and in other datacenters
			return true
		}
	}
	return false
}

// connections lists who may connect to what by asking for every pair.
func (w world) connections() []string {
	var out []string
	for _, s := range w.services {
		for _, at := range s.in {
			for _, e := range s.ports {
				proto := map[int]string{80: "http", 443: "https"}[e.port]
				if proto == "" {
					proto = "tcp"
				}
				to := fmt.Sprintf("p%d/%s %s %d", at, s.name, proto, e.as)
				if mayConnect(e, "", -1, at) {
					out = append(out, "anyone -> "+to)
				}
				for _, c := range w.services {
					for _, from := range c.in {
						if !mayConnect(e, c.name, from, at) {
							continue
						}
						arrow := "->"
						if from != at {
							arrow = "~>"
						}
						out = append(out, fmt.Sprintf("p%d/%s %s %s", from, c.name, arrow, to))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestConnectivity: the connections, the table, and both drawings say the same, which is what the rules say.
func TestConnectivity(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		e := explain.Explain(mustCompile(t, "deploy.yaml", w.document()), explain.Options{BlockNanos: sixSeconds})
		want := w.connections()
		for what, got := range map[string][]string{
			"connections": fromConnections(e), "table": fromTable(rt, e.Markdown()), "Mermaid": fromMermaid(rt, e.Mermaid()), "SVG": fromSVG(rt, e.SVG()),
		} {
			slices.Sort(got)
			if !slices.Equal(got, want) {
				rt.Fatalf("%s:\n%s\nwant:\n%s\nof:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"), w.document())
			}
		}
	})
}

func fromConnections(e *explain.Explanation) []string {
	var out []string
	for _, c := range e.Connections {
		from, arrow := "anyone", "->"
		if c.FromService != "" {
			from = c.FromGroup + "/" + c.FromService
		}
		if c.Link {
			arrow = "~>"
		}
		out = append(out, fmt.Sprintf("%s %s %s/%s %s %d", from, arrow, c.ToGroup, c.ToService, c.Proto, c.Port))
	}
	return out
}

var onlyPlacement = regexp.MustCompile("(?m)^### Placement `(.*)`$")

// fromTable reads the table of who can connect to what.
func fromTable(t *rapid.T, markdown string) []string {
	_, text, ok := strings.Cut(markdown, "### Who can connect to what\n\n")
	if !ok {
		t.Fatalf("no table in:\n%s", markdown)
	}
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| "), "`", ""), " | ")
		if cells[0] == "Placement" || cells[0] == "Service" || cells[0][0] == '-' {
			continue
		}
		if len(cells) == 6 { // the only placement is not named in each row
			cells = append([]string{onlyPlacement.FindStringSubmatch(markdown)[1]}, cells...)
		}
		_, port, _ := strings.Cut(cells[2], ":")
		for client := range strings.SplitSeq(cells[5], ", ") {
			arrow := "->"
			switch {
			case client == "nobody":
				continue
			case strings.Contains(client, "/"):
				arrow = "~>"
			case client != "anyone":
				client = cells[0] + "/" + client
			}
			out = append(out, fmt.Sprintf("%s %s %s/%s %s %s", client, arrow, cells[0], cells[1], cells[3], port))
		}
	}
	return out
}

var (
	mermaidPlacement = regexp.MustCompile(`^  subgraph p\d+\["placement ([a-z0-9]+)"\]$`)
	mermaidNode      = regexp.MustCompile(`^    (p\d+s\d+)\["<b>([a-z0-9]+)</b><br/>`)
	mermaidEdge      = regexp.MustCompile(`^  (anyone|p\d+s\d+) (-->|-\.->)\|"([^"]+)"\| (p\d+s\d+)$`)
)

func fromMermaid(t *rapid.T, drawing string) []string {
	var out []string
	placement, nodes := "", map[string]string{"anyone": "anyone"}
	for line := range strings.SplitSeq(drawing, "\n") {
		if m := mermaidPlacement.FindStringSubmatch(line); m != nil {
			placement = m[1]
		} else if m := mermaidNode.FindStringSubmatch(line); m != nil {
			nodes[m[1]] = placement + "/" + m[2]
		} else if m := mermaidEdge.FindStringSubmatch(line); m != nil {
			arrow := map[string]string{"-->": "->", "-.->": "~>"}[m[2]]
			if nodes[m[1]] == "" || nodes[m[4]] == "" {
				t.Fatalf("a line between nodes that are not drawn: %s", line)
			}
			for port := range strings.SplitSeq(m[3], ", ") {
				out = append(out, nodes[m[1]]+" "+arrow+" "+nodes[m[4]]+" "+port)
			}
		} else if line != "" && line != "  end" && line != "flowchart LR" && line != `  anyone(("anyone"))` {
			t.Fatalf("a line that is none of the drawing's: %q", line)
		}
	}
	return out
}

// element is a part of a drawing.
type element struct {
	XMLName  xml.Name
	Class    string    `xml:"class,attr"`
	Title    string    `xml:"title"`
	Children []element `xml:",any"`
}

func fromSVG(t *rapid.T, drawing string) []string {
	var root element
	if err := xml.Unmarshal([]byte(drawing), &root); err != nil {
		t.Fatalf("%v in:\n%s", err, drawing)
	}
	var out []string
	for _, g := range root.Children {
		if g.Class != "edge" {
			continue
		}
		from, rest, _ := strings.Cut(g.Title, " → ")
		to, ports, _ := strings.Cut(rest, ": ")
		arrow := "->"
		if len(g.Children) == 1 && strings.Contains(g.Children[0].Class, "k") {
			arrow = "~>"
		}
		for port := range strings.SplitSeq(ports, ", ") {
			out = append(out, from+" "+arrow+" "+to+" "+port)
		}
	}
	return out
}

// wellFormed fails unless a drawing is XML of the few elements and attributes that are drawn with.
func wellFormed(t testing.TB, drawing string) {
	t.Helper()
	elements := []string{"svg", "title", "desc", "style", "rect", "g", "path", "text"}
	attributes := []string{"xmlns", "class", "role", "aria-labelledby", "width", "height", "viewBox", "id", "x", "y", "rx", "d", "text-anchor"}
	dec := xml.NewDecoder(strings.NewReader(drawing))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, drawing)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !slices.Contains(elements, start.Name.Local) {
			t.Errorf("an element %q", start.Name.Local)
		}
		for _, a := range start.Attr {
			if !slices.Contains(attributes, a.Name.Local) || a.Name.Space != "" {
				t.Errorf("an attribute %q of %s", a.Name.Local, start.Name.Local)
			}
		}
	}
}
