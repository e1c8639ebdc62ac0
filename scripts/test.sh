#!/usr/bin/env bash
# Runs everything that needs no cluster, in every light module of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -timeout 15m ./...
(cd localkube && go test -timeout 5m ./...)
