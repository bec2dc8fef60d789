# `make` lists the targets. Variables, as in `make test DEBUGSIDECAR_CACHE=/var/cache/ds`:
#   DEBUGSIDECAR_CACHE  where Kubernetes and Helm are kept once they are built
#   GO                  the go command
#   NODE=0              make demo shows it on a control plane without a node
#   ONCE=1              make demo ends after the show, with status 0 if all of it was true
#   FUZZTIME            how long make fuzz tries each target
export DEBUGSIDECAR_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/debugsidecar
GO ?= go
FUZZTIME ?= 30s

# One way of compiling for everything: go keeps what it compiled with -trimpath,
# or with cgo, apart from the rest, and would compile Kubernetes' libraries twice.
# -buildvcs=false: git, and so go, fails in a tree that belongs to another user.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath -buildvcs%,$(GOFLAGS)) -trimpath -buildvcs=false)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-vm check build worker images bench fuzz lint fmt kube helm deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## show the main job on a real Kubernetes (as root: with a node), and leave it up until Ctrl-C
	@if [[ $$(id -u) -eq 0 ]]; then test/tools/deps.sh race images; else test/tools/deps.sh; fi
	@echo "compiling debugsidecar (a minute or two the first time)"
	@$(GO) build -ldflags "-s -w" -o bin/ ./kubectl-debugsidecar
	@test -d "$$DEBUGSIDECAR_CACHE/kube" || { echo "while the rest is compiled: what becomes of a labelled pod, and why"; \
		bin/kubectl-debugsidecar explain -f test/demo/manifests/pod.yaml; }
	@$(GO) run ./test/demo

test: deps kube helm worker ## install and build everything it takes, then run all tests
	@# Many tests compile and run the programs, of which go's cache of results knows
	@# nothing: hence -count 1.
	CGO_ENABLED=1 $(GO) test -race -count 1 -timeout 20m $$($(GO) list ./... | grep -v -e /test/vm$$ -e /test/stalls -e /images/) ./test/stalls/live
	@# One goroutine that counts or compresses for minutes: the race detector would
	@# make it ten.
	$(GO) test -timeout 20m $$($(GO) list ./test/stalls/... | grep -v /live$$) ./images/...
	@# A module of its own: that it has the sums of what the product imports now.
	@cd test/bench/gatekeeper && $(GO) list -deps . >/dev/null
	@$(MAKE) --no-print-directory test-vm
	@echo "all tests passed"

test-vm: deps ## run the kernel probes' tests under Debian's kernels, in QEMU
	@mkdir -p bin && rm -f bin/vm.txt
	VM_SUMMARY=$(CURDIR)/bin/vm.txt $(GO) test -count 1 -timeout 40m ./test/vm
	@cat bin/vm.txt

check: ## the quick loop: format, vet, and the tests that take no cluster
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted (make fmt):"; echo "$$files"; exit 1; }
	$(GO) vet ./...
	$(GO) test -short ./...

build: ## build the static binaries into bin/
	$(GO) build -ldflags "-s -w" -o bin/ ./webhook ./kubectl-debugsidecar ./sidecar

worker: ## build the capture program into bin/: the only one with OpenCV
	@test/tools/deps.sh race images
	@mkdir -p bin && $(GO) run ./sidecar/capture/worker/build -o bin/debugsidecar-capture

images: ## build the container images into bin/images, without Docker
	@test/tools/deps.sh race images
	@$(GO) run ./images -o bin/images

bench: worker ## measure what admission, the kernel probes and the sidecar cost, beside floors and peers, into bin/bench*.txt
	@mkdir -p bin && test/tools/deps.sh bench video
	@$(GO) run ./test/bench -o bin/bench.txt
	@cd test/bench/gatekeeper && $(GO) run . -o $(CURDIR)/bin/bench-gatekeeper.txt
	@$(GO) run ./test/bench/drop -o bin/bench-drop.txt
	@$(GO) run ./test/bench/rtp -o bin/bench-rtp.txt
	@$(GO) run ./test/bench/launch -o bin/bench-launch.txt
	@$(GO) run ./test/bench/video -o bin/bench-video.txt
	@$(GO) run ./test/bench/alerting -o bin/bench-alerting.txt
	@$(GO) run ./test/bench/debug -o bin/bench-debug.txt
	@$(GO) run ./test/stalls table -o bin/stalls.txt

fuzz: ## run each fuzz target for FUZZTIME
	@grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file func; do \
		echo "$${file%/*} $${func#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}"; \
	done

lint: ## vet and staticcheck (.golangci.yml has more, for those who have golangci-lint)
	$(GO) vet ./...
	staticcheck=$$(cd test/tools && $(GO) tool -n staticcheck) && "$$staticcheck" ./...

fmt: ## format all Go files
	gofmt -w .

kube: ## build Kubernetes, unless the cache has it (the first time 20 CPU-minutes)
	@$(GO) run ./test/cluster/cmd/build kube

helm: ## build Helm, unless the cache has it (the first time 5 CPU-minutes)
	@$(GO) run ./test/cluster/cmd/build helm

deps: ## install the Debian packages that are missing
	@test/tools/deps.sh race kernel video page debug

clean: ## remove what was built here; the cache stays
	rm -rf bin
