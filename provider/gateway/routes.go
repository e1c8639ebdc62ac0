package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"

	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// route is one method of the service: how it is reached, what it demands, what it does. gRPC and JSON are served from
// the same entry, and every request passes through Server.dispatch, so neither can have a check that the other lacks.
type route struct {
	// method is the method's name in the protobuf service.
	method string
	// scope is what a token must grant; the empty scope is not valid unless public.
	scope token.Scope
	// public routes need no token and name no lease.
	public bool
	// http is the verb and the path template of the method's google.api.http annotation.
	http string
	// body is true if JSON requests carry a body.
	body bool
	// stream is true if the answer is any number of messages.
	stream bool
	// talk is true if the request is any number of messages too; the first of them says what is asked.
	talk bool
	// keys are the names of all fields of a message of a client that talks by JSON; the lease stands in the path.
	keys []string

	// request makes an empty request for a lease; gRPC decodes over it.
	request func(id markettypes.LeaseID) proto.Message
	// fill takes what a JSON request holds beside the lease: query and body.
	fill func(req proto.Message, q url.Values, body []byte) error
	// run does the work, after all checks.
	run func(ctx context.Context, b Backend, req proto.Message, out answer) error
}

// answer takes the messages of an answer. begin tells the client that the request was accepted, before the first
// message is there.
type answer struct {
	begin func() error
	send  func(proto.Message) error
	// next reads one more message of a client that talks, or returns io.EOF after its last. Only then is it set.
	next func(proto.Message) error
}

// leaseRequest is a request about one lease; all but public routes have one.
type leaseRequest interface {
	proto.Message
	GetId() markettypes.LeaseID
}

const leasePath = "/v1/leases/{id.owner}/{id.dseq}/{id.gseq}/{id.oseq}/{id.provider}/"

// routes is the only list of what the gateway serves.
func (s *Server) routes() []*route {
	return []*route{
		{
			method: "Status", public: true, http: "GET /v1/status",
			request: func(markettypes.LeaseID) proto.Message { return &gatewaytypes.StatusRequest{} },
			run:     runStatus,
		},
		{
			method: "WouldBid", public: true, http: "POST /v1/wouldbid", body: true,
			request: func(markettypes.LeaseID) proto.Message { return &gatewaytypes.WouldBidRequest{} },
			fill:    fillWouldBid,
			run:     s.runWouldBid,
		},
		{
			method: "PutManifest", scope: token.Manifest, http: "PUT " + leasePath + "manifest", body: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.PutManifestRequest{Id: id} },
			fill:    fillPutManifest,
			run:     s.runPutManifest,
		},
		{
			method: "GetManifest", scope: token.Manifest, http: "GET " + leasePath + "manifest",
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.GetManifestRequest{Id: id} },
			run:     runGetManifest,
		},
		{
			method: "LeaseStatus", scope: token.Status, http: "GET " + leasePath + "status",
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.LeaseStatusRequest{Id: id} },
			run:     runLeaseStatus,
		},
		{
			method: "Logs", scope: token.Logs, http: "GET " + leasePath + "logs", stream: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.LogsRequest{Id: id} },
			fill:    fillLogs,
			run:     s.runLogs,
		},
		{
			method: "Events", scope: token.Events, http: "GET " + leasePath + "events", stream: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.EventsRequest{Id: id} },
			fill:    fillEvents,
			run:     runEvents,
		},
		{
			method: "Exec", scope: token.Exec, http: "GET " + leasePath + "exec", stream: true, talk: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.ExecRequest{Id: id} },
			fill:    fillExec,
			keys:    []string{"start", "service", "instance", "command", "terminal", "stdin", "terminal_size", "width", "height", "stdin_end"},
			run:     s.runExec,
		},
		{
			method: "PortForward", scope: token.Forward, http: "GET " + leasePath + "portforward", stream: true, talk: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.PortForwardRequest{Id: id} },
			fill:    fillForward,
			keys:    []string{"start", "service", "instance", "port", "data", "end"},
			run:     s.runForward,
		},
		{
			method: "Restart", scope: token.Restart, http: "POST " + leasePath + "restart", body: true,
			request: func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.RestartRequest{Id: id} },
			fill:    fillRestart,
			run:     runRestart,
		},
	}
}

// router finds routes by gRPC method and by HTTP path.
type router struct {
	all    []*route
	byGRPC map[string]*route
}

