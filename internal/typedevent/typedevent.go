// Package typedevent turns typed events into the SDK's events, byte for byte as sdk.TypedEventToEvent does. The SDK writes
// the message as JSON by parsing its struct tags anew, then parses that JSON to split it into attributes, which made up a
// third of what a bid or a deployment costs; here each type is looked at once.
package typedevent

import (
	"cmp"
	"context"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Emit emits a typed event.
func Emit(ctx context.Context, ev proto.Message) error {
	event, err := Encode(ev)
	if err != nil {
		return err
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(event)
	return nil
}

// Encode returns what sdk.TypedEventToEvent returns.
func Encode(ev proto.Message) (sdk.Event, error) {
	v := reflect.ValueOf(ev)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return sdk.TypedEventToEvent(ev)
	}
	p := planOf(v.Type().Elem())
	if p == nil {
		return sdk.TypedEventToEvent(ev)
	}
	event := sdk.Event{Type: proto.MessageName(ev), Attributes: make([]abci.EventAttribute, len(p.sorted))}
	for i, f := range p.sorted {
		bz, err := f.write(nil, v.Elem().Field(f.index))
		if err != nil {
			return sdk.Event{}, fmt.Errorf("encode %s of %s: %w", f.name, event.Type, err)
		}
		event.Attributes[i] = abci.EventAttribute{Key: f.name, Value: string(bz)}
	}
	return event, nil
}

// writer appends a value's JSON.
type writer func(out []byte, v reflect.Value) ([]byte, error)

type field struct {
	name  string
	index int
	write writer
}

// plan is how a message is written: its fields in the order of the Go type, and of their names.
type plan struct{ fields, sorted []field }

// plans holds the plan of each type, nil for those that are left to the SDK.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := makePlan(t)
	plans.Store(t, p)
	return p
}

var (
	jsonpbMarshaler = reflect.TypeFor[jsonpb.JSONPBMarshaler]()
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	message         = reflect.TypeFor[proto.Message]()
	wellKnown       = reflect.TypeFor[interface{ XXX_WellKnownType() string }]()
	integer         = reflect.TypeFor[math.Int]()
	decimal         = reflect.TypeFor[math.LegacyDec]()
)

// makePlan returns nil for a message that has what no event of ours has: a map, a oneof, a float, a well-known type.
func makePlan(t reflect.Type) *plan {
	if ptr := reflect.PointerTo(t); t.Kind() != reflect.Struct || !ptr.Implements(message) || ptr.Implements(jsonpbMarshaler) || ptr.Implements(wellKnown) {
		return nil
	}
	p := &plan{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("protobuf_oneof") != "" {
			return nil
		}
		tag := f.Tag.Get("protobuf")
		if tag == "" || strings.HasPrefix(f.Name, "XXX_") {
			continue
		}
		name, enum := parseTag(tag)
		write := writerOf(f.Type, enum)
		if write == nil || name == "" {
			return nil
		}
		p.fields = append(p.fields, field{name: name, index: i, write: write})
	}
	p.sorted = slices.SortedFunc(slices.Values(p.fields), func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return p
}

func parseTag(tag string) (name string, enum bool) {
	for part := range strings.SplitSeq(tag, ",") {
		if n, ok := strings.CutPrefix(part, "name="); ok {
			name = n
		}
		enum = enum || strings.HasPrefix(part, "enum=")
	}
	return name, enum
}

// writerOf chooses how a type is written, in the order in which jsonpb looks; nil means that it is not known here.
func writerOf(t reflect.Type, enum bool) writer {
	switch {
	case t.Kind() == reflect.Pointer:
		return pointer(writerOf(t.Elem(), enum))
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return list(writerOf(t.Elem(), enum))
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[time.Duration](), t.Implements(wellKnown):
		return nil
	case enum:
		return enumeration(t)
	case t.Kind() == reflect.Struct:
		return structure(t)
	case t.Implements(jsonMarshaler), t.Implements(textMarshaler):
		return nil
	}
	return scalar(t)
}

func pointer(write writer) writer {
	if write == nil {
		return nil
	}
	return func(out []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return append(out, "null"...), nil
		}
		return write(out, v.Elem())
	}
}

