package explain

import (
	"fmt"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
)

// line is all connections from one client to one service, as drawings show them: one line with all its ports.
type line struct {
	fromGroup, fromService string // empty for anyone
	toGroup, toService     string
	link                   bool
	ports                  []string // such as "http 80"
}

// lines puts the connections between the same two together, in their order.
func lines(in []Connection) []line {
	type ends struct{ fromGroup, fromService, toGroup, toService string }
	at := make(map[ends]int, len(in))
	var out []line
	for _, c := range in {
		k := ends{c.FromGroup, c.FromService, c.ToGroup, c.ToService}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, line{fromGroup: c.FromGroup, fromService: c.FromService, toGroup: c.ToGroup, toService: c.ToService, link: c.Link})
		}
		out[i].ports = append(out[i].ports, portText(c.Proto, c.Port))
	}
	return out
}

func portText(proto string, port uint32) string {
	return proto + " " + strconv.FormatUint(uint64(port), 10)
}

// anyone is the title of the node from which everybody connects.
const anyone = "anyone"

// Mermaid draws who can connect to what as a Mermaid flowchart: placements around services, a line for each client of a
// service with its ports, dashed where it leads to another placement. Nodes have numbers for ids and everything from the
// document stands in quotes, escaped, so that no name is taken for a part of the drawing.
func (e *Explanation) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	if e.public() {
		b.WriteString("  " + anyone + "((\"" + anyone + "\"))\n")
	}
	id := map[[2]string]string{}
	for i, p := range e.Placements {
		fmt.Fprintf(&b, "  subgraph p%d[\"placement %s\"]\n", i+1, mermaidText(p.Name))
		for j, s := range p.Services {
			node := fmt.Sprintf("p%ds%d", i+1, j+1)
			id[[2]string{p.Name, s.Name}] = node
			fmt.Fprintf(&b, "    %s[\"<b>%s</b><br/>%d × %s\"]\n", node, mermaidText(s.Name), s.Instances, mermaidText(s.Image))
		}
		b.WriteString("  end\n")
	}
	for _, l := range lines(e.Connections) {
		from, arrow := anyone, "-->"
		if l.fromService != "" {
			from = id[[2]string{l.fromGroup, l.fromService}]
		}
		if l.link {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  %s %s|\"%s\"| %s\n", from, arrow, mermaidText(strings.Join(l.ports, ", ")), id[[2]string{l.toGroup, l.toService}])
	}
	return b.String()
}

// public tells whether anyone may connect to something.
func (e *Explanation) public() bool {
	for _, d := range e.Doors {
		if d.Public {
			return true
		}
	}
	return false
}

// mermaidText writes every character as its number, except for those that certainly mean nothing.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range sdl.Printable(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .,-/:@_", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
