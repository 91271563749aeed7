# Every target is safe to run twice. "make" alone explains them.

FUZZTIME ?= 10s
URL      ?=
# Flags of "ftpgate serve" for "make run", for example: make run URL=s3://bucket ARGS=--write
ARGS     ?=

export CGO_ENABLED ?= 1

.PHONY: help build run test test-packages test-integration check bench campaign fuzz demo install generate peers minio

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ftpgate
	go build -o bin/ ./cmd/ftpgate

run: build ## serve URL (default: this directory, read-only) with ARGS
	bin/ftpgate serve $(ARGS) $(URL)

install: ## install what the tests need (Debian packages); nothing if all is there
	@integration/tools/install

test: install ## install, build and run all tests with the race detector
	go build ./...
	@$(MAKE) --no-print-directory -j2 test-packages test-integration

# The two side by side: one computes, the other mostly waits for clients and servers.
# Under the race detector each collection costs page faults in its shadow memory, so there are fewer.
test-packages:
	GOGC=400 go test -race -timeout 20m ./...

test-integration:
	cd integration && go test -race -parallel 5 -timeout 30m ./...

check: bin/.tools ## format, vet, staticcheck, vulnerabilities, layers, generated docs
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted:" $$unformatted; exit 1; }
	go vet ./... && go vet -tags peers ./gateway && go vet -tags pam ./auth/pam
	GOOS=darwin CGO_ENABLED=0 go vet ./backends/local
	GOOS=windows CGO_ENABLED=0 go vet ./...
	cd integration && go vet -tags campaign ./...
	bin/staticcheck ./...
	bin/staticcheck -tags peers ./gateway
	bin/staticcheck -tags pam ./auth/pam
	cd integration && ../bin/staticcheck -tags campaign ./...
	integration/tools/vulncheck bin/govulncheck ./...
	go test -count=1 -run '^Test(Layers|LayerRules|TopLevel)$$' .
	@state() { find docs -type f | sort | xargs cat | cksum; }; before=$$(state); $(MAKE) --no-print-directory generate; \
		[ "$$before" = "$$(state)" ] || { echo "generated docs were stale: commit what 'make generate' wrote"; git --no-pager diff --stat -- docs; exit 1; }

generate: ## write the generated docs anew
	go generate ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	integration/tools/fuzz $(FUZZTIME)
	cd integration && tools/fuzz $(FUZZTIME)

peers: ## play our transcripts against vsftpd, ProFTPD, Pure-FTPd and pyftpdlib, into docs/peers.md (root, three minutes)
	integration/tools/peers fetch
	PEERS_TABLE=$(CURDIR)/docs/peers.md go test -tags peers -run '^TestPeers$$' -parallel 8 -count=1 -timeout 15m ./gateway

minio: install ## the tests of S3 against MinIO, which is built first (ten minutes)
	integration/tools/minio

bench: install ## benchmarks, and how fast ABOR is answered
	go test -run '^$$' -bench . -benchmem ./...
	cd integration && go run ./cmd/abor

campaign: install ## the long things: memory under 3 GiB and a crowd, a million keys, slow links, the full product, kill loops (an hour)
	cd integration && go run ./cmd/campaign
	go test -race -tags campaign -run 'Faults|Contract' -timeout 60m ./backends/s3
	cd integration && go test -tags campaign -run 'Campaign|TestS3' -count=1 -timeout 120m -v .
	$(MAKE) --no-print-directory fuzz FUZZTIME=30s

demo: ## a real S3 server on loopback with ftpgate in front, until Ctrl-C
	@cd integration && go build -o ../bin/ ./cmd/demo && exec ../bin/demo

bin/.tools: integration/tools/go.mod integration/tools/go.sum
	cd integration/tools && go build -o ../../bin/ tool
	@touch $@
