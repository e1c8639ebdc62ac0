#!/usr/bin/env bash
# Checks style: formatting, vet, golangci-lint with .golangci.yml, protobuf lint. The import rules are a Go test
# (internal/archtest) and run with `make test` too.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  printf 'gofmt would change:\n%s\n' "$unformatted" >&2
  exit 1
fi
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
# golangci-lint is built from a module of its own, so that its dependencies stay out of ours.
go tool -modfile=tools/lint/go.mod golangci-lint run --timeout 20m ./...
(cd localkube && go tool -modfile=../tools/lint/go.mod golangci-lint run --timeout 10m --config ../.golangci.yml ./...)
go tool -modfile=tools/go.mod buf lint
go test ./internal/archtest/...
