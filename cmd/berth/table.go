package main

import (
	"slices"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl"
)

// table lays out rows in columns, two spaces apart. Columns named in right are flush right. Cells are plain text;
// control characters in them are replaced, as some come from strangers.
type table struct {
	head  []string
	right map[int]bool
	rows  [][]string
}

func newTable(head ...string) *table { return &table{head: head, right: map[int]bool{}} }

// alignRight makes columns, counted from 0, flush right.
func (t *table) alignRight(columns ...int) *table {
	for _, c := range columns {
		t.right[c] = true
	}
	return t
}

// drop leaves out a column, counted from 0; those after it move up.
func (t *table) drop(column int) {
	t.head = slices.Delete(t.head, column, column+1)
	for i := range t.rows {
		t.rows[i] = slices.Delete(t.rows[i], column, column+1)
	}
	right := map[int]bool{}
	for c := range t.right {
		if c < column {
			right[c] = true
		} else if c > column {
			right[c-1] = true
		}
	}
	t.right = right
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	t.rows = append(t.rows, cells)
}

// String gives the table, each line ending in a newline and without spaces at its end.
func (t *table) String() string { return t.render("") }

// render gives the table with an indent before each line.
func (t *table) render(indent string) string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		b.WriteString(strings.TrimRight(indent+t.line(row, widths), " ") + "\n")
	}
	return b.String()
}

func (t *table) line(row []string, widths []int) string {
	cells := make([]string, len(row))
	for i, c := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
		if t.right[i] {
			cells[i] = pad + c
		} else {
			cells[i] = c + pad
		}
	}
	return strings.Join(cells, "  ")
}

func printable(s string) string { return sdl.Printable(s) }
