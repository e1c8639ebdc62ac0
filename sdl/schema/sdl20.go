package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/sdl20"
	"berth.dev/berth/units"
)

// version20 is the schema of documents of versions 2.0 and 2.1, or of one of them.
func version20(which ...string) *node {
	g := sdl20.TheGrammar()
	n := object(g.Document, "What an application consists of, what it needs, and where it runs.",
		must("version", versions(which...)),
		may("include", include()),
		may("endpoints", endpoints(g)),
		may("reclamation", object(g.Reclamation, "How a lease may be taken back.",
			must("min_window", matching(written("The least notice that a provider must give before it takes a lease back, such as 90m or 1h30m. Up to 720h.", "1h"),
				notices(g.MaxReclaim)...)))),
		may("services", named("The container images that run, by name.", serviceNames(), service20(g), serviceSnippet())),
		may("profiles", profiles20(g)),
		may("deployment", deployment(g.Deployment)))
	n.Definitions = properties{{"volume", volume(g, "A volume.")}, {"http_options", nullable(httpOptions(g))}}
	n.DefaultSnippets = []snippet{starter(which[len(which)-1], fields{
		{"web", fields{{"resources", fields{
			{"cpu", fields{{"units", json.Number("0.5")}}}, {"memory", fields{{"size", "512Mi"}}}, {"storage", fields{{"size", "1Gi"}}},
		}}}},
	}, fields{{"denom", units.BaseDenom}, {"amount", 20}}, fields{{"port", 80}, {"to", []any{fields{{"global", true}}}}})}
	return document(n, g.Profiles)
}

// defined is a schema that stands among the definitions, as it is used more than once.
func defined(name string) *node { return &node{Ref: "#/definitions/" + name} }

func endpoints(g sdl20.Grammar) *node {
	return named("Addresses that are leased for this deployment, by name. A port is put on one with ip: NAME beside global: true.",
		&node{Title: "endpoint", Description: "The name of a leased address.", Pattern: g.EndpointName, PatternErrorMessage: "2 to 63 of a-z, 0-9, - and _, starting with a letter"},
		object(g.Endpoint, "A leased address.", must("kind", word("The kind of address.", "ip"))))
}

func service20(g sdl20.Grammar) *node {
	credentials := object(g.Credentials, "What opens the image's registry. Nothing of it is ever shown."+references,
		must("host", matching(text("The registry.", "ghcr.io"), notBlank)),
		may("email", text("The email address of the account.", "me@example.com")),
		must("username", matching(text("The name of the account.", "reader"), notBlank)),
		must("password", matching(text("The password or token of the account. Rather than here, keep it in a variable of your environment: ${REGISTRY_PASSWORD}.", "${REGISTRY_PASSWORD}"), notBlank)))
	all := append(envFiles(),
		must("image", image()),
		may("command", args("The command to run instead of the image's own.")),
		may("args", args("The arguments of the command.")),
		may("env", env()),
		may("expose", list("The ports of the container that others may connect to. Without any, nobody can connect.", expose20(g))),
		may("dependencies", dependencies(g.Dependency)),
		may("params", params(g)),
		may("credentials", credentials))
	return oneEnvFile(object(g.Service, "One container image and how it is run.", all...))
}

func expose20(g sdl20.Grammar) *node {
	to := client(object(g.To, "Somebody who may connect: anyone, or a service of this document.",
		may("service", text(toService, "web")),
		may("global", flag(toGlobal)),
		may("ip", text("The leased address, one of endpoints, at which anyone reaches the port. It needs global: true.", "public")),
		field{"http_options", defined("http_options"), false}), g.To)
	to.ifKnown(g.To, &node{
		If:   given("ip"),
		Then: &node{Required: []string{"global"}, Properties: properties{{"global", &node{Enum: []any{true}}}}},
	})
	proto := &node{
		Description: "The protocol; by default tcp. A tcp port that anyone may connect to and that clients see as 80 is routed by host name; all others get a port of the provider.",
		Type:        types{str}, Examples: []any{"tcp", "udp"}, Pattern: anyCase("tcp", "udp"), PatternErrorMessage: "tcp or udp",
	}
	return object(g.Expose, "A port of the container, and who may connect to it.",
		must("port", port("The port on which the container listens.", 80)),
		may("as", port("The port that clients use. By default, it is port. A global tcp port that is 80 here is routed by host name.", 80)),
		may("accept", accept()),
		may("proto", proto),
		may("to", list("Who may connect. Without it, nobody can.", to)),
		field{"http_options", defined("http_options"), false})
}

