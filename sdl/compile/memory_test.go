package compile_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/doc"
)

// expensive are further documents of up to 1 MiB that try to cost time or memory: by their text, and by what they mean.
func expensive() map[string]string {
	fill := func(s string) string { return strings.Repeat(s, doc.MaxBytes/len(s)) }
	long := func(i int) string { return fmt.Sprintf("n%s%05d", strings.Repeat("a", 55), i) }
	list := func(n int, one func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(one(i))
		}
		return b.String()
	}
	out := map[string]string{
		"entries in brackets":    "a: [" + strings.Repeat("1e9,", 90_000) + "]",
		"lists in brackets":      "a: [" + strings.Repeat("[a],", 30_000) + "]",
		"lines of a key":         strings.Repeat("a: b\n", 45_000),
		"lines of another key":   list(24_000, func(i int) string { return fmt.Sprintf("k%d: {}\n", i) }),
		"question marks":         strings.Repeat("?\n", 45_000),
		"dashes in dashes":       strings.Repeat("- - -\n", 24_000),
		"block texts":            strings.Repeat("x: |\n", 45_000),
		"one block text":         "a: |\n" + strings.Repeat(strings.Repeat(" ", 100)+"x\n", 10_000),
		"folded lines":           "a: >\n" + strings.Repeat(" x\n\n", 24_000),
		"a quote that stays":     strings.Repeat("a: b\n", 30_000) + "c: \"x",
		"a bracket that stays":   strings.Repeat("a: b\n", 30_000) + "c: [x",
		"a wrong end":            fill("word ") + "\n\"x",
		"wide characters":        "a: " + strings.Repeat("\U0001f600", doc.MaxBytes/4-1),
		"wide keys":              list(9_000, func(i int) string { return fmt.Sprintf("\u00e9%d: \U0001f600\n", i) }),
		"anchors":                list(24_000, func(i int) string { return fmt.Sprintf("k%d: &a%d x\n", i, i) }),
		"one anchor, many times": "a: &a {b: {c: {d: e}}}\nl: [" + strings.Repeat("*a,", 10_000) + "]",
		"merges":                 "a: &a {b: c}\n" + list(9_000, func(i int) string { return fmt.Sprintf("k%d: {<<: *a}\n", i) }),
		"a merge of many":        "a: &a {" + list(9_000, func(i int) string { return fmt.Sprintf("k%d: x,", i) }) + "}\nb: {<<: [" + strings.Repeat("*a,", 50) + "]}",
		"huge numbers": "version: \"1.0\"\nprofiles: {compute: {" + list(4_000, func(i int) string {
			return fmt.Sprintf("p%d: {cpu: 1%s, memory: 9%s},", i, strings.Repeat("0", 60), strings.Repeat("9", 60))
		}) + "}}",
		"long numbers":    "version: \"1.0\"\nprofiles: {compute: {a: {cpu: " + strings.Repeat("9", 400_000) + ", memory: 0." + strings.Repeat("3", 400_000) + "}}}",
		"environment":     "version: \"1.0\"\nservices: {web: {image: a, env: [" + list(40_000, func(i int) string { return fmt.Sprintf("A%d=${B%d},", i, i) }) + "]}}",
		"one environment": "version: \"1.0\"\nservices: {web: {image: a, env: [\"A=" + strings.Repeat("${B}", 200_000) + "\"]}}",
	}
	for v, form := range map[string]string{"1.0": "[%s]", "2.0": "[%s]"} {
		out[v+": clients that are not there"] = "version: \"" + v + "\"\nservices: {" +
			list(300, func(i int) string { return long(i) + ": {image: a}," }) + "web: {image: a, expose: [{port: 80, to: " +
			fmt.Sprintf(form, list(5_000, func(i int) string { return "{service: " + long(i+50_000) + "}," })) + "}]}}\n"
		out[v+": profiles that are not there"] = "version: \"" + v + "\"\nservices: {web: {image: a}}\nprofiles: {compute: {" +
			list(6_000, func(i int) string { return long(i) + ": {}," }) + "}, placement: {east: {pricing: {" +
			list(6_000, func(i int) string { return long(i+90_000) + ": 1u," }) + "}}}}\ndeployment: {web: {east: {profile: x, count: 1}}}\n"
	}
	volumes := list(8_000, func(i int) string { return fmt.Sprintf("{name: v%d, size: 1Gi},", i) })
	mounts := list(8_000, func(i int) string { return fmt.Sprintf("w%d: {mount: /m%d},", i, i) })
	out["volumes and mounts"] = "version: \"2.0\"\nservices: {web: {image: a, params: {storage: {" + mounts + "}}}}\nprofiles: {compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: [" +
		volumes + "]}}}, placement: {east: {pricing: {web: {denom: ubrt, amount: 1}}}}}\ndeployment: {web: {east: {profile: web, count: 1}}}\n"
	out["prices and services"] = "version: \"1.0\"\nservices: {" + list(400, func(i int) string { return fmt.Sprintf("s%d: {image: a},", i) }) +
		"}\nprofiles: {compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}, " + list(8_000, func(i int) string { return fmt.Sprintf("p%d: {},", i) }) + "}, placement: {east: {pricing: {" +
		list(20_000, func(i int) string { return fmt.Sprintf("p%d: 1u,", i) }) + "web: 1u}}}}\ndeployment: {" +
		list(400, func(i int) string { return fmt.Sprintf("s%d: {east: {profile: web, count: 1}},", i) }) + "}\n"
	out["placements"] = "version: \"1.0\"\nservices: {" + list(200, func(i int) string { return fmt.Sprintf("s%d: {image: a, depends-on: [s0]},", i) }) +
		"}\nprofiles: {compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}}, placement: {" +
		list(50, func(i int) string { return fmt.Sprintf("p%d: {pricing: {web: 1u}},", i) }) + "}}\ndeployment: {" +
		list(200, func(i int) string {
			return fmt.Sprintf("s%d: {%s},", i, list(50, func(j int) string { return fmt.Sprintf("p%d: {profile: web, count: 1},", j) }))
		}) + "}\n"
	out["a circle of all"] = "version: \"1.0\"\nservices: {" + list(400, func(i int) string {
		return fmt.Sprintf("s%d: {image: a, depends-on: [%s]},", i, list(60, func(j int) string { return fmt.Sprintf("s%d,", (i+j+1)%400) }))
	}) + "}\nprofiles: {compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}}, placement: {east: {pricing: {web: 1u}}}}\ndeployment: {" +
		list(400, func(i int) string { return fmt.Sprintf("s%d: {east: {profile: web, count: 1}},", i) }) + "}\n"
	out["hosts"] = "version: \"1.0\"\nservices: {web: {image: a, expose: [{port: 80, to: [{global: true}], accept: [" +
		list(40_000, func(i int) string { return fmt.Sprintf("h%d.example.com,", i/2) }) + "]}]}}\n"
	out["ports"] = "version: \"2.0\"\nservices: {web: {image: a, expose: [" + list(9_000, func(i int) string { return fmt.Sprintf("{port: %d, to: [{global: true}]},", i/2+1) }) + "]}}\n"
	out["strays"] = "version: \"1.0\"\nservices: {" + list(9_000, func(i int) string { return fmt.Sprintf("s%d: {port: 80, cpu: 1},", i) }) + "}\n"
	out["wrong in every line"] = "version: \"1.0\"\nservices:\n" + list(9_000, func(i int) string { return fmt.Sprintf("  s%d: {imagge: A:B, expoze: [], ports: 8}\n", i) })
	for name, text := range out {
		if len(text) > doc.MaxBytes {
			out[name] = text[:doc.MaxBytes]
		}
	}
	return out
}

