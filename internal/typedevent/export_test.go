package typedevent

import "reflect"

// Known tells whether a type is written here, and not by the SDK.
func Known(t reflect.Type) bool { return planOf(t) != nil }
