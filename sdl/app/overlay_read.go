package app

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cosmossdk.io/math"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/dotenv"
	"berth.dev/berth/sdl/files"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// OverlayFile is the name of the file beside a manifest that says what it lacks.
const OverlayFile = "berth.yaml"

// OverlayFields are the keys of OverlayFile.
var overlayKeys = []string{
	"name", "image", "command", "port", "compute", "price", "budget", "placement", "scale", "select", "deposit", "domain", "env", "addons",
	"buildpacks", "predeploy", "livenessFile",
}

// Over returns an overlay in which what o says comes first, and what other says stands below it.
func (o Overlay) Over(other Overlay) Overlay {
	out := other
	out.Built, out.Credentials = o.Built, o.Credentials
	first := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	out.Name, out.Deposit, out.Reserve = first(o.Name, other.Name), first(o.Deposit, other.Deposit), first(o.Reserve, other.Reserve)
	out.Select, out.Predeploy = first(o.Select, other.Select), first(o.Predeploy, other.Predeploy)
	out.Images, out.Commands, out.Ports = over(o.Images, other.Images), over(o.Commands, other.Commands), over(o.Ports, other.Ports)
	out.Data, out.Domains, out.AutoMax = over(o.Data, other.Data), over(o.Domains, other.Domains), over(o.AutoMax, other.AutoMax)
	out.LivenessFile = over(o.LivenessFile, other.LivenessFile)
	out.Env, out.External, out.Providers = over(o.Env, other.Env), over(o.External, other.External), over(o.Providers, other.Providers)
	// An image for all of the flags wins over that of one process in the file, as a price for all does.
	if o.Images[All] != "" {
		out.Images = over(o.Images, nil)
	}
	switch _, all := o.Prices[All]; {
	case all:
		out.Prices = o.Prices
	case o.Budget != nil: // it is spread over all that has no price of the flags
		out.Prices = o.Prices
	default:
		out.Prices = over(o.Prices, other.Prices)
	}
	if o.Budget != nil {
		out.Budget = o.Budget
	}
	out.Compute = maps.Clone(other.Compute)
	for name, size := range o.Compute {
		if out.Compute == nil {
			out.Compute = map[string]Size{}
		}
		out.Compute[name] = size.Or(other.Compute[name])
	}
	out.Attributes = slices.Clone(o.Attributes)
	for _, a := range other.Attributes {
		if !slices.ContainsFunc(out.Attributes, func(x sdl.Attribute) bool { return x.Key == a.Key }) {
			out.Attributes = append(out.Attributes, a)
		}
	}
	if len(o.SignedBy.AllOf)+len(o.SignedBy.AnyOf) > 0 {
		out.SignedBy = o.SignedBy
	}
	if len(o.Exclude) > 0 {
		out.Exclude = o.Exclude
	}
	if len(o.Buildpacks) > 0 {
		out.Buildpacks = o.Buildpacks
	}
	return out
}

func over[V any](first, below map[string]V) map[string]V {
	if len(first) == 0 {
		return below
	}
	out := maps.Clone(first)
	for k, v := range below {
		if _, has := out[k]; !has {
			out[k] = v
		}
	}
	return out
}

// overlayReader reads a file of an overlay.
type overlayReader struct {
	*sdl.Reporter
	out  Overlay
	read files.Reader
}

// ReadOverlay reads the overlay of a file, and reports what is wrong with it. Files that it names are read by read, which
// may be nil.
func ReadOverlay(r *sdl.Reporter, root *doc.Node, read files.Reader) Overlay {
	v := &overlayReader{Reporter: r, read: read}
	o, ok := root.Object(r, doc.Shape{What: OverlayFile, Keys: overlayKeys, Meant: map[string]string{
		"images": "image", "commands": "command", "ports": "port", "prices": "price", "domains": "domain", "hosts": "domain", "size": "compute",
		"resources": "compute", "environment": "env", "buildpack": "buildpacks", "addon": "addons",
	}})
	if !ok {
		return Overlay{}
	}
	v.texts(o)
	v.out.Compute, v.out.Data = v.compute(o.Get("compute"))
	v.prices(o)
	v.placement(o.Get("placement"))
	v.scale(o.Get("scale"))
	v.domains(o.Get("domain"))
	v.env(o.Get("env"))
	v.addons(o.Get("addons"))
	v.lists(o)
	v.each(o.Get("livenessFile"), "livenessFile", func(name string, n *doc.Node) {
		on, _ := n.Bool(v.Reporter, "livenessFile")
		v.out.LivenessFile = with(v.out.LivenessFile, name, on)
	})
	return v.out
}

