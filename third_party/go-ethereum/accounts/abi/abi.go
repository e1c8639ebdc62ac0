// Package abi stands in for the coder of Solidity's ABI. It knows no type and refuses every value: the chain offers no
// IBC channel whose packets are encoded so.
package abi

import "errors"

// ErrNotBuilt is the answer to every value.
var ErrNotBuilt = errors.New("Solidity's ABI is not built into this program; use JSON or protobuf") //nolint:staticcheck // a name

// ArgumentMarshaling describes an argument in words.
type ArgumentMarshaling struct {
	Name, Type string
}

// Type is a type of Solidity, about which nothing is known here.
type Type struct{}

// NewType takes any description, as the describing of types must not fail; the coding of values does.
func NewType(string, string, []ArgumentMarshaling) (Type, error) { return Type{}, nil }

// Argument is one value of a call.
type Argument struct {
	Type Type
}

// Arguments are the values of a call.
type Arguments []Argument

// Pack refuses.
func (Arguments) Pack(...any) ([]byte, error) { return nil, ErrNotBuilt }

// Unpack refuses.
func (Arguments) Unpack([]byte) ([]any, error) { return nil, ErrNotBuilt }
