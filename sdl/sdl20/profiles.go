package sdl20

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/stack"
)

func readProfiles(r *sdl.Reporter, n *doc.Node, s *stack.Stack) {
	o, ok := n.Object(r, profilesShape)
	if !ok {
		return
	}
	if c := stack.Require(r, o, "compute", "compute: {web: {resources: {cpu: {units: 0.5}, memory: {size: 512Mi}, storage: {size: 1Gi}}}}"); c != nil {
		for _, node := range stack.Named(r, c, "profiles.compute", "web: {resources: ...}") {
			s.Compute = append(s.Compute, readCompute(r, node))
		}
	}
	if p := stack.Require(r, o, "placement", "placement: {east: {pricing: {web: {denom: ubrt, amount: 20}}}}"); p != nil {
		for _, node := range stack.Named(r, p, "profiles.placement", "east: {pricing: ...}") {
			s.Placements = append(s.Placements, readPlacement(r, node))
		}
	}
}

func readCompute(r *sdl.Reporter, n *doc.Node) stack.Compute {
	c := stack.Compute{Ref: stack.Ref{Name: n.Name(), At: n}}
	gather(r, n)
	o, ok := n.Object(r, computeShape)
	if !ok {
		return c
	}
	resources := o.Require(r, "resources", "resources: {cpu: {units: 0.5}, memory: {size: 512Mi}, storage: {size: 1Gi}}")
	if resources == nil {
		return c
	}
	if o, ok = resources.Object(r, resourcesShape); !ok {
		return c
	}
	if cpu := o.Require(r, "cpu", "cpu: {units: 0.5}"); cpu != nil {
		readCPU(r, cpu, &c)
	}
	if memory := o.Require(r, "memory", "memory: {size: 512Mi}"); memory != nil {
		if size, ok := sizeOf(r, memory, memoryShape.ShortFor("size", "")); ok {
			c.MemoryBytes = stack.ReadMemory(r, size)
		}
	}
	if storage := o.Require(r, "storage", "storage: {size: 1Gi}"); storage != nil {
		c.Volumes = readVolumes(r, storage)
	}
	if gpu := o.Get("gpu"); gpu != nil {
		readGPU(r, gpu, &c)
	}
	return c
}

// gather reports a profile that has its resources right under its name, as in version 1.0, and puts them where they
// belong.
func gather(r *sdl.Reporter, n *doc.Node) {
	if n.Kind() != doc.Map {
		return
	}
	resources := n.Child("resources")
	flat := slices.DeleteFunc(n.Items(), func(v *doc.Node) bool {
		return !slices.Contains(resourcesShape.Keys, v.Name()) || resources != nil && resources.Child(v.Name()) != nil
	})
	if len(flat) == 0 || resources != nil && resources.Kind() != doc.Map {
		return
	}
	first := flat[0].Key()
	r.Report(first.Problem("E-INDENT", "from version 2.0 on, what a profile has stands under its resources").WithFound("").
		WithHint("write resources: {cpu: {units: 1}, memory: {size: 512Mi}, storage: {size: 1Gi}}"))
	if resources == nil {
		resources = n.Insert("resources", first)
	}
	for _, v := range flat {
		resources.Adopt(v)
	}
}

// sizeOf finds the size of a mapping that has little else.
func sizeOf(r *sdl.Reporter, n *doc.Node, shape doc.Shape) (*doc.Node, bool) {
	o, ok := n.Object(r, shape)
	if !ok {
		return nil, false
	}
	size := o.Require(r, "size", "size: 512Mi")
	return size, size != nil
}

func readCPU(r *sdl.Reporter, n *doc.Node, c *stack.Compute) {
	o, ok := n.Object(r, cpuShape.ShortFor("units", ""))
	if !ok {
		return
	}
	if units := o.Require(r, "units", "units: 0.5"); units != nil {
		c.CPUMilli = stack.ReadCPU(r, units)
	}
	attributes := o.Get("attributes")
	if attributes == nil {
		return
	}
	if o, ok = attributes.Object(r, cpuAttributesShape); ok && o.Get("arch") != nil {
		c.Arch = readToken(r, o.Get("arch"), "an architecture", "E-ATTRIBUTE")
	}
}

