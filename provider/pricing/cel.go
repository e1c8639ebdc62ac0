package pricing

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"

	"berth.dev/berth/sdl/suggest"
	providertypes "berth.dev/berth/x/provider/types"
)

// The limits of an expression.
const (
	// MaxExpression is the most bytes of its text.
	MaxExpression = 8 << 10
	// MaxCost is the most that one evaluation may cost, in CEL's units: about one for each operator or character touched. It
	// is some hundred times what a usual expression takes, and still below a millisecond.
	MaxCost = 20_000
	// The most that an order's lists may hold, as the chain admits them, and Compile in provider/bid.
	maxListed = 1024
)

// ExpressionError is a text that is no usable expression, with the place of the mistake in it. Line and Column count
// from 1; 0 means the whole.
type ExpressionError struct {
	Line, Column int
	Message      string
	// Hint says what to do.
	Hint string
}

// Error gives the place and the message.
func (e *ExpressionError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// variables are what expressions may read, with the functions that get them. Their names have points in them, so that
// a misspelt one is a mistake at load, with no need for types of our own. Amounts of resources are whole numbers, in
// thousandths of a core and in bytes.
var variables = map[string]struct {
	kind *cel.Type
	get  func(*input) ref.Val
}{
	tableVariable: {celAmount, func(in *input) ref.Val { return amountVal{in.table} }},

	"order.owner":           {cel.StringType, func(in *input) ref.Val { return types.String(in.ask.Owner) }},
	"order.denom":           {cel.StringType, func(in *input) ref.Val { return types.String(in.ask.Denom) }},
	"order.max":             {celAmount, func(in *input) ref.Val { return amountVal{in.ask.Max} }},
	"order.instances":       {cel.IntType, func(in *input) ref.Val { return count(in.ask.Instances) }},
	"order.cpu_milli":       {cel.IntType, func(in *input) ref.Val { return count(in.ask.CPUMilli) }},
	"order.memory_bytes":    {cel.IntType, func(in *input) ref.Val { return count(in.ask.MemoryBytes) }},
	"order.ram_bytes":       {cel.IntType, func(in *input) ref.Val { return count(in.ask.RAMBytes) }},
	"order.ephemeral_bytes": {cel.IntType, func(in *input) ref.Val { return count(in.ask.EphemeralBytes) }},
	"order.storage":         {cel.MapType(cel.StringType, cel.IntType), func(in *input) ref.Val { return in.storage() }},
	"order.gpus":            {cel.IntType, func(in *input) ref.Val { return count(in.ask.GPUCount()) }},
	"order.gpu":             {cel.MapType(cel.StringType, cel.IntType), func(in *input) ref.Val { return in.gpu() }},
	"order.http":            {cel.IntType, func(in *input) ref.Val { return count(in.ask.HTTP) }},
	"order.ports":           {cel.IntType, func(in *input) ref.Val { return count(in.ask.Ports) }},
	"order.ips":             {cel.IntType, func(in *input) ref.Val { return count(in.ask.IPs) }},
	"order.attributes":      {cel.MapType(cel.StringType, cel.StringType), func(in *input) ref.Val { return in.attributes() }},

	"owner.open_bids": {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.OwnerOpenBids) }},
	"owner.leases":    {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.OwnerLeases) }},
	"owner.exposure":  {celAmount, func(in *input) ref.Val { return amountVal{in.st.OwnerExposure} }},

	"cluster.nodes":           {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Nodes) }},
	"cluster.open_bids":       {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.OpenBids) }},
	"cluster.leases":          {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Leases) }},
	"cluster.cpu_milli":       {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Capacity.CPUMilli) }},
	"cluster.memory_bytes":    {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Capacity.MemoryBytes) }},
	"cluster.ephemeral_bytes": {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Capacity.EphemeralBytes) }},
	"cluster.gpus":            {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Capacity.GPUs) }},
	"free.cpu_milli":          {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Free.CPUMilli) }},
	"free.memory_bytes":       {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Free.MemoryBytes) }},
	"free.ephemeral_bytes":    {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Free.EphemeralBytes) }},
	"free.gpus":               {cel.IntType, func(in *input) ref.Val { return types.Int(in.st.Free.GPUs) }},
}

