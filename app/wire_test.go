package app_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	cosmosproto "github.com/cosmos/cosmos-proto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// tree is a message taken apart down to its scalars, so that a test can put anything in the place of any field: also
// what no Go type holds, as text that is no UTF-8 or a number of 257 bits.
type tree struct {
	desc   protoreflect.MessageDescriptor
	fields []*leaf
}

// leaf is one occurrence of a field.
type leaf struct {
	desc protoreflect.FieldDescriptor
	// sub is the value of a message field.
	sub *tree
	// raw is the value of any other field as it stands on the wire, without its tag.
	raw []byte
}

// parseTree takes bytes apart.
func parseTree(desc protoreflect.MessageDescriptor, bz []byte) (*tree, error) {
	t := &tree{desc: desc}
	for len(bz) > 0 {
		num, typ, n := protowire.ConsumeTag(bz)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		bz = bz[n:]
		n = protowire.ConsumeFieldValue(num, typ, bz)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		field := &leaf{desc: desc.Fields().ByNumber(num), raw: slices.Clone(bz[:n])}
		if field.desc == nil {
			return nil, fmt.Errorf("%s has no field %d", desc.FullName(), num)
		}
		if field.desc.Kind() == protoreflect.MessageKind {
			content, _ := protowire.ConsumeBytes(bz)
			sub, err := parseTree(field.desc.Message(), content)
			if err != nil {
				return nil, err
			}
			field.sub, field.raw = sub, nil
		}
		t.fields = append(t.fields, field)
		bz = bz[n:]
	}
	return t, nil
}

// bytes puts the message together again.
func (t *tree) bytes() []byte {
	var out []byte
	for _, f := range t.fields {
		switch {
		case f.sub != nil:
			out = protowire.AppendTag(out, f.desc.Number(), protowire.BytesType)
			out = protowire.AppendBytes(out, f.sub.bytes())
		case isText(f.desc):
			out = append(protowire.AppendTag(out, f.desc.Number(), protowire.BytesType), f.raw...)
		default:
			out = append(protowire.AppendTag(out, f.desc.Number(), protowire.VarintType), f.raw...)
		}
	}
	return out
}

func isText(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind
}

// mutation is a message of which one thing was changed.
type mutation struct {
	// path says which field, value what was put there.
	path, value string
	// text is what was put there, where it is text.
	text string
	bz   []byte
}

// input is one value to try.
type input struct {
	name string
	raw  []byte
	text string
}

// number makes the inputs of a number on the wire.
func number(name string, v uint64) input {
	return input{name: name, raw: protowire.AppendVarint(nil, v)}
}

func text(name, v string) input {
	return input{name: name, raw: protowire.AppendString(nil, v), text: v}
}

// overlong is 2^256-1 as a varint: no decoder of 64 bits takes it.
func overlong() input {
	return input{name: "2^256-1", raw: append(slices.Repeat([]byte{0xff}, 36), 0x0f)}
}

func power(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

// bigNumbers are the numbers that are tried in each numeric field.
func bigNumbers() map[string]*big.Int {
	less := func(n uint) *big.Int { return new(big.Int).Sub(power(n), big.NewInt(1)) }
	return map[string]*big.Int{
		"0": big.NewInt(0), "1": big.NewInt(1), "-1": big.NewInt(-1),
		"2^63-1": less(63), "2^63": power(63), "2^256-1": less(256), "2^256": power(256),
	}
}

var bigOrder = []string{"0", "1", "-1", "2^63-1", "2^63", "2^256-1", "2^256"}

// inputs are the values to try in a field. strings are further ones for text, as a stranger's address.
func inputs(f protoreflect.FieldDescriptor, strings_ []input) []input {
	switch scalarOf(f) {
	case "cosmos.Int":
		var out []input
		for _, name := range bigOrder {
			out = append(out, text(name, bigNumbers()[name].String()))
		}
		return append(out, text("empty", ""), text("a fraction", "1.5"), text("letters", "many"), text("a plus", "+1"), text("zeroes", "007"))
	case "cosmos.Dec":
		var out []input
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
		for _, name := range bigOrder {
			n := bigNumbers()[name]
			out = append(out, text(name+"e-18", n.String()))
			if n.Sign() != 0 {
				out = append(out, text(name, new(big.Int).Mul(n, scale).String()))
			}
		}
		return append(out, text("empty", ""), text("a point", "1.5"), text("letters", "many"))
	}
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return append([]input{
			text("empty", ""), text("1 MiB", strings.Repeat("a", 1<<20)), text("not UTF-8", "\xff\xfe\x80"), text("a zero byte", "a\x00b"),
			text("a slash", "a/b"), text("a space", " "),
		}, strings_...)
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.EnumKind:
		return []input{
			number("0", 0), number("1", 1), number("-1", 1<<64-1), number("2^31-1", 1<<31-1), number("2^31", 1<<31), number("2^32-1", 1<<32-1),
			number("2^63-1", 1<<63-1), number("2^63", 1<<63), overlong(),
		}
	default:
		return []input{
			number("0", 0), number("1", 1), number("-1", 1<<64-1), number("2^63-1", 1<<63-1), number("2^63", 1<<63), overlong(),
		}
	}
}

