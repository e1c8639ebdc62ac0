package sdl20

import (
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

const mounts = "storage is part of the compute profile; say where it is mounted under params.storage"

// elsewhere says where each key belongs, for keys that stand at the wrong depth.
var elsewhere = map[string]string{
	"version": "the top level", "services": "the top level", "profiles": "the top level", "deployment": "the top level",
	"endpoints": "the top level", "reclamation": "the top level",
	"compute": "profiles", "placement": "profiles",
	"image": "services.NAME", "command": "services.NAME", "args": "services.NAME", "env": "services.NAME", "env-file": "services.NAME", "env_file": "services.NAME", "expose": "services.NAME",
	"params": "services.NAME", "credentials": "services.NAME", "dependencies": "services.NAME",
	"permissions": "services.NAME.params", "tee": "services.NAME.params",
	"port": "services.NAME.expose[]", "as": "services.NAME.expose[]", "accept": "services.NAME.expose[]",
	"proto": "services.NAME.expose[]", "to": "services.NAME.expose[]", "http_options": "services.NAME.expose[]",
	"service": "services.NAME.expose[].to[]", "global": "services.NAME.expose[].to[]", "ip": "services.NAME.expose[].to[]",
	"mount": "services.NAME.params.storage.VOLUME", "readOnly": "services.NAME.params.storage.VOLUME",
	"resources": "profiles.compute.NAME",
	"cpu":       "profiles.compute.NAME.resources", "memory": "profiles.compute.NAME.resources",
	"storage": "profiles.compute.NAME.resources", "gpu": "profiles.compute.NAME.resources",
	"pricing": "profiles.placement.NAME", "signedBy": "profiles.placement.NAME",
	"allOf": "profiles.placement.NAME.signedBy", "anyOf": "profiles.placement.NAME.signedBy",
	"denom": "profiles.placement.NAME.pricing.PROFILE", "amount": "profiles.placement.NAME.pricing.PROFILE",
	"profile": "deployment.SERVICE.PLACEMENT", "count": "deployment.SERVICE.PLACEMENT",
}

// shape is a mapping in which unknown keys mean nothing: documents in use carry many, which other tools ignore.
func shape(what string, keys []string, meant, advice map[string]string) doc.Shape {
	return doc.Shape{What: what, Keys: keys, Meant: meant, Elsewhere: elsewhere, Advice: advice, Lenient: true}
}

// strict is a mapping in which an unknown key is an error: it would change what is asked for.
func strict(what string, keys []string, meant, advice map[string]string) doc.Shape {
	s := shape(what, keys, meant, advice)
	s.Lenient = false
	return s
}

var (
	documentShape = strict("the document", []string{"version", "include", "endpoints", "reclamation", "services", "profiles", "deployment"},
		map[string]string{"deploy": "deployment", "apps": "services"}, stack.ForeignSections(nil))

	serviceShape = shape("a service", []string{"image", "command", "args", "env", "env-file", "env_file", "expose", "dependencies", "params", "credentials"},
		map[string]string{"depends_on": "dependencies", "depends-on": "dependencies", "dependsOn": "dependencies", "depends": "dependencies",
			"needs": "dependencies", "environment": "env", "ports": "expose", "arguments": "args", "cmd": "command", "entrypoint": "command"},
		stack.ForeignKeys(map[string]string{"volumes": mounts, "volume": mounts}))

	dependencyShape = shape("a dependency", []string{"service"}, nil, nil)

	exposeShape = shape("an exposed port", []string{"port", "as", "accept", "proto", "to", "http_options"},
		map[string]string{"protocol": "proto", "hosts": "accept", "host": "accept", "targetPort": "port",
			"containerPort": "port", "target": "port", "published": "as", "hostPort": "as", "from": "to"}, nil)

	toShape = shape("a client", []string{"service", "global", "ip", "http_options"}, nil, nil)

	httpShape = strict("http_options", []string{"max_body_size", "read_timeout", "send_timeout", "next_tries", "next_timeout",
		"next_cases", "proxy_buffer_size", "h2c"}, map[string]string{"grpc": "h2c", "http2": "h2c"}, nil)

	paramsShape = strict("params", []string{"storage", "permissions", "tee"}, nil, nil)

	mountShape = strict("a mount", []string{"mount", "readOnly"}, map[string]string{"path": "mount", "mountPath": "mount", "target": "mount", "ro": "readOnly"}, nil)

	permissionsShape = strict("permissions", []string{"read"}, nil, nil)

	credentialsShape = strict("credentials", []string{"host", "email", "username", "password"},
		map[string]string{"user": "username", "server": "host", "registry": "host"}, nil)

	profilesShape = shape("profiles", []string{"compute", "placement"}, map[string]string{"placements": "placement"}, nil)

	computeShape = shape("a compute profile", []string{"resources"}, nil, nil)

	resourcesShape = strict("resources", []string{"cpu", "memory", "storage", "gpu"},
		map[string]string{"mem": "memory", "ram": "memory", "disk": "storage"}, nil)

	cpuShape = strict("cpu", []string{"units", "attributes"}, map[string]string{"size": "units"}, nil)

	cpuAttributesShape = strict("cpu.attributes", []string{"arch"}, nil, nil)

	memoryShape = strict("memory", []string{"size"}, map[string]string{"units": "size"}, nil)

	volumeShape = strict("a volume", []string{"name", "size", "attributes"}, map[string]string{"units": "size"},
		map[string]string{"mount": "a volume is mounted under services.NAME.params.storage.VOLUME"})

	volumeAttributesShape = strict("the attributes of a volume", []string{"persistent", "class"}, nil, nil)

	gpuShape = strict("gpu", []string{"units", "attributes"}, map[string]string{"count": "units"}, nil)

	gpuAttributesShape = strict("gpu.attributes", []string{"vendor"}, nil, nil)

	gpuModelShape = strict("a gpu", []string{"model", "ram", "interface"}, map[string]string{"memory": "ram", "vram": "ram"}, nil)

	placementShape = shape("a placement profile", []string{"attributes", "signedBy", "pricing"},
		map[string]string{"price": "pricing", "labels": "attributes"}, nil)

	signedByShape = strict("signedBy", []string{"allOf", "anyOf"}, nil, nil)

	priceShape = strict("a price", []string{"denom", "amount"}, nil, nil)

	deploymentShape = shape("a deployment", []string{"profile", "count"},
		map[string]string{"replicas": "count", "quantity": "count", "instances": "count"}, nil)

	endpointShape = strict("an endpoint", []string{"kind"}, nil, nil)

	reclamationShape = strict("reclamation", []string{"min_window"}, nil, nil)
)

// Form is how a document is laid out.
var Form = stack.NewForm(levels())

func levels() *stack.Level {
	type under = map[string]*stack.Level
	texts := stack.ListOf(stack.Value)
	return stack.Keyed(documentShape, under{
		"include": texts, "endpoints": stack.NamesOf(stack.Keyed(endpointShape, nil)), "reclamation": stack.Keyed(reclamationShape, nil),
		"services": stack.NamesOf(serviceLevel(texts)),
		"profiles": stack.Keyed(profilesShape, under{
			"compute":   stack.NamesOf(stack.Keyed(computeShape, under{"resources": resourcesLevel()})),
			"placement": stack.NamesOf(placementLevel(texts)),
		}),
		"deployment": stack.NamesOf(stack.NamesOf(stack.Keyed(deploymentShape, nil))),
	})
}

func serviceLevel(texts *stack.Level) *stack.Level {
	type under = map[string]*stack.Level
	dependencies := stack.ListOf(stack.Keyed(dependencyShape, nil))
	dependencies.Or = texts
	env := stack.ListOf(stack.Value)
	env.Or = stack.NamesOf(stack.Value)
	http := stack.Keyed(httpShape, under{"next_cases": texts})
	to := stack.Keyed(toShape, under{"http_options": http})
	return stack.Keyed(serviceShape, under{
		"command": texts, "args": texts, "env": env, "dependencies": dependencies, "credentials": stack.Keyed(credentialsShape, nil),
		"expose": stack.ListOf(stack.Keyed(exposeShape, under{"accept": texts, "to": stack.ListOf(to), "http_options": http})),
		"params": stack.Keyed(paramsShape, under{
			"storage": stack.NamesOf(stack.Keyed(mountShape, nil)), "permissions": stack.Keyed(permissionsShape, under{"read": texts}),
		}),
	})
}

func resourcesLevel() *stack.Level {
	type under = map[string]*stack.Level
	volume := stack.Keyed(volumeShape, under{"attributes": stack.Keyed(volumeAttributesShape, nil)})
	storage := stack.ListOf(volume)
	storage.Or = volume
	vendors := stack.NamesOf(stack.ListOf(stack.Keyed(gpuModelShape, nil)))
	return stack.Keyed(resourcesShape, under{
		"cpu":    stack.Keyed(cpuShape, under{"attributes": stack.Keyed(cpuAttributesShape, nil)}),
		"memory": stack.Keyed(memoryShape, nil), "storage": storage,
		"gpu": stack.Keyed(gpuShape, under{"attributes": stack.Keyed(gpuAttributesShape, under{"vendor": vendors})}),
	})
}

func placementLevel(texts *stack.Level) *stack.Level {
	type under = map[string]*stack.Level
	return stack.Keyed(placementShape, under{
		"attributes": stack.NamesOf(stack.Value), "signedBy": stack.Keyed(signedByShape, under{"allOf": texts, "anyOf": texts}),
		"pricing": stack.NamesOf(stack.Keyed(priceShape, nil)),
	})
}
