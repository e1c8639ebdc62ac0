#!/usr/bin/env bash
# The end-to-end tests: localkube's own, the cluster conformance suite on a real Kubernetes, and the whole marketplace.
# Needs root and the programs in bin/ (`make build`). Everything runs beside a user's devnet and is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin
state=$(mktemp -d)
chmod 755 "$state" # containers run in user namespaces and must reach what lies below

step() { printf '\n--- %s (%ss)\n' "$1" "$SECONDS"; }
cleanup() {
  "$bin/localkube" down --state "$state/kube" >/dev/null 2>&1 || true
  rm -rf "$state"
}
trap cleanup EXIT

step "build localkube's components"
"$bin/localkube" build

step "localkube"
(cd localkube && BERTH_E2E=1 go test -count=1 -timeout 5m -run 'TestPackets|TestTheRulesAreWellFormed' ./netpol)
(cd localkube && CGO_ENABLED=0 go test -trimpath -tags e2e -count=1 -timeout 10m ./e2e)

step "the conformance suite on a real cluster"
"$bin/localkube" up --state "$state/kube" --name conform --link 10.207.0.0/30 --pods 10.251.0.0/24 --services 10.102.0.0/16 --addresses 10.207.1.0/28 --domains e2e.localhost -o json >"$state/cluster.json"
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$state/cluster.json"; }
for version in 1 2; do
  "$bin/localkube" push --state "$state/kube" "berth.local/hello:$version" "$bin/hello" --env "HELLO_VERSION=$version"
done
"$bin/localkube" push --state "$state/kube" berth.local/probe:1 "$bin/probe"
"$bin/localkube" push --state "$state/kube" berth.local/probe-root:1 "$bin/probe" --user 0
"$bin/localkube" push --state "$state/kube" berth.local/probe-user:1 "$bin/probe" --user 12345:12345
"$bin/localkube" push --state "$state/kube" berth.local/private/hello:1 "$bin/hello"
# An image with a shell, of this machine's programs and what they load.
mkdir -p "$state/shell/bin"
cp -L /bin/sh /bin/cat "$state/shell/bin/"
for lib in $(ldd /bin/sh /bin/cat | grep -oE '/[^ )]+' | grep -v : | sort -u); do cp -L --parents "$lib" "$state/shell"; done
cp "$bin/probe" "$state/shell/probe"
"$bin/localkube" push --state "$state/kube" berth.local/shell:1 "$state/shell" --entrypoint /probe
BERTH_E2E_KUBECONFIG=$(field kubeconfig) BERTH_E2E_INGRESS=$(field http) BERTH_E2E_INGRESS_TLS=$(field https) BERTH_E2E_EDGE_AUTHORITY=$(field edge_authority) BERTH_E2E_INGRESS_CLASS=$(field ingress_class) \
  BERTH_E2E_INGRESS_NAMESPACE=$(field ingress_namespace) BERTH_E2E_NETNS=conform BERTH_E2E_ADDRESSES=$(field addresses) BERTH_E2E_SHARE=$(field share) \
  go test -tags e2e -count=1 -timeout 40m ./provider/cluster/kube

step "the provider inside of its cluster"
CGO_ENABLED=0 go build -o "$state/berth-provider" ./cmd/berth-provider
"$bin/localkube" push --state "$state/kube" berth.local/berth-provider:1 "$state/berth-provider"
BERTH_BIN=$bin BERTH_E2E_KUBECONFIG=$(field kubeconfig) BERTH_E2E_INGRESS=$(field http) BERTH_E2E_HOST=$(field host_ip) \
  go test -tags e2e -count=1 -timeout 10m -v ./testutil/incluster
"$bin/localkube" down --state "$state/kube"

step "images of databases and applications"
scripts/local-images.sh "$state/images"
scripts/local-builder.sh "$state/builder"

step "the marketplace"
BERTH_BIN=$bin BERTH_E2E_IMAGES=$state/images BERTH_E2E_BUILDER=$state/builder go test -tags e2e -count=1 -timeout "${E2E_TIMEOUT:-25m}" -v ./testutil/e2e/...
step "end-to-end tests are done"
