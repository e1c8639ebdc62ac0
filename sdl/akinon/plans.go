package akinon

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl/app"
)

// plan is a kind of addon.
type plan struct {
	name string
	// role is the name that it has without as, and prefix what its variables begin with; empty for fixed names.
	role, prefix string
	// renamed tells whether as may give it another role, versions whether options.version selects its image.
	renamed, versions bool
	// loose are variables that may be given while others are not.
	loose []string
	// variables are those of the format's contract.
	variables func(a addon) []string
	// make adds variables and a companion; nil where the tenant has to give the variables.
	make func(v *reader, a addon)
}

const (
	planPostgres  = "postgresql"
	planRedis     = "redis"
	planSentry    = "sentry"
	planMail      = "mail"
	planCDN       = "cdn"
	planStaticCDN = "static_cdn"
	planElastic   = "elasticsearch"
)

// plans are in the order of the format's description.
var plans []plan

// The functions of plans read the list of plans, so that the list cannot be made before them.
func init() {
	plans = []plan{
		{name: planPostgres, role: "db", prefix: "DB", renamed: true, variables: prefixed("HOST", "PORT", "NAME", "USER", "PASSWORD"), make: (*reader).postgres},
		{name: planRedis, role: "cache", prefix: "CACHE", renamed: true, variables: prefixed("HOST", "PORT", "DATABASE_INDEX"), make: (*reader).redis},
		{name: planSentry, role: "sentry", prefix: "SENTRY", renamed: true, variables: prefixed("DSN")},
		{name: planMail, role: "mail", prefix: "EMAIL", variables: prefixed("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS"), make: (*reader).mail},
		{name: planCDN, role: storeRole, loose: []string{domainVariable}, variables: fixed(cdnVariables...), make: (*reader).cdn},
		{name: planStaticCDN, role: "static-cdn", variables: fixed(staticVariable), make: (*reader).staticCDN},
		{name: planElastic, role: "es", prefix: "ES", renamed: true, versions: true, variables: prefixed("HOST", "PORT"), make: (*reader).elastic},
	}
}

func prefixed(suffixes ...string) func(addon) []string {
	return func(a addon) []string {
		out := make([]string, len(suffixes))
		for i, s := range suffixes {
			out[i] = a.name(s)
		}
		return out
	}
}

func fixed(names ...string) func(addon) []string {
	return func(addon) []string { return names }
}

const (
	mebi = 1 << 20
	gibi = 1 << 30

	passwordLength = 32
)

// instanceTypes are sizes that manifests of the format name.
var instanceTypes = map[string]app.Size{
	"db.r5.large":             {CPUMilli: 2000, MemoryBytes: 16 * gibi},
	"cache.r4.large":          {CPUMilli: 2000, MemoryBytes: 12595 * mebi}, // 12.3 GiB
	"t2.medium.elasticsearch": {CPUMilli: 2000, MemoryBytes: 4 * gibi},
}

func typeNames() []string { return slices.Sorted(maps.Keys(instanceTypes)) }

// The images of companions that only this format has. An overlay's image for the role wins.
const (
	mailImage    = "axllent/mailpit:v1.27"
	storeImage   = "chrislusf/seaweedfs:3.97"
	elasticImage = "elasticsearch"
	elasticTag   = "8.17.4"
)

// data is a volume that stays for as long as the lease does.
func data(mount string, gib uint64) []app.Volume {
	return []app.Volume{{Name: "data", Mount: mount, Bytes: gib * gibi, Persistent: true}}
}

func inside(port uint32) []app.Expose {
	return []app.Expose{{Port: port, Proto: manifesttypes.PROTO_TCP, Inside: true}}
}

func (v *reader) postgres(a addon) {
	v.constant(a, a.name("HOST"), a.service)
	v.constant(a, a.name("PORT"), "5432")
	v.constant(a, a.name("NAME"), app.PostgresUser)
	v.constant(a, a.name("USER"), app.PostgresUser)
	v.credential(a, a.name("PASSWORD"), passwordLength, app.AlphabetText)
	v.companion(a, app.Postgres(a.name("NAME"), a.name("USER"), a.name("PASSWORD")))
}

// redis runs without a password, as the format has no variable for one: who may connect to it is what keeps it.
func (v *reader) redis(a addon) {
	v.constant(a, a.name("HOST"), a.service)
	v.constant(a, a.name("PORT"), "6379")
	v.constant(a, a.name("DATABASE_INDEX"), "0")
	v.companion(a, app.Redis())
}

// mail catches what is sent: nothing of it leaves the deployment.
func (v *reader) mail(a addon) {
	const user = "app"
	v.constant(a, a.name("HOST"), a.service)
	v.constant(a, a.name("PORT"), "1025")
	v.constant(a, a.name("HOST_USER"), user)
	v.credential(a, a.name("HOST_PASSWORD"), passwordLength, app.AlphabetText)
	v.constant(a, a.name("USE_TLS"), "false")
	v.companion(a, app.Process{
		Image: mailImage, Size: app.Size{CPUMilli: 50, MemoryBytes: 64 * mebi, StorageBytes: 256 * mebi},
		Command: []string{"/bin/sh", "-c", `MP_SMTP_AUTH="$SMTP_USER:$SMTP_PASSWORD" exec /mailpit`},
		Env: []app.Env{
			{Name: "MP_SMTP_AUTH_ALLOW_INSECURE", Value: "true"}, {Name: "MP_MAX_MESSAGES", Value: "500"},
			{Name: "SMTP_USER", From: a.name("HOST_USER")}, {Name: "SMTP_PASSWORD", From: a.name("HOST_PASSWORD")},
		},
		Port: 1025, Exposes: inside(1025),
	})
}

// elastic runs one node, without the memory maps that need a setting of the host.
func (v *reader) elastic(a addon) {
	v.constant(a, a.name("HOST"), a.service)
	v.constant(a, a.name("PORT"), "9200")
	size := a.size.Or(app.Size{CPUMilli: 1000, MemoryBytes: 2 * gibi, StorageBytes: gibi})
	heap := strconv.FormatUint(size.MemoryBytes/mebi/2, 10) + "m"
	version := cmp.Or(a.version, elasticTag)
	settings := []string{"discovery.type=single-node"}
	if major, _, _ := strings.Cut(version, "."); len(major) > 1 || major >= "7" {
		settings = append(settings, "xpack.security.enabled=false", "node.store.allow_mmap=false")
	} else {
		settings = append(settings, "network.host=0.0.0.0", "index.store.type=niofs")
	}
	command := []string{"elasticsearch"}
	for _, s := range settings {
		command = append(command, "-E"+s)
	}
	v.companion(a, app.Process{
		Image: elasticImage + ":" + version, Size: size, Args: command,
		Env:  []app.Env{{Name: "ES_JAVA_OPTS", Value: "-Xms" + heap + " -Xmx" + heap}},
		Port: 9200, Exposes: inside(9200), Volumes: data("/usr/share/elasticsearch/data", 10),
	})
}
