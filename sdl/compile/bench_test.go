package compile_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/sdl/compile"
)

// large is a valid document of groups x services services.
func large(groups, services int) []byte {
	var b strings.Builder
	b.WriteString("version: \"1.0\"\nservices:\n")
	for g := range groups {
		for s := range services {
			fmt.Fprintf(&b, "  s%d-%d:\n    image: registry.example.com/app:%d\n    env:\n      - A=1\n      - B=2\n    expose:\n"+
				"      - port: 80\n        to:\n          - global: true\n      - port: 9000\n        to:\n          - service: s%d-0\n            global: true\n", g, s, s, g)
		}
	}
	b.WriteString("profiles:\n  compute:\n    web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}\n  placement:\n")
	for g := range groups {
		fmt.Fprintf(&b, "    g%d: {attributes: {region: r%d}, pricing: {web: 20u}}\n", g, g)
	}
	b.WriteString("deployment:\n")
	for g := range groups {
		for s := range services {
			fmt.Fprintf(&b, "  s%d-%d: {g%d: {profile: web, count: 2}}\n", g, s, g)
		}
	}
	return []byte(b.String())
}

// large20 is the same in version 2.1, with what that has more.
func large20(groups, services int) []byte {
	var b strings.Builder
	b.WriteString("version: \"2.1\"\nservices:\n")
	for g := range groups {
		for s := range services {
			fmt.Fprintf(&b, "  s%d-%d:\n    image: registry.example.com/app:%d\n    command: [serve]\n    env:\n      - A=1\n      - B=2\n    params:\n      storage:\n"+
				"        data: {mount: /data}\n    expose:\n      - port: 80\n        accept: [s%d-%d.example.com]\n        to:\n          - global: true\n"+
				"      - port: 9000\n        to:\n          - service: s%d-0\n", g, s, s, g, s, g)
		}
	}
	b.WriteString("profiles:\n  compute:\n    web:\n      resources:\n        cpu: {units: 0.5}\n        memory: {size: 512Mi}\n        storage:\n" +
		"          - size: 1Gi\n          - {name: data, size: 1Gi, attributes: {class: beta2, persistent: true}}\n  placement:\n")
	for g := range groups {
		fmt.Fprintf(&b, "    g%d: {attributes: {region: r%d}, pricing: {web: {denom: ubrt, amount: 20}}}\n", g, g)
	}
	b.WriteString("deployment:\n")
	for g := range groups {
		for s := range services {
			fmt.Fprintf(&b, "  s%d-%d: {g%d: {profile: web, count: 2}}\n", g, s, g)
		}
	}
	return []byte(b.String())
}

func benchmark(b *testing.B, data []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if plan, found := compile.Compile("deploy.yaml", data); plan == nil {
			b.Fatal(found)
		}
	}
}

func BenchmarkCompileHello(b *testing.B) {
	data, err := os.ReadFile("../../examples/hello/deploy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, data)
}

func BenchmarkCompile4Services(b *testing.B) { benchmark(b, large(1, 4)) }

func BenchmarkCompile400Services(b *testing.B) { benchmark(b, large(20, 20)) }

func BenchmarkCompile4ServicesOf21(b *testing.B) { benchmark(b, large20(1, 4)) }

func BenchmarkCompile400ServicesOf21(b *testing.B) { benchmark(b, large20(20, 20)) }

// BenchmarkRefuse refuses documents that ask for more than there can be, or are larger.
func BenchmarkRefuse(b *testing.B) {
	for name, data := range map[string][]byte{
		"401-services": large(20, 21), "2000-services": large(50, 40), "2-MiB": bytes.Repeat([]byte("a: b\n"), 1<<19),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if plan, _ := compile.Compile("deploy.yaml", data); plan != nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
