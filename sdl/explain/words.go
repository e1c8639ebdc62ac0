package explain

import (
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/math"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/units"
)

// Text explains in words and tables, for a terminal.
func (e *Explanation) Text() string { return e.page().text() }

// The most that Mermaid draws, by its own defaults.
const (
	maxMermaidEdges = 500
	maxMermaidBytes = 50_000
)

// Markdown explains in words, tables and a drawing, for a code host.
func (e *Explanation) Markdown() string {
	var b strings.Builder
	e.page().markdown(&b)
	if drawing := e.Mermaid(); len(lines(e.Connections)) <= maxMermaidEdges && len(drawing) <= maxMermaidBytes {
		b.WriteString("### Who can connect to what, drawn\n\n```mermaid\n" + drawing + "```\n")
	} else {
		b.WriteString("There are too many services and connections for a drawing here; `berth sdl explain --format svg` draws them.\n")
	}
	return b.String()
}

func (e *Explanation) page() *page {
	p := &page{}
	e.overview(p.section(""))
	for _, pl := range e.Placements {
		describe(p.section("Placement "+name(pl.Name)), pl)
	}
	e.order(p.section("Order of starting"))
	e.connectivity(p.section("Who can connect to what"))
	if links := e.links(); len(links) > 0 {
		p.section("Over links between placements").list("Where a name has ready instances in the placement of the client, it leads to those, and else to others.", links)
	}
	if len(e.Remarks) > 0 {
		s := p.section("To be sure of")
		var items []string
		for _, r := range e.Remarks {
			items = append(items, remarkText(e, r))
		}
		s.list("", items)
	}
	e.limitsTable(p.section("How much it takes of what the chain allows of a placement"))
	e.costs(p.section("What it may cost at most"))
	return p
}

func remarkText(e *Explanation, r Remark) string {
	if r.Placement != "" && len(e.Placements) > 1 {
		return "In placement " + name(r.Placement) + ", " + r.marked + "."
	}
	return capital(r.marked) + "."
}

// capital makes a sentence of a text; a name at its start stays as it is.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func (e *Explanation) overview(s *section) {
	text := fmt.Sprintf("%s with %s in all %s in %s, ", count(uint64(e.Services), "service"), count(e.Instances, "instance"),
		plural(e.Services, "runs", "run"), count(uint64(len(e.Placements)), "placement"))
	if len(e.Placements) == 1 {
		text += "that is with one provider."
	} else {
		text += "each with one provider; one provider may hold several."
	}
	s.say(text)
	if e.NoticeSeconds > 0 {
		s.say("A provider must give " + span(int64(e.NoticeSeconds)) + " of notice before it takes a lease back.")
	} else {
		s.say("No notice is asked for: a provider may end its lease at any time.")
	}
}

func count(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + one + "s"
}

// describe says what one placement asks of its provider, and what runs there.
func describe(s *section, p Placement) {
	s.list("Its provider:", wanted(p))
	for _, sv := range p.Services {
		s.list(headline(sv), details(sv))
	}
}

// wanted says which providers qualify.
func wanted(p Placement) []string {
	var out []string
	for _, key := range sortedKeys(p.Attributes) {
		out = append(out, "says "+name(key)+" is "+name(p.Attributes[key])+".")
	}
	for _, a := range p.Abilities {
		out = append(out, ability(a))
	}
	if len(p.SignedBy.AllOf) > 0 {
		out = append(out, "has its attributes signed by "+each(len(p.SignedBy.AllOf))+names(p.SignedBy.AllOf)+".")
	}
	if n := len(p.SignedBy.AnyOf); n > 0 {
		text := "has its attributes signed by "
		if n > 1 {
			text += "at least one of "
		}
		out = append(out, text+names(p.SignedBy.AnyOf)+".")
	}
	for _, a := range p.Addresses {
		out = append(out, "leases the address "+name(a)+" to it.")
	}
	if len(out) == 0 {
		return []string{"may be any."}
	}
	return out
}

func each(n int) string {
	if n == 1 {
		return ""
	}
	return "each of "
}

// abilityTexts say what providers claim; docs/spec/abilities.md lists them.
var abilityTexts = map[string]string{
	"storage": "has storage of class %s.", "arch": "has %s processors.", "ip": "leases addresses out.", "http": "takes settings of http routes.",
	"credentials": "pulls images from private registries.", "permissions": "lets services read of their own deployment.",
	"tee": "runs trusted execution of kind %s.",
}

