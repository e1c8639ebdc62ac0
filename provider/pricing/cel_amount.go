package pricing

import (
	"fmt"
	"math/big"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// celAmount is the type of amounts in expressions. It has the operators that keep an amount exact: + and - with
// amounts, * and / with whole numbers, comparisons. There is no way from an amount to a float.
var celAmount = types.NewObjectType("amount", traits.AdderType|traits.SubtractorType|traits.MultiplierType|traits.DividerType|traits.ComparerType)

// amountVal is an Amount in an expression.
type amountVal struct{ Amount }

func overflow() ref.Val { return types.NewErr("%s", ErrOverflow) }

// ConvertToNative is for callers that want a Go value.
func (a amountVal) ConvertToNative(t reflect.Type) (any, error) {
	if t == reflect.TypeFor[Amount]() {
		return a.Amount, nil
	}
	return nil, fmt.Errorf("an amount is no %s", t)
}

// ConvertToType serves string(amount) and type(amount).
func (a amountVal) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String(a.String())
	case types.TypeType:
		return celAmount
	case celAmount:
		return a
	}
	return types.NewErr("an amount is no %s", t.TypeName())
}

// Equal compares amounts.
func (a amountVal) Equal(other ref.Val) ref.Val {
	b, ok := other.(amountVal)
	return types.Bool(ok && a == b)
}

// Type is celAmount.
func (a amountVal) Type() ref.Type { return celAmount }

// Value is the Amount.
func (a amountVal) Value() any { return a.Amount }

// Add is the sum.
func (a amountVal) Add(other ref.Val) ref.Val {
	b, ok := other.(amountVal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	if s, ok := a.Amount.Add(b.Amount); ok {
		return amountVal{s}
	}
	return overflow()
}

// Subtract is the difference; an amount is never below zero.
func (a amountVal) Subtract(other ref.Val) ref.Val {
	b, ok := other.(amountVal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	if d, ok := a.Sub(b.Amount); ok {
		return amountVal{d}
	}
	return types.NewErr("%s - %s is negative", a.Amount, b.Amount)
}

// Compare orders amounts.
func (a amountVal) Compare(other ref.Val) ref.Val {
	b, ok := other.(amountVal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(a.Cmp(b.Amount))
}

// Multiply is the amount so many times.
func (a amountVal) Multiply(other ref.Val) ref.Val {
	n, bad := whole(other)
	if bad != nil {
		return bad
	}
	return a.times(n, 1)
}

// Divide is a part of the amount, rounded up to 10^-12.
func (a amountVal) Divide(other ref.Val) ref.Val {
	n, bad := whole(other)
	switch {
	case bad != nil:
		return bad
	case n == 0:
		return types.NewErr("division by zero")
	}
	return a.times(1, n)
}

func (a amountVal) times(n, per uint64) ref.Val {
	if out, ok := a.scale(n, per); ok {
		return amountVal{out}
	}
	return overflow()
}

// whole reads a whole number that is not negative.
func whole(v ref.Val) (uint64, ref.Val) {
	switch n := v.(type) {
	case types.Int:
		if n < 0 {
			return 0, types.NewErr("%d is negative", int64(n))
		}
		return uint64(n), nil
	case types.Uint:
		return uint64(n), nil
	}
	return 0, types.MaybeNoSuchOverloadErr(v)
}

// newAmount is amount(x): of a whole number, or of a decimal text.
func newAmount(v ref.Val) ref.Val {
	if s, ok := v.(types.String); ok {
		a, err := ParseAmount(string(s))
		if err != nil {
			return types.WrapErr(err)
		}
		return amountVal{a}
	}
	n, bad := whole(v)
	if bad != nil {
		return bad
	}
	return amountVal{Whole(n)}
}

// percent is p hundredths of x, rounded up: of an amount to 10^-12, of a whole number to a whole number.
func percent(x, p ref.Val) ref.Val {
	n, bad := whole(p)
	if bad != nil {
		return bad
	}
	if a, ok := x.(amountVal); ok {
		return a.times(n, 100)
	}
	base, ok := x.(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(x)
	}
	return ceilInt(new(big.Int).Mul(big.NewInt(int64(base)), new(big.Int).SetUint64(n)), big.NewInt(100))
}

// ceilDiv is x/y of whole numbers, rounded up.
func ceilDiv(x, y ref.Val) ref.Val {
	a, okA := x.(types.Int)
	b, okB := y.(types.Int)
	switch {
	case !okA || !okB:
		return types.MaybeNoSuchOverloadErr(x)
	case b == 0:
		return types.NewErr("division by zero")
	}
	return ceilInt(big.NewInt(int64(a)), big.NewInt(int64(b)))
}

// ceilInt is n/d rounded towards positive infinity.
func ceilInt(n, d *big.Int) ref.Val {
	q, r := new(big.Int).QuoRem(n, d, new(big.Int))
	if r.Sign() != 0 && (r.Sign() > 0) == (d.Sign() > 0) {
		q.Add(q, big.NewInt(1))
	}
	if !q.IsInt64() {
		return types.NewErr("integer overflow")
	}
	return types.Int(q.Int64())
}

// pick is the lesser (sign -1) or greater (sign 1) of two amounts or two whole numbers.
func pick(sign types.Int) func(x, y ref.Val) ref.Val {
	return func(x, y ref.Val) ref.Val {
		c, ok := x.(traits.Comparer)
		if !ok {
			return types.MaybeNoSuchOverloadErr(x)
		}
		switch order := c.Compare(y).(type) {
		case types.Int:
			if order == sign {
				return x
			}
			return y
		default:
			return order
		}
	}
}

// mapGet is m.get(key, otherwise): what a mapping has under a key, if it has the key.
func mapGet(args ...ref.Val) ref.Val {
	m, ok := args[0].(traits.Mapper)
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	if v, found := m.Find(args[1]); found {
		return v
	}
	return args[2]
}
