package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Rendering a lease converts about ten objects for each service, and the general converter spends most of its time on
// finding out anew what the fields of a type are. Here that is found out once for each type, and the JSON that is hashed
// is written on the way. What comes out is what the general converter and encoding/json give, without nulls.

// converter gives a value as JSON would hold it (maps, lists, strings, int64, float64, booleans), and appends its JSON
// to b. For nothing it gives nil and appends nothing.
type converter func(e *encoder, v reflect.Value, b []byte) (any, []byte, error)

var converters sync.Map // of reflect.Type to converter

// unstructuredOf converts an object but for its status, and appends its JSON to b: byte for byte what json.Marshal gives
// for the map, as hashes of it stand in clusters.
func unstructuredOf(o runtime.Object, b []byte) (map[string]any, []byte, error) {
	return (&encoder{}).unstructured(o, b)
}

// encoder converts the objects of one rendering.
type encoder struct {
	// shared are the maps of texts that stand in many of them, by their addresses: they are converted once, and what comes
	// out stands in all of them. Nobody changes it there.
	shared map[uintptr]converted
	// values are others that are equal in many places.
	values map[any]converted
}

// converted is a map of texts as JSON holds it.
type converted struct {
	value map[string]any
	text  []byte
}

// share converts a map that is to stand in many objects.
func (e *encoder) share(m map[string]string) {
	if e.shared == nil {
		e.shared = map[uintptr]converted{}
	}
	value, text := convertStrings(m, nil)
	e.shared[reflect.ValueOf(m).Pointer()] = converted{value, text}
}

// unstructured is unstructuredOf.
func (e *encoder) unstructured(o runtime.Object, b []byte) (map[string]any, []byte, error) {
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, nil, errors.New("not a pointer to a struct")
	}
	t := v.Elem().Type()
	plan, ok := wholes.Load(t)
	if !ok {
		plan = slices.DeleteFunc(fieldsOf(t), func(f field) bool { return f.name == "status" })
		wholes.Store(t, plan)
	}
	return convertFields(e, v.Elem(), plan.([]field), b)
}

// wholes are the fields of types of objects, without the status; of reflect.Type to []field.
var wholes sync.Map

func converterOf(t reflect.Type) converter {
	if c, ok := converters.Load(t); ok {
		return c.(converter)
	}
	c := newConverter(t)
	converters.Store(t, c)
	return c
}

var marshaler = reflect.TypeFor[json.Marshaler]()

func newConverter(t reflect.Type) converter {
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return convertQuantity
	case reflect.TypeFor[intstr.IntOrString]():
		return convertIntOrString
	case reflect.TypeFor[metav1.LabelSelector]():
		return selectorConverter(kindConverter(t))
	case reflect.TypeFor[networkingv1.NetworkPolicyPort]():
		return portConverter(kindConverter(t))
	case reflect.TypeFor[metav1.Time]():
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			if v.IsZero() {
				return nil, b, nil
			}
			return viaJSON(e, v, b)
		}
	}
	if t.Kind() != reflect.Pointer && (t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)) {
		return viaJSON
	}
	return kindConverter(t)
}

func convertQuantity(_ *encoder, v reflect.Value, b []byte) (any, []byte, error) {
	q := v.Interface().(resource.Quantity)
	s := q.String()
	return s, appendText(b, s), nil
}

func convertIntOrString(_ *encoder, v reflect.Value, b []byte) (any, []byte, error) {
	var p intstr.IntOrString
	if v.CanAddr() {
		p = *v.Addr().Interface().(*intstr.IntOrString)
	} else {
		p = v.Interface().(intstr.IntOrString)
	}
	if p.Type == intstr.String {
		return p.StrVal, appendText(b, p.StrVal), nil
	}
	return int64(p.IntVal), strconv.AppendInt(b, int64(p.IntVal), 10), nil
}

