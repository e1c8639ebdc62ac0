package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cosmos/gogoproto/proto"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// Needs says what a changed document takes to be put into effect.
type Needs string

// The needs.
const (
	// NeedsNothing is a document that the deployment has already.
	NeedsNothing Needs = "nothing"
	// NeedsUpdate is one that an update puts into effect: the leases stay.
	NeedsUpdate Needs = "update"
	// NeedsOrders is one that changes what the chain has reserved: it needs new orders, hence a new deployment.
	NeedsOrders Needs = "orders"
)

// Difference is what a document would change in a running deployment.
type Difference struct {
	Dseq  uint64 `json:"dseq"`
	Needs Needs  `json:"needs"`
	// Reserved are the changes of what the chain has reserved.
	Reserved []string `json:"reserved"`
	// Groups are those whose manifests differ, or cannot be compared.
	Groups []GroupDifference `json:"groups"`
}

// GroupDifference is what changes in one group.
type GroupDifference struct {
	Group string `json:"group"`
	// Unknown says why the present manifest cannot be compared with; the group then counts as changed.
	Unknown string   `json:"unknown,omitempty"`
	Changes []Change `json:"changes"`
}

// Change is one value of a manifest. Values of environment variables and of credentials are never shown.
type Change struct {
	// Path is, for example, services.web.image.
	Path string `json:"path"`
	// From is missing where something is added, To where it is taken away.
	From *string `json:"from,omitempty"`
	To   *string `json:"to,omitempty"`
}

// Diff compares a document with what a deployment runs, on the chain and in its manifests. It sends and writes nothing.
func (m *Machine) Diff(ctx context.Context, dseq uint64, plan *sdl.Plan) (*Difference, error) {
	d, err := m.diff(ctx, dseq, plan)
	if err == nil {
		return d, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f = Failure{Kind: KindInterrupted, Dseq: dseq, Err: interruption{"while comparing the document", ctx.Err()}}
	}
	return nil, &f
}

func (m *Machine) diff(ctx context.Context, dseq uint64, plan *sdl.Plan) (*Difference, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	d, err := m.activeDeployment(ctx, id)
	if err != nil {
		return nil, err
	}
	onChain := make([]deploymenttypes.GroupSpec, len(d.Groups))
	for i, g := range d.Groups {
		onChain[i] = g.Spec
	}
	keepPrices(plan, onChain)
	out := &Difference{Dseq: dseq, Reserved: specDifferences(onChain, chainspec.Groups(plan)), Groups: []GroupDifference{}}
	if out.Reserved == nil {
		out.Reserved = []string{}
	}
	s, err := m.stateFor(ctx, id, d, onChain)
	if err != nil {
		return nil, err
	}
	if _, err := m.syncLeases(ctx, s); err != nil {
		return nil, err
	}
	if len(s.Groups) != len(d.Groups) {
		return nil, fmt.Errorf("deployment %d has %d groups on chain and %d in the state on this machine", dseq, len(d.Groups), len(s.Groups))
	}
	for _, want := range plan.Manifests {
		i := slices.IndexFunc(onChain, func(g deploymenttypes.GroupSpec) bool { return g.Name == want.Name })
		if i < 0 {
			continue // told of as reserved
		}
		if g := m.diffGroup(ctx, s, i, d.Deployment.ManifestHash, want); len(g.Changes) > 0 || g.Unknown != "" {
			out.Groups = append(out.Groups, g)
		}
	}
	switch {
	case len(out.Reserved) > 0:
		out.Needs = NeedsOrders
	case len(out.Groups) > 0:
		out.Needs = NeedsUpdate
	default:
		out.Needs = NeedsNothing
	}
	return out, nil
}

func (m *Machine) diffGroup(ctx context.Context, s *State, i int, root []byte, want manifesttypes.Group) GroupDifference {
	out := GroupDifference{Group: want.Name, Changes: []Change{}}
	have, ok := m.presentManifest(ctx, s, i, root)
	if !ok {
		out.Unknown = "neither this machine nor the provider has the present manifest"
		return out
	}
	out.Changes = CompareManifests(have, want)
	if len(out.Changes) == 0 && !sameManifest(have, want) {
		out.Changes = append(out.Changes, Change{Path: "services"}) // what has no words of its own, but changes the hash
	}
	return out
}

