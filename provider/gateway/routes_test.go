package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	protov2 "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// The table serves exactly the methods of the protobuf service, at the paths of their annotations.
func TestRoutesFollowTheProto(t *testing.T) {
	files, err := proto.MergedRegistry()
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(service.ServiceName))
	if err != nil {
		t.Fatal(err)
	}
	byMethod := map[string]*route{}
	for _, rt := range (&Server{}).routes() {
		byMethod[rt.method] = rt
	}
	methods := d.(protoreflect.ServiceDescriptor).Methods()
	if methods.Len() != len(byMethod) {
		t.Errorf("%d routes for %d methods", len(byMethod), methods.Len())
	}
	for i := range methods.Len() {
		m := methods.Get(i)
		rt := byMethod[string(m.Name())]
		if rt == nil {
			t.Errorf("method %s has no route", m.Name())
			continue
		}
		path, body := annotation(t, m)
		if rt.http != path || rt.body != body {
			t.Errorf("route %s is %q (body %v), its annotation says %q (body %v)", rt.method, rt.http, rt.body, path, body)
		}
		if rt.stream != m.IsStreamingServer() || rt.talk != m.IsStreamingClient() {
			t.Errorf("route %s: stream %v, the method: %v from the server, %v from the client",
				rt.method, rt.stream, m.IsStreamingServer(), m.IsStreamingClient())
		}
		if rt.public != (rt.method == "Status" || rt.method == "WouldBid") {
			t.Errorf("route %s: public %v", rt.method, rt.public)
		}
	}
}

// The published OpenAPI document has exactly the routes of the table, with their scopes and kinds.
func TestRoutesAreInTheDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/gateway.openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string              `json:"operationId"`
			Scope       token.Scope         `json:"x-berth-scope"`
			Security    []json.RawMessage   `json:"security"`
			Body        json.RawMessage     `json:"requestBody"`
			Socket      json.RawMessage     `json:"x-berth-websocket"`
			Responses   map[string]struct{} `json:"responses"`
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, verbs := range doc.Paths {
		n += len(verbs)
	}
	routes := (&Server{}).routes()
	if n != len(routes) {
		t.Errorf("the document has %d routes, the table %d", n, len(routes))
	}
	for _, rt := range routes {
		verb, path, _ := strings.Cut(rt.http, " ")
		op, ok := doc.Paths[path][strings.ToLower(verb)]
		_, upgrades := op.Responses["101"]
		if !ok || op.OperationID != rt.method || op.Scope != rt.scope || (len(op.Security) == 0) != rt.public ||
			(op.Body != nil) != rt.body || (op.Socket != nil) != rt.talk || upgrades != rt.stream {
			t.Errorf("route %s: the document has %+v", rt.method, op)
		}
	}
}

// annotation returns the verb and path of a method's google.api.http option, and whether it takes a body.
func annotation(t *testing.T, m protoreflect.MethodDescriptor) (string, bool) {
	t.Helper()
	rule, ok := protov2.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		t.Fatalf("method %s has no google.api.http annotation", m.Name())
	}
	switch p := rule.Pattern.(type) {
	case *annotations.HttpRule_Get:
		return "GET " + p.Get, rule.Body != ""
	case *annotations.HttpRule_Put:
		return "PUT " + p.Put, rule.Body != ""
	case *annotations.HttpRule_Post:
		return "POST " + p.Post, rule.Body != ""
	default:
		t.Fatalf("method %s: verb of %T is not known here", m.Name(), p)
		return "", false
	}
}