func (v *overlayReader) text(n *doc.Node, what string) string {
	if n == nil {
		return ""
	}
	s, _ := n.Scalar(v.Reporter, what)
	return s
}

// each calls take for every entry of a mapping from names of processes, or for a single value with All.
func (v *overlayReader) each(n *doc.Node, what string, take func(name string, n *doc.Node)) {
	switch {
	case n == nil:
	case n.Kind() == doc.Map:
		nodes, _ := n.Named(v.Reporter, what)
		for _, x := range nodes {
			take(x.Name(), x)
		}
	default:
		take(All, n)
	}
}

// texts reads what is a text, or one for each process.
func (v *overlayReader) texts(o doc.Object) {
	if n := o.Get("name"); n != nil {
		v.out.Name = v.text(n, "name")
		if v.out.Name != "" && Slug(v.out.Name, MaxNameBytes) != v.out.Name {
			v.Report(n.Problem("E-NAME", "%s is not a name: lower-case letters, digits and dashes, starting with a letter, at most %d", n.Show(), MaxNameBytes).
				WithSuggestion(Slug(v.out.Name, MaxNameBytes)))
		}
	}
	v.each(o.Get("image"), "image", func(name string, n *doc.Node) {
		text := v.text(n, "an image")
		if text != "" && !manifest.IsImage(text) {
			v.Report(n.Problem("E-IMAGE", "%s is not the reference of an image", n.Show()).WithAllowed("[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]"))
		}
		v.out.Images = with(v.out.Images, name, text)
	})
	v.each(o.Get("command"), "command", func(name string, n *doc.Node) {
		n.Hide()
		v.out.Commands = with(v.out.Commands, name, v.text(n, "a command"))
	})
	v.each(o.Get("port"), "port", func(name string, n *doc.Node) {
		p, _ := n.Uint(v.Reporter, "E-PORT", "port", 1, manifest.MaxPort)
		if name == All {
			name = Web
		}
		v.out.Ports = with(v.out.Ports, name, uint32(p))
	})
	v.out.Deposit, v.out.Select = v.text(o.Get("deposit"), "deposit"), v.text(o.Get("select"), "select")
	if n := o.Get("predeploy"); n != nil {
		if v.out.Predeploy = v.text(n, "predeploy"); v.out.Predeploy != PredeployJob {
			v.Report(n.Problem("E-OVERLAY", "predeploy %s is not known", n.Show()).WithAllowed(PredeployJob).WithSuggestion(PredeployJob))
		}
	}
}

func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

func (v *overlayReader) compute(n *doc.Node) (sizes map[string]Size, data map[string]uint64) {
	if n == nil {
		return nil, nil
	}
	nodes, _ := n.Named(v.Reporter, "compute")
	for _, x := range nodes {
		o, ok := x.Object(v.Reporter, doc.Shape{What: "the size of a process", Keys: []string{"cpu", "memory", "storage", "data"},
			Meant: map[string]string{"cpus": "cpu", "mem": "memory", "ram": "memory", "disk": "storage"}})
		if !ok {
			continue
		}
		amount := func(key, code string, read func(string) (uint64, *quantity.Problem), least, most uint64) uint64 {
			n := o.Get(key)
			if n == nil {
				return 0
			}
			return v.amount(n, key, code, read, least, most)
		}
		sizes = with(sizes, x.Name(), Size{
			CPUMilli:     amount("cpu", "E-CPU", quantity.CPU, manifest.MinCPUMilli, manifest.MaxCPUMilli),
			MemoryBytes:  amount("memory", "E-BYTES", quantity.Bytes, manifest.MinMemoryBytes, manifest.MaxMemoryBytes),
			StorageBytes: amount("storage", "E-BYTES", quantity.Bytes, manifest.MinVolumeBytes, manifest.MaxVolumeBytes),
		})
		if o.Get("data") != nil {
			data = with(data, x.Name(), amount("data", "E-BYTES", quantity.Bytes, manifest.MinVolumeBytes, manifest.MaxVolumeBytes))
		}
	}
	return sizes, data
}

func (v *overlayReader) amount(n *doc.Node, key, code string, read func(string) (uint64, *quantity.Problem), least, most uint64) uint64 {
	text, ok := n.Scalar(v.Reporter, key)
	if !ok {
		return 0
	}
	value, problem := read(text)
	switch {
	case problem != nil:
		v.Report(n.Problem(code, "%s", problem.Reason).WithAllowed(problem.Allowed).WithSuggestion(problem.Suggestion).WithHint(problem.Hint))
	case value < least || value > most:
		format := quantity.FormatBytes
		if key == "cpu" {
			format = quantity.FormatCPU
		}
		v.Report(n.Problem("E-RANGE", "%s %s is not from %s to %s", key, n.Show(), format(least), format(most)))
	}
	return value
}

