package sdl10

import "berth.dev/berth/sdl/doc"

// Grammar is what a document of this version is made of: its mappings, with the keys that the front-end reads.
type Grammar struct {
	Document, Service, Dependency, Expose, To, Profiles, Compute, Placement, Deployment doc.Shape
	// Protos are the protocols of an exposed port.
	Protos []string
}

// TheGrammar returns the grammar that Read follows.
func TheGrammar() Grammar {
	return Grammar{
		Document: documentShape, Service: serviceShape, Dependency: dependencyShape, Expose: exposeShape, To: toShape,
		Profiles: profilesShape, Compute: computeShape, Placement: placementShape, Deployment: deploymentShape,
		Protos: protoNames,
	}
}
