package schema

import (
	"encoding/json"
	"fmt"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/stack"
	providertypes "berth.dev/berth/x/provider/types"
)

// What the versions share.

func include() *node {
	return oneOrMore("Other files that this document consists of, by paths relative to it: one, or a list. Each may hold any of the sections. "+
		"No file may say again what another one says.", text("The path of a file, relative to this one.", "services.yaml"))
}

// image, variables and credentials may hold references to the tenant's variables.
const references = " ${NAME} and ${NAME:-default} put variables of the tenant's environment in."

func image() *node {
	return matching(text("The container image, with a tag or a digest."+references, "nginx:1.27"), images...)
}

func args(what string) *node {
	return list(what, text("One word.", "--verbose"))
}

func dependencies(shape doc.Shape) *node {
	const name = "The name of a service of this document."
	one := object(shape, "A service that must be ready first.", must("service", text(name, "db")))
	item := &node{
		Description: "A service, by its name or as {service: NAME}.", Examples: []any{"db"},
		If: &node{Type: types{mapping}}, Then: one,
		Else: single(),
	}
	return list("Services that must be ready before this one starts. A circle is an error.", item)
}

// env is a list of NAME=VALUE or a mapping.
func env() *node {
	g := stack.TheGrammar()
	value := may("value", text("The value."+references, "info"))
	file := may("file", text("A file that holds the value, by its path relative to the document. The end of its last line is not part of the value.", "secrets/token"))
	secret := may("secret", &node{
		Description: "Whether the value is secret: secret values are shown nowhere. Values from files and from the tenant's environment are secret unless this says otherwise.",
		Type:        types{boolean},
	})
	each := &node{
		Description: "The value, or a mapping that says whether it is secret or which file holds it." + references, Examples: []any{"info"},
		If: &node{Type: types{mapping}}, Then: sourced(object(g.EnvValue, "A value, or the file that holds it, and whether it is secret.", value, file, secret)),
		Else: single(),
	}
	name := must("name", matching(text("The name of the variable.", "TOKEN"), envName))
	entry := &node{
		Description: "NAME=VALUE, or a mapping with name and value, or name and file." + references, Examples: []any{"LOG_LEVEL=info"},
		If: &node{Type: types{mapping}}, Then: sourced(object(g.EnvEntry, "A name with its value, or the file that holds it, and whether it is secret.", name, value, file, secret)),
		Else: matching(&node{Type: types{str}}, envAssignment),
	}
	return &node{
		Description: "Environment variables of the container: a mapping from names to values, or a list of NAME=VALUE, whose order is kept.",
		Type:        types{mapping, array}, Items: entry,
		PropertyNames: matching(anyName("NAME", "The name of an environment variable."), envName), AdditionalProperties: each,
	}
}

// sourced demands either a value or a file.
func sourced(n *node) *node {
	absent := properties{{"value", &node{Type: types{null}}}}
	n.AllOf = append(n.AllOf, &node{If: given("file"), Then: &node{Properties: absent}, Else: given("value")})
	return n
}

// given demands a key that is not empty.
func given(key string) *node {
	return &node{Required: []string{key}, Properties: properties{{key, &node{Not: &node{Type: types{null}}}}}}
}

// envFiles are the two keys for files of variables, of which a service may have one.
func envFiles() []field {
	one := text("The path of a file, relative to the document.", ".env")
	files := oneOrMore("Files of NAME=VALUE lines, by their paths relative to the document: one, or a list. The container gets their variables; "+
		"what env sets counts more. Their values are secret.", one)
	other := oneOrMore("Another spelling of "+stack.EnvFileKeys[0]+".", one)
	other.DoNotSuggest = true
	return []field{may(stack.EnvFileKeys[0], files), may(stack.EnvFileKeys[1], other)}
}

// oneEnvFile demands that a service has one of the two at most.
func oneEnvFile(service *node) *node {
	absent := properties{{stack.EnvFileKeys[1], &node{Type: types{null}}}}
	service.AllOf = append(service.AllOf, &node{If: given(stack.EnvFileKeys[0]), Then: &node{Properties: absent}})
	return service
}

func port(description string, examples ...any) *node {
	return whole(description, 1, manifest.MaxPort, examples...)
}

func accept() *node {
	return list("The host names that are routed to this port. Without any, the provider makes one.",
		matching(text("A host name in lower case, without scheme, port or path."+references, "www.example.com"), hosts...))
}

