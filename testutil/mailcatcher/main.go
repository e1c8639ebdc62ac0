// Command mailcatcher stands in for Mailpit in local images: it takes mail by SMTP on port 1025 and keeps it, and gives the
// newest first at http://127.0.0.1:8025/api/v1/messages, in the form that Mailpit documents. $MP_SMTP_AUTH is the
// USER:PASSWORD that has to be given (AUTH PLAIN), and $MP_MAX_MESSAGES how many messages are kept.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	smtpAddress, apiAddress = ":1025", "127.0.0.1:8025"
	// maxBytes is the most of a message, silence how long a client may say nothing.
	maxBytes = 1 << 20
	silence  = time.Minute
	// snippet is how much of a text the list shows.
	snippet = 250
)

func main() {
	most, err := strconv.Atoi(os.Getenv("MP_MAX_MESSAGES"))
	if err != nil {
		most = 500
	}
	b := &box{auth: os.Getenv("MP_SMTP_AUTH"), most: most}
	if err := b.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "mailcatcher:", err)
		os.Exit(1)
	}
}

// address and message are as Mailpit writes them.
type address struct{ Name, Address string }

type message struct {
	ID, MessageID     string
	Read              bool
	From              *address
	To, Cc, Bcc       []address
	Subject           string
	Created           time.Time
	Size, Attachments int
	Snippet           string
}

// box holds what was caught, the newest first.
type box struct {
	auth string
	most int

	mu   sync.Mutex
	list []message
}

func (b *box) serve() error {
	in, err := net.Listen("tcp", smtpAddress)
	if err != nil {
		return err
	}
	errs := make(chan error, 2)
	go func() { errs <- b.receive(in) }()
	go func() {
		mux := http.NewServeMux()
		mux.Handle("GET /api/v1/messages", b)
		errs <- (&http.Server{Addr: apiAddress, Handler: mux, ReadHeaderTimeout: silence}).ListenAndServe()
	}()
	return <-errs
}

// ServeHTTP writes the list.
func (b *box) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	list := slices.Clone(b.list)
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // who asked may be gone
		"total": len(list), "unread": len(list), "count": len(list), "messages_count": len(list), "start": 0, "tags": []string{},
		"messages": append([]message{}, list...),
	})
}

func (b *box) receive(in net.Listener) error {
	for {
		conn, err := in.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			s := session{box: b, conn: conn, text: textproto.NewReader(bufio.NewReader(conn))}
			s.run()
		}()
	}
}

// session is one client's.
type session struct {
	box    *box
	conn   net.Conn
	text   *textproto.Reader
	known  bool // who it is
	to     []address
	ending bool
}

func (s *session) say(format string, args ...any) {
	if _, err := fmt.Fprintf(s.conn, format+"\r\n", args...); err != nil {
		s.ending = true
	}
}

func (s *session) run() {
	s.known = s.box.auth == ""
	s.say("220 mail ready")
	for !s.ending {
		if err := s.conn.SetDeadline(time.Now().Add(silence)); err != nil {
			return
		}
		line, err := s.text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		s.command(strings.ToUpper(verb), rest)
	}
}

func (s *session) command(verb, rest string) {
	switch verb {
	case "EHLO":
		s.say("250-mail\r\n250-8BITMIME\r\n250-SIZE %d\r\n250 AUTH PLAIN", maxBytes)
	case "HELO", "NOOP":
		s.say("250 ok")
	case "AUTH":
		s.authenticate(rest)
	case "RSET":
		s.to = nil
		s.say("250 ok")
	case "QUIT":
		s.ending = true
		s.say("221 bye")
	case "MAIL", "RCPT", "DATA":
		if !s.known {
			s.say("530 authentication is required")
			return
		}
		s.mail(verb, rest)
	default:
		s.say("502 not known")
	}
}

func (s *session) authenticate(rest string) {
	kind, encoded, _ := strings.Cut(rest, " ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	parts := strings.Split(string(plain), "\x00")
	if !strings.EqualFold(kind, "PLAIN") || err != nil || len(parts) != 3 || parts[1]+":"+parts[2] != s.box.auth {
		s.say("535 user or password is wrong")
		return
	}
	s.known = true
	s.say("235 ok")
}

func (s *session) mail(verb, rest string) {
	switch verb {
	case "MAIL":
		s.to = nil
	case "RCPT":
		_, to, _ := strings.Cut(rest, ":")
		to, _, _ = strings.Cut(strings.TrimSpace(to), ">")
		s.to = append(s.to, address{Address: strings.TrimPrefix(to, "<")})
	case "DATA":
		if len(s.to) == 0 {
			s.say("503 to whom?")
			return
		}
		s.say("354 go on")
		data, err := io.ReadAll(io.LimitReader(s.text.DotReader(), maxBytes))
		if err != nil {
			s.ending = true
			return
		}
		s.box.keep(data, s.to)
	}
	s.say("250 ok")
}

// keep reads a message and puts it first.
func (b *box) keep(data []byte, to []address) {
	m := message{Created: time.Now().UTC(), Size: len(data), To: []address{}, Cc: []address{}, Bcc: []address{}}
	if parsed, err := mail.ReadMessage(bytes.NewReader(data)); err == nil {
		m.Subject, m.MessageID = parsed.Header.Get("Subject"), strings.Trim(parsed.Header.Get("Message-Id"), "<>")
		if from := addresses(parsed.Header, "From"); len(from) > 0 {
			m.From = &from[0]
		}
		m.To, m.Cc = addresses(parsed.Header, "To"), addresses(parsed.Header, "Cc")
		if text, err := io.ReadAll(parsed.Body); err == nil {
			m.Snippet = strings.Join(strings.Fields(string(text[:min(len(text), snippet)])), " ")
		}
	}
	for _, a := range to { // who is told, and stands nowhere in the message
		same := func(b address) bool { return b.Address == a.Address }
		if !slices.ContainsFunc(m.To, same) && !slices.ContainsFunc(m.Cc, same) {
			m.Bcc = append(m.Bcc, a)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m.ID = fmt.Sprintf("%d-%d", m.Created.UnixNano(), len(b.list))
	b.list = append([]message{m}, b.list[:min(len(b.list), max(b.most-1, 0))]...)
}

func addresses(h mail.Header, key string) []address {
	out := []address{}
	list, err := h.AddressList(key)
	if err != nil {
		return out
	}
	for _, a := range list {
		out = append(out, address{a.Name, a.Address})
	}
	return out
}
