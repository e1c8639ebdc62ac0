// Package badinput makes wrong messages out of right ones, for tests that no message makes a module panic or leaves a
// trace of itself when it is refused.
package badinput

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
)

// huge is longer than any limit of any field.
const huge = 1 << 20

// many is more than any limit of any list.
const many = 10_000

// Each calls try once for each way to spoil one field of a message: numbers at the ends of their ranges, amounts that
// are missing, negative or enormous, texts that are empty, enormous or no text, lists that are empty, doubled or
// enormous, objects without content. build returns a new message that is valid.
func Each[M any](build func() *M, try func(name string, m *M)) {
	var visit func(path []step, v reflect.Value)
	visit = func(path []step, v reflect.Value) {
		for _, c := range changes(v) {
			m := build()
			c.apply(follow(reflect.ValueOf(m).Elem(), path))
			try(name(path)+" "+c.name, m)
		}
		if isNumber(v.Type()) {
			return
		}
		switch {
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() && !strings.HasPrefix(f.Name, "XXX_") {
					visit(append(path[:len(path):len(path)], step{i, f.Name}), v.Field(i))
				}
			}
		case v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem().Kind() != reflect.Uint8:
			visit(append(path[:len(path):len(path)], step{0, "0"}), v.Index(0))
		}
	}
	visit(nil, reflect.ValueOf(build()).Elem())
}

// step leads to a field of a struct, or to an element of a list.
type step struct {
	index int
	name  string
}

func name(path []step) string {
	names := make([]string, len(path))
	for i, s := range path {
		names[i] = s.name
	}
	return strings.Join(names, ".")
}

func follow(v reflect.Value, path []step) reflect.Value {
	for _, s := range path {
		if v.Kind() == reflect.Slice {
			v = v.Index(s.index)
		} else {
			v = v.Field(s.index)
		}
	}
	return v
}

// change is one way to spoil a value.
type change struct {
	name  string
	apply func(reflect.Value)
}

func set(name string, value any) change {
	return change{"= " + name, func(v reflect.Value) { v.Set(reflect.ValueOf(value).Convert(v.Type())) }}
}

var (
	intType = reflect.TypeFor[math.Int]()
	decType = reflect.TypeFor[math.LegacyDec]()
)

func isNumber(t reflect.Type) bool { return t == intType || t == decType }

func changes(v reflect.Value) []change {
	switch {
	case v.Type() == intType:
		cs := []change{set("nothing", math.Int{})}
		for _, n := range numbers() {
			cs = append(cs, set(n.String(), math.NewIntFromBigInt(n)))
		}
		return cs
	case v.Type() == decType:
		cs := []change{set("nothing", math.LegacyDec{}), set("10^-18", math.LegacySmallestDec())}
		for _, n := range numbers() {
			cs = append(cs, set(n.String(), math.LegacyNewDecFromBigInt(n)))
		}
		return cs
	}
	switch v.Kind() {
	case reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return numberChanges(v)
	case reflect.String:
		return []change{
			set("nothing", ""), set("x", "x"), set("a zero byte", "\x00"), set("no UTF-8", "\xff\xfe"), set("huge", strings.Repeat("a", huge)),
			{"in upper case", func(v reflect.Value) { v.SetString(strings.ToUpper(v.String())) }},
			{"and a space", func(v reflect.Value) { v.SetString(v.String() + " ") }},
		}
	case reflect.Slice:
		return listChanges(v)
	case reflect.Struct:
		return []change{{"= nothing", func(v reflect.Value) { v.SetZero() }}}
	}
	return nil
}

// numberChanges are the bounds that a whole number of the field's size can hold.
func numberChanges(v reflect.Value) []change {
	var cs []change
	for _, n := range numbers() {
		if signed := v.CanInt(); signed && n.IsInt64() && !v.OverflowInt(n.Int64()) {
			cs = append(cs, change{"= " + n.String(), func(v reflect.Value) { v.SetInt(n.Int64()) }})
		} else if !signed && n.IsUint64() && !v.OverflowUint(n.Uint64()) {
			cs = append(cs, change{"= " + n.String(), func(v reflect.Value) { v.SetUint(n.Uint64()) }})
		}
	}
	return cs
}

// listChanges are lists and bytes that are absent, doubled or huge.
func listChanges(v reflect.Value) []change {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return []change{
			{"= nothing", func(v reflect.Value) { v.SetBytes(nil) }}, {"= a byte", func(v reflect.Value) { v.SetBytes([]byte{0}) }},
			{"and a byte", func(v reflect.Value) { v.SetBytes(append(v.Bytes(), 0)) }},
			{"less a byte", func(v reflect.Value) { v.SetBytes(v.Bytes()[:max(0, v.Len()-1)]) }},
			{"= huge", func(v reflect.Value) { v.SetBytes(make([]byte, huge)) }},
		}
	}
	return []change{
		{"= nothing", func(v reflect.Value) { v.SetZero() }},
		{"doubled", func(v reflect.Value) { v.Set(reflect.AppendSlice(v, v)) }},
		{fmt.Sprintf("with %d more, empty", many), func(v reflect.Value) { v.Set(reflect.AppendSlice(v, reflect.MakeSlice(v.Type(), many, many))) }},
	}
}

// numbers are those at which ranges end: 0, 1, -1, and about 2^31, 2^32, 2^63, 2^64 and 2^256.
func numbers() []*big.Int {
	ns := []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(-1)}
	for _, bits := range []uint{31, 32, 63, 64} {
		power := new(big.Int).Lsh(big.NewInt(1), bits)
		ns = append(ns, power, new(big.Int).Sub(power, big.NewInt(1)))
	}
	ns = append(ns, new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 63)))
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	return append(ns, most, new(big.Int).Neg(most))
}

// Refused checks the answer to a bad message: no error, or one that a client can tell by its codespace and code, and that
// is short whatever the message held. It returns what is wrong, or nothing.
func Refused(err error) string {
	if err == nil {
		return ""
	}
	space, code, text := errorsmod.ABCIInfo(err, false)
	switch {
	case space == errorsmod.UndefinedCodespace || code <= 1:
		return fmt.Sprintf("the error is not registered: %s", err)
	case len(text) > longest:
		return fmt.Sprintf("the error has %d bytes: %.200s...", len(text), text)
	}
	return ""
}

// longest is more than a sentence about any object takes.
const longest = 1000
