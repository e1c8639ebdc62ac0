package stack

import (
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/math"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// ReadCPU reads a processor share within the limits and returns thousandths, or reports what is wrong.
func ReadCPU(r *sdl.Reporter, n *doc.Node) uint64 {
	text, ok := n.Scalar(r, "cpu")
	if !ok {
		return 0
	}
	milli, bad := quantity.CPU(text)
	if bad != nil {
		r.Report(amount(n, "E-CPU", bad, func(s string) bool {
			v, bad := quantity.CPU(s)
			return bad == nil && v >= manifest.MinCPUMilli && v <= manifest.MaxCPUMilli
		}))
		return 0
	}
	if milli < manifest.MinCPUMilli || milli > manifest.MaxCPUMilli {
		d := n.Problem("E-RANGE", "cpu of %s is not from 10m to 384", n.Show()).WithAllowed("from 10m to 384")
		if milli > manifest.MaxCPUMilli && milli/1000 <= manifest.MaxCPUMilli && milli%1000 == 0 {
			d = d.WithSuggestion(fmt.Sprintf("%dm", milli/1000))
		}
		r.Report(d)
		return 0
	}
	return milli
}

// ReadMemory reads the memory of an instance within the limits and returns bytes, or reports what is wrong.
func ReadMemory(r *sdl.Reporter, n *doc.Node) uint64 {
	return readBytes(r, n, "memory", manifest.MinMemoryBytes, manifest.MaxMemoryBytes)
}

// ReadVolume reads the size of a volume within the limits and returns bytes, or reports what is wrong.
func ReadVolume(r *sdl.Reporter, n *doc.Node) uint64 {
	return readBytes(r, n, "storage", manifest.MinVolumeBytes, manifest.MaxVolumeBytes)
}

func readBytes(r *sdl.Reporter, n *doc.Node, what string, least, most uint64) uint64 {
	text, ok := n.Scalar(r, what)
	if !ok {
		return 0
	}
	v, bad := quantity.Bytes(text)
	if bad != nil {
		r.Report(amount(n, "E-BYTES", bad, func(s string) bool {
			v, bad := quantity.Bytes(s)
			return bad == nil && v >= least && v <= most
		}))
		return 0
	}
	if v >= least && v <= most {
		return v
	}
	allowed := "from " + quantity.FormatBytes(least) + " to " + quantity.FormatBytes(most)
	d := n.Problem("E-RANGE", "%s of %s is not %s", what, n.Show(), allowed).WithAllowed(allowed)
	if v < least && v > 0 && strings.Trim(text, "0123456789") == "" {
		// A bare number counts bytes; it was probably meant in Mi.
		if mebi := v << 20; mebi >= least && mebi <= most && mebi>>20 == v {
			d = d.WithSuggestion(text + "Mi").WithHint("without a suffix the number counts bytes")
		}
	}
	r.Report(d)
	return 0
}

// ReadPrice reads a price per instance and block and returns micro tokens, or reports what is wrong and returns a nil
// amount.
func ReadPrice(r *sdl.Reporter, n *doc.Node) math.LegacyDec {
	return readMoney(r, n, "a price", quantity.Price)
}

// ReadAmount reads micro tokens of a denomination that is given beside them, or reports what is wrong and returns a nil
// amount.
func ReadAmount(r *sdl.Reporter, n *doc.Node) math.LegacyDec {
	return readMoney(r, n, "amount", quantity.Amount)
}

func readMoney(r *sdl.Reporter, n *doc.Node, what string, parse func(string) (math.LegacyDec, *quantity.Problem)) math.LegacyDec {
	text, ok := n.Scalar(r, what)
	if !ok {
		return math.LegacyDec{}
	}
	v, bad := parse(text)
	if bad != nil {
		r.Report(amount(n, "E-PRICE", bad, func(s string) bool {
			v, bad := parse(s)
			return bad == nil && v.IsPositive()
		}))
		return math.LegacyDec{}
	}
	if !v.IsPositive() {
		r.Report(n.Problem("E-PRICE", "a price is more than 0, found %s", n.Show()).WithAllowed("more than 0"))
		return math.LegacyDec{}
	}
	return v
}

// amount is a problem of an amount. What it suggests is dropped unless it would be taken.
func amount(n *doc.Node, code string, bad *quantity.Problem, good func(string) bool) sdl.Diagnostic {
	d := n.Problem(code, "%s", bad.Reason).WithAllowed(bad.Allowed)
	if bad.Suggestion == "" {
		return d.WithHint(bad.Hint)
	}
	if !good(bad.Suggestion) {
		return d
	}
	return d.WithSuggestion(bad.Suggestion).WithHint(bad.Hint)
}

// ReadCount reads the number of instances, or reports what is wrong and returns 0.
func ReadCount(r *sdl.Reporter, n *doc.Node) uint32 {
	v, _ := n.Uint(r, "E-RANGE", "count", manifest.MinCount, manifest.MaxCount)
	return uint32(v)
}

// ReadPort reads a port number, or reports what is wrong and returns 0.
func ReadPort(r *sdl.Reporter, n *doc.Node, what string) uint32 {
	if n.Kind() == doc.Scalar && !digits(n.Text()) {
		if d, ok := portOf(n, what); ok {
			r.Report(d)
			return 0
		}
	}
	v, _ := n.Uint(r, "E-PORT", what, 1, manifest.MaxPort)
	return uint32(v)
}

// knownPorts are ports that go by a name.
var knownPorts = map[string]string{"http": "80", "https": "443", "ssh": "22", "dns": "53", "postgres": "5432", "mysql": "3306", "redis": "6379"}

// portOf explains what container tools write for a port: pairs of ports, the one from outside first, with an address
// before them and a protocol after them, ranges and names.
func portOf(n *doc.Node, what string) (sdl.Diagnostic, bool) {
	text := strings.TrimSpace(n.Text())
	d := n.Problem("E-PORT", "%s is one port, found %s", what, n.Show()).WithAllowed("a whole number from 1 to 65535")
	if known := knownPorts[strings.ToLower(text)]; known != "" {
		return d.WithSuggestion(known), true
	}
	if from, to, ok := strings.Cut(text, "-"); ok && digits(from) && digits(to) {
		return d.WithHint("write an entry of its own for each port"), true
	}
	pair, proto, _ := strings.Cut(text, "/")
	if pair == text && !strings.Contains(pair, ":") {
		return d, false
	}
	port, as := portPair(pair)
	if what == "as" && as != "" {
		port, as = as, ""
	}
	if !isPort(port) || as != "" && !isPort(as) {
		return d, false
	}
	return d.WithSuggestion(port).WithHint(portAdvice(port, as, proto)), true
}

// portPair splits [[ADDRESS:]AS:]PORT.
func portPair(text string) (port, as string) {
	parts := strings.Split(text, ":")
	if len(parts) > 1 {
		as = parts[len(parts)-2]
	}
	return parts[len(parts)-1], as
}

// portAdvice says what else to write for a port with another one outside and a protocol.
func portAdvice(port, as, proto string) string {
	var more []string
	if as != "" && as != port {
		more = append(more, "as: "+as)
	}
	if proto != "" && !strings.EqualFold(proto, "tcp") {
		more = append(more, "proto: "+shown(strings.ToLower(proto)))
	}
	if len(more) == 0 {
		return ""
	}
	return "write port: " + port + " and " + strings.Join(more, " and ")
}

// isPort tells whether a text is a port as documents write it.
func isPort(s string) bool {
	v, err := strconv.ParseUint(s, 10, 16)
	return err == nil && v > 0 && s[0] >= '1' && s[0] <= '9'
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// CheckServiceName reports a service whose name other services could not look up.
func CheckServiceName(r *sdl.Reporter, n *doc.Node) {
	name := n.Name()
	if manifest.IsServiceName(name) {
		return
	}
	const allowed = "a DNS label: at most 63 of a-z, 0-9 and -, starting with a letter, not ending with -"
	d := n.Key().Problem("E-NAME", "%s cannot name a service", n.Key().Show()).WithAllowed(allowed)
	fixed := strings.Trim(strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(name)), "-")
	if manifest.IsServiceName(fixed) {
		d = d.WithSuggestion(fixed)
	}
	r.Report(d)
}

// CheckGroupName reports a placement whose name the chain would not take.
func CheckGroupName(r *sdl.Reporter, n *doc.Node) {
	if manifest.IsGroupName(n.Name()) {
		return
	}
	r.Report(n.Key().Problem("E-NAME", "%s cannot name a placement", n.Key().Show()).
		WithAllowed("at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"))
}

// ReadImage reads the reference of a container image, or reports what is wrong.
func ReadImage(r *sdl.Reporter, n *doc.Node) string {
	text, ok := n.Scalar(r, "image")
	if !ok || n.Missing() {
		return ""
	}
	if manifest.IsImage(text) {
		return text
	}
	const allowed = "[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST], the path in lower case, for example nginx:1.27"
	d := n.Problem("E-IMAGE", "%s is not the reference of an image", n.Show()).WithAllowed(allowed)
	for _, fixed := range []string{bareImage(text), lowerImage(bareImage(text))} {
		if manifest.IsImage(fixed) {
			d = d.WithSuggestion(fixed)
			break
		}
	}
	r.Report(d)
	return ""
}

// bareImage is a reference without what is written around it elsewhere.
func bareImage(text string) string {
	bare := strings.TrimSpace(text)
	for _, before := range []string{"docker pull ", "docker run ", "https://", "http://", "docker://", "oci://", "hub.docker.com/r/"} {
		if len(bare) > len(before) && strings.EqualFold(bare[:len(before)], before) {
			bare = bare[len(before):]
		}
	}
	bare = strings.TrimRight(strings.TrimSpace(bare), ":/")
	return strings.ReplaceAll(bare, " ", "")
}

// lowerImage is a reference with its path in lower case; a tag may have upper case.
func lowerImage(s string) string {
	name, digest, pinned := strings.Cut(s, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i:]
	}
	s = strings.ToLower(name) + tag
	if pinned {
		s += "@" + strings.ToLower(digest)
	}
	return s
}

