package tenant

import (
	"fmt"
	"strings"

	"github.com/cosmos/gogoproto/proto"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// specDifferences lists, for people, where a document's groups differ from those on chain; none means that they are
// equal.
func specDifferences(have, want []deploymenttypes.GroupSpec) []string {
	var out []string
	names := map[string]deploymenttypes.GroupSpec{}
	for _, w := range want {
		names[w.Name] = w
	}
	for _, h := range have {
		w, ok := names[h.Name]
		if !ok {
			out = append(out, fmt.Sprintf("group %q is gone", h.Name))
			continue
		}
		delete(names, h.Name)
		out = append(out, groupDifferences(h, w)...)
	}
	for _, w := range want {
		if _, ok := names[w.Name]; ok {
			out = append(out, fmt.Sprintf("group %q is new", w.Name))
		}
	}
	return out
}

func groupDifferences(have, want deploymenttypes.GroupSpec) []string {
	if sameProto(&have, &want) {
		return nil
	}
	var out []string
	if !sameProto(&have.Requirements, &want.Requirements) {
		out = append(out, fmt.Sprintf("group %q: the placement requires %s, not %s", have.Name, requirements(want), requirements(have)))
	}
	if len(have.Units) != len(want.Units) {
		return append(out, fmt.Sprintf("group %q: %s, not %d", have.Name, count(len(want.Units), "service"), len(have.Units)))
	}
	for i := range have.Units {
		if diff := unitDifferences(have.Units[i], want.Units[i]); diff != "" {
			out = append(out, fmt.Sprintf("group %q, service %d: %s", have.Name, i+1, diff))
		}
	}
	return out
}

func unitDifferences(have, want deploymenttypes.ResourceUnit) string {
	var out []string
	differ := func(what string, have, want any) {
		if h, w := fmt.Sprint(have), fmt.Sprint(want); h != w {
			out = append(out, fmt.Sprintf("%s %s, not %s", what, w, h))
		}
	}
	differ("count", have.Count, want.Count)
	differ("milli-cpu", have.CpuMilli, want.CpuMilli)
	differ("memory bytes", have.MemoryBytes, want.MemoryBytes)
	differ("gpus", have.Gpu.Count, want.Gpu.Count)
	differ("price", FormatDec(have.Price), FormatDec(want.Price))
	differ("storage", volumes(have.Storage), volumes(want.Storage))
	differ("endpoints", endpoints(have.Endpoints), endpoints(want.Endpoints))
	if len(out) == 0 && !sameProto(&have, &want) {
		return "attributes of its resources"
	}
	return strings.Join(out, ", ")
}

func volumes(list []deploymenttypes.Volume) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprintf("%s:%d", v.Name, v.Bytes)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func endpoints(list []deploymenttypes.Endpoint) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = enumText(e.Kind.String(), "ENDPOINT_KIND_")
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func requirements(g deploymenttypes.GroupSpec) string {
	parts := attributeTexts(g.Requirements.Attributes)
	for _, a := range g.Requirements.SignedBy.AllOf {
		parts = append(parts, "signed by "+a)
	}
	if any := g.Requirements.SignedBy.AnyOf; len(any) > 0 {
		parts = append(parts, "signed by one of "+strings.Join(any, ", "))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func attributeTexts(list []providertypes.Attribute) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.Key + "=" + a.Value
	}
	return out
}

func sameProto(a, b proto.Message) bool {
	x, errX := proto.Marshal(a)
	y, errY := proto.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
