package tenant

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"

	"berth.dev/berth/units"
)

// The limits of an expression: its text, and what one evaluation may cost in CEL's units.
const (
	maxExpression     = 4 << 10
	maxExpressionCost = 100_000
)

// offerVariables are what an expression may read of an offer, with the functions that get them. Amounts are whole
// numbers of the smallest unit, as expressions have no exact decimals.
var offerVariables = map[string]struct {
	kind *cel.Type
	get  func(Offer) (any, error)
}{
	"provider":         {cel.StringType, func(o Offer) (any, error) { return o.Provider, nil }},
	"host":             {cel.StringType, func(o Offer) (any, error) { return o.Host, nil }},
	"region":           {cel.StringType, func(o Offer) (any, error) { return o.Region, nil }},
	"attributes":       {cel.MapType(cel.StringType, cel.StringType), func(o Offer) (any, error) { return o.Attributes, nil }},
	"audited_by":       {cel.ListType(cel.StringType), func(o Offer) (any, error) { return nonNil(o.AuditedBy), nil }},
	"price_per_month":  {cel.IntType, monthly},
	"leases":           {cel.IntType, func(o Offer) (any, error) { return whole(o.Record.Leases) }},
	"active":           {cel.IntType, func(o Offer) (any, error) { return whole(o.Record.Active) }},
	"closed":           {cel.MapType(cel.StringType, cel.IntType), closedByReason},
	units.DisplayDenom: {cel.IntType, func(Offer) (any, error) { return int64(units.MicroPerToken), nil }},
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// monthly is the price per month in whole units, rounded up, so that a limit that holds in an expression holds.
func monthly(o Offer) (any, error) {
	if o.PricePerMonth == nil {
		return nil, fmt.Errorf("price_per_month is not known, as the time between blocks is not")
	}
	amount := o.PricePerMonth.Amount.Ceil().TruncateInt()
	if !amount.IsInt64() {
		return nil, fmt.Errorf("price_per_month is too large for an expression")
	}
	return amount.Int64(), nil
}

func whole(n uint64) (any, error) {
	if n > math.MaxInt64 {
		return nil, fmt.Errorf("%d is too large for an expression", n)
	}
	return int64(n), nil
}

func closedByReason(o Offer) (any, error) {
	out := map[string]int64{}
	for reason, n := range o.Record.Closed {
		out[reason] = int64(min(n, math.MaxInt64))
	}
	return out, nil
}

// Expression is a condition on offers in CEL: it reads provider, host, region, attributes, audited_by, price_per_month,
// leases, active and closed, and BRT, which is the number of the smallest units in a token. For example
//
//	price_per_month <= 12 * BRT && region in ["eu-west", "eu-north"] && size(audited_by) > 0
type Expression struct{ program cel.Program }

// ParseExpression compiles a condition. Its errors name the place of the mistake.
func ParseExpression(text string) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("the expression is empty")
	}
	if len(text) > maxExpression {
		return nil, fmt.Errorf("the expression has %d bytes, at most %d are allowed", len(text), maxExpression)
	}
	var options []cel.EnvOption
	for _, name := range slices.Sorted(maps.Keys(offerVariables)) {
		options = append(options, cel.Variable(name, offerVariables[name].kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("the expression cannot be read: %w\n%s", err, expressionHelp(err.Error()))
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("the expression gives a %s, not true or false", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(maxExpressionCost))
	if err != nil {
		return nil, fmt.Errorf("prepare the expression: %w", err)
	}
	return &Expression{program}, nil
}

// expressionHelp says how to mend an expression that cannot be read.
func expressionHelp(problem string) string {
	if strings.Contains(problem, "double") {
		return "amounts are whole numbers of " + units.BaseDenom + ": write " + units.DisplayDenom + " / 10 for a tenth of a token"
	}
	return "it may read " + strings.Join(slices.Sorted(maps.Keys(offerVariables)), ", ")
}

// Holds evaluates the condition for an offer. An error, such as an attribute that the offer does not have, means that
// it does not hold.
func (e *Expression) Holds(o Offer) (bool, error) {
	values := map[string]any{}
	for name, v := range offerVariables {
		value, err := v.get(o)
		if err != nil {
			continue // it is missed only by an expression that reads it
		}
		values[name] = value
	}
	result, _, err := e.program.Eval(values)
	if err != nil {
		return false, err
	}
	yes, _ := result.Value().(bool)
	return yes, nil
}

func matching(text string) (Selection, error) {
	e, err := ParseExpression(text)
	if err != nil {
		return Selection{}, err
	}
	return Selection{Choose: Lowest, Accept: func(o Offer) string {
		yes, err := e.Holds(o)
		switch {
		case err != nil:
			return "the expression cannot be computed: " + err.Error()
		case !yes:
			return "the expression is not true of it"
		}
		return ""
	}}, nil
}
