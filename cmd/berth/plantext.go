package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/explain"
	"berth.dev/berth/sdl/quantity"
)

// planText writes a plan for people. Values of environment variables are left out.
func planText(p *sdl.Plan, e *explain.Explanation) string {
	var b strings.Builder
	for i, g := range p.Groups {
		writeGroup(&b, g, e.Placements[i])
	}
	writeInputs(&b, p.Extras)
	writeDoors(&b, e.Doors, len(p.Groups) > 1)
	writeTotals(&b, e)
	return b.String()
}

func writeGroup(b *strings.Builder, g sdl.Group, p explain.Placement) {
	fmt.Fprintf(b, "Group %s: one provider %s\n", g.Name, requirements(p))
	t := newTable("SERVICE", "IMAGE", "COUNT", "CPU", "MEMORY", "STORAGE", "GPU", "MAX PRICE").alignRight(2, 3, 4, 5, 6, 7)
	for _, s := range p.Services {
		t.add(s.Name, orDash(s.Image), strconv.FormatUint(uint64(s.Instances), 10), quantity.FormatCPU(s.Each.CPUMilli),
			quantity.FormatBytes(s.Each.MemoryBytes), volumeSizes(s.Volumes), orDash(gpus(s)), money(s.EachAtMost))
	}
	if p.Totals.GPU == 0 {
		t.drop(6)
	}
	b.WriteString(t.render("  "))
	for _, r := range g.Resources {
		if strings.Contains(r.Service, "+") {
			fmt.Fprintf(b, "  %s share one resource unit of %s\n", strings.ReplaceAll(r.Service, "+", ", "), counted(int(r.Count), "instance"))
		}
	}
	for _, s := range p.Services {
		writeDetails(b, s)
	}
	fmt.Fprintf(b, "  %s\n\n", costs(p.AtMost))
}

func money(c explain.Cost) string { return c.PriceText() }

// costs is the most that something may cost, as far as there are prices.
func costs(c explain.Cost) string {
	if c.Open && c.PerBlock.IsZero() {
		return "its prices are open"
	}
	if c.Open {
		c.Open = false
		return costs(c) + ", and what has no price yet"
	}
	return "at most " + money(c) + " per block, " + explain.MoneyUp(c.PerHour, c.Denom) + " per hour, " + explain.MoneyUp(c.PerMonth, c.Denom) + " per month"
}

func volumeSizes(volumes []explain.Volume) string {
	var sizes []string
	for _, v := range volumes {
		sizes = append(sizes, quantity.FormatBytes(v.Bytes))
	}
	return strings.Join(sizes, "+")
}

func gpus(s explain.Service) string {
	if s.Each.GPU == 0 {
		return ""
	}
	return strconv.FormatUint(s.Each.GPU, 10)
}

// requirements says which providers a group accepts.
func requirements(p explain.Placement) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(p.Attributes)) {
		parts = append(parts, key+"="+p.Attributes[key])
	}
	text := "of any kind"
	if len(parts) > 0 {
		text = "with " + strings.Join(parts, ", ")
	}
	if len(p.Abilities) > 0 {
		text += ", able to do " + strings.Join(p.Abilities, ", ")
	}
	if len(p.SignedBy.AllOf) > 0 {
		text += ", signed by " + strings.Join(p.SignedBy.AllOf, " and ")
	}
	if len(p.SignedBy.AnyOf) > 0 {
		text += ", signed by " + strings.Join(p.SignedBy.AnyOf, " or ")
	}
	return printable(text)
}

func writeDetails(b *strings.Builder, s explain.Service) {
	say := func(format string, args ...any) {
		fmt.Fprintf(b, "  %s\n", printable(s.Name+" "+fmt.Sprintf(format, args...)))
	}
	if len(s.GPUs) > 0 {
		say("takes gpus of %s", strings.Join(s.GPUs, " or "))
	}
	for _, v := range s.Volumes {
		if v.Kind == explain.Ephemeral && v.Mount == "" {
			continue // the file system of an instance
		}
		kind := v.Kind
		if v.Class != "" {
			kind += ", class " + v.Class
		}
		if v.ReadOnly {
			kind += ", read-only"
		}
		say("has volume %s of %s at %s (%s)", v.Name, quantity.FormatBytes(v.Bytes), orDash(v.Mount), kind)
	}
	writeTimes(say, s)
	if s.Command {
		say("runs with a command of its own")
	}
	if s.Arguments > 0 {
		say("runs with %s", counted(s.Arguments, "argument"))
	}
	if len(s.After) > 0 {
		say("starts after %s", strings.Join(s.After, ", "))
	}
	if len(s.Variables) > 0 {
		say("gets the %s %s", plural(len(s.Variables), "variable"), strings.Join(s.Variables, ", "))
	}
	if len(s.Secrets) > 0 {
		say("gets the secret %s %s", plural(len(s.Secrets), "variable"), strings.Join(s.Secrets, ", "))
	}
	if s.Registry != "" {
		say("has its image opened by credentials for %s", s.Registry)
	}
}