// ReadHost reads a host name, or reports what is wrong and returns an empty one.
func ReadHost(r *sdl.Reporter, n *doc.Node) string {
	text, ok := n.Scalar(r, "a host")
	if !ok || n.Missing() {
		return ""
	}
	if manifest.IsHost(text) {
		return text
	}
	d := n.Problem("E-HOST", "%s is not a host name", n.Show()).
		WithAllowed("a DNS name in lower case, without scheme, port or path, for example www.example.com")
	fixed := strings.ToLower(strings.TrimSpace(text))
	if _, after, ok := strings.Cut(fixed, "://"); ok {
		fixed = after
	}
	fixed, _, _ = strings.Cut(fixed, "/")
	fixed, _, _ = strings.Cut(fixed, ":")
	if fixed = strings.TrimSuffix(fixed, "."); manifest.IsHost(fixed) {
		d = d.WithSuggestion(fixed)
	} else if strings.HasPrefix(fixed, "*.") {
		d = d.WithHint("name every host: a wildcard leads to no service")
	}
	r.Report(d)
	return ""
}

// ReadAttributes reads a mapping of provider attributes, sorted by key, and reports those that the chain would not take.
func ReadAttributes(r *sdl.Reporter, n *doc.Node) []sdl.Attribute {
	nodes, _ := n.Named(r, "attributes")
	if len(nodes) > providertypes.MaxAttributes {
		r.Report(n.Key().Problem("E-LIMIT", "%d attributes, at most %d are allowed", len(nodes), providertypes.MaxAttributes))
		return nil
	}
	var out []sdl.Attribute
	for _, node := range nodes {
		value, ok := node.Scalar(r, "the value of an attribute")
		if !ok {
			continue
		}
		checkAttribute(r, node, value)
		out = append(out, sdl.Attribute{Key: node.Name(), Value: value})
	}
	return out
}

func checkAttribute(r *sdl.Reporter, n *doc.Node, value string) {
	rule := func(key, value string) error {
		return providertypes.ValidateRequirements([]providertypes.Attribute{{Key: key, Value: value}})
	}
	const goodKey, goodValue = "key", "value"
	if rule(n.Name(), goodValue) != nil {
		r.Report(n.Key().Problem("E-ATTRIBUTE", "%s cannot be the key of an attribute", n.Key().Show()).
			WithAllowed("2 to 128 letters, digits, '_', '/', '.' and '-', starting with a letter"))
	}
	if rule(goodKey, value) != nil {
		r.Report(n.Problem("E-ATTRIBUTE", "%s cannot be the value of an attribute", n.Show()).
			WithAllowed(fmt.Sprintf("1 to %d bytes of text, without control characters or space at its ends", providertypes.MaxAttributeValue)))
	}
}
