package pricing

import "fmt"

// Code says what kind of reason a Refusal has; it labels metrics.
type Code string

// The reasons for giving no price.
const (
	// Priced: there is a price.
	Priced Code = ""
	// Denom: there is no table for the order's denom.
	Denom Code = "denom"
	// Unpriced: the order asks for something that the table has no rate for.
	Unpriced Code = "unpriced"
	// Overflow: the price does not fit an Amount.
	Overflow Code = "overflow"
	// ExpressionFailed: the expression ended in an error, or in a price that cannot be.
	ExpressionFailed Code = "expression"
	// Unquoted: an external program has to be asked first.
	Unquoted Code = "unquoted"
	// ProgramDeclined: the external program wants no bid.
	ProgramDeclined Code = "program_declined"
	// ProgramLate: the external program did not answer in time.
	ProgramLate Code = "program_late"
	// ProgramGarbage: the external program answered what is no answer.
	ProgramGarbage Code = "program_garbage"
	// ProgramDown: the external program cannot be started, or has ended.
	ProgramDown Code = "program_down"
)

// Refusal is why there is no price. The zero value says that there is one.
type Refusal struct {
	Code Code
	// What names what was asked for: a denom, a class, a kind of device.
	What string
	// Detail is what an expression or a program had to say.
	Detail string
}

// String tells people why.
func (r Refusal) String() string {
	switch r.Code {
	case Priced:
		return "priced"
	case Denom:
		return fmt.Sprintf("there are no prices in %q", r.What)
	case Unpriced:
		return fmt.Sprintf("there is no price for %s", r.What)
	case Overflow:
		return "the price is too large to compute"
	case ExpressionFailed:
		return "the price expression failed: " + r.Detail
	case Unquoted:
		return "the pricing program has not been asked yet"
	case ProgramDeclined:
		return "the pricing program wants no bid" + colon(r.Detail)
	case ProgramLate:
		return "the pricing program did not answer in time" + colon(r.Detail)
	case ProgramGarbage:
		return "the pricing program answered nothing that can be used" + colon(r.Detail)
	case ProgramDown:
		return "the pricing program is not running" + colon(r.Detail)
	default:
		return string(r.Code)
	}
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// Transient reports whether the same order may be priced when it is asked for again, though nothing else changed.
func (r Refusal) Transient() bool {
	return r.Code == ProgramLate || r.Code == ProgramGarbage || r.Code == ProgramDown
}
