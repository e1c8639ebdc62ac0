// Package link makes `service` with `global: true` true across datacenters: a service of one group reaches a service of
// another group of the same deployment, which another provider may run. The consuming side takes connections at an
// address of its own for each port that a lease may use elsewhere; the serving side, which answers on the gateway's port
// by its own name of TLS's protocol negotiation, checks each of them against the chain and the accepted manifest before
// it leads to an instance. docs/spec/link.md describes the protocol.
package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"berth.dev/berth/manifest"
	markettypes "berth.dev/berth/x/market/types"
)

// Protocol is the name by which TLS's protocol negotiation tells links from the gateway's own clients.
const Protocol = "berth-link/1"

// Kind is what a stream is for.
type Kind uint8

// The kinds of streams.
const (
	// Ask asks whether a connection would be taken, and makes none.
	Ask Kind = iota + 1
	// TCP carries the bytes of one connection.
	TCP
	// UDP carries the datagrams between one client and one instance.
	UDP
)

// String names the kind for metrics.
func (k Kind) String() string {
	switch k {
	case Ask:
		return "ask"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	default:
		return "unknown"
	}
}

// Header begins a stream: which service of which lease wants to reach which.
type Header struct {
	Kind           Kind
	Source, Target markettypes.LeaseID
	From, To       string
	// Port is the port that clients use, `as` of the target's expose.
	Port uint16
}

const (
	version = 1
	// maxHeader is the most bytes of a header after its length.
	maxHeader = 1 + 1 + 2 + 4*(1+255)
	// maxText is the most bytes of text in an answer.
	maxText = 512
	// maxDatagram is the most bytes of a datagram: what UDP over IPv4 can carry.
	maxDatagram = 65507
)

// errMalformed is the root of what a decoder refuses.
var errMalformed = errors.New("malformed")

// appendHeader appends the form of a header on the wire, with its length before it.
func appendHeader(b []byte, h Header) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, version, byte(h.Kind))
	b = binary.BigEndian.AppendUint16(b, h.Port)
	for _, s := range []string{h.Source.String(), h.From, h.Target.String(), h.To} {
		if len(s) > 255 {
			return nil, fmt.Errorf("link: %.40q... has %d bytes, at most 255 can be sent", s, len(s))
		}
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-2)) //nolint:gosec // at most maxHeader
	return b, nil
}

// readHeader reads a header from the beginning of a stream.
func readHeader(r io.Reader) (Header, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return Header{}, fmt.Errorf("link: read the length of a header: %w", err)
	}
	size := binary.BigEndian.Uint16(n[:])
	if size > maxHeader {
		return Header{}, fmt.Errorf("link: a header of %d bytes: %w", size, errMalformed)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return Header{}, fmt.Errorf("link: read a header: %w", err)
	}
	return parseHeader(b)
}

// parseHeader is strict: what it takes has one form only, which appendHeader gives.
func parseHeader(b []byte) (h Header, err error) {
	if len(b) < 4 || b[0] != version || Kind(b[1]) < Ask || Kind(b[1]) > UDP {
		return h, fmt.Errorf("link: a header of an unknown version or kind: %w", errMalformed)
	}
	h.Kind, h.Port = Kind(b[1]), binary.BigEndian.Uint16(b[2:])
	b = b[4:]
	var parts [4]string
	for i := range parts {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return h, fmt.Errorf("link: a header that ends too soon: %w", errMalformed)
		}
		parts[i], b = string(b[1:1+int(b[0])]), b[1+int(b[0]):]
	}
	if len(b) > 0 || h.Port == 0 || !manifest.IsServiceName(parts[1]) || !manifest.IsServiceName(parts[3]) {
		return h, fmt.Errorf("link: a header with more at its end, no port or no services: %w", errMalformed)
	}
	h.From, h.To = parts[1], parts[3]
	if h.Source, err = parseLease(parts[0]); err != nil {
		return h, err
	}
	h.Target, err = parseLease(parts[2])
	return h, err
}

