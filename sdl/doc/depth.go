package doc

import (
	"fmt"
	"regexp"
	"strings"
)

// keyLine is a line that starts with a key: its indentation, the dash of an entry, the key, and what follows it.
var keyLine = regexp.MustCompile(`^( *)(- +)?("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+):(?: +(.*))?$`)

// key is a line of a document that starts with a key.
type key struct {
	line, indent int
	name, value  string
}

// keyAt reads the key that a line starts with.
func keyAt(text string, line int) (key, bool) {
	m := keyLine.FindStringSubmatch(strings.TrimRight(text, " \r"))
	if m == nil {
		return key{}, false
	}
	value, _, _ := strings.Cut(" "+m[4], " #")
	return key{line, len(m[1]) + len(m[2]), m[3], strings.TrimSpace(value)}, true
}

// depth reports a key, in the line at which the parser stopped, that is indented further than the key before it,
// which has a value, or as far as none of the keys around it.
func (b *builder) depth(data []byte, line int) bool {
	lines := strings.Split(string(data), "\n")
	if line < 2 || line > len(lines) {
		return false
	}
	here, ok := keyAt(lines[line-1], line)
	if !ok {
		return false
	}
	around := keysAround(lines[:line-1], here.indent)
	if len(around) == 0 {
		return false
	}
	before := around[0]
	if before.indent < here.indent && before.value != "" && !strings.ContainsAny(before.value[:1], "|>[{&*") {
		d := diagnostic(line, here.indent+1, "E-YAML", "%s is indented further than %s in line %d, which has a value", here.name, before.name, before.line)
		b.say(d.WithHint("indent it as far as " + before.name))
		return true
	}
	last := around[len(around)-1]
	if len(around) < 2 || last.indent >= here.indent {
		return false
	}
	further := around[len(around)-2]
	d := diagnostic(line, here.indent+1, "E-YAML", "%s is indented as far as no key around it", here.name)
	b.say(d.WithHint(
		fmt.Sprintf("indent it as far as %s in line %d, or as %s in line %d", further.name, further.line, last.name, last.line)))
	return true
}

// keysAround are the keys above a line that hold each other, from the one right above it to the first that is indented
// no further than the line; none if the line above is no key.
func keysAround(above []string, indent int) []key {
	const most = 200
	var out []key
	for i := len(above) - 1; i >= 0 && i >= len(above)-most; i-- {
		text := strings.TrimSpace(above[i])
		if text == "" || text[0] == '#' {
			continue
		}
		k, ok := keyAt(above[i], i+1)
		switch {
		case !ok && len(out) == 0 && !strings.HasPrefix(text, "- "):
			return nil
		case !ok || len(out) > 0 && k.indent >= out[len(out)-1].indent:
			continue
		}
		out = append(out, k)
		if k.indent <= indent {
			break
		}
	}
	return out
}