var priceText = regexp.MustCompile(`^([0-9][0-9_.]*(?:e-?[0-9]+)?) *([A-Za-zµμ][A-Za-z0-9/µμ]*)?$`)

// ParsePrice reads a price per block, such as 12ubrt, 20u or 0.5: a number without a unit, or with BRT, is of whole
// tokens.
func ParsePrice(text string) (Price, error) {
	m := priceText.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Price{}, fmt.Errorf("%q is not a price", sdl.Printable(text))
	}
	p := Price{Denom: sdl.Denom}
	var problem *quantity.Problem
	switch unit := m[2]; {
	case unit == "" || strings.EqualFold(unit, strings.TrimPrefix(sdl.Denom, "u")):
		p.Amount, problem = quantity.Price(m[1])
	case unit == "u" || unit == "mu" || unit == "µ" || unit == "μ":
		p.Amount, problem = quantity.Price(m[1] + unit)
	default:
		p.Denom = unit
		p.Amount, problem = quantity.Amount(m[1])
	}
	if problem != nil {
		return Price{}, problem
	}
	return p, nil
}

// ParseBudget reads the most that a deployment may cost per month, such as 30 or 30BRT; see ParsePrice. /month may
// follow.
func ParseBudget(text string) (*sdl.Budget, error) {
	text = strings.TrimSuffix(strings.TrimSpace(text), "/month")
	p, err := ParsePrice(text)
	if err != nil {
		return nil, err
	}
	return &sdl.Budget{PerMonth: p.Amount, Denom: p.Denom}, nil
}

func (v *overlayReader) prices(o doc.Object) {
	v.each(o.Get("price"), "price", func(name string, n *doc.Node) {
		text := v.text(n, "a price")
		p, err := ParsePrice(text)
		if err != nil {
			v.Report(n.Problem("E-PRICE", "%s", err).WithHint("for example 12ubrt, per instance and block"))
			p.Amount = math.LegacyDec{}
		}
		v.out.Prices = with(v.out.Prices, name, p)
	})
	n := o.Get("budget")
	if n != nil && n.Kind() == doc.Map {
		b, _ := n.Object(v.Reporter, doc.Shape{What: "budget", Keys: []string{"perMonth"}})
		n = b.Require(v.Reporter, "perMonth", "perMonth: 40")
	}
	if n == nil {
		return
	}
	b, err := ParseBudget(v.text(n, "budget"))
	if err != nil {
		v.Report(n.Problem("E-PRICE", "%s", err).WithHint("for example 40, in whole tokens per month"))
	}
	v.out.Budget = b
}

func (v *overlayReader) placement(n *doc.Node) {
	if n == nil {
		return
	}
	o, ok := n.Object(v.Reporter, doc.Shape{What: "placement", Keys: []string{"attributes", "region", "signedBy", "exclude"}})
	if !ok {
		return
	}
	if r := o.Get("region"); r != nil {
		v.out.Attributes = append(v.out.Attributes, sdl.Attribute{Key: "region", Value: v.text(r, "region")})
	}
	if a := o.Get("attributes"); a != nil {
		nodes, _ := a.Named(v.Reporter, "attributes")
		for _, x := range nodes {
			v.out.Attributes = append(v.out.Attributes, sdl.Attribute{Key: x.Name(), Value: v.text(x, "an attribute")})
		}
	}
	if err := CheckAttributes(v.out.Attributes); err != nil {
		v.Report(n.Problem("E-ATTRIBUTE", "%s", err))
	}
	switch s := o.Get("signedBy"); {
	case s == nil:
	case s.Kind() == doc.Map:
		so, _ := s.Object(v.Reporter, doc.Shape{What: "signedBy", Keys: []string{"allOf", "anyOf"}})
		v.out.SignedBy = sdl.SignedBy{AllOf: v.list(so.Get("allOf"), "allOf"), AnyOf: v.list(so.Get("anyOf"), "anyOf")}
	default:
		v.out.SignedBy.AnyOf = v.list(s, "signedBy")
	}
	for _, a := range slices.Concat(v.out.SignedBy.AllOf, v.out.SignedBy.AnyOf) {
		if _, err := providertypes.ParseAddress("auditor", a); err != nil {
			v.Report(o.Get("signedBy").Problem("E-AUDITOR", "%q is not the address of an auditor", sdl.Printable(doc.Shorten(a))))
		}
	}
	v.out.Exclude = v.list(o.Get("exclude"), "exclude")
}

