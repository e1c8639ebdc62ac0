package explain

import (
	"fmt"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/quantity"
)

const (
	legendHeight = 26
	nameSize     = 14
	textSize     = 12
	labelSize    = 11
	arrow        = 8
	headGap      = 16 // between name and price of a placement
)

// style is that of a drawing, for pages that are light and pages that are dark.
const style = `.berth{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.berth .g{fill:#ffffff}.berth .p{fill:#f4f6f8;stroke:#c9d1d9}.berth .b{fill:#ffffff;stroke:#6e7781}
.berth .n{fill:#1f2328;font-weight:600;font-size:14px}.berth .t{fill:#59636e;font-size:12px}
.berth .d{fill:#1f2328;font-size:11px;stroke:#f4f6f8;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.berth .e{fill:none;stroke:#57606a;stroke-width:1.4}.berth .o{stroke:#0969da}.berth .k{stroke:#8250df;stroke-dasharray:6 4}.berth .x{stroke:#a0a8b0}
.berth .h{fill:#57606a}.berth .oh{fill:#0969da}.berth .kh{fill:#8250df}
.berth .c{fill:#ddf4ff;stroke:#0969da}
@media (prefers-color-scheme:dark){.berth .g{fill:#0d1117}.berth .p{fill:#161b22;stroke:#30363d}.berth .b{fill:#0d1117;stroke:#7d8590}
.berth .n{fill:#e6edf3}.berth .t{fill:#9198a1}.berth .d{fill:#e6edf3;stroke:#161b22}
.berth .e{stroke:#9198a1}.berth .o{stroke:#4493f8}.berth .k{stroke:#ab7df8}.berth .x{stroke:#57606a}
.berth .h{fill:#9198a1}.berth .oh{fill:#4493f8}.berth .kh{fill:#ab7df8}.berth .c{fill:#121d2f;stroke:#4493f8}}`

