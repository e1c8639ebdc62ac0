package sdl

import "strings"

// What diagnostics show of a document's lines must not give away a secret. A broken document has no tree that would say
// which line belongs to what, so each line is judged by its own words and by the keys above it: a value is shown if its
// key is a word of the language whose values are no secrets, or a name of the document's own below such a word. Nothing
// is shown below env, credentials, args and command, of other keys' values, of comments, and after an equals sign.

// openWords are the keys whose values are shown.
var openWords = wordSet("version services profiles deployment endpoints reclamation compute placement image expose port as accept proto to " +
	"service global ip http_options max_body_size read_timeout send_timeout next_tries next_timeout next_cases proxy_buffer_size h2c " +
	"depends-on dependencies params storage mount readOnly permissions read tee resources cpu memory disk gpu units size attributes " +
	"arch class persistent vendor model ram interface pricing denom amount signedBy allOf anyOf profile count kind min_window include " +
	"env-file env_file file secret name " +
	// Words that are used for others.
	"protocol hosts ports replicas instances quantity gpus cpus mem deploy deployments placements prices price readonly")

// openMaps are the keys below which names of the document's own have values that are shown; not within services, where
// a service may be called so.
var openMaps = wordSet("attributes pricing compute placement deployment signedBy endpoints")

// openLists are the keys whose lists are shown.
var openLists = wordSet("accept to include depends-on dependencies next_cases env-file env_file read allOf anyOf")

// closedWords are the keys below which nothing is shown. Some are no words of the language, but used for one.
var closedWords = wordSet("env environment args arguments command cmd entrypoint credentials password value secrets")

func wordSet(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}

// holder is a key with a mapping or list that a line may be part of.
type holder struct {
	indent   int
	key      string
	services bool // it is services, or stands below it
	closed   bool // it is one of closedWords, or stands below one
}

func (h holder) below(indent int, key string) holder {
	return holder{indent, key, h.services || key == "services", h.closed || closedWords[key]}
}

// shows tells whether a value is shown: that of a key, or an entry of a list for an empty key.
func (h holder) shows(key string) bool {
	switch {
	case h.closed || closedWords[key]:
		return false
	case key == "":
		return openLists[h.key]
	}
	return openWords[key] || openMaps[h.key] && !h.services
}

// redactor reads the lines of a document in their order.
type redactor struct{ keys []holder }

const (
	blanks = " \t"
	hidden = "..."
)

// line returns what may be shown of the next line.
func (r *redactor) line(text string) string {
	body := strings.TrimLeft(text, blanks)
	indent := len(text) - len(body)
	entry := false
	for body == "-" || strings.HasPrefix(body, "- ") {
		// An entry may stand as far left as the key of its list.
		r.leave(indent + 1)
		rest := strings.TrimLeft(body[1:], blanks)
		indent += len(body) - len(rest)
		body, entry = rest, true
	}
	key, rest, ok := cutKey(body)
	if !ok {
		if !entry {
			r.leave(indent)
		}
		return text[:len(text)-len(body)] + r.plain(body, entry)
	}
	r.leave(indent)
	at := r.top()
	if i := strings.IndexAny(key[min(1, len(key)):], ":=\"'{["); i >= 0 { // a space or a quote is missing
		return text[:len(text)-len(body)] + key[:i+1] + hidden
	}
	r.keys = append(r.keys, at.below(indent, key))
	return text[:len(text)-len(rest)] + r.value(at, key, rest)
}

// leave forgets the keys that a line of an indentation does not stand below.
func (r *redactor) leave(indent int) {
	for len(r.keys) > 0 && r.keys[len(r.keys)-1].indent >= indent {
		r.keys = r.keys[:len(r.keys)-1]
	}
}

func (r *redactor) top() holder {
	if len(r.keys) == 0 {
		return holder{}
	}
	return r.keys[len(r.keys)-1]
}

// plain is what is shown of a line without a key: an entry of a list, a part of something in brackets, or a mistake.
func (r *redactor) plain(body string, entry bool) string {
	switch {
	case strings.Trim(body, "{}[],-. \t") == "":
		return body
	case body[0] == '{' || body[0] == '[':
		return r.flow(r.top(), body)
	case entry && r.top().shows(""):
		return uncommented(body)
	case entry && strings.Contains(body, "="):
		return name(body)
	}
	// A colon may be missing, or the space after it.
	if i := strings.IndexAny(body, " :"); i > 0 && openWords[body[:i]] && !r.top().closed {
		return uncommented(body)
	}
	return hidden
}

