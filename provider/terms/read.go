package terms

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/suggest"
	_ "berth.dev/berth/units" // addresses have its prefix
	providertypes "berth.dev/berth/x/provider/types"
)

// The codes of problems that only this file has; docs/ops/provider.md lists them.
const (
	codePrice      = "E-PRICE"
	codeDenom      = "E-DENOM"
	codeGPU        = "E-GPU"
	codeClass      = "E-CLASS"
	codePer        = "E-PER"
	codeExpression = "E-EXPRESSION"
	codeProgram    = "E-PROGRAM"
	codeDuration   = "E-DURATION"
	codeOwner      = "E-OWNER"
	codeAttribute  = "E-ATTRIBUTE"
	codeRange      = "E-RANGE"
	codeConflict   = "E-CONFLICT"
)

var (
	fileShape = doc.Shape{
		What: "a pricing file", Keys: []string{"prices", "expression", "program", "policy"},
		Meant:  map[string]string{"pricing": "prices", "cel": "expression", "script": "program", "rules": "policy"},
		Advice: map[string]string{"per_month": "prices: {ubrt: {per: month, ...}} holds the rates", "per_block": "prices: {ubrt: {per: block, ...}} holds the rates"},
	}
	tableShape = doc.Shape{
		What: "a price table", Keys: []string{"per", "cpu", "memory", "storage", "gpu", "endpoint", "ip", "minimum"},
		Meant: map[string]string{"ram": "memory", "disk": "storage", "gpus": "gpu", "endpoints": "endpoint", "ips": "ip", "min": "minimum"},
	}
	endpointShape = doc.Shape{What: "the prices of endpoints", Keys: []string{"http", "port"}, Meant: map[string]string{"tcp": "port", "https": "http"}}
	programShape  = doc.Shape{What: "a pricing program", Keys: []string{"command", "env", "timeout", "start_timeout", "batch_timeout"}}
	policyShape   = doc.Shape{
		What: "a policy",
		Keys: []string{
			"owners", "denoms", "attributes", "per", "min_order_price", "max_open_bids", "max_owner_open_bids", "max_deposit", "max_owner_exposure", "rule",
		},
		Meant: map[string]string{"max_exposure": "max_owner_exposure", "exposure": "max_owner_exposure", "cel": "rule"},
	}
	ownersShape     = doc.Shape{What: "the policy's owners", Keys: []string{"allow", "deny"}}
	attributesShape = doc.Shape{What: "the policy's attributes", Keys: []string{"require", "refuse"}}
)

// The times that a pricing program is given unless the file says otherwise, and the most that it may be given.
const (
	defaultTimeout      = time.Second
	defaultStartTimeout = 10 * time.Second
	defaultBatchTimeout = 3 * time.Second
	maxTimeout          = time.Minute
)

// The limits of lists. They keep decisions fast.
const (
	maxDenoms  = 16
	maxClasses = 64
	maxKinds   = 256
	maxOwners  = 100_000
)

// reader reads one file.
type reader struct {
	*sdl.Reporter
	source []string // the lines of the file
	dir    string
	priced []string // the denoms that have a table, if one with mistakes
	out    Terms
}

// Parse reads a pricing file. The terms are nil when there is an error among the diagnostics. It looks at nothing but
// its arguments.
func Parse(name string, data []byte) (*Terms, sdl.Diagnostics) {
	r := &reader{Reporter: sdl.NewReporter(name), dir: filepath.Dir(name)}
	if root := doc.ParseYAML(data, r.Reporter); root != nil {
		r.source = strings.Split(string(data), "\n")
		r.file(root)
	}
	if r.Failed() {
		return nil, r.Diagnostics()
	}
	return &r.out, r.Diagnostics()
}

func (r *reader) file(root *doc.Node) {
	o, ok := root.Object(r.Reporter, fileShape)
	if !ok {
		return
	}
	if n := o.Require(r.Reporter, "prices", "prices: {ubrt: {per: month, cpu: 2000000, memory: 1000000}}"); n != nil {
		r.prices(n)
	}
	if n := o.Get("expression"); n != nil {
		r.expression(n)
	}
	if n := o.Get("program"); n != nil {
		if o.Get("expression") != nil {
			r.Report(n.Key().Problem(codeConflict, "expression and program cannot both make the price").WithHint("remove one of them"))
		}
		r.program(n)
	}
	if n := o.Get("policy"); n != nil {
		r.policy(n)
	}
}