// selectorConverter gives the selectors of a shared map of labels one value.
func selectorConverter(plain converter) converter {
	return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
		labels := v.FieldByName("MatchLabels")
		if _, ok := e.shared[labels.Pointer()]; !ok || v.FieldByName("MatchExpressions").Len() > 0 {
			return plain(e, v, b)
		}
		return e.once(labels.Pointer(), plain, v, b)
	}
}

// portConverter gives equal ports of policies one value.
func portConverter(plain converter) converter {
	return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
		if !v.CanAddr() {
			return plain(e, v, b)
		}
		p := v.Addr().Interface().(*networkingv1.NetworkPolicyPort)
		if p.Port == nil || p.Protocol == nil || p.EndPort != nil {
			return plain(e, v, b)
		}
		return e.once(policyPortKey{*p.Port, *p.Protocol}, plain, v, b)
	}
}

type policyPortKey struct {
	port  intstr.IntOrString
	proto corev1.Protocol
}

// once converts the first of equal values, by a key, and gives what came of it for all of them. Nobody changes it.
func (e *encoder) once(key any, plain converter, v reflect.Value, b []byte) (any, []byte, error) {
	if s, ok := e.values[key]; ok {
		return s.value, append(b, s.text...), nil
	}
	before := len(b)
	out, b, err := plain(e, v, b)
	m, ok := out.(map[string]any)
	if err != nil || !ok {
		return out, b, err
	}
	if e.values == nil {
		e.values = map[any]converted{}
	}
	e.values[key] = converted{m, slices.Clone(b[before:])}
	return out, b, nil
}

// viaJSON converts a value of a type that has a form of its own.
func viaJSON(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	data, err := json.Marshal(p.Interface())
	if err != nil {
		return nil, nil, err
	}
	var out any
	if err := utiljson.Unmarshal(data, &out); err != nil {
		return nil, nil, err
	}
	if out == nil {
		return nil, b, nil
	}
	if data, err = json.Marshal(out); err != nil {
		return nil, nil, err
	}
	return out, append(b, data...), nil
}

func kindConverter(t reflect.Type) converter {
	switch t.Kind() {
	case reflect.Bool:
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			return v.Bool(), strconv.AppendBool(b, v.Bool()), nil
		}
	case reflect.String:
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			return v.String(), appendText(b, v.String()), nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			return v.Int(), strconv.AppendInt(b, v.Int(), 10), nil
		}
	case reflect.Pointer:
		return pointerConverter(t)
	case reflect.Slice:
		return sliceConverter(t)
	case reflect.Map:
		return mapConverter(t)
	case reflect.Struct:
		// The fields are looked at when the first value comes: a type may hold itself.
		fields := sync.OnceValue(func() []field { return fieldsOf(t) })
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			return convertFields(e, v, fields(), b)
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return viaJSON
	}
	return func(*encoder, reflect.Value, []byte) (any, []byte, error) {
		return nil, nil, fmt.Errorf("values of type %s cannot be converted", t)
	}
}

// elem is the converter of what a type is made of, found when the first value comes: a type may hold itself.
func elem(t reflect.Type) func() converter {
	return sync.OnceValue(func() converter { return converterOf(t.Elem()) })
}

func pointerConverter(t reflect.Type) converter {
	of := elem(t)
	return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
		if v.IsNil() {
			return nil, b, nil
		}
		return of()(e, v.Elem(), b)
	}
}

func sliceConverter(t reflect.Type) converter {
	if t.Elem().Kind() == reflect.Uint8 {
		return func(e *encoder, v reflect.Value, b []byte) (any, []byte, error) {
			if v.IsNil() {
				return nil, b, nil
			}
			s := base64.StdEncoding.EncodeToString(v.Bytes())
			return s, append(append(append(b, '"'), s...), '"'), nil
		}
	}
	of := elem(t)
	return func(e *encoder, v reflect.Value, b []byte) (_ any, _ []byte, err error) {
		if v.IsNil() {
			return nil, b, nil
		}
		each, out := of(), make([]any, v.Len())
		b = append(b, '[')
		for i := range out {
			if i > 0 {
				b = append(b, ',')
			}
			if out[i], b, err = each(e, v.Index(i), b); err != nil {
				return nil, nil, fmt.Errorf("[%d]: %w", i, err)
			}
			if out[i] == nil {
				b = append(b, "null"...)
			}
		}
		return out, append(b, ']'), nil
	}
}

