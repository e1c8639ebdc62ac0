package sdl

import (
	"strings"
	"unicode/utf8"
)

// Printable replaces what could steer a terminal, end a line, or turn the direction of what follows.
func Printable(s string) string {
	if ascii(s) {
		return s
	}
	return strings.Map(printable, s)
}

func printable(r rune) rune {
	switch {
	case r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x200b && r <= 0x200f,
		r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return utf8.RuneError
	}
	return r
}

// ascii tells that a text has nothing but the letters, digits and signs of ASCII, as most have.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