// CompareManifests lists what differs between two manifests of a group, in the order of the paths. Salts do not count.
func CompareManifests(have, want manifesttypes.Group) []Change {
	a, b := flatten(have), flatten(want)
	var out []Change
	for path, from := range a {
		to, ok := b[path]
		switch {
		case !ok:
			out = append(out, Change{Path: path, From: &from.shown})
		case from != to:
			if from.shown == to.shown {
				to.shown += ", another value"
			}
			out = append(out, Change{Path: path, From: &from.shown, To: &to.shown})
		}
	}
	for path, to := range b {
		if _, ok := a[path]; !ok {
			out = append(out, Change{Path: path, To: &to.shown})
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	return out
}

// leaf is a value of a manifest: what it is, and what may be shown of it.
type leaf struct{ value, shown string }

// flattened are the values of a manifest by their paths.
type flattened map[string]leaf

func (f flattened) put(path, value string) {
	if value != "" {
		f[path] = leaf{value, value}
	}
}

func (f flattened) hide(path, value, shown string) { f[path] = leaf{value, shown} }

func flatten(g manifesttypes.Group) flattened {
	f := flattened{}
	for _, s := range g.Services {
		f.service("services."+s.Name, s)
	}
	for _, e := range g.Edges {
		f.put(fmt.Sprintf("links.%s/%s -> %s/%s:%d", e.FromGroup, e.FromService, e.ToGroup, e.ToService, e.Port), "allowed")
	}
	return f
}

func (f flattened) service(at string, s manifesttypes.Service) {
	f.put(at+".image", s.Image)
	f.put(at+".command", quotedWords(s.Command))
	f.put(at+".args", quotedWords(s.Args))
	f.put(at+".depends_on", strings.Join(s.DependsOn, ", "))
	f.put(at+".count", fmt.Sprint(s.Count))
	f.put(at+".cpu_milli", fmt.Sprint(s.CpuMilli))
	f.put(at+".memory_bytes", fmt.Sprint(s.MemoryBytes))
	f.put(at+".permissions", strings.Join(s.Permissions, ", "))
	f.put(at+".tee", s.Tee)
	f.put(at+".arch", s.Arch)
	for _, e := range s.Env {
		f.hide(at+".env."+e.Name, e.Value, hiddenEnv(e))
	}
	if c := s.Credentials; c != nil {
		f.hide(at+".credentials", encoded(c), "of "+c.Host)
	}
	for _, v := range s.Volumes {
		f.put(at+".volumes."+v.Name, volumeText(v))
	}
	for _, e := range s.Expose {
		f.expose(fmt.Sprintf("%s.expose.%d/%s", at, e.As, protoText(e.Proto)), e)
	}
	f.rest(at, s)
}

// rest are the parts of a service that are compared whole.
func (f flattened) rest(at string, s manifesttypes.Service) {
	whole := func(name string, there bool, part proto.Message) {
		if there {
			f.hide(at+"."+name, encoded(part), strings.TrimSpace(proto.CompactTextString(part)))
		}
	}
	whole("probes", s.Probes != nil, s.Probes)
	whole("scale", s.Scale != nil, s.Scale)
	whole("rollout", s.Rollout != nil, s.Rollout)
	whole("cron", s.Cron != nil, s.Cron)
	for _, h := range s.Hooks {
		whole("hooks."+h.Name, true, &h)
	}
	if s.MinReadySeconds > 0 {
		f.put(at+".min_ready_seconds", fmt.Sprint(s.MinReadySeconds))
	}
	if s.Gpu > 0 {
		f.put(at+".gpu", fmt.Sprint(s.Gpu))
	}
	for _, a := range s.GpuAttributes {
		f.put(at+".gpu."+a.Key, a.Value)
	}
}

func (f flattened) expose(at string, e manifesttypes.Expose) {
	f.put(at+".port", fmt.Sprint(e.Port))
	f.put(at+".accept", strings.Join(e.Accept, ", "))
	if e.HttpOptions != nil {
		f.put(at+".http_options", strings.TrimSpace(proto.CompactTextString(e.HttpOptions)))
	}
	for _, to := range e.To {
		f.put(at+".to."+toText(to), "allowed")
	}
}

func toText(to manifesttypes.To) string {
	switch {
	case to.Service != "" && to.Global:
		return to.Service + " in all groups"
	case to.Service != "":
		return to.Service
	case to.Ip != "":
		return "anyone at " + to.Ip
	default:
		return "anyone"
	}
}

func protoText(p manifesttypes.Proto) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PROTO_"))
}

func hiddenEnv(e manifesttypes.EnvVar) string {
	if e.Secret {
		return "secret"
	}
	return "set"
}

func volumeText(v manifesttypes.Volume) string {
	parts := []string{fmt.Sprintf("%d bytes", v.Bytes)}
	if v.Mount != "" {
		parts = append(parts, "at "+v.Mount)
	}
	if v.ReadOnly {
		parts = append(parts, "read-only")
	}
	for _, a := range v.Attributes {
		parts = append(parts, a.Key+"="+a.Value)
	}
	return strings.Join(parts, ", ")
}

func quotedWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, " ")
}

// encoded is a message as text that differs when the message does.
func encoded(m proto.Message) string {
	data, err := proto.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