// scalarOf is what a text field holds, by its annotation.
func scalarOf(f protoreflect.FieldDescriptor) string {
	if f.Options() == nil {
		return ""
	}
	// The descriptors come from two registries: the option is a known extension of one and unknown bytes in the other.
	if s, ok := proto.GetExtension(f.Options(), cosmosproto.E_Scalar).(string); ok && s != "" {
		return s
	}
	return ""
}

// mutations are all messages that differ from this one in one place, and the number of fields that differ. empty are
// the fields of messages in which the message has no element, so that what is below them is not tried.
func (t *tree) mutations(strings_ []input) (out []mutation, fields int, empty []string) {
	add := func(path, value, text string) {
		out = append(out, mutation{path: path, value: value, text: text, bz: t.bytes()})
	}
	var walk func(at *tree, path string)
	walk = func(at *tree, path string) {
		all := at.desc.Fields()
		for i := range all.Len() {
			f := all.Get(i)
			name := path + string(f.Name())
			found := at.of(f)
			if f.IsList() {
				fields++
				at.tryLists(f, found, func(value string) { add(name, value, "") })
			}
			if len(found) == 0 && (f.IsList() || f.Kind() == protoreflect.MessageKind) {
				empty = append(empty, name)
				continue
			}
			for n, one := range found {
				sub := name
				if f.IsList() {
					sub = fmt.Sprintf("%s[%d]", name, n)
				}
				if one.sub != nil {
					walk(one.sub, sub+".")
					continue
				}
				fields++
				old := one.raw
				for _, in := range inputs(f, strings_) {
					one.raw = in.raw
					add(sub, in.name, in.text)
				}
				one.raw = old
			}
			if len(found) > 0 {
				continue
			}
			// A scalar that is zero does not stand on the wire.
			fields++
			one := &leaf{desc: f}
			at.fields = append(at.fields, one)
			for _, in := range inputs(f, strings_) {
				one.raw = in.raw
				add(name, in.name, in.text)
			}
			at.fields = at.fields[:len(at.fields)-1]
		}
	}
	walk(t, "")
	return out, fields, empty
}

func (t *tree) of(f protoreflect.FieldDescriptor) []*leaf {
	var out []*leaf
	for _, one := range t.fields {
		if one.desc.Number() == f.Number() {
			out = append(out, one)
		}
	}
	return out
}

// tryLists calls try with the list empty, with its elements twice, and with very many of them.
func (t *tree) tryLists(f protoreflect.FieldDescriptor, found []*leaf, try func(value string)) {
	if len(found) == 0 {
		return
	}
	old := t.fields
	t.fields = slices.DeleteFunc(slices.Clone(old), func(one *leaf) bool { return one.desc.Number() == f.Number() })
	try("none")
	t.fields = append(slices.Clone(old), found[0])
	try("one twice")
	t.fields = append(slices.Clone(old), slices.Repeat(found[:1], 1000)...)
	try("1000 more")
	t.fields = old
}

// decodeItems are the elements of a list of messages in a message's bytes.
func decodeItems(t testing.TB, md protoreflect.MessageDescriptor, field protoreflect.FieldDescriptor, bz []byte) []protoreflect.Message {
	t.Helper()
	msg := dynamicpb.NewMessage(md)
	require.NoError(t, proto.Unmarshal(bz, msg))
	list := msg.Get(field).List()
	var out []protoreflect.Message
	for i := range list.Len() {
		out = append(out, list.Get(i).Message())
	}
	return out
}