func (r *reader) prices(n *doc.Node) {
	tables, ok := n.Named(r.Reporter, "prices")
	switch {
	case !ok:
		return
	case len(tables) == 0:
		r.Report(n.Key().Problem("E-MISSING", "prices has no denom").WithHint("for example prices: {ubrt: {per: month, cpu: 2000000, memory: 1000000}}"))
	case len(tables) > maxDenoms:
		r.Report(n.Key().Problem(codeRange, "prices in %d denoms, at most %d are possible", len(tables), maxDenoms))
		return
	}
	for _, t := range tables {
		r.table(t)
	}
}

// denom checks what should be a denom.
func (r *reader) denom(n *doc.Node, name string) bool {
	if err := sdk.ValidateDenom(name); err != nil {
		r.Report(n.Key().Problem(codeDenom, "%q is not a denom", name).WithHint("the base denom is meant, such as ubrt"))
		return false
	}
	return true
}

// known checks what should be a denom that has prices.
func (r *reader) known(n *doc.Node, name string) bool {
	if !r.denom(n, name) {
		return false
	}
	if slices.Contains(r.priced, name) {
		return true
	}
	d := n.Problem(codeDenom, "there are no prices in %s", name).WithAllowed(strings.Join(r.priced, ", "))
	r.Report(d.WithSuggestion(suggest.Nearest(name, r.priced)))
	return false
}

func (r *reader) table(n *doc.Node) {
	r.denom(n, n.Name())
	r.priced = append(r.priced, n.Name())
	o, ok := n.Object(r.Reporter, tableShape)
	if !ok {
		return
	}
	before := r.Errors()
	t := Table{Table: pricing.Table{Denom: n.Name()}, Per: r.per(o)}
	t.CPU, _ = r.amount(o.Get("cpu"))
	t.Memory, _ = r.amount(o.Get("memory"))
	t.Minimum, _ = r.amount(o.Get("minimum"))
	t.IP.Amount, t.IP.Given = r.amount(o.Get("ip"))
	r.storage(o.Get("storage"), &t.Table)
	r.gpus(o.Get("gpu"), &t.Table)
	r.endpoints(o.Get("endpoint"), &t.Table)
	if r.Errors() > before {
		return
	}
	if t.Validate() != nil {
		r.Report(n.Key().Problem(codePrice, "cpu, memory and minimum are all zero, so that bids could be for nothing").
			WithHint("give at least one of them"))
		return
	}
	r.out.Tables = append(r.out.Tables, t)
}

// per reads what rates are for; a month if nothing is said.
func (r *reader) per(o doc.Object) Period {
	n := o.Get("per")
	if n == nil {
		return Month
	}
	switch n.Text() {
	case "month":
		return Month
	case "hour":
		return Hour
	case "block":
		return Block
	}
	r.Report(n.Problem(codePer, "%s is not a period", n.Show()).WithAllowed("month (of 30 days), hour, block"))
	return Month
}

// amount reads an amount of money; false if there is none.
func (r *reader) amount(n *doc.Node) (pricing.Amount, bool) {
	if n == nil {
		return pricing.Amount{}, false
	}
	text, ok := n.Scalar(r.Reporter, "an amount of money")
	if !ok {
		return pricing.Amount{}, false
	}
	a, err := pricing.ParseAmount(text)
	if err == nil {
		return a, true
	}
	d := n.Problem(codePrice, "%s is not an amount of money", n.Show()).WithAllowed("a decimal such as 2000000 or 0.25, with at most 12 digits after the point")
	switch {
	case strings.HasPrefix(text, "-"):
		d = n.Problem(codePrice, "%s is negative", n.Show()).WithAllowed("0 or more")
	case errors.Is(err, pricing.ErrOverflow):
		d = n.Problem(codePrice, "%s is too large", n.Show()).WithAllowed("at most 24 digits before the point")
	case strings.ContainsAny(text, "_,' "):
		d = d.WithSuggestion(strings.NewReplacer("_", "", ",", "", "'", "", " ", "").Replace(text))
	}
	r.Report(d)
	return pricing.Amount{}, false
}

