package sdl

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
)

// MarshalJSON writes the plan as `berth plan -o json` prints it. Lists are never null, amounts are numbers in the
// units that their names say, prices are decimal strings of micro tokens without trailing zeros, and null as long as they
// are open. Environment variables that are marked secret appear without their values, salts do not appear at all.
func (p *Plan) MarshalJSON() ([]byte, error) {
	out := planJSON{
		Groups:   make([]groupJSON, 0, len(p.Groups)),
		Manifest: manifestJSON{Groups: make([]manifestGroupJSON, 0, len(p.Manifests))},
		Warnings: newWarningsJSON(p.Warnings), Reclaim: p.Reclaim, App: newExtrasJSON(p),
	}
	for _, g := range p.Groups {
		out.Groups = append(out.Groups, newGroupJSON(g))
	}
	for _, m := range p.Manifests {
		out.Manifest.Groups = append(out.Manifest.Groups, newManifestGroupJSON(m, p.Extras))
	}
	return json.Marshal(out)
}

type planJSON struct {
	Groups   []groupJSON   `json:"groups"`
	Reclaim  uint32        `json:"reclaim_window_seconds,omitempty"`
	Manifest manifestJSON  `json:"manifest"`
	App      *extrasJSON   `json:"app,omitempty"`
	Warnings []warningJSON `json:"warnings"`
}

// warningJSON is a warning without its place in the text, so that moving things about in a document, or a comment
// more, does not change its plan.
type warningJSON struct {
	Code       string `json:"code"`
	Path       string `json:"path"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
	Hint       string `json:"hint,omitempty"`
}

func newWarningsJSON(in Diagnostics) []warningJSON {
	out := make([]warningJSON, 0, len(in))
	for _, d := range in {
		out = append(out, warningJSON{Code: d.Code, Path: d.Path, Message: d.Message, Suggestion: d.Suggestion, Hint: d.Hint})
	}
	slices.SortFunc(out, func(a, b warningJSON) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message))
	})
	return out
}

type groupJSON struct {
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes"`
	SignedBy   signedByJSON      `json:"signed_by"`
	Resources  []resourceJSON    `json:"resources"`
}

type signedByJSON struct {
	AllOf []string `json:"all_of"`
	AnyOf []string `json:"any_of"`
}

type resourceJSON struct {
	Service       string       `json:"service"`
	Count         uint32       `json:"count"`
	CPUMilli      uint64       `json:"cpu_milli"`
	MemoryBytes   uint64       `json:"memory_bytes"`
	Storage       []volumeJSON `json:"storage"`
	GPU           uint32       `json:"gpu"`
	GPUAttributes []string     `json:"gpu_attributes"`
	Price         *string      `json:"price"`
	Denom         string       `json:"denom"`
}

type volumeJSON struct {
	Name       string            `json:"name"`
	Bytes      uint64            `json:"bytes"`
	Attributes map[string]string `json:"attributes"`
}

func newGroupJSON(g Group) groupJSON {
	out := groupJSON{
		Name: g.Name, Attributes: attributeMap(g.Attributes),
		SignedBy:  signedByJSON{AllOf: list(g.SignedBy.AllOf), AnyOf: list(g.SignedBy.AnyOf)},
		Resources: make([]resourceJSON, 0, len(g.Resources)),
	}
	for _, r := range g.Resources {
		rj := resourceJSON{
			Service: r.Service, Count: r.Count, CPUMilli: r.CPUMilli, MemoryBytes: r.MemoryBytes,
			Storage: make([]volumeJSON, 0, len(r.Storage)), GPU: r.GPU, GPUAttributes: attributeKeys(r.GPUAttributes),
			Denom: r.Denom,
		}
		if price := FormatPrice(r.Price); !r.Open() {
			rj.Price = &price
		}
		for _, v := range r.Storage {
			rj.Storage = append(rj.Storage, volumeJSON{Name: v.Name, Bytes: v.Bytes, Attributes: attributeMap(v.Attributes)})
		}
		out.Resources = append(out.Resources, rj)
	}
	return out
}

func attributeMap(in []Attribute) map[string]string {
	out := make(map[string]string, len(in))
	for _, a := range in {
		out[a.Key] = a.Value
	}
	return out
}

// attributeKeys writes attributes as their keys; a value other than true follows after an equals sign.
func attributeKeys(in []Attribute) []string {
	out := make([]string, 0, len(in))
	for _, a := range in {
		if a.Value != "true" {
			a.Key += "=" + a.Value
		}
		out = append(out, a.Key)
	}
	return out
}

// list is never nil, so that it is written as [].
func list[T any](in []T) []T { return append([]T{}, in...) }

