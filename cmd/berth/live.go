package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// live shows a block of lines that changes, such as the bids so far. On a terminal the block is drawn anew in its place;
// anywhere else each state of it is written below the former.
type live struct {
	w io.Writer
	// size returns the terminal's columns and rows; nil, or 0, is no terminal.
	size func() (columns, rows int)
	// drawn counts the lines of the block that stand right above the cursor.
	drawn int
}

// newLive writes to w, in place if it is a terminal that can.
func newLive(w io.Writer) *live {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(w) || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return &live{w: w}
	}
	return &live{w: w, size: func() (int, int) {
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0, 0
		}
		return columns, rows
	}}
}

// draw shows the block's state, whole lines. On a terminal lines are cut at its width, and those that have no room on it
// are counted.
func (l *live) draw(block string) {
	columns, rows := 0, 0
	if l.size != nil {
		columns, rows = l.size()
	}
	if columns == 0 || rows < 4 {
		l.drawn = 0
		fmt.Fprint(l.w, block)
		return
	}
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	if most := rows - 2; len(lines) > most {
		left := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("         and %s more", counted(left, "line")))
	}
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", l.drawn)
	}
	for _, line := range lines {
		b.WriteString(cut(line, columns-1) + "\n")
	}
	l.drawn = len(lines)
	fmt.Fprint(l.w, b.String())
}

// end leaves the block as it stands: what is written next comes below it.
func (l *live) end() { l.drawn = 0 }

// cut takes a line's first characters. The sequences that set colours take no room, and stay.
func cut(line string, columns int) string {
	var b strings.Builder
	for line != "" {
		if n := colourLength(line); n > 0 {
			b.WriteString(line[:n])
			line = line[n:]
			continue
		}
		_, n := utf8.DecodeRuneInString(line)
		if columns > 0 {
			b.WriteString(line[:n])
			columns--
		}
		line = line[n:]
	}
	return b.String()
}

// colourLength is the length of the sequence at the start of a text that sets a colour; 0 if there is none.
func colourLength(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	return strings.IndexByte(s, 'm') + 1
}
