package wire

import (
	"fmt"
	"reflect"
	"unicode/utf8"
)

// checkText returns an error that names the first field of a message whose text is not UTF-8. gogoproto decodes such
// text, which protobuf forbids and JSON cannot hold.
func checkText(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return fmt.Errorf("text is not UTF-8")
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkText(v.Elem())
		}
	case reflect.Slice:
		if !mayHoldText(v.Type().Elem().Kind()) {
			return nil
		}
		for i := range v.Len() {
			if err := checkText(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := checkText(v.Field(i)); err != nil {
				return fmt.Errorf("%s: %w", v.Type().Field(i).Name, err)
			}
		}
	}
	return nil
}

// mayHoldText spares looking at each byte of data.
func mayHoldText(k reflect.Kind) bool {
	switch k {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Struct:
		return true
	}
	return false
}
