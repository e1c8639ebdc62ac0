package tenanttest

import (
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

// OneGroup is a document with one service, which costs at most 10 ubrt a block.
const OneGroup = `version: "1.0"
services:
  web:
    image: web:1
    expose: [{port: 8080, as: 80, proto: http, to: [{global: true}]}]
profiles:
  compute: {small: {cpu: 100m, memory: 64Mi, storage: 64Mi}}
  placement:
    anywhere:
      pricing: {small: 10u}
deployment:
  web: {anywhere: {profile: small, count: 1}}
`

// TwoGroups is a document with a group in each of two regions.
const TwoGroups = `version: "1.0"
services:
  web:
    image: web:1
    expose: [{port: 8080, as: 80, proto: http, to: [{global: true}]}]
  db:
    image: db:1
    env: [PASSWORD=swordfish]
profiles:
  compute: {small: {cpu: 100m, memory: 64Mi, storage: 64Mi}}
  placement:
    east:
      attributes: {region: east}
      pricing: {small: 10u}
    west:
      attributes: {region: west}
      pricing: {small: 20u}
deployment:
  web: {east: {profile: small, count: 2}}
  db: {west: {profile: small, count: 1}}
`

// Plan compiles a document, which must be right.
func Plan(t testing.TB, document string) *sdl.Plan {
	t.Helper()
	p, diags := compile.Compile("deploy.yaml", []byte(document))
	if p == nil {
		t.Fatalf("compile the document: %v", diags)
	}
	return p
}
