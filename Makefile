# tikbridge: `make help` lists everything.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE     ?= tikbridge
LDFLAGS   := -s -w -X main.version=$(VERSION) -X main.commit=$(REVISION)
COMPOSE   := VERSION=$(VERSION) REVISION=$(REVISION) docker compose
LINT      := $(GO) -C .ci/tools tool -n golangci-lint
REPEAT    ?= 3
SOAK_TIME ?= 10m

.DEFAULT_GOAL := help

##@ Start here

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## Run everything with nothing to configure: demo app, bridge, simulated TikTok and Supabase
	@$(GO) run ./cmd/tikbridge dev $(ARGS)

.PHONY: test
# The browser tests take the longest, so they begin first. Go prints the results in order, so theirs come first, too.
test: ## Prove that it works: unit, flow and script tests, the fault matrix, browser tests in Chromium
	@$(MAKE) --no-print-directory -j2 setup-test compile
	@echo 'Testing. The first results come with those of the browser tests, after some minutes.'
	$(GO) test -vet=off -count=1 -parallel 3 -timeout 20m -skip '^TestEngines$$' \
		./test/e2e ./cmd/... ./pkg/... ./static/... ./test/...

.PHONY: setup-test compile
setup-test:
	@sh .ci/setup test
compile: # what the tests need, while setup-test installs the rest
	@$(GO) list -export -test -deps ./... >/dev/null

.PHONY: engines
engines: setup ## Run the browser tests in WebKit and Firefox
	$(GO) test -vet=off -count=1 -run '^TestEngines$$' ./test/e2e

.PHONY: race
race: ## Run the tests without browsers, and a short soak of three bridges, with the race detector
	$(GO) test -race -vet=off -count=1 -timeout 20m ./cmd/... ./pkg/... ./static/... ./test/process
	$(GO) test -race -vet=off -count=1 -run '^TestSoak$$' ./test/e2e

.PHONY: check
check: lint test engines ## All that must pass before a commit lands: lint, test, engines, short fuzzing (and race, in CI beside it)
	$(GO) -C test/monitoring test -count=1 .
	@$(MAKE) --no-print-directory fuzz FUZZTIME=2s

##@ While developing

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each (30s unless told), until one fails
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh .ci/fuzz

.PHONY: e2e
e2e: setup ## Run the browser tests alone: the SDK, the pages and the example apps in Chromium, WebKit and Firefox
	$(GO) test -count=1 ./test/e2e

.PHONY: contract
contract: ## Run the contract suite against a real GoTrue (see pkg/supabase/contract_test.go)
	@test -n "$$TIKBRIDGE_CONTRACT_URL" || { echo "Set TIKBRIDGE_CONTRACT_URL, TIKBRIDGE_CONTRACT_SERVICE_KEY and TIKBRIDGE_CONTRACT_ANON_KEY."; exit 1; }
	$(GO) test -race -count=1 -v ./pkg/supabase

.PHONY: bench
bench: build ## Measure time, CPU and memory per sign-in, REPEAT times (3 unless told); see docs/performance.md
	TIKBRIDGE_BENCH_BINARY='$(CURDIR)/bin/tikbridge' $(GO) test -count=1 -run '^$$' -bench . ./test/bench
	TIKBRIDGE_BENCH_BINARY='$(CURDIR)/bin/tikbridge' TIKBRIDGE_BENCH='$(REPEAT)' $(GO) test -count=1 -v -timeout 60m -run TestReport ./test/bench

.PHONY: soak
soak: build ## Let people sign in for SOAK_TIME (10m unless told) while everything fails and restarts; see docs/faults.md
	TIKBRIDGE_SOAK_BINARY='$(CURDIR)/bin/tikbridge' TIKBRIDGE_SOAK='$(SOAK_TIME)' TIKBRIDGE_SOAK_SEED='$(SOAK_SEED)' \
		$(GO) test -count=1 -v -timeout 0 -run 'TestSoak$$' ./test/e2e

.PHONY: setup
setup: ## Install what the tests use: browsers and Node.js, where this machine allows it
	@sh .ci/setup

.PHONY: lint
lint: ## Check style, mistakes, the direction of imports, and the files that deploy the bridge
	@$$($(LINT)) run ./...
	@$(GO) -C test/deploy test -count=1 .

.PHONY: fmt
fmt: ## Format the code
	@$$($(LINT)) fmt ./...

.PHONY: build
build: ## Build bin/tikbridge, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tikbridge ./cmd/tikbridge

##@ In containers

.PHONY: image
image: engine ## Build the image IMAGE:VERSION (tikbridge:<git describe> unless told)
	TIKBRIDGE_IMAGE=$(IMAGE):$(VERSION) $(COMPOSE) build bridge

.PHONY: up
up: engine ## Start Supabase, a simulated TikTok and the bridge (SCALE=1: three bridges and Redis)
	$(if $(SCALE),COMPOSE_PROFILES=scale TIKBRIDGE_STORE_REDIS_URL=redis://redis:6379/0) $(COMPOSE) up --build --wait
	$(COMPOSE) exec bridge /tikbridge supabase setup

.PHONY: down
down: engine ## Stop what `make up` started, and delete its data
	$(COMPOSE) --profile scale down --volumes --remove-orphans

.PHONY: integration
integration: engine ## Start the stack, run the contract, flow, browser and scale-out tests against it, and remove it
	TIKBRIDGE_INTEGRATION=1 $(GO) test -race -count=1 -v -timeout 30m -run '^TestCompose$$' ./test/e2e

.PHONY: engine
engine:
	@docker compose version >/dev/null 2>&1 || { echo "Docker with its Compose plugin is needed: https://docs.docker.com/engine/install/"; exit 1; }
	@docker buildx version >/dev/null 2>&1 || { echo "Docker's Buildx plugin is needed: https://docs.docker.com/build/"; exit 1; }
	@have=$$(docker compose version --short); printf '%s\n' 2.20.2 "$${have#v}" | sort -C -V || \
		{ echo "Docker Compose 2.20.2 or newer is needed; this is $$have."; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "Docker does not run, or you may not use it. Try: docker info"; exit 1; }