// token is the name of a vendor, model or architecture.
var token = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// readToken reads such a name.
func readToken(r *sdl.Reporter, n *doc.Node, what, code string) string {
	text, ok := n.Scalar(r, what)
	if !ok || token.MatchString(text) {
		return text
	}
	d := n.Problem(code, "%s is not %s", n.Show(), what).WithAllowed("a-z, 0-9, '.', '_' and '-', starting with a letter or digit")
	if fixed := strings.ToLower(strings.TrimSpace(text)); token.MatchString(fixed) {
		d = d.WithSuggestion(fixed)
	}
	r.Report(d)
	return ""
}

// defaultVolume is the name of a volume that has none: the container's own file system.
const defaultVolume = "default"

// readVolumes reads one volume or a list of them.
func readVolumes(r *sdl.Reporter, n *doc.Node) []manifesttypes.Volume {
	nodes := []*doc.Node{n}
	if n.Kind() == doc.List {
		nodes = n.Items()
	}
	if len(nodes) == 0 {
		r.Report(n.Problem("E-MISSING", "storage is empty").WithHint("for example storage: {size: 1Gi}"))
	}
	first := map[string]int{}
	var out []manifesttypes.Volume
	for _, node := range nodes {
		v, at := readVolume(r, node)
		if at == nil {
			continue
		}
		if line, twice := first[v.Name]; twice {
			r.Report(at.Problem("E-VOLUME", "a volume named %q stands in line %d already", v.Name, line).
				WithHint("give each volume a name of its own; one without a name is called default"))
			continue
		}
		first[v.Name] = at.Line()
		out = append(out, v)
	}
	return out
}

// readVolume reads a volume, and where its name stands; nil if it is no mapping.
func readVolume(r *sdl.Reporter, n *doc.Node) (manifesttypes.Volume, *doc.Node) {
	v := manifesttypes.Volume{Name: defaultVolume}
	o, ok := n.Object(r, volumeShape.ShortFor("size", ""))
	if !ok {
		return v, nil
	}
	at := n
	if name := o.Get("name"); name != nil {
		if text, ok := name.Scalar(r, "name"); ok {
			v.Name, at = text, name
			if !manifest.IsVolumeName(text) {
				d := name.Problem("E-NAME", "%s cannot name a volume", name.Show()).
					WithAllowed("at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends")
				if fixed := strings.Trim(strings.ReplaceAll(strings.ToLower(text), "_", "-"), "- "); manifest.IsVolumeName(fixed) {
					d = d.WithSuggestion(fixed)
				}
				r.Report(d)
			}
		}
	}
	if size := o.Require(r, "size", "size: 1Gi"); size != nil {
		v.Bytes = stack.ReadVolume(r, size)
	}
	if attributes := o.Get("attributes"); attributes != nil {
		v.Attributes = readVolumeAttributes(r, attributes)
	}
	return v, at
}

// The classes of storage. ram is memory that appears as a file system; the others are disks, persistent ones if not
// default.
const classRAM = "ram"

var classes = []string{"default", "beta1", "beta2", "beta3", classRAM}

// readVolumeAttributes reads class and persistence. No attribute means storage that ends with its instance.
func readVolumeAttributes(r *sdl.Reporter, n *doc.Node) []manifesttypes.Attribute {
	o, ok := n.Object(r, volumeAttributesShape)
	if !ok {
		return nil
	}
	persistent, class, before := false, "", r.Errors()
	if p := o.Get("persistent"); p != nil {
		persistent = readPersistent(r, p)
	}
	if c := o.Get("class"); c != nil {
		class, _ = oneOf(r, c, "E-VOLUME", "a storage class", classes...)
	}
	switch {
	case r.Errors() > before:
		return nil
	case class == classRAM && persistent:
		r.Report(n.Problem("E-VOLUME", "storage of class ram cannot be persistent").WithHint("say persistent: false, or choose another class"))
	case class != "" && class != classRAM && !persistent:
		r.Report(n.Problem("E-VOLUME", "class %s is for persistent storage", class).WithHint("add persistent: true, or remove the class"))
	}
	switch {
	case class == classRAM:
		return []manifesttypes.Attribute{{Key: "class", Value: class}, {Key: "persistent", Value: "false"}}
	case persistent:
		return []manifesttypes.Attribute{{Key: "class", Value: cmp.Or(class, "default")}, {Key: "persistent", Value: "true"}}
	}
	return nil
}

