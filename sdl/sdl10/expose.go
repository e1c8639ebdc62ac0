package sdl10

import (
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

// protoNames are the protocols, in the order in which messages list them.
var protoNames = []string{"tcp", "http", "https"}

var protos = map[string]manifesttypes.Proto{
	"http": manifesttypes.PROTO_HTTP, "https": manifesttypes.PROTO_HTTPS, "tcp": manifesttypes.PROTO_TCP,
}

// The ports whose protocol is http and https unless the document says otherwise, and at which clients from outside
// find them.
const (
	httpPort  = 80
	httpsPort = 443
)

// defaultProto is governed by port, not by as.
func defaultProto(port uint32) manifesttypes.Proto {
	switch port {
	case httpPort:
		return manifesttypes.PROTO_HTTP
	case httpsPort:
		return manifesttypes.PROTO_HTTPS
	}
	return manifesttypes.PROTO_TCP
}

func readExpose(r *sdl.Reporter, n *doc.Node) stack.Expose {
	e, before := stack.Expose{At: n}, r.Errors()
	o, ok := n.Object(r, exposeShape.ShortFor("port", ", to: [{global: true}]"))
	if !ok {
		return e
	}
	if port := o.Require(r, "port", "port: 80"); port != nil {
		e.Port = stack.ReadPort(r, port, "port")
	}
	e.As = e.Port
	as := o.Get("as")
	if as != nil {
		e.As = stack.ReadPort(r, as, "as")
	}
	e.Proto = defaultProto(e.Port)
	if proto := o.Get("proto"); proto != nil {
		e.Proto = readProto(r, proto, e.Proto)
	}
	if to := o.Get("to"); to != nil {
		for _, t := range stack.Mappings(r, to, "to") {
			if client, ok := readTo(r, t); ok {
				e.To = append(e.To, client)
			}
		}
	}
	if accept := o.Get("accept"); accept != nil {
		e.Accept = readAccept(r, accept)
	}
	if r.Errors() == before {
		adviseExpose(r, o, as, &e)
	}
	return e
}

func readProto(r *sdl.Reporter, n *doc.Node, otherwise manifesttypes.Proto) manifesttypes.Proto {
	text, ok := n.Scalar(r, "proto")
	if !ok {
		return otherwise
	}
	if p, ok := protos[text]; ok {
		return p
	}
	d := n.Problem("E-PROTO", "%s is not a protocol", n.Show()).WithAllowed(strings.Join(protoNames, ", "))
	switch lower := strings.ToLower(strings.TrimSpace(text)); lower {
	case "udp":
		d = d.WithHint(`udp needs SDL 2.0 or 2.1`)
	case "grpc", "grpcs", "h2", "h2c":
		d = d.WithSuggestion("tcp").WithHint("what is not http/1.1 goes through a port of its own")
	case "ws", "websocket", "http2":
		d = d.WithSuggestion("http")
	case "wss", "tls", "ssl":
		d = d.WithSuggestion("https")
	default:
		d = d.WithSuggestion(suggest.Nearest(lower, protoNames))
		if protos[lower] != 0 {
			d = d.WithSuggestion(lower)
		}
	}
	r.Report(d)
	return otherwise
}

// readTo reads a client of a port. Without a service, it is anyone, but only if global says so.
func readTo(r *sdl.Reporter, n *doc.Node) (stack.To, bool) {
	var t stack.To
	o, ok := n.Object(r, toShape.ShortFor("service", ""))
	if !ok {
		return t, false
	}
	understood := true
	if global := o.Get("global"); global != nil {
		t.Global, understood = global.Bool(r, "global")
	}
	if service := o.Get("service"); service != nil {
		name, ok := service.Scalar(r, "service")
		if !ok {
			return t, false
		}
		t.Service = stack.Ref{Name: name, At: service}
	}
	if !understood && t.Service.At == nil {
		return t, false
	}
	if !t.Global && t.Service.At == nil {
		r.Report(n.Problem("E-TO", "if global is false, a service must be given").
			WithAllowed("service: NAME, global: true, or both"))
		return t, false
	}
	return t, true
}

func readAccept(r *sdl.Reporter, n *doc.Node) []stack.Ref {
	entries, _ := n.Entries(r, "accept")
	var out []stack.Ref
	for _, e := range entries {
		if host := stack.ReadHost(r, e); host != "" {
			out = append(out, stack.Ref{Name: host, At: e})
		}
	}
	return out
}

// adviseExpose warns of what a port says to no effect, and drops hosts that lead nowhere.
func adviseExpose(r *sdl.Reporter, o doc.Object, as *doc.Node, e *stack.Expose) {
	if len(e.To) == 0 {
		r.Warn(o.Node().Problem("W-NO-CLIENT", "nobody can connect to port %d: it has no to", e.Port).
			WithHint("add to: [{service: NAME}] or to: [{global: true}]"))
	}
	public := false
	for _, t := range e.To {
		public = public || t.Global && t.Service.At == nil
	}
	byHost := e.Proto == manifesttypes.PROTO_HTTP || e.Proto == manifesttypes.PROTO_HTTPS
	if !public || !byHost {
		adviseAccept(r, o, e, byHost)
		e.Accept = nil
	}
	outside := map[manifesttypes.Proto]uint32{manifesttypes.PROTO_HTTP: httpPort, manifesttypes.PROTO_HTTPS: httpsPort}[e.Proto]
	if as != nil && public && byHost && e.As != outside {
		r.Warn(as.Problem("W-AS-INSIDE", "as is the port for other services; from outside, the port is that of the provider's %s, usually %d",
			sdl.ProtoName(e.Proto), outside))
	}
}

// adviseAccept warns of hosts on a port that is not routed by host, or not open to anyone.
func adviseAccept(r *sdl.Reporter, o doc.Object, e *stack.Expose, byHost bool) {
	accept := o.Get("accept")
	if accept == nil || len(e.To) == 0 {
		return
	}
	if byHost {
		r.Warn(accept.Key().Problem("W-ACCEPT-IGNORED", "accept has no effect: the port is not open to anyone").
			WithHint("add to: [{global: true}]"))
		return
	}
	r.Warn(accept.Key().Problem("W-ACCEPT-IGNORED", "accept has no effect: a tcp port is not routed by host").
		WithHint("add proto: http or proto: https"))
}
