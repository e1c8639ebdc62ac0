// Package simulate replays recorded orders against prices and a cluster: what a provider would have bid, what it would
// have won and earned, and what it would have refused for which reason. It uses the book and the decision of the real
// engine. It is pure but for a pricing program, if the prices have one.
package simulate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	markettypes "berth.dev/berth/x/market/types"
)

// recordingVersion is that of the format of recordings.
const recordingVersion = 1

// Header is the first line of a recording.
type Header struct {
	Recording int    `json:"recording"` // the format's version
	ChainID   string `json:"chain_id"`
	// From and To are the first and the last height. The orders that were open at From stand at From.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// BlockSeconds is the mean time between blocks, as a decimal.
	BlockSeconds string `json:"block_seconds"`
	// Deposits are what a bid deposits, one for each denom.
	Deposits sdk.Coins `json:"deposits"`
}

// Block is the time between blocks.
func (h Header) Block() (time.Duration, error) {
	d, err := time.ParseDuration(h.BlockSeconds + "s")
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("block_seconds %q is not a time between blocks", h.BlockSeconds)
	}
	return d, nil
}

// Event is what happened to an order at a height: it was created or closed, or its lease was made or ended.
type Event struct {
	Height int64
	Msg    proto.Message
}

// Recording is a stretch of the market's history. Its events are in the order in which they happened.
type Recording struct {
	Header
	Events []Event
}

// kinds are the events that recordings hold, by their short names.
var kinds = map[string]func() proto.Message{
	"order_created": func() proto.Message { return &markettypes.EventOrderCreated{} },
	"order_closed":  func() proto.Message { return &markettypes.EventOrderClosed{} },
	"lease_created": func() proto.Message { return &markettypes.EventLeaseCreated{} },
	"lease_closed":  func() proto.Message { return &markettypes.EventLeaseClosed{} },
}

// kindOf is the short name of an event, or empty for one that recordings leave out.
func kindOf(msg proto.Message) string {
	switch msg.(type) {
	case *markettypes.EventOrderCreated:
		return "order_created"
	case *markettypes.EventOrderClosed:
		return "order_closed"
	case *markettypes.EventLeaseCreated:
		return "lease_created"
	case *markettypes.EventLeaseClosed:
		return "lease_closed"
	}
	return ""
}

// line is an event in a file.
type line struct {
	Height int64           `json:"height"`
	Kind   string          `json:"kind"`
	Event  json.RawMessage `json:"event"`
}

// Writer writes a recording, an event a line.
type Writer struct {
	w io.Writer
	// Orders and Leases count what was written.
	Orders, Leases int
}

// NewWriter writes the header.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Recording = recordingVersion
	if err := json.NewEncoder(w).Encode(h); err != nil {
		return nil, fmt.Errorf("write the recording: %w", err)
	}
	return &Writer{w: w}, nil
}

var marshaler = jsonpb.Marshaler{OrigName: true}

// Write adds an event; one of a kind that recordings do not hold is left out.
func (w *Writer) Write(height int64, msg proto.Message) error {
	kind := kindOf(msg)
	switch kind {
	case "":
		return nil
	case "order_created":
		w.Orders++
	case "lease_created":
		w.Leases++
	}
	text, err := marshaler.MarshalToString(msg)
	if err == nil {
		err = json.NewEncoder(w.w).Encode(line{height, kind, json.RawMessage(text)})
	}
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	return nil
}

const (
	// maxLine is longer than any event.
	maxLine = 1 << 20
	// maxEvents bounds the memory that a recording takes.
	maxEvents = 5_000_000
)

// Read reads a recording. Errors name the line.
func Read(name string, in io.Reader) (*Recording, error) {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), maxLine)
	r := &Recording{}
	number := 0
	for s.Scan() {
		number++
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var err error
		if r.Header.Recording == 0 {
			err = r.readHeader(s.Bytes())
		} else {
			err = r.readEvent(s.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes", name, number+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case r.Header.Recording == 0:
		return nil, fmt.Errorf("%s is empty; `berth-provider record` writes recordings", name)
	}
	return r, nil
}

// decode reads one JSON value, without unknown keys and with nothing behind it.
func decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("not a line of a recording: %w", err)
	}
	if dec.More() {
		return errors.New("not a line of a recording: something stands behind it")
	}
	return nil
}

func (r *Recording) readHeader(text []byte) error {
	if err := decode(text, &r.Header); err != nil {
		return err
	}
	if r.Header.Recording != recordingVersion {
		return fmt.Errorf("the first line is not the header of a recording of version %d", recordingVersion)
	}
	if _, err := r.Block(); err != nil {
		return err
	}
	if r.From < 1 || r.To < r.From {
		return fmt.Errorf("heights from %d to %d", r.From, r.To)
	}
	if err := r.Deposits.Validate(); err != nil {
		return fmt.Errorf("deposits: %w", err)
	}
	return nil
}

func (r *Recording) readEvent(text []byte) error {
	var l line
	if err := decode(text, &l); err != nil {
		return err
	}
	empty, ok := kinds[l.Kind]
	if !ok {
		return fmt.Errorf("kind %q is not one of order_created, order_closed, lease_created, lease_closed", l.Kind)
	}
	last := r.From
	if n := len(r.Events); n > 0 {
		last = r.Events[n-1].Height
	}
	if l.Height < last || l.Height > r.To {
		return fmt.Errorf("height %d after %d, in a recording that ends at %d", l.Height, last, r.To)
	}
	if len(r.Events) == maxEvents {
		return fmt.Errorf("more than %d events", maxEvents)
	}
	msg := empty()
	if err := jsonpb.Unmarshal(strings.NewReader(string(l.Event)), msg); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	r.Events = append(r.Events, Event{l.Height, msg})
	return nil
}