// writeTimes says when a task runs, and how the number of instances follows the load.
func writeTimes(say func(format string, args ...any), s explain.Service) {
	switch {
	case s.Suspended:
		say("is under maintenance: it does not run at %s, and costs nothing", s.Schedule)
	case s.Schedule != "":
		say("runs at %s (UTC)", s.Schedule)
	}
	if c := s.Scale; c != nil {
		say("has %d running / %d reserved by the use of its %s%s", c.Least, c.Most, strings.Join(c.By, " and "), reserved(s.AtMost, c.AtLeast))
	}
}

// reserved says what it costs to reserve the most instances, and what the least would, if there are prices.
func reserved(most, least explain.Cost) string {
	if most.Open || most.PerMonth.IsNil() || least.Open || least.PerMonth.IsNil() {
		return ", and pays for what is reserved"
	}
	return fmt.Sprintf(": reserved at most %s per month; with reserve min at most %s, and no burst", explain.MoneyUp(most.PerMonth, most.Denom), explain.MoneyUp(least.PerMonth, least.Denom))
}

// writeInputs says what a deployment of an application still needs.
func writeInputs(b *strings.Builder, x *sdl.Extras) {
	if x == nil {
		return
	}
	for _, i := range x.Inputs {
		what := map[string]string{
			sdl.InputGenerated: "‹generated›", sdl.InputMissing: "has no value yet: berth deploy asks for it", sdl.InputAbsent: "is left out: it has no value",
			sdl.InputGiven: "‹given›",
		}[i.State]
		line := "  " + i.Name + " " + what
		if i.Description != "" {
			line += " (" + i.Description + ")"
		}
		b.WriteString(printable(line) + "\n")
	}
	if len(x.Unbuilt) > 0 {
		fmt.Fprintf(b, "  no image yet for %s\n", strings.Join(x.Unbuilt, ", "))
	}
	if len(x.Inputs)+len(x.Unbuilt) > 0 {
		b.WriteString("\n")
	}
}

func writeDoors(b *strings.Builder, doors []explain.Door, withGroup bool) {
	if len(doors) == 0 {
		b.WriteString("Nobody can connect to these services: none exposes a port.\n\n")
		return
	}
	b.WriteString("Who can connect to what:\n")
	t := newTable("TO", "PORT", "PROTOCOL", "FROM", "HOSTS").alignRight(1)
	for _, d := range doors {
		name := d.Service
		if withGroup {
			name = d.Group + "/" + d.Service
		}
		var from []string
		if d.Public {
			from = append(from, "anyone")
		}
		for _, c := range d.Clients {
			if c.Link {
				from = append(from, c.Group+"/"+c.Service)
			} else {
				from = append(from, c.Service)
			}
		}
		if d.Closed() {
			from = append(from, "nobody")
		}
		hosts := strings.Join(d.Hosts, ", ")
		if d.Address != "" {
			hosts = strings.TrimPrefix(hosts+", leased address "+d.Address, ", ")
		}
		t.add(name, strconv.FormatUint(uint64(d.Port), 10), d.Proto, strings.Join(from, ", "), hosts)
	}
	b.WriteString(t.render("  ") + "\n")
}

// writeTotals sums up what is asked for, and says what the costs rest on.
func writeTotals(b *strings.Builder, e *explain.Explanation) {
	total := []string{counted(e.Services, "service"), counted(int(e.Instances), "instance"), quantity.FormatCPU(e.Totals.CPUMilli) + " cpu",
		quantity.FormatBytes(e.Totals.MemoryBytes) + " memory", quantity.FormatBytes(e.Totals.StorageBytes) + " storage"}
	if e.Totals.GPU > 0 {
		total = append(total, counted(int(e.Totals.GPU), "gpu"))
	}
	fmt.Fprintf(b, "In all: %s; %s.\n", strings.Join(total, ", "), costs(*e.AtMost))
	fmt.Fprintln(b, e.Basis())
}
