package sdl20

import (
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

// httpPort is the port that clients use for which tcp from outside is routed by host.
const httpPort = 80

func readExpose(r *sdl.Reporter, n *doc.Node) stack.Expose {
	e := stack.Expose{At: n, Proto: manifesttypes.PROTO_TCP}
	e.Unsure = n.Kind() != doc.Map
	o, ok := n.Object(r, exposeShape.ShortFor("port", ", to: [{global: true}]"))
	if !ok {
		return e
	}
	if port := o.Require(r, "port", "port: 80"); port != nil {
		e.Port = stack.ReadPort(r, port, "port")
	}
	e.As = e.Port
	if as := o.Get("as"); as != nil {
		e.As = stack.ReadPort(r, as, "as")
	}
	if proto := o.Get("proto"); proto != nil {
		e.Proto = readProto(r, proto)
	}
	if options := o.Get("http_options"); options != nil {
		e.HTTP = readHTTP(r, options)
	}
	readClients(r, o, &e)
	if len(e.To) == 0 && !o.Has("to") {
		r.Warn(n.Problem("W-NO-CLIENT", "nobody can connect to port %d: it has no to", e.Port).
			WithHint("add to: [{service: NAME}] or to: [{global: true}]"))
	}
	public := slices.ContainsFunc(e.To, func(t stack.To) bool { return t.Global && t.Service.At == nil })
	if public && e.Proto == manifesttypes.PROTO_TCP && e.As == httpPort {
		e.Proto = manifesttypes.PROTO_HTTP
	}
	readAccept(r, o, &e, public)
	if e.HTTP != nil && e.Proto != manifesttypes.PROTO_HTTP {
		e.HTTP = nil
		r.Warn(n.Problem("W-HTTP-IGNORED", "http_options have no effect: the port is not routed by host").
			WithHint("ports are when they are tcp, global, and as 80"))
	}
	return e
}

func readClients(r *sdl.Reporter, o doc.Object, e *stack.Expose) {
	if to := o.Get("to"); to != nil {
		e.Unsure = e.Unsure || to.Kind() != doc.List
		for _, t := range stack.Mappings(r, to, "to") {
			if client, ok := readTo(r, t, e); ok {
				e.To = append(e.To, client)
			}
		}
	}
}

func readAccept(r *sdl.Reporter, o doc.Object, e *stack.Expose, public bool) {
	if accept := o.Get("accept"); accept != nil {
		entries, _ := accept.Entries(r, "accept")
		for _, h := range entries {
			if host := stack.ReadHost(r, h); host != "" {
				e.Accept = append(e.Accept, stack.Ref{Name: host, At: h})
			}
		}
		ignored(r, accept, e, public)
	}
}

// ignored warns of hosts on a port that is not routed by host, and drops them.
func ignored(r *sdl.Reporter, accept *doc.Node, e *stack.Expose, public bool) {
	if e.Proto == manifesttypes.PROTO_HTTP {
		return
	}
	e.Accept = nil
	d := accept.Key().Problem("W-ACCEPT-IGNORED", "accept has no effect: the port is not routed by host")
	if public {
		d = d.WithHint("ports are when they are tcp, global, and as 80")
	} else {
		d = d.WithHint("add to: [{global: true}]")
	}
	r.Warn(d)
}

func readProto(r *sdl.Reporter, n *doc.Node) manifesttypes.Proto {
	text, ok := n.Scalar(r, "proto")
	if !ok {
		return manifesttypes.PROTO_TCP
	}
	switch strings.ToLower(text) {
	case "tcp":
		return manifesttypes.PROTO_TCP
	case "udp":
		return manifesttypes.PROTO_UDP
	}
	d := n.Problem("E-PROTO", "%s is not a protocol", n.Show()).WithAllowed("tcp, udp")
	switch lower := strings.ToLower(strings.TrimSpace(text)); {
	case slices.Contains([]string{"grpc", "grpcs", "h2", "h2c"}, lower):
		d = d.WithSuggestion("tcp").WithHint("a global tcp port that clients see as 80 is routed by host; http_options: {h2c: true} says that the service speaks HTTP/2 without TLS there")
	case slices.Contains([]string{"ws", "wss", "websocket", "tls", "ssl"}, lower), strings.HasPrefix(lower, "http"):
		d = d.WithSuggestion("tcp").WithHint("a global tcp port that clients see as 80 is routed by host")
	case lower == "tcp" || lower == "udp":
		d = d.WithSuggestion(lower)
	default:
		d = d.WithSuggestion(suggest.Nearest(lower, []string{"tcp", "udp"}))
	}
	r.Report(d)
	return manifesttypes.PROTO_TCP
}

// readTo reads a client of a port. Without a service, it is anyone, but only if global says so.
func readTo(r *sdl.Reporter, n *doc.Node, e *stack.Expose) (stack.To, bool) {
	var t stack.To
	o, ok := n.Object(r, toShape.ShortFor("service", ""))
	if !ok {
		return t, false
	}
	understood := true
	if global := o.Get("global"); global != nil {
		t.Global, understood = global.Bool(r, "global")
	}
	e.Unsure = e.Unsure || !understood || n.Kind() != doc.Map
	if service := o.Get("service"); service != nil {
		name, ok := service.Scalar(r, "service")
		if !ok {
			return t, false
		}
		t.Service = stack.Ref{Name: name, At: service}
	}
	if options := o.Get("http_options"); options != nil {
		e.HTTP = readHTTP(r, options)
	}
	if ip := o.Get("ip"); ip != nil {
		name, ok := ip.Scalar(r, "ip")
		if !ok {
			return t, false
		}
		t.IP = stack.Ref{Name: name, At: ip}
		if !t.Global && understood {
			r.Report(ip.Problem("E-TO", "an ip needs global: true").WithHint("add global: true"))
			return t, false
		}
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

var nextCases = []string{"error", "timeout", "403", "404", "429", "500", "502", "503", "504", "off"}

func readHTTP(r *sdl.Reporter, n *doc.Node) *manifesttypes.HTTPOptions {
	o, ok := n.Object(r, httpShape)
	if !ok {
		return nil
	}
	h := &manifesttypes.HTTPOptions{}
	for _, field := range []struct {
		key  string
		into *uint32
		most uint64
	}{
		{"max_body_size", &h.MaxBodyBytes, manifest.MaxBodyBytes}, {"read_timeout", &h.ReadTimeoutMs, manifest.DocRouteTimeoutMs},
		{"send_timeout", &h.SendTimeoutMs, manifest.DocRouteTimeoutMs}, {"next_tries", &h.NextTries, manifest.MaxNextTries},
		{"next_timeout", &h.NextTimeoutMs, manifest.DocRouteTimeoutMs}, {"proxy_buffer_size", &h.ProxyBufferBytes, manifest.MaxProxyBufferBytes},
	} {
		if value := o.Get(field.key); value != nil {
			v, _ := value.Uint(r, "E-HTTP", field.key, 0, field.most)
			*field.into = uint32(v)
		}
	}
	if cases := o.Get("next_cases"); cases != nil {
		h.NextCases = readNextCases(r, cases)
	}
	if h2c := o.Get("h2c"); h2c != nil {
		h.H2C, _ = h2c.Bool(r, "h2c")
	}
	return h
}

func readNextCases(r *sdl.Reporter, n *doc.Node) []string {
	entries, _ := n.Entries(r, "next_cases")
	var out []string
	for _, e := range entries {
		if c, ok := oneOf(r, e, "E-HTTP", "a case", nextCases...); ok {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > 1 && slices.Contains(out, "off") {
		r.Report(n.Problem("E-HTTP", "off stands alone: it turns the other cases off").WithAllowed("[off], or a list without off"))
	}
	return out
}