// Names lists what expressions may read, sorted.
func Names() []string { return slices.Sorted(maps.Keys(variables)) }

// count makes a number for expressions, which count to 2^63.
func count(n uint64) ref.Val {
	if n > math.MaxInt64 {
		return types.NewErr("integer overflow")
	}
	return types.Int(n)
}

// input is what one evaluation reads; it is an Activation of CEL.
type input struct {
	ask   *Ask
	st    *Standing
	table Amount
}

// ResolveName gives the value of a variable.
func (in *input) ResolveName(name string) (any, bool) {
	v, ok := variables[name]
	if !ok {
		return nil, false
	}
	return v.get(in), true
}

// Parent is none.
func (in *input) Parent() interpreter.Activation { return nil }

func (in *input) storage() ref.Val {
	m := make(map[string]int64, len(in.ask.Volumes))
	for _, v := range in.ask.Volumes {
		m[v.Class] += int64(min(v.Bytes, math.MaxInt64))
	}
	return types.DefaultTypeAdapter.NativeToValue(m)
}

// gpu counts devices by the kinds they may be of; devices that may be of several kinds count for each.
func (in *input) gpu() ref.Val {
	m := make(map[string]int64, len(in.ask.GPUs))
	for _, g := range in.ask.GPUs {
		if len(g.Any) == 0 {
			m["*"] += int64(g.Count)
		}
		for _, k := range g.Any {
			m[k.String()] += int64(g.Count)
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(m)
}

func (in *input) attributes() ref.Val {
	m := make(map[string]string, len(in.ask.Attributes))
	for _, a := range in.ask.Attributes {
		m[a.Key] = a.Value
	}
	return types.DefaultTypeAdapter.NativeToValue(m)
}

// tableVariable is the table's price; only expressions for a price have it.
const tableVariable = "table"

// environment is the language of rules and, but for the table's price, of all expressions. It is made once: making it takes some milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	function := func(name string, f func(x, y ref.Val) ref.Val, overloads ...[]*cel.Type) cel.EnvOption {
		opts := []cel.FunctionOpt{cel.SingletonBinaryBinding(f)}
		for i, o := range overloads {
			opts = append(opts, cel.Overload(fmt.Sprintf("%s_%d", name, i), o[:2], o[2]))
		}
		return cel.Function(name, opts...)
	}
	operator := func(name, id string, args []*cel.Type, result *cel.Type) cel.EnvOption {
		return cel.Function(name, cel.Overload(id, args, result)) // what it does is in the methods of amountVal
	}
	a, n, u, b := celAmount, cel.IntType, cel.UintType, cel.BoolType
	opts := []cel.EnvOption{
		cel.Types(celAmount),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(64),
		cel.DefaultUTCTimeZone(true),
		operator(operators.Add, "amount_add", []*cel.Type{a, a}, a),
		operator(operators.Subtract, "amount_subtract", []*cel.Type{a, a}, a),
		operator(operators.Multiply, "amount_multiply_int", []*cel.Type{a, n}, a),
		operator(operators.Multiply, "amount_multiply_uint", []*cel.Type{a, u}, a),
		operator(operators.Divide, "amount_divide_int", []*cel.Type{a, n}, a),
		operator(operators.Divide, "amount_divide_uint", []*cel.Type{a, u}, a),
		operator(operators.Less, "amount_less", []*cel.Type{a, a}, b),
		operator(operators.LessEquals, "amount_less_equals", []*cel.Type{a, a}, b),
		operator(operators.Greater, "amount_greater", []*cel.Type{a, a}, b),
		operator(operators.GreaterEquals, "amount_greater_equals", []*cel.Type{a, a}, b),
		cel.Function("amount", cel.SingletonUnaryBinding(newAmount),
			cel.Overload("amount_int", []*cel.Type{n}, a), cel.Overload("amount_uint", []*cel.Type{u}, a),
			cel.Overload("amount_string", []*cel.Type{cel.StringType}, a)),
		function("percent", percent, []*cel.Type{a, n, a}, []*cel.Type{n, n, n}),
		function("ceilDiv", ceilDiv, []*cel.Type{n, n, n}),
		function("min", pick(-1), []*cel.Type{a, a, a}, []*cel.Type{n, n, n}),
		function("max", pick(1), []*cel.Type{a, a, a}, []*cel.Type{n, n, n}),
	}
	key, value := cel.TypeParamType("K"), cel.TypeParamType("V")
	opts = append(opts, cel.Function("get", cel.MemberOverload("map_get", []*cel.Type{cel.MapType(key, value), key, value}, value,
		cel.FunctionBinding(mapGet))))
	for name, v := range variables {
		if name != tableVariable {
			opts = append(opts, cel.Variable(name, v.kind))
		}
	}
	return cel.NewEnv(opts...)
})