func httpOptions(g sdl20.Grammar) *node {
	var cases, otherCases []any
	for _, c := range g.NextCases {
		if c == off {
			continue
		}
		cases = append(cases, c)
		if strings.Trim(c, "0123456789") == "" {
			otherCases = append(otherCases, json.Number(c))
		}
	}
	each := &node{
		Description: "A case in which another instance is tried; off turns all of them off and stands alone.",
		AnyOf:       []*node{{Type: types{str}, Enum: append(cases, off)}, {Type: types{integer}, Minimum: "403", Maximum: "504", Enum: otherCases}},
	}
	next := list("When the next instance is tried.", each)
	next.AnyOf = []*node{
		{Items: &node{Not: &node{Enum: []any{off}}}},
		{Items: &node{Enum: []any{off}}},
	}
	ms := func(what string) *node { return whole(what+", in milliseconds.", 0, manifest.DocRouteTimeoutMs, 60000) }
	return object(g.HTTP, "Settings of the route, for ports that are routed by host name.",
		may("max_body_size", whole("The largest body of a request, in bytes.", 0, manifest.MaxBodyBytes, 1048576)),
		may("read_timeout", ms("How long an answer may pause")),
		may("send_timeout", ms("How long a request may pause")),
		may("next_tries", whole("How many instances are tried; 0 is any number.", 0, manifest.MaxNextTries, 3)),
		may("next_timeout", ms("How long other instances are tried")),
		may("next_cases", next),
		may("proxy_buffer_size", whole("The size of the route's buffer, in bytes.", 0, manifest.MaxProxyBufferBytes, 8192)),
		may("h2c", flag("Whether the service speaks HTTP/2 without TLS on this port, as gRPC does.")))
}

// off is the case that turns the others off.
const off = "off"

func params(g sdl20.Grammar) *node {
	mount := object(g.Mount, "Where a volume appears in the file system of the container.",
		may("mount", matching(written("An absolute path.", "/data"), mounts...)),
		may("readOnly", flag("Whether the container may only read it.")))
	return object(g.Params, "What the service needs beyond its resources.",
		may("storage", named("Where the volumes of the compute profile appear, by their names.", anyName("volume", "The name of a volume of the service's compute profile."), mount)),
		may("permissions", object(g.Permissions, "What the service may learn of its own deployment.",
			may("read", list("What it may read.", word("One kind of things.", g.PermissionWords...))))),
		may("tee", word("The kind of trusted execution that the service needs.", g.TEEs...)))
}

func profiles20(g sdl20.Grammar) *node {
	resources := object(g.Resources, "The resources of each instance.",
		must("cpu", object(g.CPU, "Processors of an instance.",
			must("units", cpu("A share such as 0.5, or thousandths such as 500m. From 10m to 384.")),
			may("attributes", object(g.CPUAttributes, "What kind of processor.",
				may("arch", matching(text("The architecture.", "amd64", "arm64"), token(g, "an architecture"))))))),
		must("memory", object(g.Memory, "The memory of an instance.", must("size", memory()))),
		must("storage", volumes(g)),
		may("gpu", gpu(g)))
	compute := object(g.Compute, "What each instance of a service gets.", must("resources", resources))
	pricing := named("The most that an instance may cost per block, for each compute profile that is used here. All prices of a document are in one denomination.",
		anyName("profile", "The name of a compute profile."),
		object(g.Price, "A price per instance and block.",
			must("denom", matching(&node{Description: "The denomination of the amount.", Examples: []any{units.BaseDenom}, Type: types{str, boolean}}, denom)),
			must("amount", price("A plain decimal number, such as 20 or 0.5.", false, quantity.AmountPatterns(), 20))))
	pricing.MinProperties = 1
	auditors := func(what string) *node {
		n := list(what, matching(written("The address of an auditor's account."), account(g)))
		n.MaxItems = manifest.MaxAuditors
		return n
	}
	placement := object(g.Placement, "What a provider must have to run what is deployed here, and what that may cost.",
		may("attributes", attributes()),
		may("signedBy", object(g.SignedBy, "Auditors that must have signed the provider's attributes.",
			may("allOf", auditors("All of these must have signed.")),
			may("anyOf", auditors("One of these must have signed.")))),
		must("pricing", pricing))
	return object(g.Profiles, "What instances need, and where they may run.",
		may("compute", named("Resources of an instance, by name.", anyName("profile", "The name of a compute profile."), compute)),
		may("placement", named("Datacenters, by name: a placement becomes one order, hence one provider.", placementNames(), placement)))
}

