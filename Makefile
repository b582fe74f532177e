# Grapnel's chores. `make help` lists them.
GO ?= go
BIN ?= bin/grapnel

.PHONY: help build check fmt vet test fuzz lint clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-8s %s\n", $$1, $$2}'

build: ## build bin/grapnel, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/grapnel

check: fmt vet ## the quick loop: format, vet, layers and unit tests
	$(GO) test -short ./internal/... ./cmd/...

fmt: ## fail when a file is not formatted
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run: gofmt -w ." >&2; exit 1; }

vet: ## go vet
	$(GO) vet ./...

test: ## everything: unit, store conformance, stories, crashes, race detector
	sh test/packages.sh
	$(GO) test -race -timeout 20m ./...

fuzz: ## every fuzz target, FUZZTIME each (1m by default)
	GO="$(GO)" sh test/fuzz.sh $(or $(FUZZTIME),1m)

lint: ## golangci-lint, by .golangci.yml
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

clean: ## remove what build made
	rm -rf bin

.PHONY: chaos
chaos: ## end the gateway in every way, ROUNDS times (default 500), and disturb several on PostgreSQL, CLUSTER_ROUNDS times (default 10)
	GRAPNEL_CHAOS=$(or $(ROUNDS),500) GRAPNEL_CHAOS_RACE=1 $(GO) test -race -count=1 -timeout 2h -v -run 'TestCrash$$' ./test
	GRAPNEL_CHAOS=$(or $(CLUSTER_ROUNDS),10) GRAPNEL_CHAOS_RACE=1 $(GO) test -race -count=1 -timeout 2h -v -run 'TestCluster$$' ./test