func parseLease(s string) (markettypes.LeaseID, error) {
	id, err := markettypes.ParseBidID(s)
	if err != nil || id.String() != s {
		return markettypes.LeaseID{}, fmt.Errorf("link: %q is not the id of a lease: %w", s, errMalformed)
	}
	return id, nil
}

// Code says what becomes of a stream.
type Code uint8

// The codes. They are a part of the protocol.
const (
	// OK means that the stream is open; its bytes or datagrams follow.
	OK Code = iota
	// Malformed: the header is none that is known here.
	Malformed
	// NotPeer: the caller's TLS key is none of those of the provider that holds the source lease.
	NotPeer
	// WrongProvider: the target lease is another provider's.
	WrongProvider
	// UnknownLease: the chain has no such lease in the deployment.
	UnknownLease
	// Closed and Suspended are what the source or the target lease is.
	Closed
	Suspended
	// OtherDeployment: the two leases are not of one deployment.
	OtherDeployment
	// NotAllowed: the manifest of the target does not let the source service connect.
	NotAllowed
	// NotReady: no instance takes connections now, or there is no manifest yet.
	NotReady
	// Unreachable: instances are ready, but the provider does not reach them.
	Unreachable
	// TooMany: a limit of the lease is reached.
	TooMany
	// Unavailable: chain or cluster cannot be read, so that nothing is known.
	Unavailable
	lastCode = Unavailable
)

var codeNames = [...]string{
	"ok", "malformed", "not_peer", "wrong_provider", "unknown_lease", "closed", "suspended", "other_deployment",
	"not_allowed", "not_ready", "unreachable", "too_many", "unavailable",
}

// String names the code for logs and metrics.
func (c Code) String() string {
	if c > lastCode {
		return "unknown"
	}
	return codeNames[c]
}

// Refusal is why a stream was not opened.
type Refusal struct {
	Code Code
	Text string
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Text == "" {
		return "link: " + r.Code.String()
	}
	return "link: " + r.Code.String() + ": " + r.Text
}

// Is makes refusals of one code equal.
func (r *Refusal) Is(target error) bool {
	var other *Refusal
	return errors.As(target, &other) && other.Code == r.Code
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// appendAnswer appends what the serving side says to a header.
func appendAnswer(b []byte, code Code, text string) []byte {
	if len(text) > maxText {
		text = text[:maxText]
	}
	b = append(b, byte(code))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text))) //nolint:gosec // at most maxText
	return append(b, text...)
}

// readAnswer returns nil if the stream is open, or a *Refusal.
func readAnswer(r io.Reader) error {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("link: read the answer: %w", err)
	}
	code, size := Code(head[0]), binary.BigEndian.Uint16(head[1:])
	if code > lastCode || size > maxText {
		return fmt.Errorf("link: an answer of code %d with %d bytes: %w", code, size, errMalformed)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return fmt.Errorf("link: read the answer: %w", err)
	}
	if code == OK {
		return nil
	}
	return &Refusal{Code: code, Text: printable(text)}
}

// printable keeps what another provider says from doing anything to a terminal or a log.
func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}

// appendDatagram appends a datagram with its length before it.
func appendDatagram(b, datagram []byte) ([]byte, error) {
	if len(datagram) > maxDatagram {
		return nil, fmt.Errorf("link: a datagram of %d bytes: %w", len(datagram), errMalformed)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(datagram))) //nolint:gosec // at most maxDatagram
	return append(b, datagram...), nil
}

// readDatagram reads a datagram into buf, which has room for maxDatagram bytes. io.EOF is the end between two datagrams.
func readDatagram(r io.Reader, buf []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err //nolint:wrapcheck // io.EOF must stay itself
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxDatagram {
		return 0, fmt.Errorf("link: a datagram of %d bytes: %w", n, errMalformed)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		if errors.Is(err, io.EOF) { // nothing of what was announced came: that is no end between two datagrams
			err = io.ErrUnexpectedEOF
		}
		return 0, fmt.Errorf("link: read a datagram: %w", err)
	}
	return n, nil
}