// storage reads one rate for all storage, or one for each class.
func (r *reader) storage(n *doc.Node, t *pricing.Table) {
	if n == nil {
		return
	}
	if n.Kind() == doc.Scalar {
		t.Ephemeral, _ = r.amount(n)
		t.AnyClass = pricing.Rate{Amount: t.Ephemeral, Given: true}
		return
	}
	classes, ok := n.Named(r.Reporter, "storage")
	if !ok {
		return
	}
	if len(classes) > maxClasses {
		r.Report(n.Key().Problem(codeRange, "%d classes of storage, at most %d are possible", len(classes), maxClasses))
		return
	}
	for _, c := range classes {
		rate, ok := r.amount(c)
		switch name := c.Name(); {
		case c.Kind() == doc.Null:
			r.Report(c.Key().Problem("E-MISSING", "storage class %s has no rate", name))
		case name == "ephemeral":
			t.Ephemeral = rate
		case name == "ram":
			t.RAM = pricing.Rate{Amount: rate, Given: ok}
		case name == "*":
			t.AnyClass = pricing.Rate{Amount: rate, Given: ok}
		case strings.ContainsAny(name, "*/ "):
			r.Report(c.Key().Problem(codeClass, "%s cannot name a class of storage", c.Key().Show()).WithAllowed("ephemeral, ram, a class such as beta2, or *"))
		default:
			t.Classes = append(t.Classes, pricing.ClassRate{Class: name, Rate: rate})
		}
	}
}

// gpus reads one rate for all devices, or one for each kind.
func (r *reader) gpus(n *doc.Node, t *pricing.Table) {
	if n == nil {
		return
	}
	if n.Kind() == doc.Scalar {
		rate, _ := r.amount(n)
		t.GPU = []pricing.GPURate{{Rate: rate}}
		return
	}
	kinds, ok := n.Named(r.Reporter, "gpu")
	if !ok {
		return
	}
	if len(kinds) > maxKinds {
		r.Report(n.Key().Problem(codeRange, "%d kinds of gpu, at most %d are possible", len(kinds), maxKinds))
		return
	}
	seen := make(map[pricing.GPUKind]string)
	for _, k := range kinds {
		kind, err := pricing.ParseGPUKind(k.Name())
		switch other, twice := seen[kind]; {
		case err != nil:
			r.Report(k.Key().Problem(codeGPU, "not a kind of gpu: %s", err).WithAllowed(`vendor/model/ram/interface from the left, such as nvidia/a100/80Gi, nvidia/* or *`))
		case twice:
			r.Report(k.Key().Problem(codeGPU, "%s and %s are one kind", k.Name(), other))
		case k.Kind() == doc.Null:
			r.Report(k.Key().Problem("E-MISSING", "gpu %s has no rate", k.Name()))
		}
		seen[kind] = k.Name()
		rate, _ := r.amount(k)
		t.GPU = append(t.GPU, pricing.GPURate{Kind: kind, Rate: rate})
	}
	pricing.SortGPUs(t.GPU)
}

// endpoints reads one rate for all ways in, or one for each kind.
func (r *reader) endpoints(n *doc.Node, t *pricing.Table) {
	if n == nil {
		return
	}
	if n.Kind() == doc.Scalar {
		t.HTTP, _ = r.amount(n)
		t.Ports = t.HTTP
		return
	}
	if o, ok := n.Object(r.Reporter, endpointShape); ok {
		t.HTTP, _ = r.amount(o.Get("http"))
		t.Ports, _ = r.amount(o.Get("port"))
	}
}

func (r *reader) expression(n *doc.Node) {
	text, ok := n.Scalar(r.Reporter, "an expression")
	if !ok {
		return
	}
	e, err := pricing.CompileExpression(text)
	r.compiled(n, err)
	r.out.Expression = e
}

