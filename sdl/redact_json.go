package sdl

import "strings"

// shownJSON are the keys of JSON manifests whose values are shown; their lists as well. What stands below env is never
// shown, nor are commands and scripts, addresses and what requests carry.
var shownJSON = wordSet("name type schedule concurrency_policy maintenance quantity max_parallel min_quantity max_quantity min max plan as scope " +
	"cooldown_period_seconds cooldown_seconds polling_interval_seconds attempts initialDelay listening port scheme timeout uptime wait warn exposed " +
	"service size runtime healthcheck path buildpacks image stack generator required sync minlength maxlength metricType addons")

// closedJSON are the keys below which nothing is shown but keys.
var closedJSON = wordSet("env httpHeaders metadata options")

// jsonLines are the lines of a JSON document as they may be shown: texts and other values are hidden unless their key is
// one whose values are no secrets. It reads what is broken as well as it can.
type jsonLines struct {
	text  string
	out   strings.Builder
	lines []string
	stack []jsonFrame
	key   string // the last text of an object, if a colon follows
	// cut says that something of the line was hidden: nothing after it is shown, so that what is stands in its column.
	cut bool
}

type jsonFrame struct {
	object, closed bool
	key            string // that of the object or list
	value          bool   // what comes next in an object is a value
}

// redactJSON returns the lines of a document.
func redactJSON(source string) []string {
	j := &jsonLines{text: source}
	for j.text != "" {
		j.next()
	}
	return append(j.lines, j.out.String())
}

func (j *jsonLines) top() *jsonFrame {
	if len(j.stack) == 0 {
		j.stack = append(j.stack, jsonFrame{})
	}
	return &j.stack[len(j.stack)-1]
}

// take moves n bytes to the output, or hides them.
func (j *jsonLines) take(n int, show bool) {
	if !j.cut && show {
		j.out.WriteString(j.text[:n])
	} else if !j.cut {
		j.out.WriteString(hidden)
		j.cut = true
	}
	j.text = j.text[n:]
}

// endLine begins the next line.
func (j *jsonLines) endLine() {
	j.lines = append(j.lines, j.out.String())
	j.out.Reset()
	j.cut = false
}

func (j *jsonLines) next() {
	switch c := j.text[0]; {
	case c == '\n':
		j.endLine()
		j.text = j.text[1:]
	case c == '{' || c == '[':
		top := *j.top()
		j.stack = append(j.stack, jsonFrame{object: c == '{', closed: top.closed || closedJSON[j.key], key: j.key})
		j.take(1, true)
	case c == '}' || c == ']':
		if len(j.stack) > 1 {
			j.stack = j.stack[:len(j.stack)-1]
		}
		j.top().value = false
		j.take(1, true)
	case c == ',':
		j.top().value = false
		j.take(1, true)
	case c == ':':
		j.top().value = true
		j.take(1, true)
	case strings.IndexByte(blanks+"\r", c) >= 0:
		j.take(1, true)
	case strings.HasPrefix(j.text, "//"), c == '#':
		j.take(2-strings.Count(j.text[:1], "#"), true)
		j.hideTo(strings.IndexByte(j.text, '\n'))
	case strings.HasPrefix(j.text, "/*"):
		j.comment()
	default:
		j.word()
	}
}

// hideTo hides up to a place, or the rest.
func (j *jsonLines) hideTo(end int) {
	if end < 0 {
		end = len(j.text)
	}
	if end > 0 {
		j.take(end, strings.TrimSpace(j.text[:end]) == "")
	}
}

// comment hides a comment of several lines.
func (j *jsonLines) comment() {
	end := strings.Index(j.text[2:], "*/") + 2
	if end < 2 {
		end = len(j.text)
	} else {
		end += 2
	}
	j.take(2, true)
	for line, more := "", true; more; {
		n := end - 2
		if line, _, more = strings.Cut(j.text[:n], "\n"); !more {
			j.take(n, false)
			return
		}
		j.take(len(line), line == "")
		j.endLine()
		j.text, end = j.text[1:], end-len(line)-1
	}
}

// word is a key, a text or another value.
func (j *jsonLines) word() {
	n := wordEnd(j.text)
	top := j.top()
	rest := strings.TrimLeft(j.text[n:], blanks)
	if top.object && !top.value && strings.HasPrefix(rest, ":") {
		j.key = strings.Trim(j.text[:n], `"'`)
		j.take(n, len(j.key) <= maxExcerpt && !strings.ContainsAny(j.key, "=: "))
		return
	}
	key := top.key
	if top.object {
		key = j.key
	}
	j.take(n, shownJSON[key] && !top.closed && !closedJSON[key])
}

// wordEnd is the length of the text or word at the front. One without its quote ends with its line.
func wordEnd(s string) int {
	if q := s[0]; q == '"' || q == '\'' {
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '\n':
				return i
			case q:
				return i + 1
			}
		}
		return len(s)
	}
	for i := range len(s) {
		if i > 0 && strings.IndexByte("\n\r \t,:{}[]\"'", s[i]) >= 0 {
			return i
		}
	}
	return len(s)
}