func (v *overlayReader) list(n *doc.Node, what string) []string {
	if n == nil {
		return nil
	}
	if n.Kind() == doc.Scalar {
		return []string{n.Text()}
	}
	entries, _ := n.Entries(v.Reporter, what)
	var out []string
	for _, e := range entries {
		out = append(out, v.text(e, "an entry of "+what))
	}
	return out
}

func (v *overlayReader) scale(n *doc.Node) {
	if n == nil {
		return
	}
	o, ok := n.Object(v.Reporter, doc.Shape{What: "scale", Keys: []string{"reserve", "autoMax"}})
	if !ok {
		return
	}
	if x := o.Get("reserve"); x != nil {
		if v.out.Reserve = v.text(x, "reserve"); v.out.Reserve != ReserveMax && v.out.Reserve != ReserveMin {
			v.Report(x.Problem("E-OVERLAY", "reserve %s is neither max nor min", x.Show()).WithAllowed("max, min"))
		}
	}
	v.each(o.Get("autoMax"), "autoMax", func(name string, n *doc.Node) {
		m, _ := n.Uint(v.Reporter, "E-RANGE", "autoMax", 1, manifest.MaxCount)
		v.out.AutoMax = with(v.out.AutoMax, name, uint32(m))
	})
}

func (v *overlayReader) domains(n *doc.Node) {
	if n != nil && n.Kind() != doc.Map {
		v.out.Domains = map[string][]string{All: v.list(n, "domain")}
		return
	}
	v.each(n, "domain", func(name string, n *doc.Node) { v.out.Domains = with(v.out.Domains, name, v.list(n, "domain")) })
}

// env reads values of variables, of which no message shows any.
func (v *overlayReader) env(n *doc.Node) {
	if n == nil {
		return
	}
	nodes, _ := n.Named(v.Reporter, "env")
	for _, x := range nodes {
		x.Hide()
		if !manifest.IsEnvName(x.Name()) {
			v.Report(x.Key().Problem("E-ENV", "%s cannot name an environment variable", x.Key().Show()))
			continue
		}
		switch x.Kind() {
		case doc.Scalar:
			v.out.Env = with(v.out.Env, x.Name(), x.Text())
		case doc.Map:
			o, _ := x.Object(v.Reporter, doc.Shape{What: "a variable", Keys: []string{"value", "fromFile"}, Meant: map[string]string{"file": "fromFile"}})
			if value := o.Get("value"); value != nil {
				value.Hide()
				v.out.Env = with(v.out.Env, x.Name(), v.text(value, "value"))
			} else if file := o.Require(v.Reporter, "fromFile", "fromFile: .env.production"); file != nil {
				v.fromFile(x.Name(), file)
			}
		default:
			v.Report(x.Remark("E-ENV", "a variable is a value, or a mapping with value or fromFile"))
		}
	}
}

// fromFile takes a variable from a file of variables.
func (v *overlayReader) fromFile(name string, n *doc.Node) {
	file := v.text(n, "fromFile")
	data, err := v.read.Read(n, file)
	if err != nil {
		v.Report(v.read.Problem(n, "E-FILE", file, err))
		return
	}
	vars, err := dotenv.Parse(data)
	if err != nil {
		v.Report(n.Problem("E-ENV-FILE", "file %s is no file of NAME=VALUE", n.Show()))
		return
	}
	value, ok := dotenv.Map(vars)[name]
	if !ok {
		v.Report(n.Problem("E-ENV-FILE", "file %s does not set %s", n.Show(), name))
		return
	}
	v.out.Env = with(v.out.Env, name, value)
}

func (v *overlayReader) addons(n *doc.Node) {
	if n == nil {
		return
	}
	nodes, _ := n.Named(v.Reporter, "addons")
	for _, x := range nodes {
		o, ok := x.Object(v.Reporter, doc.Shape{What: "an addon", Keys: []string{"external", "provider"}})
		if !ok {
			continue
		}
		if e := o.Get("external"); e != nil {
			external, _ := e.Bool(v.Reporter, "external")
			v.out.External = with(v.out.External, x.Name(), external)
		}
		if p := o.Get("provider"); p != nil {
			v.out.Providers = with(v.out.Providers, x.Name(), v.text(p, "provider"))
		}
	}
}

func (v *overlayReader) lists(o doc.Object) {
	v.out.Buildpacks = v.list(o.Get("buildpacks"), "buildpacks")
}

// CheckAttributes says what the chain would refuse of the attributes that are asked of a provider.
func CheckAttributes(attributes []sdl.Attribute) error {
	out := make([]providertypes.Attribute, len(attributes))
	for i, a := range attributes {
		out[i] = providertypes.Attribute{Key: a.Key, Value: a.Value}
	}
	return providertypes.ValidateRequirements(out)
}
