// Package dnstest is a DNS server of TXT records for tests, on loopback.
package dnstest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers questions for TXT records. Its methods may be called from several goroutines.
type Server struct {
	// Addr is where it listens, HOST:PORT, for udp and tcp.
	Addr string

	mu      sync.Mutex
	records map[string][]string
	broken  bool
	asked   int
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{records: map[string][]string{}}
	udp, tcp, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = udp.LocalAddr().String()
	var running sync.WaitGroup
	running.Go(func() { s.packets(udp) })
	running.Go(func() { s.streams(tcp) })
	t.Cleanup(func() {
		if err := errors.Join(udp.Close(), tcp.Close()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return s
}

// Set makes the TXT records of a name; none removes it.
func (s *Server) Set(name string, texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name+"."] = texts
}

// Break makes the server fail all questions, or answer them again.
func (s *Server) Break(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// Asked is how many questions came.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *Server) packets(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := s.answer(buf[:n]); out != nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}

// listen opens one port for both protocols. That of one may be taken for the other: then there are others.
func listen() (udp net.PacketConn, tcp net.Listener, err error) {
	for range 50 {
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp, nil
		}
		err = errors.Join(err, udp.Close())
	}
	return nil, nil, err
}

func (s *Server) streams(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.stream(conn)
	}
}

func (s *Server) stream(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	in := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, in); err != nil {
		return
	}
	out := s.answer(in)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
}

func (s *Server) answer(in []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(in) != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: m.Questions}
	texts := s.records[q.Name.String()]
	switch {
	case s.broken:
		out.RCode = dnsmessage.RCodeServerFailure
	case len(texts) == 0:
		out.RCode = dnsmessage.RCodeNameError
	default:
		for _, text := range texts {
			out.Answers = append(out.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   &dnsmessage.TXTResource{TXT: []string{text}},
			})
		}
	}
	data, err := out.Pack()
	if err != nil {
		return nil
	}
	return data
}