// compiled reports what is wrong with an expression, at the place within it if that can be told.
func (r *reader) compiled(n *doc.Node, err error) {
	if err == nil {
		return
	}
	d := n.Problem(codeExpression, "%s", err).WithFound("")
	var wrong *pricing.ExpressionError
	if errors.As(err, &wrong) {
		d.Message = wrong.Message
		d = d.WithHint(wrong.Hint)
		d.Line, d.Column = r.within(n, wrong.Line, wrong.Column)
	}
	r.Report(d)
}

// within is the place in the file of a place in a text of it; that of the text where lines were folded.
func (r *reader) within(n *doc.Node, line, column int) (int, int) {
	if line < 1 || n.Line() < 1 || n.Line() > len(r.source) {
		return n.Line(), n.Column()
	}
	rest := []rune(r.source[n.Line()-1])
	if n.Column() > len(rest) {
		return n.Line(), n.Column()
	}
	switch rest = rest[n.Column()-1:]; rest[0] {
	case '|':
		first := strings.TrimRight(strings.Join(r.source[n.Line():min(len(r.source), n.Line()+1)], ""), "\r")
		return n.Line() + line, len(first) - len(strings.TrimLeft(first, " ")) + column
	case '\'', '"':
		column++
	case '>':
		return n.Line(), n.Column()
	}
	if line > 1 || column > len(rest)+1 {
		return n.Line(), n.Column()
	}
	return n.Line(), n.Column() + column - 1
}

func (r *reader) program(n *doc.Node) {
	o, ok := n.Object(r.Reporter, programShape)
	if !ok {
		return
	}
	p := &pricing.ProgramConfig{Dir: r.dir, Env: map[string]string{}}
	if c := o.Require(r.Reporter, "command", "command: [/usr/local/bin/price-orders]"); c != nil {
		p.Command = r.command(c)
		r.out.programAt = c.Problem(codeProgram, "")
	}
	if e := o.Get("env"); e != nil {
		vars, _ := e.Named(r.Reporter, "env")
		for _, v := range vars {
			p.Env[v.Name()], _ = v.Scalar(r.Reporter, "a value of the environment")
			if v.Name() == "" || strings.ContainsAny(v.Name(), "=\x00") {
				r.Report(v.Key().Problem(codeProgram, "not the name of an environment variable"))
			}
		}
	}
	p.Timeout = r.duration(o.Get("timeout"), defaultTimeout)
	p.StartTimeout = r.duration(o.Get("start_timeout"), defaultStartTimeout)
	p.BatchTimeout = r.duration(o.Get("batch_timeout"), defaultBatchTimeout)
	r.out.Program = p
}

// command reads a program and its arguments. A path with a slash is relative to the file.
func (r *reader) command(n *doc.Node) []string {
	var out []string
	entries, ok := n.Entries(r.Reporter, "command")
	if !ok {
		return nil
	}
	for _, e := range entries {
		s, _ := e.Scalar(r.Reporter, "an argument")
		out = append(out, s)
	}
	if len(out) == 0 || out[0] == "" {
		r.Report(n.Problem(codeProgram, "no program is named").WithHint("for example command: [/usr/local/bin/price-orders]"))
		return nil
	}
	if strings.ContainsRune(out[0], filepath.Separator) && !filepath.IsAbs(out[0]) {
		out[0] = filepath.Join(r.dir, out[0])
	}
	return out
}

func (r *reader) duration(n *doc.Node, otherwise time.Duration) time.Duration {
	if n == nil {
		return otherwise
	}
	d, err := time.ParseDuration(n.Text())
	if err != nil || d <= 0 || d > maxTimeout {
		r.Report(n.Problem(codeDuration, "%s is not a time to wait", n.Show()).WithAllowed("a duration such as 500ms or 2s, at most " + maxTimeout.String()))
	}
	return d
}

