package fill

import (
	"fmt"
	"strings"

	"berth.dev/berth/sdl/doc"
)

// forms are what may be written between ${ and }.
const forms = "${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, and $${ for a plain ${"

// problem says what is wrong with a reference to a variable. It shows names and the document's own messages only.
type problem struct {
	name    string // of the variable that is not set; empty if the reference is malformed
	message string
}

// expand puts values in place of references. used tells whether there was any, changed whether the text differs.
// References are read from left to right, once: values are not looked at for further ones.
func expand(text string, lookup func(string) (string, bool)) (out string, used, changed bool, bad []problem) {
	if !strings.Contains(text, "${") {
		return text, false, false, nil
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			b.WriteString(text)
			return b.String(), used, true, bad
		}
		b.WriteString(text[:i])
		text = text[i:]
		switch {
		case strings.HasPrefix(text, "$${"):
			b.WriteString("${")
			text = text[3:]
		case strings.HasPrefix(text, "${"):
			value, rest, p := reference(text, lookup)
			if p != nil {
				bad = append(bad, *p)
			}
			b.WriteString(value)
			text, used = rest, true
		default:
			b.WriteByte('$')
			text = text[1:]
		}
	}
}

// reference reads the reference that a text starts with, and returns its value and the text after it.
func reference(text string, lookup func(string) (string, bool)) (value, rest string, bad *problem) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return "", "", &problem{message: "${ has no }"}
	}
	body, rest := text[2:end], text[end+1:]
	n := 0
	for n < len(body) && nameByte(body[n], n == 0) {
		n++
	}
	name, op := body[:n], body[n:]
	if name == "" {
		return "", rest, &problem{message: "after ${ stands the name of a variable: letters, digits and _, not starting with a digit"}
	}
	value, set := lookup(name)
	nested := strings.Contains(op, "${")
	switch {
	case op == "":
		if !set {
			bad = &problem{name, fmt.Sprintf("variable %s is not set", doc.Shorten(name))}
		}
	case nested:
		bad = &problem{message: "the default or message of variable " + doc.Shorten(name) + " holds another variable, which is not looked at"}
	case strings.HasPrefix(op, ":-"):
		if value == "" {
			value = op[2:]
		}
	case op[0] == '-':
		if !set {
			value = op[1:]
		}
	case strings.HasPrefix(op, ":?"):
		if value == "" {
			bad = &problem{name, required(name, op[2:], set)}
		}
	default:
		bad = &problem{message: "what follows the name of variable " + doc.Shorten(name) + " is none of :-, - and :?"}
	}
	return value, rest, bad
}

func required(name, message string, set bool) string {
	state := "not set"
	if set {
		state = "empty"
	}
	if message == "" {
		return fmt.Sprintf("variable %s is %s", doc.Shorten(name), state)
	}
	return fmt.Sprintf("variable %s is %s: %s", doc.Shorten(name), state, doc.Shorten(message))
}

func nameByte(c byte, first bool) bool {
	letter := c|0x20 >= 'a' && c|0x20 <= 'z'
	return letter || c == '_' || !first && c >= '0' && c <= '9'
}