// withTable is the environment of expressions for a price, which know the table's.
var withTable = sync.OnceValues(func() (*cel.Env, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	return env.Extend(cel.Variable(tableVariable, celAmount))
})

// sizes bounds what the parts of an order may hold, for the estimate of costs.
type sizes struct{}

// EstimateSize bounds strings and maps.
func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	most := uint64(providertypes.MaxAttributeValue)
	if k := n.Type().Kind(); k == types.MapKind || k == types.ListKind {
		most = maxListed
		if path := n.Path(); len(path) > 0 && path[0] == "order.attributes" {
			most = providertypes.MaxAttributes
		}
	}
	return &checker.SizeEstimate{Max: most}
}

// EstimateCallCost leaves functions at their usual cost.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// compile checks a text and makes a program of it. want says which types it may have, in words.
func compile(language func() (*cel.Env, error), source, want string, accepts func(*cel.Type) (ok bool, hint string)) (cel.Program, error) {
	if len(source) > MaxExpression {
		return nil, &ExpressionError{Message: fmt.Sprintf("the expression has more than %d bytes", MaxExpression)}
	}
	env, err := language()
	if err != nil {
		return nil, fmt.Errorf("make the language of expressions: %w", err)
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, issueError(source, issues)
	}
	if ok, hint := accepts(checked.OutputType()); !ok {
		return nil, &ExpressionError{Message: fmt.Sprintf("the expression gives %s, not %s", typeName(checked.OutputType()), want), Hint: hint}
	}
	if place, ok := floats(checked); ok {
		return nil, place
	}
	cost, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fmt.Errorf("estimate the cost of the expression: %w", err)
	}
	if cost.Max > MaxCost {
		return nil, &ExpressionError{
			Message: fmt.Sprintf("the expression may cost %s units, more than %d", costText(cost.Max), MaxCost),
			Hint:    "a macro within a macro (all, exists, map, filter) costs the product of both lists",
		}
	}
	p, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost))
	if err != nil {
		return nil, &ExpressionError{Message: err.Error()}
	}
	return p, nil
}

func costText(n uint64) string {
	if n == math.MaxUint64 {
		return "any number of"
	}
	return fmt.Sprint(n)
}

// issueError is the first mistake of a text.
func issueError(source string, issues *cel.Issues) error {
	errs := issues.Errors()
	if len(errs) == 0 {
		return &ExpressionError{Message: issues.Err().Error()}
	}
	first := errs[0]
	e := &ExpressionError{Message: strings.TrimPrefix(first.Message, "Syntax error: "), Line: first.Location.Line(), Column: first.Location.Column() + 1}
	switch {
	case strings.Contains(e.Message, "no matching overload") && strings.Contains(e.Message, "(int, amount)"):
		e.Hint = "write the amount first: table * 2"
	case strings.Contains(e.Message, "no matching overload") && strings.Contains(e.Message, "double"):
		e.Hint = "prices are exact, so there are no floats: write table * 11 / 10, percent(table, 110) or amount(\"1.1\")"
	case strings.Contains(e.Message, "no matching overload") && strings.Contains(e.Message, "amount"):
		e.Hint = "an amount may be added to an amount, multiplied with and divided by a whole number, and made by amount(12) or amount(\"1.25\")"
	case strings.Contains(e.Message, "undeclared reference"):
		e.unknownName(source)
	}
	return e
}

