package explain

import (
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl"
)

// page is text for people, apart from how it is written: sections of sentences, lists and tables.
type page struct{ sections []section }

type section struct {
	title string
	parts []part
}

// part is one of the three: a paragraph, a list with an optional sentence before it, or a table.
type part struct {
	text  string
	items []string
	table *table
}

func (p *page) section(title string) *section {
	p.sections = append(p.sections, section{title: title})
	return &p.sections[len(p.sections)-1]
}

func (s *section) say(text string) { s.parts = append(s.parts, part{text: text}) }
func (s *section) table(t *table)  { s.parts = append(s.parts, part{table: t}) }
func (s *section) list(text string, items []string) {
	s.parts = append(s.parts, part{text: text, items: items})
}

// table is rows of cells under heads; columns named in right are flush right.
type table struct {
	head  []string
	right map[int]bool
	rows  [][]string
}

func newTable(head ...string) *table { return &table{head: head, right: map[int]bool{}} }

func (t *table) alignRight(columns ...int) *table {
	for _, c := range columns {
		t.right[c] = true
	}
	return t
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// What comes from the document stands between these two, so that each way of writing can set it off, and can keep it
// from being taken for its own signs. Neither occurs elsewhere: name replaces control characters.
const (
	nameStart = "\x01"
	nameEnd   = "\x02"
)

// name marks text that comes from the document.
func name(s string) string { return nameStart + sdl.Printable(s) + nameEnd }

// names joins marked texts.
func names(in []string) string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = name(s)
	}
	return strings.Join(out, ", ")
}

var unmark = strings.NewReplacer(nameStart, "", nameEnd, "")

// width is how many columns of a text are filled by s, which may hold marks.
func width(s string) int {
	return utf8.RuneCountInString(s) - strings.Count(s, nameStart) - strings.Count(s, nameEnd)
}

// textWidth is where lines of text break.
const textWidth = 110

// text writes a page for a terminal.
func (p *page) text() string {
	var b strings.Builder
	for i, s := range p.sections {
		if i > 0 {
			b.WriteString("\n")
		}
		indent := ""
		if s.title != "" {
			b.WriteString(unmark.Replace(s.title) + ":\n")
			indent = "  "
		}
		for _, x := range s.parts {
			if x.text != "" {
				wrap(&b, indent, indent, x.text)
			}
			under := indent
			if x.text != "" {
				under += "  "
			}
			for _, item := range x.items {
				wrap(&b, under+"- ", under+"  ", item)
			}
			if x.table != nil {
				b.WriteString(unmark.Replace(x.table.text(indent)))
			}
		}
	}
	return b.String()
}

// wrap breaks a text at spaces; names stay whole.
func wrap(b *strings.Builder, first, rest, text string) {
	b.WriteString(first)
	column := width(first)
	for i, word := range strings.Fields(text) {
		w := width(word)
		switch {
		case i == 0:
		case column+1+w > textWidth:
			b.WriteString("\n" + rest)
			column = width(rest)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(unmark.Replace(word))
		column += w
	}
	b.WriteString("\n")
}

func (t *table) text(indent string) string {
	all := append([][]string{t.head}, t.rows...)
	widths := make([]int, len(t.head))
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], width(c))
		}
	}
	var b strings.Builder
	for n, row := range all {
		line := make([]string, len(row))
		for i, c := range row {
			if n == 0 {
				c = strings.ToUpper(c)
			}
			pad := strings.Repeat(" ", widths[i]-width(c))
			if t.right[i] {
				line[i] = pad + c
			} else {
				line[i] = c + pad
			}
		}
		b.WriteString(strings.TrimRight(indent+strings.Join(line, "  "), " ") + "\n")
	}
	return b.String()
}

// markdown writes a page for a code host.
func (p *page) markdown(b *strings.Builder) {
	for _, s := range p.sections {
		if s.title != "" {
			b.WriteString("### " + markdownText(s.title) + "\n\n")
		}
		for _, x := range s.parts {
			if x.text != "" {
				b.WriteString(markdownText(x.text) + "\n")
				if len(x.items) == 0 {
					b.WriteString("\n")
				}
			}
			for _, item := range x.items {
				b.WriteString("- " + markdownText(item) + "\n")
			}
			if len(x.items) > 0 {
				b.WriteString("\n")
			}
			if x.table != nil {
				x.table.markdown(b)
			}
		}
	}
}

func (t *table) markdown(b *strings.Builder) {
	row := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.ReplaceAll(markdownText(c), "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	row(t.head)
	rule := make([]string, len(t.head))
	for i := range t.head {
		if rule[i] = "---"; t.right[i] {
			rule[i] = "---:"
		}
	}
	b.WriteString("| " + strings.Join(rule, " | ") + " |\n")
	for _, r := range t.rows {
		row(r)
	}
	b.WriteString("\n")
}

// markdownText writes names as code, in which nothing is a sign.
func markdownText(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, nameStart)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		inner, after, _ := strings.Cut(rest, nameEnd)
		b.WriteString(code(inner))
		s = after
	}
}

// code is a code span, fenced by more backticks than it holds in a row.
func code(s string) string {
	most, run := 0, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		most = max(most, run)
	}
	fence := strings.Repeat("`", most+1)
	if most > 0 || strings.TrimSpace(s) == "" {
		s = " " + s + " "
	}
	return fence + s + fence
}
