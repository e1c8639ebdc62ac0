package sdl10

import (
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

// later is said of keys that only later versions know.
const later = `SDL 2.0 and 2.1 know this key; version "1.0" does not`

const ownCommand = `version "1.0" runs the image's own command; give it arguments with args`

// elsewhere says where each key belongs, for keys that stand at the wrong depth.
var elsewhere = map[string]string{
	"version": "the top level", "services": "the top level", "profiles": "the top level", "deployment": "the top level",
	"compute": "profiles", "placement": "profiles",
	"image": "services.NAME", "depends-on": "services.NAME", "args": "services.NAME", "env": "services.NAME", "env-file": "services.NAME", "env_file": "services.NAME", "expose": "services.NAME",
	"port": "services.NAME.expose[]", "as": "services.NAME.expose[]", "accept": "services.NAME.expose[]",
	"proto": "services.NAME.expose[]", "to": "services.NAME.expose[]",
	"service": "services.NAME.expose[].to[]", "global": "services.NAME.expose[].to[]",
	"cpu": "profiles.compute.NAME", "memory": "profiles.compute.NAME", "storage": "profiles.compute.NAME",
	"attributes": "profiles.placement.NAME", "pricing": "profiles.placement.NAME",
	"profile": "deployment.SERVICE.PLACEMENT", "count": "deployment.SERVICE.PLACEMENT",
}

func shape(what string, keys []string, meant, advice map[string]string) doc.Shape {
	return doc.Shape{What: what, Keys: keys, Meant: meant, Elsewhere: elsewhere, Advice: advice}
}

var (
	documentShape = shape("the document", []string{"version", "include", "services", "profiles", "deployment"},
		map[string]string{"deploy": "deployment", "apps": "services"},
		stack.ForeignSections(map[string]string{"endpoints": later, "reclamation": later}))

	serviceShape = shape("a service", []string{"image", "depends-on", "args", "env", "env-file", "env_file", "expose"},
		map[string]string{"dependencies": "depends-on", "depends": "depends-on", "needs": "depends-on",
			"environment": "env", "ports": "expose",
			"arguments": "args"},
		stack.ForeignKeys(map[string]string{"command": later, "params": later, "credentials": later,
			"entrypoint": ownCommand, "cmd": ownCommand, "volumes": "storage is part of the compute profile",
			"volume": "storage is part of the compute profile"}))

	exposeShape = shape("an exposed port", []string{"port", "as", "accept", "proto", "to"},
		map[string]string{"protocol": "proto", "hosts": "accept", "host": "accept", "targetPort": "port",
			"containerPort": "port", "target": "port", "published": "as", "hostPort": "as", "from": "to"},
		map[string]string{"http_options": later})

	toShape = shape("a client", []string{"service", "global"}, nil, map[string]string{"ip": later, "http_options": later})

	profilesShape = shape("profiles", []string{"compute", "placement"}, map[string]string{"computes": "compute", "placements": "placement"}, nil)

	computeShape = shape("a compute profile", []string{"cpu", "memory", "storage", "disk"},
		map[string]string{"mem": "memory", "ram": "memory", "size": "storage"},
		map[string]string{"gpu": later, "resources": "write cpu, memory and storage right under the profile's name"})

	placementShape = shape("a placement profile", []string{"attributes", "pricing"},
		map[string]string{"price": "pricing", "labels": "attributes"},
		map[string]string{"signedBy": later, "signed_by": later})

	deploymentShape = shape("a deployment", []string{"profile", "count"},
		map[string]string{"replicas": "count", "quantity": "count", "instances": "count"}, nil)

	dependencyShape = shape("a dependency", []string{"service"}, nil, nil)
)

// Form is how a document is laid out.
var Form = stack.NewForm(levels())

func levels() *stack.Level {
	type under = map[string]*stack.Level
	texts := stack.ListOf(stack.Value)
	dependencies := stack.ListOf(stack.Keyed(dependencyShape, nil))
	dependencies.Or = texts
	env := stack.ListOf(stack.Value)
	env.Or = stack.NamesOf(stack.Value)
	expose := stack.Keyed(exposeShape, under{"accept": texts, "to": stack.ListOf(stack.Keyed(toShape, nil))})
	service := stack.Keyed(serviceShape, under{"depends-on": dependencies, "args": texts, "env": env, "expose": stack.ListOf(expose)})
	placement := stack.Keyed(placementShape, under{"attributes": stack.NamesOf(stack.Value), "pricing": stack.NamesOf(stack.Value)})
	profiles := stack.Keyed(profilesShape, under{
		"compute": stack.NamesOf(stack.Keyed(computeShape, nil)), "placement": stack.NamesOf(placement),
	})
	return stack.Keyed(documentShape, under{
		"include": texts, "services": stack.NamesOf(service), "profiles": profiles,
		"deployment": stack.NamesOf(stack.NamesOf(stack.Keyed(deploymentShape, nil))),
	})
}
