package main

import (
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/tenant"
)

// usageText is what the instances of a service use together; known is false where nothing was measured.
func usageText(svc tenant.ServiceStatus) (cpu, memory string, known bool) {
	if len(svc.Usage) == 0 {
		return "-", "-", false
	}
	var milli, bytes int64
	for _, u := range svc.Usage {
		milli += u.CPUMilli
		bytes += u.MemoryBytes
	}
	return fmt.Sprintf("%dm", milli), bytesText(bytes), true
}

// bytesText writes an amount of memory or storage in the largest binary unit of which there is one, rounded down.
func bytesText(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}} {
		if n >= unit.bytes {
			whole, tenths := n/unit.bytes, n%unit.bytes*10/unit.bytes
			if whole < 10 && tenths > 0 {
				return fmt.Sprintf("%d.%d%s", whole, tenths, unit.name)
			}
			return fmt.Sprintf("%d%s", whole, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// taskText says how the runs of a task went.
func taskText(t *tenant.TaskStatus) string {
	var parts []string
	if t.Suspended {
		parts = append(parts, "suspended")
	}
	if t.Active > 0 {
		parts = append(parts, counted(int(t.Active), "run")+" now")
	}
	switch {
	case t.Last == "":
		parts = append(parts, "no run known")
	case t.Ended.IsZero():
		parts = append(parts, "last run "+t.Last)
	default:
		parts = append(parts, fmt.Sprintf("last run %s at %s", t.Last, t.Ended.UTC().Format(time.RFC3339)))
	}
	if t.Message != "" {
		parts = append(parts, t.Message)
	}
	return strings.Join(parts, ", ")
}

// writeHooks writes the hooks of a lease's services; nothing if there are none.
func writeHooks(b *strings.Builder, paint style, l *tenant.LeaseStatus) {
	t := newTable("SERVICE", "HOOK", "STATE", "")
	for _, svc := range l.Services {
		for _, h := range svc.Hooks {
			t.add(svc.Name, h.Name, h.State, h.Message)
		}
	}
	if len(t.rows) == 0 {
		return
	}
	b.WriteString(t.render("  "))
	for _, svc := range l.Services {
		for _, h := range svc.Hooks {
			if len(h.Log) == 0 {
				continue
			}
			fmt.Fprintf(b, "  %s\n", paint.amber(fmt.Sprintf("last lines of hook %s of %s:", printable(h.Name), printable(svc.Name))))
			for _, line := range h.Log {
				fmt.Fprintf(b, "    %s\n", printable(line))
			}
		}
	}
}

// writeVolumes writes the persistent volumes of a lease; nothing if there are none.
func writeVolumes(b *strings.Builder, l *tenant.LeaseStatus) {
	t := newTable("VOLUME", "INSTANCE", "SIZE", "CLASS", "").alignRight(2)
	for _, v := range l.Volumes {
		kept := ""
		if v.Kept {
			kept = "kept: no instance uses it now"
		}
		t.add(v.Name, fmt.Sprintf("%s-%d", v.Service, v.Instance), bytesText(v.Bytes), v.Class, kept)
	}
	if len(t.rows) > 0 {
		b.WriteString(t.render("  "))
	}
}
