package schema

import (
	"encoding/json"

	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/sdl10"
)

// version10 is the schema of documents of version 1.0.
func version10() *node {
	g := sdl10.TheGrammar()
	n := object(g.Document, "What an application consists of, what it needs, and where it runs.",
		must("version", versions("1.0")),
		may("include", include()),
		may("services", named("The container images that run, by name.", serviceNames(), service10(g), serviceSnippet())),
		may("profiles", profiles10(g)),
		may("deployment", deployment(g.Deployment)))
	n.DefaultSnippets = []snippet{starter("1.0", fields{
		{"web", fields{{"cpu", json.Number("0.5")}, {"memory", "512Mi"}, {"storage", "1Gi"}}},
	}, "20u", fields{{"port", 80}, {"to", []any{fields{{"global", true}}}}})}
	return document(n, g.Profiles)
}

func service10(g sdl10.Grammar) *node {
	all := append(envFiles(),
		must("image", image()),
		may("depends-on", dependencies(g.Dependency)),
		may("args", args("The arguments of the image's command.")),
		may("env", env()),
		may("expose", list("The ports of the container that others may connect to. Without any, nobody can connect.", expose10(g))))
	return oneEnvFile(object(g.Service, "One container image and how it is run.", all...))
}

func expose10(g sdl10.Grammar) *node {
	to := client(object(g.To, "Somebody who may connect: anyone, or a service of this document.",
		may("service", text(toService, "web")),
		may("global", flag(toGlobal))), g.To)
	return object(g.Expose, "A port of the container, and who may connect to it.",
		must("port", port("The port on which the container listens.", 80)),
		may("as", port("The port that other services use. By default, it is port.", 80)),
		may("accept", accept()),
		may("proto", word("The protocol: http is routed by host name, https likewise and passed through to the container, tcp gets a port of the provider. "+
			"By default http for port 80, https for port 443, tcp for all others.", g.Protos...)),
		may("to", list("Who may connect. Without it, nobody can.", to)))
}

func profiles10(g sdl10.Grammar) *node {
	compute := object(g.Compute, "What each instance of a service gets.",
		must("cpu", cpu("Processors of an instance: a share such as 0.5, or thousandths such as 500m. From 10m to 384.")),
		must("memory", memory()),
		must("storage", storage("The storage of an instance, which ends with it")),
		may("disk", storage("An old name of storage")))
	disk := compute.Properties.get("disk")
	disk.DeprecationMessage, disk.Examples = "write storage", nil
	// disk may stand for storage, but not beside it.
	compute.Required = []string{"cpu", "memory"}
	compute.AllOf = append(compute.AllOf, &node{
		If:   given("disk"),
		Then: &node{Properties: properties{{"storage", nothing()}}},
		Else: &node{Required: []string{"storage"}},
	})
	pricing := named("The most that an instance may cost per block, for each compute profile that is used here.",
		anyName("profile", "The name of a compute profile."),
		price("Tokens, such as 1 or 1e-4, or micro tokens, such as 20u.", true, quantity.PricePatterns(), "20u"))
	pricing.MinProperties = 1
	placement := object(g.Placement, "What a provider must have to run what is deployed here, and what that may cost.",
		may("attributes", attributes()),
		must("pricing", pricing))
	return object(g.Profiles, "What instances need, and where they may run.",
		may("compute", named("Resources of an instance, by name.", anyName("profile", "The name of a compute profile."), compute)),
		may("placement", named("Datacenters, by name: a placement becomes one order, hence one provider.", placementNames(), placement)))
}
