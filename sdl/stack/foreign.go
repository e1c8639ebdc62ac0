package stack

import "maps"

// What documents of other tools say of a service, with what to do instead.
var foreignKeys = map[string]string{
	"build":           "build the image, push it to a registry and name it as image",
	"container_name":  "the service's key is its name",
	"count":           "count belongs under deployment.SERVICE.PLACEMENT",
	"cpu":             inProfile,
	"cpus":            inProfile,
	"deploy":          "compute profiles and deployment say what a service gets and how often it runs",
	"healthcheck":     "a service is up when its container runs",
	"hostname":        "the service's key is its name",
	"labels":          "a service has no labels",
	"livenessProbe":   "a service is up when its container runs",
	"mem":             inProfile,
	"mem_limit":       inProfile,
	"memory":          inProfile,
	"name":            "the service's key is its name",
	"networks":        "services reach each other by name where expose lets them",
	"privileged":      "services run without privileges",
	"readinessProbe":  "a service is up when its container runs",
	"replicas":        "count belongs under deployment.SERVICE.PLACEMENT",
	"resources":       inProfile,
	"restart":         "a container that ends is started again",
	"secrets":         "give secrets in env",
	"securityContext": "services run without privileges",
	"storage":         inProfile,
	"tag":             "write the tag as a part of image, such as nginx:1.27",
	"user":            "a container runs as the user that its image names",
	"volumeMounts":    "storage is part of the compute profile",
	"working_dir":     "a container starts in the directory that its image names",
}

const inProfile = "what a service gets stands in a compute profile: profiles.compute.NAME"

// ForeignKeys are the keys of services in documents of other tools, with advice, and some more.
func ForeignKeys(more map[string]string) map[string]string { return both(foreignKeys, more) }

var foreignSections = map[string]string{
	"apiVersion": "this is not a document of Kubernetes: it has version, services, profiles and deployment",
	"kind":       "this is not a document of Kubernetes: it has version, services, profiles and deployment",
	"metadata":   "this is not a document of Kubernetes: it has version, services, profiles and deployment",
	"name":       "a document has no name",
	"networks":   "services reach each other by name where expose lets them",
	"secrets":    "give secrets in the env of a service",
	"spec":       "this is not a document of Kubernetes: it has version, services, profiles and deployment",
	"volumes":    "storage is part of a compute profile: profiles.compute.NAME",
}

// ForeignSections are top-level keys of documents of other tools, with advice, and some more.
func ForeignSections(more map[string]string) map[string]string { return both(foreignSections, more) }

func both(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
