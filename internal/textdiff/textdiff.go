// Package textdiff shows how two texts differ, line by line.
package textdiff

import (
	"fmt"
	"strings"
)

// around is how many equal lines are shown around those that differ.
const around = 3

// maxEdits bounds the search for the shortest way from one text to the other. Texts that differ more are shown as
// replaced as a whole, between what they share at their ends.
const maxEdits = 2000

// Unified returns the difference of two texts in the unified format, with their names, or nothing if they are equal.
func Unified(fromName, toName, from, to string) string {
	if from == to {
		return ""
	}
	edits := compare(lines(from), lines(to))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", fromName, toName)
	for _, h := range hunks(edits) {
		h.write(&b)
	}
	return b.String()
}

// lines cuts a text up after each line end.
func lines(text string) []string {
	all := strings.SplitAfter(text, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// edit is a line that both texts have (' '), or only the first ('-') or the second ('+').
type edit struct {
	kind byte
	line string
}

// compare finds a way from a to b.
func compare(a, b []string) []edit {
	var head, tail []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, edit{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out := append(head, shortest(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		out = append(out, tail[i])
	}
	return out
}

// shortest is Myers' greedy search: reach[k] is how far in a the furthest path on diagonal k has come with d edits.
func shortest(a, b []string) []edit {
	n, m := len(a), len(b)
	most := min(n+m, maxEdits)
	reach := make([]int, 2*most+3)
	var steps [][]int
	for d := 0; d <= most; d++ {
		steps = append(steps, append([]int(nil), reach[most+1-d:most+2+d]...))
		for k := -d; k <= d; k += 2 {
			x := next(reach, most+1, k, d)
			for y := x - k; x < n && y < m && a[x] == b[y]; y++ {
				x++
			}
			reach[most+1+k] = x
			if x >= n && x-k >= m {
				return walk(a, b, steps, d)
			}
		}
	}
	out := make([]edit, 0, n+m)
	for _, line := range a {
		out = append(out, edit{'-', line})
	}
	for _, line := range b {
		out = append(out, edit{'+', line})
	}
	return out
}

// next is where the path on diagonal k starts its d-th edit's run of equal lines.
func next(reach []int, zero, k, d int) int {
	if k == -d || k != d && reach[zero+k-1] < reach[zero+k+1] {
		return reach[zero+k+1]
	}
	return reach[zero+k-1] + 1
}

// walk goes the way back that the search came.
func walk(a, b []string, steps [][]int, d int) []edit {
	x, y := len(a), len(b)
	var back []edit
	for ; d > 0; d-- {
		reach, k := steps[d], x-y // of the step before: diagonals -d..d
		from := k + 1
		if k != -d && (k == d || reach[d+k-1] >= reach[d+k+1]) {
			from = k - 1
		}
		px := reach[d+from]
		py := px - from
		for x > px && y > py {
			x, y = x-1, y-1
			back = append(back, edit{' ', a[x]})
		}
		if from == k+1 {
			y--
			back = append(back, edit{'+', b[y]})
		} else {
			x--
			back = append(back, edit{'-', a[x]})
		}
	}
	for x > 0 {
		x--
		back = append(back, edit{' ', a[x]})
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// hunk is a part of the difference: the lines before it in both texts, and its edits.
type hunk struct {
	from, to int
	edits    []edit
}

// hunks gathers the edits with what lies around them.
func hunks(edits []edit) []hunk {
	var out []hunk
	from, to, quiet := 0, 0, 0 // quiet: equal lines since the last change
	var open *hunk
	for i, e := range edits {
		if e.kind != ' ' && open == nil {
			before := min(around, i)
			out = append(out, hunk{from: from - before, to: to - before, edits: edits[i-before : i : i]})
			open = &out[len(out)-1]
		}
		if e.kind == ' ' {
			quiet++
		} else {
			quiet = 0
		}
		if open != nil {
			open.edits = append(open.edits, e)
			if quiet > 2*around {
				open.edits, open = open.edits[:len(open.edits)-quiet+around], nil
			}
		}
		if e.kind != '+' {
			from++
		}
		if e.kind != '-' {
			to++
		}
	}
	if open != nil && quiet > around {
		open.edits = open.edits[:len(open.edits)-quiet+around]
	}
	return out
}

func (h hunk) write(b *strings.Builder) {
	var from, to int
	for _, e := range h.edits {
		if e.kind != '+' {
			from++
		}
		if e.kind != '-' {
			to++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(h.from, from), span(h.to, to))
	for _, e := range h.edits {
		b.WriteByte(e.kind)
		b.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// span names lines of a text by the first and their number.
func span(before, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}
