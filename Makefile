# Berth's commands. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/cosmos/cosmos-sdk/version.Name=berth -X github.com/cosmos/cosmos-sdk/version.AppName=berthd \
	-X github.com/cosmos/cosmos-sdk/version.Version=$(VERSION)
# Builds use the flags of the tests, so that both share one build cache.
GOBUILD := go build -ldflags '$(LDFLAGS)' -o $(BIN)/
PROGRAMS := ./cmd/berthd ./cmd/berth-provider ./cmd/berth
E2E_TIMEOUT ?= 25m
SETTLE_HISTORIES ?= 1000000
SETTLE_SEED ?= 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: deps
deps: ## Install the system packages that builds and the devnet need (Debian, as root)
	@scripts/deps.sh

.PHONY: build
build: ## Build berthd, berth-provider, berth and localkube into bin/
	$(GOBUILD) $(PROGRAMS)
	CGO_ENABLED=0 $(GOBUILD) ./examples/images/hello ./testutil/probe
	cd localkube && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o $(BIN)/ ./cmd/localkube

# Signatures are verified by libsecp256k1 (through cgo) in releases: 27 % more transactions per second were measured.
.PHONY: release
release: ## Build the three programs for release: reproducible paths, signatures by libsecp256k1
	go build -trimpath -tags libsecp256k1_sdk -ldflags '$(LDFLAGS)' -o $(BIN)/ $(PROGRAMS)

.PHONY: devnet
devnet: deps build ## From a clean clone to a URL: chain, Kubernetes, two providers, examples/hello deployed
	$(BIN)/berth devnet up
	$(BIN)/berth deploy --yes examples/hello/deploy.yaml
	@printf '\nStop everything and remove it:\n  %s devnet down\n' bin/berth

.PHONY: devnet-down
devnet-down: build ## Stop the devnet and remove everything that it made
	$(BIN)/berth devnet down

.PHONY: generate
generate: ## Regenerate Go from the protobuf definitions, and the schemas of documents; leaves a clean tree clean
	scripts/generate.sh

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint, protobuf lint, import rules
	scripts/lint.sh

.PHONY: test
test: ## Everything that needs no cluster: units, properties, in-process chain, provider on the simulated cluster
	scripts/test.sh

.PHONY: race
race: ## The race detector on the concurrent packages
	go test -race ./client/... ./provider/... ./tenant/... ./devnet/...
	go test -race -run TestReadersBesideBlocks ./testutil/chainbench

.PHONY: e2e
e2e: deps build ## The whole marketplace on a real Kubernetes (localkube); needs root
	E2E_TIMEOUT=$(E2E_TIMEOUT) scripts/e2e.sh

# The rehearsed upgrade is a second program, with a tag of its own. Its name is that of the first, as its environment
# variables begin with it.
.PHONY: testnet
testnet: ## Four validators killed, paused, cut off and upgraded, a fifth node by state sync; needs root
	$(GOBUILD) ./cmd/berthd
	go build -tags upgraderehearsal -ldflags '$(LDFLAGS)' -o $(BIN)/rehearsal/ ./cmd/berthd
	BERTH_BIN=$(BIN) go test -tags testnet -count=1 -timeout 10m -v ./testutil/testnet/...

.PHONY: bench
bench: ## Benchmarks; the figures of docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem ./sdl/... ./manifest/... ./provider/... ./x/escrow/...

.PHONY: bench-devnet
bench-devnet: deps build ## Time the devnet: first block, deploy to first 200, idle provider
	$(BIN)/localkube build
	BERTH_BIN=$(BIN) go test -tags e2e -count=1 -timeout $(E2E_TIMEOUT) -v -run TestFigures ./testutil/e2e/...

.PHONY: bench-chain
bench-chain: ## The chain's throughput and block times in one process (WORKLOAD=a,b for some, SCALE=0.1 for a quick look)
	go build -tags libsecp256k1_sdk -o $(BIN)/ ./testutil/chainbench/cmd/chainbench
	$(BIN)/chainbench -workload '$(WORKLOAD)' -scale $(or $(SCALE),1)

.PHONY: bench-kube
bench-kube: ## 50 leases at once on a cluster named by BERTH_E2E_KUBECONFIG, its steady state and a restart; 10 runs of bombs beside a neighbour
	BERTH_E2E_LEASES=$(or $(LEASES),50) BERTH_E2E_RUNS=$(or $(RUNS),10) go test -tags e2e,kubebench -count=1 -timeout 60m -v -run 'TestFiftyLeases|TestBombs' ./provider/cluster/kube

.PHONY: bench-bid
bench-bid: ## What the bid engine decides in a second, its memory; a burst of 2,000 orders and a start among 100,000 on a devnet (SECONDS_EACH=0.2, BURST=10, BACKLOG=100 for a quick look)
	go build -o $(BIN)/ ./testutil/bidbench/cmd/bidbench
	$(BIN)/bidbench -seconds $(or $(SECONDS_EACH),1)
	$(GOBUILD) $(PROGRAMS)
	BERTH_BIN=$(BIN) BURST=$(BURST) BACKLOG=$(BACKLOG) go test -tags bidburst -count=1 -timeout 20m -v ./testutil/bidburst

.PHONY: bench-link
bench-link: ## A link between two providers against a plain pair of TLS proxies: throughput and what it adds to a message
	go test -run '^$$' -bench AgainstPlain -benchtime 15x ./provider/link

.PHONY: bench-gateway
bench-gateway: ## The gateway under load: lines a second, slow readers, 1,000 streams, 5,000 slow connections and 1,000 silent WebSockets, 1,000,000 mutated manifests
	ulimit -n $$(ulimit -Hn) && go test -tags gatewaybench -count=1 -timeout 10m -v -run TestFigures ./provider/gateway/internal/gatewaybench
	BERTH_MUTATIONS=1000000 go test -count=1 -timeout 20m -v -run TestMutated ./provider/daemon

SOAK_TIME ?= 5m
.PHONY: soak
soak: ## A node built with the race detector under a mixed load for SOAK_TIME (default 5m)
	SOAK_TIME=$(SOAK_TIME) go test -tags soak -count=1 -timeout 24h -v -run TestSoak ./testutil/chainbench

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (default 30s) each
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

.PHONY: settle
settle: ## 10^6 random settlement histories: every block, seldom and the closed form agree
	SETTLE_HISTORIES=$(SETTLE_HISTORIES) SETTLE_SEED=$(SETTLE_SEED) go test -count=1 -timeout 2h -v -run '^TestHistories$$' ./x/escrow/keeper

BID_HISTORIES ?= 100000
BID_SEED ?= 1
.PHONY: histories
histories: ## 10^5 random histories of reservations and of bids: nothing is sold twice, no order is bid on twice (PINV-1, PINV-6)
	BID_HISTORIES=$(BID_HISTORIES) BID_SEED=$(BID_SEED) go test -count=1 -timeout 2h -v -run '^TestHistories$$' ./provider/inventory ./provider/bid

.PHONY: sim
sim: ## Random markets: 104,000 transactions on four seeds, invariants after every block; docs/simulation.md
	scripts/sim.sh

.PHONY: sim-long
sim-long: ## The same for a night: 4 million transactions on 40 seeds; SEEDS, OPS and FIRST change it
	SEEDS=$(or $(SEEDS),40) OPS=$(or $(OPS),100000) FIRST=$(or $(FIRST),1000) scripts/sim.sh

.PHONY: clean
clean: ## Remove bin/
	rm -rf $(BIN)