func (r *reader) policy(n *doc.Node) {
	o, ok := n.Object(r.Reporter, policyShape)
	if !ok {
		return
	}
	rules := &r.out.Rules
	r.out.RulesPer = r.per(o)
	if x := o.Get("owners"); x != nil {
		if owners, ok := x.Object(r.Reporter, ownersShape); ok {
			rules.Allow, rules.Deny = r.owners(owners.Get("allow")), r.owners(owners.Get("deny"))
		}
	}
	if x := o.Get("denoms"); x != nil {
		rules.Denoms = r.denoms(x)
	}
	if x := o.Get("attributes"); x != nil {
		if attributes, ok := x.Object(r.Reporter, attributesShape); ok {
			rules.Require, rules.Refuse = r.attributes(attributes.Get("require")), r.attributes(attributes.Get("refuse"))
		}
	}
	rules.MinOrderPrice = r.limits(o.Get("min_order_price"))
	rules.MaxDeposit = r.limits(o.Get("max_deposit"))
	rules.MaxExposure = r.limits(o.Get("max_owner_exposure"))
	rules.MaxOpenBids = r.count(o.Get("max_open_bids"))
	rules.MaxOwnerOpenBids = r.count(o.Get("max_owner_open_bids"))
	if x := o.Get("rule"); x != nil {
		if text, ok := x.Scalar(r.Reporter, "a rule"); ok {
			rule, err := pricing.CompileRule(text)
			r.compiled(x, err)
			rules.Rule = rule
		}
	}
}

// texts reads a list of texts with their nodes.
func (r *reader) texts(n *doc.Node, what string, most int, visit func(*doc.Node, string)) {
	if n == nil {
		return
	}
	entries, _ := n.Entries(r.Reporter, what)
	if len(entries) > most {
		r.Report(n.Key().Problem(codeRange, "%d entries, at most %d are possible", len(entries), most))
		return
	}
	for _, e := range entries {
		if s, ok := e.Scalar(r.Reporter, what); ok {
			visit(e, s)
		}
	}
}

func (r *reader) owners(n *doc.Node) map[string]struct{} {
	out := make(map[string]struct{})
	r.texts(n, "owners", maxOwners, func(e *doc.Node, s string) {
		if _, err := sdk.AccAddressFromBech32(s); err != nil {
			r.Report(e.Problem(codeOwner, "%s is not the address of an account", e.Show()).WithHint(err.Error()))
		}
		out[s] = struct{}{}
	})
	return out
}

func (r *reader) denoms(n *doc.Node) (out []string) {
	r.texts(n, "denoms", maxDenoms, func(e *doc.Node, s string) {
		if r.known(e, s) {
			out = append(out, s)
		}
	})
	return out
}

// attributes reads key=value, or a key alone, which stands for any value.
func (r *reader) attributes(n *doc.Node) (out []providertypes.Attribute) {
	r.texts(n, "attributes", providertypes.MaxAttributes, func(e *doc.Node, s string) {
		key, value, given := strings.Cut(s, "=")
		check := providertypes.Attribute{Key: key, Value: cmp.Or(value, "x")}
		if err := providertypes.ValidateAttributes([]providertypes.Attribute{check}); err != nil || given && value == "" {
			r.Report(e.Problem(codeAttribute, "%s is not an attribute", e.Show()).WithAllowed("key=value, or a key alone for any value of it"))
			return
		}
		out = append(out, providertypes.Attribute{Key: key, Value: value})
	})
	return out
}

// limits reads an amount for each denom.
func (r *reader) limits(n *doc.Node) (out []policy.Limit) {
	if n == nil {
		return nil
	}
	if n.Kind() == doc.Scalar {
		r.Report(n.Problem("E-TYPE", "%s needs its denom", n.Key().Show()).WithHint(fmt.Sprintf("write %s: {ubrt: %s}", n.Name(), n.Text())))
		return nil
	}
	entries, _ := n.Named(r.Reporter, n.Name())
	for _, e := range entries {
		a, given := r.amount(e)
		if r.known(e.Key(), e.Name()) && given {
			out = append(out, policy.Limit{Denom: e.Name(), Amount: a})
		}
	}
	return out
}

// count reads a bound on a number of bids.
func (r *reader) count(n *doc.Node) int64 {
	if n == nil {
		return 0
	}
	const most = 1_000_000
	v, _ := n.Uint(r.Reporter, codeRange, "a number of bids", 1, most)
	return int64(v)
}