func token(g sdl20.Grammar, what string) quantity.Pattern {
	return quantity.Pattern{Expr: g.Token, Otherwise: what + ": a-z, 0-9, '.', '_' and '-', starting with a letter or digit"}
}

// account matches addresses. Those of this chain may have other lengths than usual.
func account(g sdl20.Grammar) quantity.Pattern {
	return quantity.Pattern{
		Expr:      g.Account + fmt.Sprintf("|^%s1[02-9ac-hj-np-z]{8,1000}$", units.AddressPrefix),
		Otherwise: "the address of an account, such as " + units.AddressPrefix + "1...",
	}
}

// volumes is one volume or a list of them.
func volumes(g sdl20.Grammar) *node {
	n := volume(g, "The volumes of an instance: one, or a list. One without a name is called default.")
	n.Type, n.MinItems = types{mapping, array}, 1
	n.Items = defined("volume")
	return n
}

func volume(g sdl20.Grammar, description string) *node {
	persistent := []string{"true", "on", "yes"}
	passing := []string{"false", "off", "no"}
	is := func(value bool, words []string) *node {
		return &node{If: &node{Type: types{str}}, Then: &node{Pattern: anyCase(words...)}, Else: &node{Enum: []any{value}}}
	}
	a := object(g.VolumeAttributes, "What kind of storage. Without any, the volume ends with its instance.",
		may("persistent", &node{
			Description: "Whether the volume outlives its instances. By default false.", Type: types{boolean, str}, Examples: []any{true},
			Pattern: anyCase(append(persistent, passing...)...), PatternErrorMessage: "true or false",
		}),
		may("class", word("The class of storage: beta1 to beta3 and default are disks of a persistent volume, ram is memory that looks like a disk.", g.Classes...)))
	// ram is never persistent, the other classes are.
	asks := func(class *node) *node {
		return &node{Required: []string{"class"}, Properties: properties{{"class", class}}}
	}
	a.AllOf = append(a.AllOf,
		&node{
			If:   asks(&node{Enum: []any{g.RAM}}),
			Then: &node{Properties: properties{{"persistent", &node{If: &node{Type: types{null}}, Else: is(false, passing)}}}},
		},
		&node{
			If:   asks(&node{Type: types{str}, Not: &node{Enum: []any{g.RAM}}}),
			Then: &node{Required: []string{"persistent"}, Properties: properties{{"persistent", is(true, persistent)}}},
		})
	return object(g.Volume, description,
		may("name", matching(text("The name of the volume, under which a service mounts it.", "data"), volumeName)),
		must("size", storage("The size of the volume")),
		may("attributes", a))
}

func gpu(g sdl20.Grammar) *node {
	model := object(g.GPUModel, "A model that will do.",
		may("model", matching(text("The model.", "a100", "h100"), token(g, "a model"))),
		may("ram", size("The memory of the graphics processor.", 0, math.MaxUint64, "80Gi")),
		may("interface", word("How it is connected.", g.Links...)))
	vendor := named("Which graphics processors will do: any one of the models of any one of the vendors.",
		matching(anyName("nvidia", "The name of a vendor, such as nvidia, amd or intel."), token(g, "a vendor")),
		nullable(list("The models that will do; an empty list is any model.", model)))
	n := object(g.GPU, "Graphics processors of an instance.",
		must("units", whole("How many.", 0, manifest.MaxGPU, 1)),
		may("attributes", object(g.GPUAttributes, "What kind of graphics processor.", must("vendor", vendor))))
	// Processors have a vendor, and a vendor has processors.
	some, none := &node{MinProperties: 1}, 0
	n.AllOf = append(n.AllOf, &node{
		If:   &node{Required: []string{"units"}, Properties: properties{{"units", &node{Enum: []any{0, "0"}}}}},
		Then: &node{Properties: properties{{"attributes", &node{Properties: properties{{"vendor", &node{MaxProperties: &none}}}}}}},
		Else: &node{Required: []string{"attributes"}, Properties: properties{{"attributes", &node{Type: types{mapping}, Properties: properties{{"vendor", some}}}}}},
	})
	return n
}
