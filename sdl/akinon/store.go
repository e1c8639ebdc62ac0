package akinon

import (
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl/app"
)

// The plans cdn and static_cdn are one object store: what an application puts into its bucket is what people read at the
// public host, static files below static/.

// cdnVariables are those of the plan cdn.
var cdnVariables = []string{
	domainVariable, "S3_BUCKET_NAME", "S3_REGION_NAME", "AWS_ACCESS_KEY_ID", "S3_SIGNATURE_VERSION", "AWS_SECRET_ACCESS_KEY",
}

const (
	domainVariable = "CDN_DOMAIN"
	// staticVariable is the one of static_cdn.
	staticVariable = "BASE_STATIC_URL"

	storePort = 8333
	storeRole = "cdn"
)

// store names the one companion of the plans cdn and static_cdn, wherever it stands in the list.
func (v *reader) store(list []addon) {
	both := slices.ContainsFunc(list, func(a addon) bool { return a.plan.name == planCDN })
	for i := range list {
		if list[i].plan.name == planStaticCDN && !both {
			list[i].service = storeRole
		}
	}
	v.shared = both
}

// cdn runs the store, and gives the application its keys and the host name at which people find it.
func (v *reader) cdn(a addon) {
	host := v.domain(a.role)
	if host == "" || v.given(domainVariable) {
		v.asked(a, domainVariable, "host name of public files: give --domain "+a.role+"=HOST")
	} else {
		v.constant(a, domainVariable, host)
	}
	v.keep(a, host)
}

// staticCDN gives the URL of static files. Without the plan cdn it brings the store, too, as the files have to come from
// somewhere.
func (v *reader) staticCDN(a addon) {
	key := a.role
	if v.shared {
		key = storeRole
	}
	host := v.domain(key)
	if host == "" {
		v.asked(a, staticVariable, "URL of static files: give --domain "+key+"=HOST and it is made")
	} else {
		v.constant(a, staticVariable, "https://"+host+"/static/")
	}
	if !v.shared {
		v.keep(a, host)
	}
}

// domain is the first host name that the overlay has for a role.
func (v *reader) domain(role string) string {
	if hosts := v.in.Overlay.Domains[role]; len(hosts) > 0 {
		return hosts[0]
	}
	return ""
}

// asked adds a variable that has to be given.
func (v *reader) asked(a addon, name, description string) {
	v.app.Variables = append(v.app.Variables, app.Variable{Name: name, At: a.place(), Description: description, Required: true, Addon: a.role})
}

// storeScript starts the store with the application's keys, and makes its bucket. A bucket is addressed by the first
// label of a host name, so that files lie at the root of the public host; anyone may read, and only the keys may write.
const storeScript = `umask 077
cat >/tmp/s3.json <<END
{"identities":[{"name":"app","credentials":[{"accessKey":"$AWS_ACCESS_KEY_ID","secretKey":"$AWS_SECRET_ACCESS_KEY"}],"actions":["Admin","Read","Write","List","Tagging"]},{"name":"anonymous","actions":["Read:$BUCKET"]}]}
END
(until echo "s3.bucket.create -name $BUCKET" | weed shell >/dev/null 2>&1; do sleep 1; done) &
exec weed server -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 -s3 -s3.port=8333 -s3.config=/tmp/s3.json ${DOMAIN:+-s3.domainName="$DOMAIN"}`

// keep adds the store and the keys to it.
func (v *reader) keep(a addon, host string) {
	bucket, domain, _ := strings.Cut(host, ".")
	if bucket == "" {
		bucket = "files"
	}
	// Libraries for the real thing find this one by the endpoints, without a change of the application.
	endpoint := "http://" + storeRole + ":8333"
	for _, x := range [][2]string{
		{"S3_BUCKET_NAME", bucket}, {"S3_REGION_NAME", "us-east-1"}, {"S3_SIGNATURE_VERSION", "s3v4"},
		{"AWS_ENDPOINT_URL_S3", endpoint}, {"AWS_S3_ENDPOINT_URL", endpoint},
	} {
		v.constant(a, x[0], x[1])
	}
	v.credential(a, "AWS_ACCESS_KEY_ID", 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
	v.credential(a, "AWS_SECRET_ACCESS_KEY", 40, app.AlphabetText)
	a.service = storeRole
	v.companion(a, app.Process{
		Image: storeImage, Size: app.Size{CPUMilli: 250, MemoryBytes: 256 * mebi, StorageBytes: gibi},
		Command: []string{"/bin/sh", "-c", storeScript},
		Env: []app.Env{
			{Name: "BUCKET", Value: bucket}, {Name: "DOMAIN", Value: domain},
			{Name: "AWS_ACCESS_KEY_ID", From: "AWS_ACCESS_KEY_ID"}, {Name: "AWS_SECRET_ACCESS_KEY", From: "AWS_SECRET_ACCESS_KEY"},
		},
		Port: storePort, Volumes: data("/data", 10),
		Exposes: []app.Expose{{Port: storePort, As: storePort, Proto: manifesttypes.PROTO_HTTP, Public: true, Inside: true}},
	})
}