func TestRouterRefusesHoles(t *testing.T) {
	lease := func(id markettypes.LeaseID) proto.Message { return &gatewaytypes.LeaseStatusRequest{Id: id} }
	none := func(markettypes.LeaseID) proto.Message { return &gatewaytypes.StatusRequest{} }
	desc := &grpc.ServiceDesc{
		ServiceName: "s",
		Methods:     []grpc.MethodDesc{{MethodName: "A"}},
		Streams:     []grpc.StreamDesc{{StreamName: "B", ServerStreams: true}, {StreamName: "T", ServerStreams: true, ClientStreams: true}},
	}
	a := route{method: "A", scope: token.Status, request: lease}
	b := route{method: "B", public: true, stream: true, request: none}
	talk := route{method: "T", scope: token.Exec, stream: true, talk: true, request: lease, fill: fillExec, keys: []string{"start"}}
	with := func(rt route, change func(*route)) *route {
		change(&rt)
		return &rt
	}
	keep := func(*route) {}
	for name, tc := range map[string]struct {
		routes []*route
		want   string
	}{
		"whole":                {[]*route{with(a, keep), with(b, keep)}, ""},
		"a method missing":     {[]*route{with(b, keep)}, "method A has no route"},
		"a stream missing":     {[]*route{with(a, keep)}, "method B has no route"},
		"one too many":         {[]*route{with(a, keep), with(b, keep), with(a, func(r *route) { r.method = "C" })}, "4 routes for 3"},
		"twice":                {[]*route{with(a, keep), with(a, keep), with(b, keep)}, "two routes"},
		"no scope":             {[]*route{with(a, func(r *route) { r.scope = "" }), with(b, keep)}, "neither"},
		"no lease":             {[]*route{with(a, func(r *route) { r.request = none }), with(b, keep)}, "neither"},
		"public with a scope":  {[]*route{with(a, keep), with(b, func(r *route) { r.scope = token.Logs })}, "is public, yet"},
		"public with a lease":  {[]*route{with(a, keep), with(b, func(r *route) { r.request = lease })}, "is public, yet"},
		"stream that is none":  {[]*route{with(a, func(r *route) { r.stream = true }), with(b, keep)}, "of its kind"},
		"a body nobody reads":  {[]*route{with(a, func(r *route) { r.body = true }), with(b, keep)}, "nothing reads"},
		"none of a stream's":   {[]*route{with(a, keep), with(b, func(r *route) { r.stream = false })}, "of its kind"},
		"nothing in the table": {nil, "no route"},
	} {
		_, err := newRouter(append(tc.routes, with(talk, keep)), desc)
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: newRouter = %v, want %q", name, err, tc.want)
		}
	}
	for name, change := range map[string]func(*route){
		"a talk that is none": func(r *route) { r.talk = false },
		"a talk nobody reads": func(r *route) { r.fill = nil },
		"a talk with a body":  func(r *route) { r.body = true },
	} {
		if _, err := newRouter([]*route{with(a, keep), with(b, keep), with(talk, change)}, desc); err == nil {
			t.Errorf("%s: newRouter accepts it", name)
		}
	}
}

func TestMatchPath(t *testing.T) {
	for _, tc := range []struct {
		template, path, want string
		ok                   bool
	}{
		{"/v1/status", "/v1/status", "map[]", true},
		{"/v1/status", "/v1/status/", "", false},
		{"/v1/status", "/V1/status", "", false},
		{"/a/{x.y}/b", "/a/1/b", "map[x.y:1]", true},
		{"/a/{x.y}/b", "/a//b", "", false},
		{"/a/{x.y}/b", "/a/1/2/b", "", false},
		{"/a/{x.y}", "/a", "", false},
	} {
		got, ok := matchPath(tc.template, tc.path)
		if ok != tc.ok || (ok && fmt.Sprint(got) != tc.want) {
			t.Errorf("matchPath(%q, %q) = %v, %v, want %s, %v", tc.template, tc.path, got, ok, tc.want, tc.ok)
		}
	}
}

// Whoever comes to a handler around ServeHTTP has no claims and gets nothing.
func TestACallWithoutContextAllowsNothing(t *testing.T) {
	s := &Server{cfg: Config{Provider: "p"}.withDefaults()}
	for _, rt := range s.routes() {
		req := rt.request(markettypes.LeaseID{Owner: "", Provider: ""})
		if err := s.authorise(rt, callFrom(context.Background()).claims, req); (err == nil) != rt.public {
			t.Errorf("route %s: authorise = %v", rt.method, err)
		}
	}
}

func FuzzFillPutManifest(f *testing.F) {
	f.Add([]byte(`{"group":"Z3JvdXA=","gseq":1,"leaves":["AAAA"]}`))
	f.Add([]byte(`{"gseq":"1","leaves":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m gatewaytypes.PutManifestRequest
		if fillPutManifest(&m, nil, body) != nil {
			return
		}
		if text, err := marshaler.MarshalToString(&m.Envelope); err != nil {
			t.Fatalf("body %q cannot be written again: %v", text, err)
		}
	})
}

func FuzzFillLogs(f *testing.F) {
	f.Add("service=web&follow=true&tail=1&since_unix_nano=2")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		var m gatewaytypes.LogsRequest
		if fillLogs(&m, q, nil) == nil && m.SinceUnixNano < 0 {
			t.Fatalf("query %q gives a negative time", query)
		}
	})
}