// SVG draws who can connect to what: placements around services, the ports that each exposes, and a line from each
// client to the port. The drawing holds no script and loads nothing.
func (e *Explanation) SVG() string {
	d := e.layout()
	s := &svg{drawing: d}
	s.f(`<svg xmlns="http://www.w3.org/2000/svg" class="berth" role="img" aria-labelledby="berth-title berth-desc" width="%d" height="%d" viewBox="0 0 %d %d">`,
		d.width, d.height, d.width, d.height)
	s.f("\n<title id=\"berth-title\">Who can connect to what</title>\n<desc id=\"berth-desc\">%s</desc>\n<style>%s</style>\n", xmlText(sdl.Printable(e.summary())), style)
	s.f(`<rect class="g" width="%d" height="%d"/>`+"\n", d.width, d.height)
	for _, b := range d.bands {
		s.band(b)
	}
	for _, t := range d.edges {
		s.edge(t)
	}
	for _, x := range d.boxes {
		for _, t := range x.doors {
			s.entry(t)
		}
	}
	for _, x := range d.boxes {
		s.box(x)
	}
	if d.anyoneY >= 0 {
		c := d.columns[0]
		s.f(`<rect class="c" x="%d" y="%d" width="%d" height="40" rx="20"/><text class="n" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n",
			c.x, d.anyoneY-20, c.width, c.x+c.width/2, d.anyoneY+5, anyone)
	}
	s.legend()
	s.f("</svg>\n")
	return s.String()
}

// summary describes the drawing to those who do not see it.
func (e *Explanation) summary() string {
	const most = 40
	var parts []string
	for i, l := range lines(e.Connections) {
		if i == most {
			parts = append(parts, fmt.Sprintf("And %d more.", len(lines(e.Connections))-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%s can connect to %s (%s).", ends(l.fromGroup, l.fromService), ends(l.toGroup, l.toService), strings.Join(l.ports, ", ")))
	}
	return fmt.Sprintf("%s in %s. ", count(uint64(e.Services), "service"), count(uint64(len(e.Placements)), "placement")) + strings.Join(parts, " ")
}

// ends names one end of a connection.
func ends(group, service string) string {
	if service == "" {
		return anyone
	}
	return group + "/" + service
}

type svg struct {
	strings.Builder
	*drawing
}

func (s *svg) f(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// text writes a line of text that fits into a width.
func (s *svg) text(class string, x, y, most, size int, anchor, text string) {
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	s.f(`<text class="%s" x="%d" y="%d"%s>%s</text>`, class, x, y, anchor, xmlText(shorten(sdl.Printable(text), most, size)))
}

func (s *svg) band(b *band) {
	x := s.left()
	w := s.width - margin - x
	s.f(`<g><title>%s</title><rect class="p" x="%d" y="%d" width="%d" height="%d" rx="8"/>`, xmlText("placement "+sdl.Printable(b.place.Name)), x, b.y, w, b.h)
	price := bandPrice(b.place)
	end := x + w - bandPadding - s.backsRight()
	s.text("n", x+bandPadding, b.y+22, end-x-bandPadding-textWide(price, textSize)-headGap, nameSize, "", bandName(b.place))
	s.text("t", end, b.y+22, end-x-bandPadding, textSize, "end", price)
	s.text("t", x+bandPadding, b.y+40, w-2*bandPadding, textSize, "", bandText(b.place))
	s.f("</g>\n")
}

func bandName(p *Placement) string { return "placement " + p.Name }

// bandPrice says what a placement may cost at most.
func bandPrice(p *Placement) string {
	if p.AtMost.PerMonth.IsNil() {
		return "at most " + p.AtMost.PriceText() + " per block"
	}
	return "at most " + p.AtMost.text(Money(p.AtMost.PerMonth, p.AtMost.Denom)) + " per month"
}

// headWide is how much room name and price of a placement take beside each other.
func headWide(p *Placement) int {
	return textWide(sdl.Printable(bandName(p)), nameSize) + headGap + textWide(bandPrice(p), textSize)
}

// bandText says in short which provider qualifies.
func bandText(p *Placement) string {
	var parts []string
	for _, k := range sortedKeys(p.Attributes) {
		parts = append(parts, k+"="+p.Attributes[k])
	}
	if n := len(p.SignedBy.AllOf) + len(p.SignedBy.AnyOf); n > 0 {
		parts = append(parts, "signed by auditors")
	}
	parts = append(parts, p.Abilities...)
	if len(parts) == 0 {
		return "any provider"
	}
	return "a provider with " + strings.Join(parts, ", ")
}

func (s *svg) box(x *box) {
	left, top := x.x(s.drawing), x.y()
	s.f(`<g><title>%s</title><rect class="b" x="%d" y="%d" width="%d" height="%d" rx="6"/>`,
		xmlText(sdl.Printable(ends(x.band.place.Name, x.service.Name)+": "+itoa(int(x.service.Instances))+" × "+x.service.Image)), left, top, boxWidth, x.item.h)
	y := top + boxTop + nameSize
	s.text("n", left+boxTop, y, boxRoom, nameSize, "", x.service.Name)
	for i, l := range x.lines {
		s.text("t", left+boxTop, y+nameHeight+i*lineHeight, boxRoom, textSize, "", l)
	}
	s.f("</g>\n")
}

// boxLines are the texts in a box below its name.
func boxLines(v *Service, hosts []string, steps bool) []string {
	out := []string{imageLine(v)}
	size := quantity.FormatCPU(v.Each.CPUMilli) + " cpu · " + bytesText(v.Each.MemoryBytes)
	if v.Each.StorageBytes > 0 {
		size += " · " + bytesText(v.Each.StorageBytes) + " disk"
	}
	out = append(out, size)
	if v.Each.GPU > 0 {
		out = append(out, count(v.Each.GPU, "gpu")+": "+strings.Join(v.GPUs, " or "))
	}
	for _, x := range v.Volumes {
		if x.Kind == Persistent {
			out = append(out, "keeps "+bytesText(x.Bytes)+" at "+x.Mount)
		}
	}
	const mostHosts = 2
	for i, h := range hosts {
		if i == mostHosts {
			out = append(out, "and "+count(uint64(len(hosts)-mostHosts), "host")+" more")
			break
		}
		out = append(out, h)
	}
	if steps && v.Step > 1 {
		out = append(out, "starts after "+strings.Join(v.After, ", "))
	}
	return out
}

// imageLine is how many instances of which image; where that is too wide, the image without the registry and all of its
// path but the end.
func imageLine(v *Service) string {
	start := itoa(int(v.Instances)) + " × "
	image, digest, pinned := strings.Cut(v.Image, "@")
	if pinned {
		const shown = len("sha256:") + 7
		image += "@" + digest[:min(len(digest), shown)] + "…"
	}
	for text := start + image; ; text = start + "…/" + image {
		i := strings.IndexByte(image, '/')
		if i < 0 || textWide(text, textSize) <= boxRoom {
			return text
		}
		image = image[i+1:]
	}
}

// width is the room that an entry's label and arrow take left of its box.
func (t *entry) width() int { return textWide(t.label, labelSize) + 24 }

// begin is where the lines to an entry arrive: at the edge of the room for labels, which is the same for the column.
func (t *entry) begin(d *drawing) int {
	c := d.columns[t.box.column]
	return c.x - c.labels
}

// entry draws the last, level piece of the lines to an entry, with its label.
func (s *svg) entry(t *entry) {
	x, y := t.box.x(s.drawing), t.y()
	line, head := "e", "h"
	begin := t.begin(s.drawing)
	switch {
	case t.public:
		line, head = "e o", "oh"
	case t.locals == 0 && t.links > 0:
		line, head = "e k", "kh"
	case t.locals == 0:
		line, head = "e x", ""
		begin = x - t.width() + 12
	}
	s.f(`<g><path class="%s" d="M%d %dH%d"/>`, line, begin, y, x)
	if head == "" { // a bar instead of an arrow: closed
		s.f(`<path class="%s" d="M%d %dv10"/>`, line, x-4, y-5)
	} else {
		s.f(`<path class="%s" d="M%d %dl-%d -4v8z"/>`, head, x, y, arrow)
	}
	s.text("d", x-arrow-6, y-5, 1<<20, labelSize, "end", t.label)
	s.f("</g>\n")
}

// edge draws a line from a client to where the lines to an entry arrive.
func (s *svg) edge(t *edge) {
	class := "e"
	switch {
	case t.from == nil:
		class = "e o"
	case t.link:
		class = "e k"
	}
	from, to := anyone, t.to.box
	if t.from != nil {
		from = ends(t.from.band.place.Name, t.from.service.Name)
	}
	s.f(`<g class="edge"><title>%s</title><path class="%s" d="%s"/></g>`+"\n",
		xmlText(sdl.Printable(from+" → "+ends(to.band.place.Name, to.service.Name)+": "+strings.Join(t.to.ports, ", "))), class, s.path(t))
}

func (s *svg) path(t *edge) string {
	x, y := s.columns[0].x+s.columns[0].width, s.anyoneY
	if t.from != nil {
		x, y = t.from.x(s.drawing)+boxWidth, t.from.y()+t.from.item.h/2
	}
	if t.back {
		return s.pathBack(t, x, y)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "M%d %d", x, y)
	band := t.to.box.band
	for c := t.start() + 1; c <= t.to.box.column; c++ {
		begin, height := s.columns[c].x-s.columns[c].labels, t.to.y()
		if c < t.to.box.column {
			height = band.first() + band.lane(c, t.from, t.link).middle()
		}
		if y != height {
			bent := begin
			if c == 1 {
				bent = s.left()
			}
			middle := (x + bent) / 2
			fmt.Fprintf(&b, "C%d %d %d %d %d %d", middle, y, middle, height, bent, height)
		}
		fmt.Fprintf(&b, "H%d", begin)
		x, y = begin, height
		if c < t.to.box.column {
			x = s.columns[c].x + s.columns[c].width
			fmt.Fprintf(&b, "H%d", x)
		}
	}
	return b.String()
}

// pathBack leads right of the client down to a lane below the boxes of the target's band, back to the left, and up to
// the entry.
func (s *svg) pathBack(t *edge, x, y int) string {
	band := t.to.box.band
	lane := band.first() + band.bottom + bandPadding/2 + backStep*band.backs[t.from]
	right := x + backStep*(1+t.from.back%backLanes)
	begin := t.to.begin(s.drawing)
	left := begin - backStep*t.to.back
	var b strings.Builder
	fmt.Fprintf(&b, "M%d %d", x, y)
	const r = 5
	down := r
	if lane < y {
		down = -r
	}
	fmt.Fprintf(&b, "H%dQ%d %d %d %dV%dQ%d %d %d %d", right-r, right, y, right, y+down, lane-down, right, lane, right-r, lane)
	fmt.Fprintf(&b, "H%dQ%d %d %d %dV%dQ%d %d %d %d", left+r, left, lane, left, lane-r, t.to.y()+r, left, t.to.y(), left+r, t.to.y())
	fmt.Fprintf(&b, "H%d", begin)
	return b.String()
}

// legend says what the kinds of lines mean, as far as they occur.
func (s *svg) legend() {
	kinds := []struct {
		class, text string
		has         func(*edge) bool
	}{
		{"e o", "open to anyone", func(t *edge) bool { return t.from == nil }},
		{"e", "open to a service", func(t *edge) bool { return t.from != nil && !t.link }},
		{"e k", "over a link to another placement", func(t *edge) bool { return t.link }},
	}
	x, y := margin, s.height-legendHeight/2-4
	for _, k := range kinds {
		found := false
		for _, t := range s.edges {
			found = found || k.has(t)
		}
		if found {
			s.f(`<path class="%s" d="M%d %dh28"/><text class="t" x="%d" y="%d">%s</text>`, k.class, x, y, x+36, y+4, k.text)
			x += 36 + textWide(k.text, textSize) + 28
		}
	}
	s.f("\n")
}

func itoa(n int) string { return strconv.Itoa(n) }

// xmlText escapes text for XML. It was cleaned of control characters, which XML cannot hold.
var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace

// textWide estimates the width of a text, rather too wide than too narrow: fonts differ.
func textWide(s string, size int) int {
	n := 0 // hundredths of the size
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfr.,:;|!'()[] ", r):
			n += 38
		case r >= 'a' && r <= 'z' && r != 'm' && r != 'w', r >= '0' && r <= '9', r == '-', r == '/', r == '_':
			n += 62
		case r < 0x80 || r == '·' || r == '×':
			n += 80
		default:
			n += 100
		}
	}
	return (n*size + 99) / 100
}

// shorten leaves out the middle of a text that is too wide.
func shorten(s string, most, size int) string {
	if textWide(s, size) <= most {
		return s
	}
	runes := []rune(s)
	for keep := min(len(runes), most) - 1; keep > 0; keep-- {
		text := string(runes[:(keep+1)/2]) + "…" + string(runes[len(runes)-keep/2:])
		if textWide(text, size) <= most {
			return text
		}
	}
	return "…"
}