func list(write writer) writer {
	if write == nil {
		return nil
	}
	return func(out []byte, v reflect.Value) (_ []byte, err error) {
		out = append(out, '[')
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = write(out, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	}
}

func enumeration(t reflect.Type) writer {
	if t.Kind() != reflect.Int32 || !t.Implements(reflect.TypeFor[fmt.Stringer]()) || t.Implements(jsonMarshaler) {
		return nil
	}
	return func(out []byte, v reflect.Value) ([]byte, error) {
		name := v.Interface().(fmt.Stringer).String()
		if name == strconv.FormatInt(v.Int(), 10) { // a value without a name is a number
			return append(out, name...), nil
		}
		return append(append(append(out, '"'), name...), '"'), nil
	}
}

func structure(t reflect.Type) writer {
	switch {
	case t == integer:
		return func(out []byte, v reflect.Value) ([]byte, error) {
			if n := v.Interface().(math.Int); !n.IsNil() {
				return append(append(append(out, '"'), n.String()...), '"'), nil
			}
			return marshaled(out, v)
		}
	case t == decimal:
		return func(out []byte, v reflect.Value) ([]byte, error) {
			if d := v.Interface().(math.LegacyDec); !d.IsNil() {
				return append(append(append(out, '"'), d.String()...), '"'), nil
			}
			return marshaled(out, v)
		}
	case t.Implements(jsonMarshaler):
		return marshaled
	}
	p := makePlan(t)
	if p == nil {
		return nil
	}
	return p.write
}

// marshaled writes a value as it says itself.
func marshaled(out []byte, v reflect.Value) ([]byte, error) {
	bz, err := v.Interface().(json.Marshaler).MarshalJSON()
	return append(out, bz...), err
}

// write appends a nested message.
func (p *plan) write(out []byte, v reflect.Value) (_ []byte, err error) {
	out = append(out, '{')
	for i, f := range p.fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), f.name...), `":`...)
		if out, err = f.write(out, v.Field(f.index)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// scalar writes what has no parts. Numbers of 64 bits are strings in JSON.
func scalar(t reflect.Type) writer {
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return func(out []byte, v reflect.Value) ([]byte, error) { return strconv.AppendBool(out, v.Bool()), nil }
	case reflect.Int32:
		return func(out []byte, v reflect.Value) ([]byte, error) { return strconv.AppendInt(out, v.Int(), 10), nil }
	case reflect.Uint32:
		return func(out []byte, v reflect.Value) ([]byte, error) { return strconv.AppendUint(out, v.Uint(), 10), nil }
	case reflect.Int64:
		return func(out []byte, v reflect.Value) ([]byte, error) {
			return append(strconv.AppendInt(append(out, '"'), v.Int(), 10), '"'), nil
		}
	case reflect.Uint64:
		return func(out []byte, v reflect.Value) ([]byte, error) {
			return append(strconv.AppendUint(append(out, '"'), v.Uint(), 10), '"'), nil
		}
	case reflect.Slice: // of bytes
		return func(out []byte, v reflect.Value) ([]byte, error) {
			if v.IsNil() {
				return append(out, "null"...), nil
			}
			return append(base64.StdEncoding.AppendEncode(append(out, '"'), v.Bytes()), '"'), nil
		}
	}
	return nil
}

// text writes a string: as it is if JSON lets it be, else with the escapes of encoding/json.
func text(out []byte, v reflect.Value) ([]byte, error) {
	s := v.String()
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			bz, err := json.Marshal(s)
			return append(out, bz...), err
		}
	}
	return append(append(append(out, '"'), s...), '"'), nil
}
