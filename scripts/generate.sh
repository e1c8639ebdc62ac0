#!/usr/bin/env bash
# Vendors the third-party .proto files from the Go module cache, lints ours and generates Go from them; then writes the
# schemas of documents. Needs no network beyond the Go module proxy. Run by `make generate`; a second run changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor_protos() {
  local out=third_party/proto
  rm -rf "$out" && mkdir -p "$out"
  module_dir() { go mod download "$1" && go list -m -f "{{.Dir}}" "$1"; }
  put() {
    local root=$1 file
    shift
    for file in "$@"; do install -D -m 0644 "$root/$file" "$out/$file"; done
  }
  put "$(module_dir github.com/cosmos/cosmos-sdk)/proto" amino/amino.proto cosmos/msg/v1/msg.proto \
    cosmos/query/v1/query.proto cosmos/base/v1beta1/coin.proto cosmos/base/query/v1beta1/pagination.proto
  put "$(module_dir github.com/cosmos/gogoproto)" gogoproto/gogo.proto
  put "$(module_dir github.com/cosmos/cosmos-proto)/proto" cosmos_proto/cosmos.proto
  put "$(module_dir github.com/grpc-ecosystem/grpc-gateway)/third_party/googleapis" \
    google/api/annotations.proto google/api/http.proto
}

vendor_protos
go tool -modfile=tools/go.mod buf lint
rm -rf .generated
go tool -modfile=tools/go.mod buf generate
cp -r .generated/berth.dev/berth/. .
rm -rf .generated
go generate ./sdl/schema ./provider/gateway/internal/openapi