// value is what is shown of the text after a key and its colon.
func (r *redactor) value(at holder, key, rest string) string {
	body := strings.TrimLeft(rest, blanks)
	space := rest[:len(rest)-len(body)]
	switch {
	case body == "":
		return rest
	case body[0] == '{' || body[0] == '[':
		return space + r.flow(r.top(), body)
	case at.shows(key):
		return space + uncommented(body)
	}
	return space + hidden
}

// flow is what is shown of mappings and lists in brackets: all up to the first value that is not shown. If they go on in
// the next line, and that could be a part of something closed, it will not be shown either.
func (r *redactor) flow(at holder, text string) string {
	frames, key := []holder{at}, ""
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t,", c) >= 0:
			if c == ',' {
				key = ""
			}
			i++
		case c == '{' || c == '[':
			inner := frames[len(frames)-1]
			if key != "" {
				inner = inner.below(0, key)
			}
			frames, key = append(frames, inner), ""
			i++
		case c == '}' || c == ']':
			if len(frames) > 1 {
				frames = frames[:len(frames)-1]
			}
			key = ""
			i++
		default:
			word, end, isKey := flowWord(text, i)
			top := frames[len(frames)-1]
			if isKey {
				key = word
			} else if !top.shows(key) {
				r.closeIf(top.closed || closedWords[key])
				return text[:i] + hidden
			}
			i = end
		}
	}
	r.closeIf(frames[len(frames)-1].closed || closedWords[key])
	return text
}

// closeIf closes what the lines to come stand below.
func (r *redactor) closeIf(closed bool) {
	if len(r.keys) > 0 && closed {
		r.keys[len(r.keys)-1].closed = true
	}
}

// flowWord reads a word within brackets: a key, which a colon follows, or a value.
func flowWord(text string, start int) (word string, end int, isKey bool) {
	if c := text[start]; c == '"' || c == '\'' {
		if n := strings.IndexByte(text[start+1:], c); n >= 0 {
			word, end = text[start+1:start+1+n], start+n+2
		} else {
			word, end = text[start+1:], len(text)
		}
	} else {
		end = start
		for end < len(text) && strings.IndexByte(",{}[]", text[end]) < 0 && !colonAt(text, end) {
			end++
		}
		word = strings.TrimRight(text[start:end], blanks)
	}
	if end < len(text) && text[end] == ':' {
		return word, end + 1, true
	}
	return word, max(end, start+1), false
}

// colonAt tells whether a colon that ends a key stands at i.
func colonAt(text string, i int) bool {
	return text[i] == ':' && (i+1 == len(text) || strings.IndexByte(" \t,{}[]", text[i+1]) >= 0)
}

// cutKey splits the text of a line after the colon of the key that it starts with.
func cutKey(body string) (key, rest string, ok bool) {
	if body == "" || strings.IndexByte("#{}[],&*!|>%@`", body[0]) >= 0 {
		return "", "", false
	}
	if c := body[0]; c == '"' || c == '\'' {
		n := strings.IndexByte(body[1:], c)
		if n < 0 || !colonAt(body+" ", min(n+2, len(body))) {
			return "", "", false
		}
		return body[1 : n+1], body[n+3:], true
	}
	for i := range len(body) {
		if colonAt(body, i) {
			return strings.TrimRight(body[:i], blanks), body[i+1:], true
		}
	}
	return "", "", false
}

// uncommented leaves out a comment, and what follows an equals sign.
func uncommented(s string) string {
	if i := strings.Index(s, " #"); i >= 0 {
		return name(s[:i]) + " #" + hidden
	}
	return name(s)
}

// name cuts off what follows an equals sign: it may be the value of an environment variable. Nothing that is shown
// otherwise needs the sign.
func name(s string) string {
	if before, value, ok := strings.Cut(s, "="); ok && value != "" {
		return before + "=" + hidden
	}
	return s
}