// readPersistent takes what documents in use write for true and false.
func readPersistent(r *sdl.Reporter, n *doc.Node) bool {
	if n.Kind() == doc.Scalar {
		switch strings.ToLower(n.Text()) {
		case "true", "on", "yes":
			return true
		case "false", "off", "no":
			return false
		}
	}
	v, _ := n.Bool(r, "persistent")
	return v
}

func readGPU(r *sdl.Reporter, n *doc.Node, c *stack.Compute) {
	o, ok := n.Object(r, gpuShape)
	if !ok {
		return
	}
	before := r.Errors()
	if units := o.Require(r, "units", "units: 1"); units != nil {
		v, _ := units.Uint(r, "E-RANGE", "gpu units", 0, manifest.MaxGPU)
		c.GPU = uint32(v)
	}
	attributes := o.Get("attributes")
	if attributes != nil {
		c.GPUAttributes = readGPUAttributes(r, attributes)
	}
	switch {
	case r.Errors() > before:
	case c.GPU > 0 && len(c.GPUAttributes) == 0:
		r.Report(n.Problem("E-GPU", "gpus need a vendor").WithHint("add attributes: {vendor: {nvidia: [{model: a100}]}}, or nvidia: [] for any model"))
	case c.GPU == 0 && len(c.GPUAttributes) > 0:
		r.Report(attributes.Key().Problem("E-GPU", "gpu attributes need units of 1 or more").WithHint("set units, or remove gpu"))
		c.GPUAttributes = nil
	}
}

// readGPUAttributes reads which gpus will do: any one of the models of any one of the vendors.
func readGPUAttributes(r *sdl.Reporter, n *doc.Node) []sdl.Attribute {
	o, ok := n.Object(r, gpuAttributesShape)
	if !ok {
		return nil
	}
	vendors := o.Require(r, "vendor", "vendor: {nvidia: [{model: a100}]}")
	if vendors == nil {
		return nil
	}
	nodes, _ := vendors.Named(r, "vendor")
	var out []sdl.Attribute
	for _, v := range nodes {
		if !token.MatchString(v.Name()) {
			r.Report(v.Key().Problem("E-GPU", "%s cannot name a vendor", v.Key().Show()).WithAllowed("a name in lower case such as nvidia, amd or intel"))
			continue
		}
		out = append(out, readModels(r, v, "vendor/"+v.Name()+"/model/")...)
	}
	slices.SortFunc(out, func(a, b sdl.Attribute) int { return cmp.Compare(a.Key, b.Key) })
	return slices.Compact(out)
}

// readModels reads the models of a vendor; none means any.
func readModels(r *sdl.Reporter, v *doc.Node, prefix string) []sdl.Attribute {
	var entries []*doc.Node
	if v.Kind() != doc.Null {
		entries, _ = v.Entries(r, v.Name())
	}
	if len(entries) == 0 {
		return []sdl.Attribute{{Key: prefix + "*", Value: "true"}}
	}
	var out []sdl.Attribute
	for _, e := range entries {
		o, ok := e.Object(r, gpuModelShape)
		if !ok {
			continue
		}
		key := prefix + "*"
		if model := o.Get("model"); model != nil {
			key = prefix + readToken(r, model, "a model", "E-GPU")
		}
		if ram := o.Get("ram"); ram != nil {
			key += "/ram/" + readRAM(r, ram)
		}
		if link := o.Get("interface"); link != nil {
			if name, ok := oneOf(r, link, "E-GPU", "an interface", links...); ok {
				key += "/interface/" + name
			}
		}
		out = append(out, sdl.Attribute{Key: key, Value: "true"})
	}
	return out
}

// links are what may connect a gpu with its host.
var links = []string{"pcie", "sxm"}

// readRAM reads the memory of a gpu and returns it as it is written, which is what providers say of theirs.
func readRAM(r *sdl.Reporter, n *doc.Node) string {
	text, ok := n.Scalar(r, "ram")
	if !ok {
		return ""
	}
	if _, bad := quantity.Bytes(text); bad != nil {
		r.Report(n.Problem("E-BYTES", "%s", bad.Reason).WithAllowed(bad.Allowed).WithSuggestion(bad.Suggestion).WithHint(bad.Hint))
		return ""
	}
	return text
}
