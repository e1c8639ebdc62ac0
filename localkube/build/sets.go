// Package build makes the cluster's programs from Go modules and keeps them in
// a cache outside the tree, under a hash of everything that went into them.
//
// The programs come in sets. Each heavy set has a go.mod of its own, so that
// nobody else has to load its dependencies. The versions that the sets share
// with each other and with Berth itself are kept equal on purpose: a package
// that two sets need in the same version is compiled once.
package build

// kubeVersion is the Kubernetes release that the kube set's go.mod pins.
const kubeVersion = "v1.36.3"

// Set is a group of programs that are built from one module.
type Set struct {
	// Name names the set in the cache and in messages.
	Name string
	// Dir is the module's directory, relative to the source tree.
	Dir string
	// Inputs are the files and directories below Dir whose content decides
	// whether the set must be built again.
	Inputs []string
	// Targets are the builds to run.
	Targets []Target
	// Lean are modules of which a trimmed copy is built instead.
	Lean []Lean
	// Files are files of modules to keep beside the programs.
	Files []ModuleFiles
}

// Target is one run of go build.
type Target struct {
	// Packages are the main packages to build, each into a file of its name.
	Packages []string
	// Output is the file's name when there is one package and the name shall
	// differ from the package's.
	Output string
	// CGO builds with the C compiler; what it links is linked statically.
	CGO bool
	// Tags are build tags.
	Tags string
	// LDFlags are linker flags beyond those that strip the file.
	LDFlags string
}

// Lean says how a copy of a module is trimmed before it is built. Its
// dependencies must stand in the set's go.mod: the copy's go.mod has none.
type Lean struct {
	// Module is the module's path.
	Module string
	// Stubs is the directory, below the set's, of the files that are laid
	// over the copy.
	Stubs string
	// Whole are package directories of which only the stub remains.
	Whole []string
	// Skip are directories that are not copied.
	Skip []string
}

// ModuleFiles says which files of a module to keep.
type ModuleFiles struct {
	Module string
	Glob   string
	To     string
}

// Names of the programs and files that the sets give.
const (
	Kube       = "kube"
	Containerd = "containerd"
	Shim       = "containerd-shim-runc-v2"
	Runc       = "runc"
	CoreDNS    = "coredns"
	Traefik    = "traefik"
	Pause      = "pause"
	GatewayCRD = "gateway-crds"
)

// CNI lists the network plugins.
func CNI() []string { return []string{"bridge", "host-local", "loopback", "portmap"} }

// ControlPlane lists the sets of a cluster without a node, in the order in
// which they are built.
func ControlPlane() []Set { return []Set{kubeSet()} }

// All lists every set, in the order in which they are built: first those that
// share most with what is built already.
func All() []Set {
	return []Set{baseSet(), dnsSet(), traefikSet(), ctrSet(), kubeSet()}
}

func baseSet() Set {
	return Set{Name: "base", Dir: ".", Inputs: []string{"cmd/pause"}, Targets: []Target{{Packages: []string{"./cmd/pause"}}}}
}

func dnsSet() Set {
	return Set{Name: "dns", Dir: "dns", Inputs: []string{"."}, Targets: []Target{{Packages: []string{"."}, Output: CoreDNS}}}
}

// traefikSet builds Traefik without the clients of clouds, key-value stores,
// metrics services and DNS registrars that it could also talk to: they are
// three quarters of its code and none of them can be reached from the cluster.
func traefikSet() Set {
	providers := "pkg/provider/"
	return Set{
		Name: "traefik", Dir: "traefik", Inputs: []string{"."},
		Targets: []Target{{Packages: []string{"github.com/traefik/traefik/v3/cmd/traefik"}}},
		Lean: []Lean{
			{Module: "github.com/go-acme/lego/v4", Stubs: "_lean/lego", Whole: []string{"providers/dns"}, Skip: []string{"docs", "e2e", "cmd", "providers/dns"}},
			{Module: "github.com/traefik/traefik/v3", Stubs: "_lean/traefik", Skip: []string{"docs", "integration", "contrib", "script"}, Whole: []string{
				"pkg/plugins",
				providers + "consulcatalog", providers + "docker", providers + "ecs", providers + "nomad",
				providers + "kubernetes/knative",
				providers + "kv/consul", providers + "kv/etcd", providers + "kv/redis", providers + "kv/zk",
			}},
		},
		Files: []ModuleFiles{
			{Module: "sigs.k8s.io/gateway-api", Glob: "config/crd/standard/*_*.yaml", To: GatewayCRD},
			// Routes by the server name of TLS are not in the standard channel of this version.
			{Module: "sigs.k8s.io/gateway-api", Glob: "config/crd/experimental/*_tcproutes.yaml", To: GatewayCRD},
			{Module: "sigs.k8s.io/gateway-api", Glob: "config/crd/experimental/*_tlsroutes.yaml", To: GatewayCRD},
			{Module: "github.com/traefik/traefik/v3", Glob: "docs/content/reference/dynamic-configuration/traefik.io_*.yaml", To: GatewayCRD},
		},
	}
}

func ctrSet() Set {
	const containerd, plugins = "github.com/containerd/containerd/v2/cmd/", "github.com/containernetworking/plugins/plugins/"
	return Set{
		Name: "ctr", Dir: "ctr", Inputs: []string{"."},
		Targets: []Target{
			{Packages: []string{
				containerd + Containerd, containerd + Shim,
				plugins + "main/bridge", plugins + "main/loopback", plugins + "ipam/host-local", plugins + "meta/portmap",
			}},
			{Packages: []string{"github.com/opencontainers/runc"}, CGO: true, Tags: "seccomp netgo osusergo", LDFlags: `-extldflags "-static"`},
		},
	}
}

func kubeSet() Set {
	const version = "k8s.io/component-base/version"
	flags := ""
	for _, kv := range []string{
		"gitVersion=" + kubeVersion, "gitMajor=1", "gitMinor=36", "gitTreeState=clean",
		"gitCommit=0000000000000000000000000000000000000000",
	} {
		flags += " -X " + version + "." + kv
	}
	flags += " -X k8s.io/client-go/pkg/version.gitVersion=" + kubeVersion
	return Set{
		Name: "kube", Dir: "kube", Inputs: []string{"."},
		Targets: []Target{{Packages: []string{"."}, Output: Kube, LDFlags: flags[1:]}},
	}
}