// client demands of an entry of to that it names somebody.
func client(n *node, shape doc.Shape) *node {
	n.ifKnown(shape, &node{AnyOf: []*node{
		given("service"),
		{Required: []string{"global"}, Properties: properties{{"global", &node{Enum: []any{true}}}}},
	}})
	return n
}

const (
	toService = "The service of this document that may connect: its instances in the same placement, and with global: true those in others, too."
	toGlobal  = "Without a service: whether anyone may connect, from anywhere. With one: whether its instances in other placements may connect, too."
)

func cpu(description string) *node {
	n := matching(&node{Description: description, Examples: []any{json.Number("0.5"), "500m"}, Type: types{number, str}, MaxLength: quantity.MaxText},
		quantity.CPUPatterns(manifest.MinCPUMilli, manifest.MaxCPUMilli)...)
	n.Minimum, n.Maximum = json.Number(quantity.FormatCPU(manifest.MinCPUMilli)), json.Number(quantity.FormatCPU(manifest.MaxCPUMilli))
	return n
}

func size(description string, least, most uint64, examples ...any) *node {
	n := matching(&node{Description: description, Examples: examples, Type: types{str, integer}, MaxLength: quantity.MaxText},
		quantity.BytesPatterns(least, most)...)
	n.Minimum, n.Maximum = json.Number(fmt.Sprint(least)), json.Number(fmt.Sprint(most))
	return n
}

func memory() *node {
	return size("The memory of an instance: bytes, with a suffix such as Mi or Gi (powers of 1024), or M or G (powers of 1000). From 1Mi to 2Ti.",
		manifest.MinMemoryBytes, manifest.MaxMemoryBytes, "512Mi", "2Gi")
}

func storage(description string) *node {
	return size(description+": bytes, with a suffix such as Mi or Gi (powers of 1024), or M or G (powers of 1000). From 5Mi to 32Ti.",
		manifest.MinVolumeBytes, manifest.MaxVolumeBytes, "1Gi", "512Mi")
}

func price(description string, tokens bool, patterns []quantity.Pattern, examples ...any) *node {
	n := matching(&node{Description: description, Examples: examples, Type: types{number, str}, MaxLength: quantity.MaxText}, patterns...)
	least, tooLarge := quantity.PriceBounds(tokens)
	n.Minimum, n.ExclusiveMaximum = json.Number(least), json.Number(tooLarge)
	return n
}

func attributes() *node {
	n := named("Attributes that a provider must have, with exactly these values, to run what is deployed here. A key may end in *.",
		matching(anyName("region", "The key of an attribute."), attributeKey),
		matching(text("The value that the provider's attribute must have.", "us-east"), attributeValue))
	n.AdditionalProperties.MaxLength = providertypes.MaxAttributeValue
	most := providertypes.MaxAttributes
	n.MaxProperties = &most
	return n
}

func deployment(shape doc.Shape) *node {
	place := object(shape, "How many instances of the service run in the placement, and with which resources.",
		must("profile", text("The compute profile that each instance gets.", "web")),
		must("count", whole("The number of instances.", manifest.MinCount, manifest.MaxCount, 1)))
	service := named("Where the service runs.", anyName("placement", "The name of a placement of profiles.placement."), place)
	service.MinProperties = 1
	return named("Which service runs where, how often, and with which resources: service, then placement.",
		anyName("service", "The name of a service of this document."), service)
}

// names are those of services and placements.
func serviceNames() *node {
	return matching(anyName("service", "The name of a service, under which others reach it."), serviceName)
}

func placementNames() *node {
	return matching(anyName("placement", "The name of a placement: a datacenter of one provider."), groupName)
}

// document completes the top level. Its sections are required, and hold something, unless other files are included,
// which may hold them instead.
func document(n *node, profiles doc.Shape) *node {
	full := func(keys ...string) properties {
		var out properties
		for _, key := range keys {
			out = append(out, property{key, &node{Type: types{mapping}, MinProperties: 1}})
		}
		return out
	}
	most := manifest.MaxGroups * manifest.MaxServices
	n.Properties.get("services").MaxProperties = &most
	p := &node{Type: types{mapping}, Properties: full(profiles.Keys...)}
	p.ifKnown(profiles, &node{Required: profiles.Keys})
	n.Required = []string{"version"}
	n.AllOf = append(n.AllOf, &node{
		If: given("include"),
		Else: &node{
			Required:   []string{"services", "profiles", "deployment"},
			Properties: append(full("services", "deployment"), property{"profiles", p}),
		},
	})
	return n
}