func ability(key string) string {
	what, value, _ := strings.Cut(key, "/")
	switch text := abilityTexts[what]; {
	case strings.Contains(text, "%s"):
		return fmt.Sprintf(text, name(value))
	case text != "" && value == "":
		return text
	default:
		return "has the ability " + name(key) + "."
	}
}

// headline says what a service is.
func headline(s Service) string {
	text := name(s.Name) + ": " + count(uint64(s.Instances), "instance") + " of " + name(s.Image) + ", "
	if s.Instances == 1 {
		return text + "with " + resources(s.Each) + "."
	}
	return text + "each with " + resources(s.Each) + "; in all " + resources(s.All) + "."
}

// bytesText writes bytes exactly where that takes few digits, and else rounded up to hundredths of a Gi, marked so.
func bytesText(n uint64) string {
	text := quantity.FormatBytes(n)
	if len(strings.TrimRight(text, "kKMGTPEi")) <= 5 {
		return text
	}
	const gi = 1 << 30
	hundredths := n/gi*100 + (n%gi*100+gi-1)/gi
	return "~" + units.TrimDecimal(fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)) + "Gi"
}

func resources(a Amounts) string {
	parts := []string{quantity.FormatCPU(a.CPUMilli) + " cpu", bytesText(a.MemoryBytes) + " of memory"}
	if a.StorageBytes > 0 {
		parts = append(parts, bytesText(a.StorageBytes)+" of storage")
	}
	if a.GPU > 0 {
		parts = append(parts, count(a.GPU, "gpu"))
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

func details(s Service) []string {
	var out []string
	if len(s.GPUs) > 0 {
		text := "Its gpus are "
		if s.Each.GPU == 1 {
			text = "Its gpu is "
		}
		if len(s.GPUs) > 1 {
			text += "of one of these kinds: "
		}
		out = append(out, text+names(s.GPUs)+".")
	}
	for _, v := range s.Volumes {
		out = append(out, volumeText(v))
	}
	out = append(out, inputs(s)...)
	if s.TEE != "" {
		out = append(out, "It runs in trusted execution of kind "+name(s.TEE)+".")
	}
	if len(s.Permissions) > 0 {
		out = append(out, "It may read these of its own deployment: "+names(s.Permissions)+".")
	}
	if len(s.After) > 0 {
		out = append(out, "It starts when "+names(s.After)+" "+plural(len(s.After), "is", "are")+" ready.")
	}
	return out
}

// volumeText says where a volume is, and what is left of it after a restart.
func volumeText(v Volume) string {
	size := bytesText(v.Bytes)
	if v.Mount == "" && v.Kind == Ephemeral {
		return "What an instance writes to its own file system, up to " + size + ", is gone when it restarts."
	}
	text := name(v.Name) + " (" + size
	if v.Class != "" {
		text += ", class " + name(v.Class)
	}
	text += ") "
	if v.Mount == "" {
		text += "is mounted nowhere"
	} else {
		text += "is at " + name(v.Mount)
	}
	if v.ReadOnly {
		text += ", read-only"
	}
	switch v.Kind {
	case Persistent:
		return text + "; it survives restarts and updates, and is gone when the lease ends."
	case Memory:
		return text + "; it is memory, and empty after a restart."
	default:
		return text + "; it lives as long as an instance."
	}
}

// inputs say what an instance is given, without a value.
func inputs(s Service) []string {
	var out []string
	if s.Command || s.Arguments > 0 {
		text := "It runs with "
		switch {
		case s.Command && s.Arguments > 0:
			text += "a command of its own and " + count(uint64(s.Arguments), "argument")
		case s.Command:
			text += "a command of its own"
		default:
			text += count(uint64(s.Arguments), "argument")
		}
		out = append(out, text+".")
	}
	if n := len(s.Variables); n > 0 {
		out = append(out, "It gets the "+plural(n, "variable ", "variables ")+names(s.Variables)+".")
	}
	if n := len(s.Secrets); n > 0 {
		out = append(out, "It gets the secret "+plural(n, "variable ", "variables ")+names(s.Secrets)+"; only its provider sees "+plural(n, "the value.", "their values."))
	}
	if s.Registry != "" {
		out = append(out, "Its image is opened by secret credentials for "+name(s.Registry)+"; only its provider sees them.")
	}
	return out
}

func (e *Explanation) order(s *section) {
	if len(e.StartOrder) < 2 {
		s.say("All services start at once: none waits for another.")
		return
	}
	items := []string{"First " + names(e.StartOrder[0]) + "."}
	for _, step := range e.StartOrder[1:] {
		items = append(items, "Then "+names(step)+".")
	}
	s.list("A service starts when all that it waits for are ready.", items)
}

func (e *Explanation) connectivity(s *section) {
	if len(e.Doors) == 0 {
		s.say("Nobody can connect to anything: no service exposes a port.")
		return
	}
	many := len(e.Placements) > 1
	head := []string{"Service", "Name and port", "Protocol", "Container port", "Who can connect", "From outside at"}
	right := 3
	if many {
		head, right = append([]string{"Placement"}, head...), 4
	}
	t := newTable(head...).alignRight(right)
	for _, d := range e.Doors {
		row := []string{name(d.Service), name(fmt.Sprintf("%s:%d", d.Service, d.Port)), d.Proto, strconv.FormatUint(uint64(d.ContainerPort), 10), clients(d), outside(d)}
		if many {
			row = append([]string{name(d.Group)}, row...)
		}
		t.add(row...)
	}
	s.table(t)
	s.say("Services find each other under name and port. Whoever is not named cannot connect.")
}

// clients says who may connect to a port. Those of another placement are named with it.
func clients(d Door) string {
	var out []string
	if d.Public {
		out = append(out, "anyone")
	}
	for _, c := range d.Clients {
		if c.Link {
			out = append(out, name(c.Group+"/"+c.Service))
		} else {
			out = append(out, name(c.Service))
		}
	}
	if len(out) == 0 {
		return "nobody"
	}
	return strings.Join(out, ", ")
}

// outside says where people find a public port.
func outside(d Door) string {
	switch byHost := d.Proto == "http" || d.Proto == "https"; {
	case !d.Public:
		return "-"
	case byHost && len(d.Hosts) > 0 && d.Proto == "http":
		return names(d.Hosts) + ", a host of the provider's" + at(d)
	case byHost && len(d.Hosts) > 0:
		return names(d.Hosts) + at(d)
	case byHost:
		return "a host of the provider's" + at(d)
	case d.Address != "":
		return "address " + name(d.Address) + ", port " + strconv.FormatUint(uint64(d.Port), 10)
	default:
		return "a port of the provider's"
	}
}

func at(d Door) string {
	if d.Address == "" {
		return ""
	}
	return ", at address " + name(d.Address)
}

// links says what clients of other placements can reach.
func (e *Explanation) links() []string {
	var out []string
	for _, c := range e.Connections {
		if c.Link {
			out = append(out, fmt.Sprintf("%s in %s reaches %s (%s) in %s.", name(c.FromService), name(c.FromGroup),
				name(fmt.Sprintf("%s:%d", c.ToService, c.Port)), c.Proto, name(c.ToGroup)))
		}
	}
	return out
}

func (e *Explanation) limitsTable(s *section) {
	t := newTable("Placement", "Services", "Instances", "Cpu", "Memory", "Storage", "Gpus").alignRight(1, 2, 3, 4, 5, 6)
	instances := func(p Placement) (n uint64) {
		for _, s := range p.Services {
			n += uint64(s.Instances)
		}
		return n
	}
	for _, p := range e.Placements {
		t.add(name(p.Name), fmt.Sprintf("%d of %d", len(p.Services), manifest.MaxServices), strconv.FormatUint(instances(p), 10),
			quantity.FormatCPU(p.Totals.CPUMilli)+" of "+quantity.FormatCPU(p.Limits.CPUMilli),
			bytesText(p.Totals.MemoryBytes)+" of "+bytesText(p.Limits.MemoryBytes),
			storage(p), fmt.Sprintf("%d of %d", p.Totals.GPU, p.Limits.GPU))
	}
	if len(e.Placements) > 1 {
		t.add("in all", strconv.Itoa(e.Services), strconv.FormatUint(e.Instances, 10), quantity.FormatCPU(e.Totals.CPUMilli),
			bytesText(e.Totals.MemoryBytes), bytesText(e.Totals.StorageBytes), strconv.FormatUint(e.Totals.GPU, 10))
	}
	s.table(t)
	s.say(fmt.Sprintf("%d of %s.", len(e.Placements), count(manifest.MaxGroups, "placement")))
}

// storage is what a placement takes of what the first, second, ... volumes of its instances may take together.
func storage(p Placement) string {
	if len(p.Totals.VolumeBytes) == 0 {
		return "0"
	}
	var parts []string
	for _, n := range p.Totals.VolumeBytes {
		parts = append(parts, bytesText(n))
	}
	text := strings.Join(parts, " + ") + " of " + bytesText(p.Limits.VolumeBytes[0])
	if len(parts) > 1 {
		text += " each"
	}
	return text
}

func (e *Explanation) costs(s *section) {
	head := []string{"Placement", "Service", "Instances", "Each, per block", "Per block"}
	timed := e.BlockNanos > 0
	if timed {
		head = append(head, "Per hour", "Per month")
	}
	t := newTable(head...).alignRight(2, 3, 4, 5, 6)
	row := func(c Cost, cells ...string) {
		cells = append(cells, c.PriceText())
		if timed {
			cells = append(cells, c.text(MoneyUp(c.PerHour, c.Denom)), c.text(MoneyUp(c.PerMonth, c.Denom)))
		}
		t.add(cells...)
	}
	for _, p := range e.Placements {
		for _, sv := range p.Services {
			row(sv.AtMost, name(p.Name), name(sv.Name), strconv.FormatUint(uint64(sv.Instances), 10), sv.EachAtMost.PriceText())
		}
		if len(e.Placements) > 1 && len(p.Services) > 1 {
			row(p.AtMost, name(p.Name), "all", "", "")
		}
	}
	if e.AtMost != nil {
		row(*e.AtMost, "in all", "", strconv.FormatUint(e.Instances, 10), "")
	}
	s.table(t)
	s.say(e.Basis())
	if d := e.depositText(); d != "" {
		s.say(d)
	}
}

// Basis says what the figures rest on.
func (e *Explanation) Basis() string {
	if e.AtMost != nil && e.AtMost.Open {
		return "Prices that are open are found by berth deploy: one and a half times what such leases cost on the network."
	}
	if e.BlockNanos == 0 {
		return "Bids are usually lower than these maxima."
	}
	return "A month is 30 days, of blocks of " + exactSpan(e.BlockNanos) + " (--block-time). Bids are usually lower than these maxima."
}

func (e *Explanation) depositText() string {
	d := e.Deposit
	if d == nil {
		return ""
	}
	amount, ok := math.NewIntFromString(d.Amount)
	if !ok {
		return ""
	}
	text := "A deposit of " + Money(math.LegacyNewDecFromInt(amount), d.Denom) + ", which berth deploy makes by default, lasts for " + d.Blocks + " blocks"
	if seconds, ok := math.NewIntFromString(d.Seconds); ok {
		text += ", that is " + longSpan(seconds)
	}
	return text + ", at these maxima; what is not used comes back."
}

// longSpan writes a number of seconds that may be beyond any clock.
func longSpan(seconds math.Int) string {
	const century = 100 * 365 * 24 * 3600
	if seconds.GT(math.NewInt(century)) {
		return "more than 100 years"
	}
	return span(seconds.Int64())
}

// span writes seconds in their two largest units.
func span(seconds int64) string {
	type unit struct {
		seconds int64
		name    string
	}
	all := []unit{{24 * 3600, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}}
	for i, u := range all {
		if seconds < u.seconds && i < len(all)-1 {
			continue
		}
		text := count(uint64(seconds/u.seconds), u.name)
		if i < len(all)-1 {
			if rest := seconds % u.seconds / all[i+1].seconds; rest > 0 {
				text += " and " + count(uint64(rest), all[i+1].name)
			}
		}
		return text
	}
	return ""
}

// exactSpan writes nanoseconds as seconds or milliseconds, exactly.
func exactSpan(nanos int64) string {
	const milli = second / 1000
	if nanos >= second {
		return units.TrimDecimal(math.LegacyNewDecWithPrec(nanos, 9).String()) + "s"
	}
	if nanos >= milli {
		return units.TrimDecimal(math.LegacyNewDecWithPrec(nanos, 6).String()) + "ms"
	}
	return strconv.FormatInt(nanos, 10) + "ns"
}