func mapConverter(t reflect.Type) converter {
	of := elem(t)
	return func(e *encoder, v reflect.Value, b []byte) (_ any, _ []byte, err error) {
		if v.IsNil() {
			return nil, b, nil
		}
		if m, ok := v.Interface().(map[string]string); ok {
			if s, ok := e.shared[v.Pointer()]; ok {
				return s.value, append(b, s.text...), nil
			}
			out, b := convertStrings(m, b)
			return out, b, nil
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		each, out := of(), make(map[string]any, len(keys))
		b = append(b, '{')
		for _, k := range keys {
			if b, err = e.member(out, b, k.String(), appendText(nil, k.String()), each, v.MapIndex(k)); err != nil {
				return nil, nil, err
			}
		}
		return out, append(b, '}'), nil
	}
}

func convertStrings(m map[string]string, b []byte) (map[string]any, []byte) {
	var room [12]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make(map[string]any, len(m))
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		out[k] = m[k]
		b = appendText(append(appendText(b, k), ':'), m[k])
	}
	return out, append(b, '}')
}

// member adds a member to an object and to its JSON, which ends with an opening brace or another member; nothing is left
// out. key is the JSON of its name.
func (e *encoder) member(out map[string]any, b []byte, name string, key []byte, convert converter, v reflect.Value) ([]byte, error) {
	before := len(b)
	if b[before-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(b, key...), ':')
	got, b, err := convert(e, v, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if got == nil {
		return b[:before], nil
	}
	out[name] = got
	return b, nil
}

// field is how one field of a struct is converted. Those of embedded structs stand among the others.
type field struct {
	path                []int
	name                string
	key                 []byte // JSON of the name
	omitEmpty, omitZero bool
	convert             converter
}

// fieldsOf are the fields of a struct in the order of their names.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
			continue
		case name == "" && f.Type.Kind() == reflect.Struct && f.Anonymous:
			for _, inner := range fieldsOf(f.Type) {
				inner.path = append([]int{i}, inner.path...)
				out = append(out, inner)
			}
			continue
		case name == "":
			name = f.Name
		}
		in := field{path: []int{i}, name: name, key: appendText(nil, name), convert: converterOf(f.Type)}
		for o := range strings.SplitSeq(options, ",") {
			in.omitEmpty = in.omitEmpty || o == "omitempty"
			in.omitZero = in.omitZero || o == "omitzero"
		}
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return out
}

func (f *field) of(v reflect.Value) reflect.Value {
	v = v.Field(f.path[0])
	for _, i := range f.path[1:] {
		v = v.Field(i)
	}
	return v
}

func (f *field) omitted(v reflect.Value) bool {
	return f.omitEmpty && empty(v) || f.omitZero && v.IsZero()
}

func convertFields(e *encoder, v reflect.Value, fields []field, b []byte) (_ map[string]any, _ []byte, err error) {
	var room [24]int
	given := room[:0]
	for i := range fields {
		if f := &fields[i]; !f.omitEmpty && !f.omitZero || !f.omitted(f.of(v)) {
			given = append(given, i)
		}
	}
	out := make(map[string]any, len(given))
	b = append(b, '{')
	for _, i := range given {
		f := &fields[i]
		if b, err = e.member(out, b, f.name, f.key, f.convert, f.of(v)); err != nil {
			return nil, nil, err
		}
	}
	return out, append(b, '}'), nil
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
		return v.Len() == 0
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// plain are the bytes that stand in JSON for themselves.
var plain = func() (t [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = !strings.ContainsRune(`"\<>&`, rune(c))
	}
	return t
}()

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			data, err := json.Marshal(s)
			if err != nil {
				panic(err) // no string fails
			}
			return append(b, data...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
