// Package openapi describes the gateway's HTTP interface as an OpenAPI document, from the protobuf service and the
// comments of its file.
package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/genproto/googleapis/api/annotations"
	protov2 "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	_ "berth.dev/berth/provider/gateway/types" // registers the service
)

//go:generate go test . -run TestDocument -update

const service = "berth.gateway.v1.Gateway"

type object = map[string]any

// generator collects the schemas that the paths refer to.
type generator struct {
	comments map[string]string
	schemas  object
}

// Document returns the OpenAPI 3.1 document, in JSON; source is the text of the service's .proto file.
func Document(source string) ([]byte, error) {
	files, err := proto.MergedRegistry()
	if err != nil {
		return nil, fmt.Errorf("read the descriptors: %w", err)
	}
	d, err := files.FindDescriptorByName(service)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", service, err)
	}
	g := &generator{comments: comments(source), schemas: object{"Problem": problem}}
	paths := object{}
	methods := d.(protoreflect.ServiceDescriptor).Methods()
	for i := range methods.Len() {
		verb, path, op, err := g.operation(methods.Get(i))
		if err != nil {
			return nil, err
		}
		at, ok := paths[path].(object)
		if !ok {
			at = object{}
			paths[path] = at
		}
		at[verb] = op
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Berth gateway", "version": "v1",
			"description": "What a provider serves to tenants. The server's TLS key is pinned on chain and clients present a certificate; gateway.md has the rules.",
		},
		"paths": paths,
		"components": object{
			"schemas": g.schemas,
			"securitySchemes": object{"token": object{
				"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
				"description": "signed by the account's key and bound to the TLS client certificate",
			}},
		},
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

var problem = object{
	"type": "object", "required": []string{"code", "message"},
	"properties": object{"code": object{"type": "string"}, "message": object{"type": "string"}, "next": object{"type": "string"}},
}

var (
	commentLine = regexp.MustCompile(`^\s*// ?(.*)$`)
	declared    = regexp.MustCompile(`^\s*(message|rpc|(?:repeated )?[\w.]+) (\w+)(?: = \d|\s*\(|\s*\{)`)
)

// comments are those of a file's messages, fields and methods, by MESSAGE, MESSAGE.FIELD and METHOD.
func comments(source string) map[string]string {
	out := map[string]string{}
	var text []string
	message := ""
	for _, line := range strings.Split(source, "\n") {
		if m := commentLine.FindStringSubmatch(line); m != nil {
			text = append(text, m[1])
			continue
		}
		if m := declared.FindStringSubmatch(line); m != nil {
			name := m[2]
			switch m[1] {
			case "message":
				message = name
			case "rpc", "service":
			default:
				name = message + "." + name
			}
			if len(text) > 0 {
				out[name] = strings.Join(text, " ")
			}
		}
		text = nil
	}
	return out
}

var (
	scopeOf = regexp.MustCompile(`; scope (\w+)`)
	pathVar = regexp.MustCompile(`\{([\w.]+)\}`)
)

// operation describes a method.
func (g *generator) operation(m protoreflect.MethodDescriptor) (verb, path string, op object, err error) {
	rule, _ := protov2.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		verb, path = "get", p.Get
	case *annotations.HttpRule_Put:
		verb, path = "put", p.Put
	case *annotations.HttpRule_Post:
		verb, path = "post", p.Post
	default:
		return "", "", nil, fmt.Errorf("method %s has no path", m.Name())
	}
	text := g.comments[string(m.Name())]
	op = object{"operationId": string(m.Name()), "description": text, "security": []any{}}
	if s := scopeOf.FindStringSubmatch(text); s != nil {
		op["x-berth-scope"] = s[1]
		op["security"] = []any{object{"token": []string{}}}
	}
	parameters := []any{}
	for _, v := range pathVar.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": v[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	path = pathVar.ReplaceAllString(path, "{$1}")
	switch {
	case m.IsStreamingClient():
		op["x-berth-websocket"] = object{"client": g.ref(m.Input()), "server": g.ref(m.Output())}
	case rule.GetBody() == "*":
		op["requestBody"] = body(g.schema(m.Input(), "id"))
	case rule.GetBody() != "":
		op["requestBody"] = body(g.ref(m.Input().Fields().ByName(protoreflect.Name(rule.GetBody())).Message()))
	default:
		parameters = append(parameters, g.query(m.Input())...)
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	op["responses"] = g.responses(m)
	return verb, path, op, nil
}

func body(schema object) object {
	return object{"required": true, "content": object{"application/json": object{"schema": schema}}}
}

// query are the parameters of a request without a body: its fields but the lease.
func (g *generator) query(m protoreflect.MessageDescriptor) (out []any) {
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Kind() == protoreflect.MessageKind {
			continue
		}
		out = append(out, object{
			"name": string(f.Name()), "in": "query", "description": g.comments[string(m.Name())+"."+string(f.Name())], "schema": g.field(f),
		})
	}
	return out
}

func (g *generator) responses(m protoreflect.MethodDescriptor) object {
	out := object{"default": object{
		"description": "a problem", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
	}}
	switch {
	case m.IsStreamingClient():
		out["101"] = object{"description": "a WebSocket, whose messages are those of x-berth-websocket"}
	case m.IsStreamingServer():
		out["101"] = object{"description": "a WebSocket, each of whose messages is one line of the stream, where one was asked for"}
		out["200"] = object{
			"description": "a stream: one object a line; after a problem, the last line is an object with the key error",
			"content":     object{"application/x-ndjson": object{"schema": g.ref(m.Output())}},
		}
	default:
		out["200"] = object{"description": "the answer", "content": object{"application/json": object{"schema": g.ref(m.Output())}}}
	}
	return out
}

// ref refers to a message's schema, and adds it if it is not there yet.
func (g *generator) ref(m protoreflect.MessageDescriptor) object {
	name := string(m.Name())
	if m.FullName().Parent() != "berth.gateway.v1" {
		name = string(m.FullName())
	}
	if _, ok := g.schemas[name]; !ok {
		g.schemas[name] = object{} // a message may hold itself
		g.schemas[name] = g.schema(m)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schema is that of a message without some of its fields.
func (g *generator) schema(m protoreflect.MessageDescriptor, without ...string) object {
	properties := object{}
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if slices.Contains(without, string(f.Name())) {
			continue
		}
		s := g.field(f)
		if text := g.comments[string(m.Name())+"."+string(f.Name())]; text != "" {
			s["description"] = text
		}
		properties[string(f.Name())] = s
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if text := g.comments[string(m.Name())]; text != "" && strings.HasPrefix(string(m.FullName()), "berth.gateway.v1.") {
		out["description"] = text
	}
	return out
}

func (g *generator) field(f protoreflect.FieldDescriptor) object {
	one := g.value(f)
	switch {
	case f.IsList():
		return object{"type": "array", "items": one}
	case f.Kind() == protoreflect.MessageKind:
		return object{"anyOf": []any{one, object{"type": "null"}}}
	}
	return one
}

func (g *generator) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return g.ref(f.Message())
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Int32Kind, protoreflect.Uint32Kind:
		return object{"type": "integer"}
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		return object{"type": "string", "pattern": "^-?[0-9]+$"}
	case protoreflect.BytesKind:
		return object{"type": []string{"string", "null"}, "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		var names []string
		values := f.Enum().Values()
		for i := range values.Len() {
			names = append(names, string(values.Get(i).Name()))
		}
		return object{"type": "string", "enum": names}
	default:
		return object{"type": "string"}
	}
}
