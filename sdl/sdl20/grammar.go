package sdl20

import "berth.dev/berth/sdl/doc"

// Grammar is what a document of these versions is made of: its mappings, with the keys that the front-end reads.
type Grammar struct {
	Document, Service, Dependency, Expose, To, HTTP, Params, Mount, Permissions, Credentials,
	Profiles, Compute, Resources, CPU, CPUAttributes, Memory, Volume, VolumeAttributes, GPU, GPUAttributes, GPUModel,
	Placement, SignedBy, Price, Deployment, Endpoint, Reclamation doc.Shape
	// RAM is the class of storage that is memory.
	RAM string
	// The other fields of this kind are the words that may stand in a place.
	Classes, NextCases, TEEs, PermissionWords, Links []string
	// What Token and the others match, as regular expressions: the name of a vendor, model or architecture, that of a
	// leased address, the address of an account of any chain.
	Token, EndpointName, Account string
	// MaxReclaim is the longest notice, in seconds.
	MaxReclaim uint64
}

// TheGrammar returns the grammar that Read follows.
func TheGrammar() Grammar {
	return Grammar{
		Document: documentShape, Service: serviceShape, Dependency: dependencyShape, Expose: exposeShape, To: toShape, HTTP: httpShape,
		Params: paramsShape, Mount: mountShape, Permissions: permissionsShape, Credentials: credentialsShape,
		Profiles: profilesShape, Compute: computeShape, Resources: resourcesShape, CPU: cpuShape, CPUAttributes: cpuAttributesShape,
		Memory: memoryShape, Volume: volumeShape, VolumeAttributes: volumeAttributesShape,
		GPU: gpuShape, GPUAttributes: gpuAttributesShape, GPUModel: gpuModelShape,
		Placement: placementShape, SignedBy: signedByShape, Price: priceShape, Deployment: deploymentShape,
		Endpoint: endpointShape, Reclamation: reclamationShape,
		RAM: classRAM, Classes: classes, NextCases: nextCases, TEEs: tees, PermissionWords: permissions, Links: links,
		Token: token.String(), EndpointName: endpointName.String(), Account: foreign.String(), MaxReclaim: maxReclaim,
	}
}
