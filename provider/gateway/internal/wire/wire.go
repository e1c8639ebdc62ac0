// Package wire holds what the gateway's two ends share on the wire: the codec of gRPC messages and the form of errors.
package wire

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/cosmos/cosmos-sdk/codec/unknownproto"
	"github.com/cosmos/gogoproto/proto"
)

// StreamHeader stands in the header of every gRPC stream that was accepted. A refusal can come with a header too, so
// the header alone does not tell.
const StreamHeader = "berth-stream"

// Codec encodes the messages, which gogoproto generates, for gRPC.
type Codec struct {
	// Strict refuses messages with fields that this program does not know, and text that is not UTF-8. The server is strict, as an unknown field
	// might narrow what is asked; a client ignores what newer servers add.
	Strict bool
}

// Raw is a message that a Codec leaves as it came.
type Raw []byte

// Name implements encoding.Codec; it is the content subtype that every gRPC implementation uses.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (Codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a message", v)
	}
	return proto.Marshal(m)
}

// Unmarshal implements encoding.Codec. Whatever the bytes, it returns an error rather than panic.
func (c Codec) Unmarshal(data []byte, v any) error {
	if r, ok := v.(*Raw); ok {
		*r = bytes.Clone(data)
		return nil
	}
	if m, ok := v.(proto.Message); ok {
		m.Reset()
	}
	return c.Merge(data, v)
}

// Merge is Unmarshal that keeps what v holds and data does not.
func (c Codec) Merge(data []byte, v any) (err error) {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("decode %T: not a message", v)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode %T: %v", v, r)
		}
	}()
	if c.Strict {
		// None of the messages holds an Any, so no resolver is needed.
		if err := unknownproto.RejectUnknownFieldsStrict(data, m, nil); err != nil {
			return fmt.Errorf("decode %T: %w", v, err)
		}
	}
	if err := proto.UnmarshalMerge(data, m); err != nil || !c.Strict {
		return err
	}
	if err := checkText(reflect.ValueOf(m)); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