var dotted = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*`)

// unknownName says which name is not known, with all its points, and which one may be meant.
func (e *ExpressionError) unknownName(source string) {
	e.Hint = "docs/ops/provider.md lists what an expression may read"
	lines := strings.Split(source, "\n")
	if e.Line < 1 || e.Line > len(lines) {
		return
	}
	line := []rune(lines[e.Line-1])
	name := dotted.FindString(string(line[min(len(line), e.Column-1):]))
	if name == "" {
		return
	}
	e.Message = fmt.Sprintf("nothing is called %s here", name)
	if near := suggest.Nearest(name, Names()); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
}

// floats finds a number with a fraction anywhere in an expression.
func floats(checked *cel.Ast) (*ExpressionError, bool) {
	native := checked.NativeRep()
	var found *ExpressionError
	ast.PreOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if found != nil || native.GetType(e.ID()).Kind() != types.DoubleKind {
			return
		}
		at := native.SourceInfo().GetStartLocation(e.ID())
		found = &ExpressionError{
			Line: at.Line(), Column: at.Column() + 1, Message: "a number with a fraction is a float, which is not exact",
			Hint: "write amount(\"1.1\"), percent(table, 110) or table * 11 / 10",
		}
	}))
	return found, found != nil
}

func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.StringKind:
		return "a text"
	case types.DoubleKind:
		return "a float"
	case types.BoolKind:
		return "true or false"
	case types.IntKind, types.UintKind:
		return "a whole number"
	}
	if t.IsExactType(celAmount) {
		return "an amount"
	}
	return "a " + t.String()
}

// eval runs a program.
func eval(p cel.Program, in *input) (ref.Val, error) {
	out, _, err := p.Eval(in)
	if err != nil {
		return nil, errors.New(strings.TrimSpace(err.Error()))
	}
	return out, nil
}

// Expression computes a price from an order, the state of the cluster and the table's price.
type Expression struct {
	source  string
	program cel.Program
}

// CompileExpression checks an expression for a price and makes it ready. An error is an *ExpressionError, unless the
// language itself cannot be set up.
func CompileExpression(source string) (*Expression, error) {
	p, err := compile(withTable, source, "an amount or a whole number", func(t *cel.Type) (bool, string) {
		switch {
		case t.IsExactType(celAmount) || t.Kind() == types.IntKind || t.Kind() == types.UintKind:
			return true, ""
		case t.Kind() == types.DoubleKind:
			return false, "prices are exact, so there are no floats: write table * 11 / 10, percent(table, 110) or amount(\"1.1\")"
		case t.Kind() == types.StringKind:
			return false, "amount(\"1.25\") makes an amount of a text"
		}
		return false, ""
	})
	if err != nil {
		return nil, err
	}
	return &Expression{source: source, program: p}, nil
}

// String is the text of the expression.
func (e *Expression) String() string { return e.source }

// Price evaluates the expression; table is the price of the table.
func (e *Expression) Price(a *Ask, st *Standing, table Amount) (Amount, Refusal) {
	out, err := eval(e.program, &input{ask: a, st: st, table: table})
	if err != nil {
		return Amount{}, Refusal{Code: ExpressionFailed, Detail: err.Error()}
	}
	switch v := out.(type) {
	case amountVal:
		return v.Amount, Refusal{}
	case types.Int:
		if v < 0 {
			return Amount{}, Refusal{Code: ExpressionFailed, Detail: fmt.Sprintf("a price of %d", int64(v))}
		}
		return Whole(uint64(v)), Refusal{}
	case types.Uint:
		return Whole(uint64(v)), Refusal{}
	}
	return Amount{}, Refusal{Code: ExpressionFailed, Detail: "it gave " + out.Type().TypeName()}
}

// Rule is an expression that says yes or no to an order.
type Rule struct {
	source  string
	program cel.Program
}

// CompileRule checks an expression for a rule and makes it ready; see CompileExpression.
func CompileRule(source string) (*Rule, error) {
	p, err := compile(environment, source, "true or false", func(t *cel.Type) (bool, string) {
		return t.Kind() == types.BoolKind, "compare with something: order.gpus == 0"
	})
	if err != nil {
		return nil, err
	}
	return &Rule{source: source, program: p}, nil
}

// String is the text of the rule.
func (r *Rule) String() string { return r.source }

// Allows evaluates the rule. The price of the table is not known to rules, which come before it.
func (r *Rule) Allows(a *Ask, st *Standing) (bool, error) {
	out, err := eval(r.program, &input{ask: a, st: st})
	if err != nil {
		return false, err
	}
	yes, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("it gave %s", out.Type().TypeName())
	}
	return bool(yes), nil
}