// FormatPrice writes an amount exactly, without trailing zeros: "100", "0.5".
func FormatPrice(d math.LegacyDec) string {
	if d.IsNil() {
		return "0"
	}
	s := d.String()
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

type manifestJSON struct {
	Groups []manifestGroupJSON `json:"groups"`
}

type manifestGroupJSON struct {
	Name     string        `json:"name"`
	Services []serviceJSON `json:"services"`
	Edges    []edgeJSON    `json:"edges"`
}

type serviceJSON struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	Command       []string          `json:"command"`
	Args          []string          `json:"args"`
	Env           []envJSON         `json:"env"`
	DependsOn     []string          `json:"depends_on"`
	Expose        []exposeJSON      `json:"expose"`
	Count         uint32            `json:"count"`
	UnitID        uint32            `json:"unit_id"`
	CPUMilli      uint64            `json:"cpu_milli"`
	MemoryBytes   uint64            `json:"memory_bytes"`
	Volumes       []mountJSON       `json:"volumes"`
	GPU           uint32            `json:"gpu"`
	GPUAttributes map[string]string `json:"gpu_attributes"`
	// Registry is the host that the image's credentials are for; the credentials themselves are never written.
	Registry    string   `json:"registry,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	TEE         string   `json:"tee,omitempty"`
	careJSON
}

type envJSON struct {
	Name   string  `json:"name"`
	Value  *string `json:"value,omitempty"`
	Secret bool    `json:"secret,omitempty"`
	// Generated says that the value is made when it is first deployed.
	Generated bool `json:"generated,omitempty"`
}

type exposeJSON struct {
	Port   uint32   `json:"port"`
	As     uint32   `json:"as"`
	Proto  string   `json:"proto"`
	Accept []string `json:"accept"`
	To     []toJSON `json:"to"`

	HTTP *manifesttypes.HTTPOptions `json:"http_options,omitempty"`
}

type toJSON struct {
	Service string `json:"service,omitempty"`
	Global  bool   `json:"global"`
	IP      string `json:"ip,omitempty"`
}

type mountJSON struct {
	Name       string            `json:"name"`
	Bytes      uint64            `json:"bytes"`
	Mount      string            `json:"mount,omitempty"`
	ReadOnly   bool              `json:"read_only,omitempty"`
	Attributes map[string]string `json:"attributes"`
}

type edgeJSON struct {
	FromGroup   string `json:"from_group"`
	FromService string `json:"from_service"`
	ToGroup     string `json:"to_group"`
	ToService   string `json:"to_service"`
	Port        uint32 `json:"port"`
}

func newManifestGroupJSON(g manifesttypes.Group, extras *Extras) manifestGroupJSON {
	out := manifestGroupJSON{
		Name: g.Name, Services: make([]serviceJSON, 0, len(g.Services)), Edges: make([]edgeJSON, 0, len(g.Edges)),
	}
	for _, s := range g.Services {
		out.Services = append(out.Services, newServiceJSON(s, extras))
	}
	for _, e := range g.Edges {
		out.Edges = append(out.Edges, edgeJSON(e))
	}
	return out
}

func newServiceJSON(s manifesttypes.Service, extras *Extras) serviceJSON {
	out := serviceJSON{
		Name: s.Name, Image: s.Image, Command: list(s.Command), Args: list(s.Args), DependsOn: list(s.DependsOn),
		Env: make([]envJSON, 0, len(s.Env)), Expose: make([]exposeJSON, 0, len(s.Expose)),
		Count: s.Count, UnitID: s.UnitId, CPUMilli: s.CpuMilli, MemoryBytes: s.MemoryBytes,
		Volumes: make([]mountJSON, 0, len(s.Volumes)), GPU: s.Gpu, GPUAttributes: manifestAttributes(s.GpuAttributes),
		Permissions: s.Permissions, TEE: s.Tee, careJSON: newCareJSON(s),
	}
	if s.Credentials != nil {
		out.Registry = s.Credentials.Host
	}
	for _, e := range s.Env {
		value := &e.Value
		if e.Secret {
			value = nil
		}
		out.Env = append(out.Env, envJSON{Name: e.Name, Value: value, Secret: e.Secret, Generated: extras.Generated(e.Name)})
	}
	for _, e := range s.Expose {
		x := exposeJSON{Port: e.Port, As: e.As, Proto: ProtoName(e.Proto), Accept: list(e.Accept), To: make([]toJSON, 0, len(e.To)), HTTP: e.HttpOptions}
		for _, t := range e.To {
			x.To = append(x.To, toJSON{Service: t.Service, Global: t.Global, IP: t.Ip})
		}
		out.Expose = append(out.Expose, x)
	}
	for _, v := range s.Volumes {
		out.Volumes = append(out.Volumes, mountJSON{
			Name: v.Name, Bytes: v.Bytes, Mount: v.Mount, ReadOnly: v.ReadOnly, Attributes: manifestAttributes(v.Attributes),
		})
	}
	return out
}

func manifestAttributes(in []manifesttypes.Attribute) map[string]string {
	out := make(map[string]string, len(in))
	for _, a := range in {
		out[a.Key] = a.Value
	}
	return out
}

// ProtoName is a protocol as documents write it: http, https, tcp or udp.
func ProtoName(p manifesttypes.Proto) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PROTO_"))
}
