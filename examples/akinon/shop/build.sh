#!/bin/bash
set -euo pipefail

go mod init example.com/shop
go mod tidy
CGO_ENABLED=0 go build -trimpath -o /shop .

# What is not needed to run is removed in the same layer, so that it is not in the image.
go clean -cache -modcache