// service is the service that the routes must cover, whole.
var service = &gatewaytypes.Gateway_serviceDesc

// newRouter returns an error unless every method of the service has exactly one route, and every route says who may use
// it. The gateway does not start with a hole in its table.
func newRouter(routes []*route, desc *grpc.ServiceDesc) (*router, error) {
	r := &router{all: routes, byGRPC: map[string]*route{}}
	var errs []error
	for _, rt := range routes {
		name := "/" + desc.ServiceName + "/" + rt.method
		if r.byGRPC[name] != nil {
			errs = append(errs, fmt.Errorf("method %s has two routes", rt.method))
		}
		r.byGRPC[name] = rt
		errs = append(errs, rt.validate())
	}
	type kind struct{ stream, talk bool }
	declared := map[string]kind{}
	for _, m := range desc.Methods {
		declared[m.MethodName] = kind{}
	}
	for _, m := range desc.Streams {
		declared[m.StreamName] = kind{m.ServerStreams, m.ClientStreams}
	}
	for name, k := range declared {
		if rt := r.byGRPC["/"+desc.ServiceName+"/"+name]; rt == nil || rt.stream != k.stream || rt.talk != k.talk {
			errs = append(errs, fmt.Errorf("method %s has no route of its kind", name))
		}
	}
	if len(declared) != len(r.byGRPC) {
		errs = append(errs, fmt.Errorf("%d routes for %d methods", len(r.byGRPC), len(declared)))
	}
	return r, errors.Join(errs...)
}

func (rt *route) validate() error {
	_, ofLease := rt.request(markettypes.LeaseID{}).(leaseRequest)
	switch {
	case rt.public && (rt.scope != "" || ofLease):
		return fmt.Errorf("route %s is public, yet has a scope or a lease", rt.method)
	case !rt.public && (rt.scope == "" || !ofLease):
		return fmt.Errorf("route %s says neither that it is public, nor which scope and lease it needs", rt.method)
	case rt.body && rt.fill == nil:
		return fmt.Errorf("route %s has a body that nothing reads", rt.method)
	case rt.talk && (!rt.stream || rt.body || rt.fill == nil || len(rt.keys) == 0):
		return fmt.Errorf("route %s talks, which only streams without a body can, and nothing reads what it is told", rt.method)
	}
	return nil
}

// findJSON matches verb and path. The problem says whether the path exists at all; allow is the verbs that it has.
func (r *router) findJSON(verb, path string) (rt *route, params map[string]string, allow []string) {
	for _, rt := range r.all {
		want, template, _ := strings.Cut(rt.http, " ")
		params, ok := matchPath(template, path)
		switch {
		case ok && verb == want:
			return rt, params, nil
		case ok:
			allow = append(allow, want)
		}
	}
	return nil, nil, allow
}

// matchPath matches a path against a template whose {name} segments stand for one segment that is not empty.
func matchPath(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params := map[string]string{}
	for i, seg := range want {
		if name, ok := strings.CutPrefix(seg, "{"); ok && got[i] != "" {
			params[strings.TrimSuffix(name, "}")] = got[i]
			continue
		}
		if seg != got[i] {
			return nil, false
		}
	}
	return params, true
}

// leaseOf reads the lease id of a matched path; routes without one give the zero id.
func leaseOf(params map[string]string) (markettypes.LeaseID, error) {
	if len(params) == 0 {
		return markettypes.LeaseID{}, nil
	}
	id := markettypes.LeaseID{Owner: params["id.owner"], Provider: params["id.provider"]}
	dseq, err := parseNumber(params["id.dseq"], 64)
	if err != nil {
		return id, wire.Errorf(wire.Invalid, "dseq in the path: %v", err)
	}
	gseq, err := parseNumber(params["id.gseq"], 32)
	if err != nil {
		return id, wire.Errorf(wire.Invalid, "gseq in the path: %v", err)
	}
	oseq, err := parseNumber(params["id.oseq"], 32)
	if err != nil {
		return id, wire.Errorf(wire.Invalid, "oseq in the path: %v", err)
	}
	id.Dseq, id.Gseq, id.Oseq = dseq, uint32(gseq), uint32(oseq)
	return id, nil
}

// parseNumber takes decimal digits without sign or leading zero, so that a number has one form.
func parseNumber(s string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.30q is not a number of %d bits", s, bits)
	}
	return n, nil
}