// TestMemory holds that no document takes more than 64 MiB, garbage included, so that it is bounded whatever the
// collector does.
func TestMemory(t *testing.T) {
	all := expensive()
	for name, h := range hostile() {
		all[name] = h.text
	}
	var most uint64
	for name, text := range all {
		data := []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out := compile.Document(compile.Input{File: "deploy.yaml", Data: data})
		runtime.ReadMemStats(&after)
		taken := after.TotalAlloc - before.TotalAlloc
		if taken > 64<<20 {
			t.Errorf("%s: %d bytes take %d MiB: %v", name, len(data), taken>>20, out.Found[0])
		}
		most = max(most, taken)
		var text bytes.Buffer
		if err := out.Found.WriteText(&text, out.Sources); err != nil || text.Len() > 1<<20 {
			t.Errorf("%s: %d bytes are said about it: %v", name, text.Len(), err)
		}
	}
	t.Logf("the most that a document took is %d KiB", most>>10)
}

// TestAllocations holds how much work documents are, counted in allocations, which do not depend on the machine: those
// of four services, of as many as there can be, of more than that, and of more bytes than that.
func TestAllocations(t *testing.T) {
	for name, tc := range map[string]struct {
		data []byte
		ok   bool
		most float64
	}{
		"4 services":          {large(1, 4), true, 3_000},
		"4 services of 2.1":   {large20(1, 4), true, 3_000},
		"400 services":        {large(20, 20), true, 250_000},
		"400 services of 2.1": {large20(20, 20), true, 250_000},
		"420 services":        {large(20, 21), false, 250_000},
		"2000 services":       {large(50, 40), false, 600_000},
		"2 MiB":               {bytes.Repeat([]byte("a: b\n"), 1<<19), false, 50},
	} {
		ok := false
		n := testing.AllocsPerRun(3, func() {
			plan, _ := compile.Compile("deploy.yaml", tc.data)
			ok = plan != nil
		})
		if n > tc.most || ok != tc.ok {
			t.Errorf("%s: %.0f allocations, at most %.0f are wanted; accepted %v", name, n, tc.most, ok)
		}
		t.Logf("%s: %.0f allocations", name, n)
	}
}

// BenchmarkHostile compiles the documents that cost most.
func BenchmarkHostile(b *testing.B) {
	all := expensive()
	for name, h := range hostile() {
		if len(h.text) <= doc.MaxBytes {
			all[name] = h.text
		}
	}
	for name, text := range all {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compile.Compile("deploy.yaml", []byte(text))
			}
		})
	}
}
