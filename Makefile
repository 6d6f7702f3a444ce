# Everything that is done by hand here; `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CLIENTS := tests/clients
WEB := web
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/public $(WEB)/client/src -type f) $(WEB)/index.html $(WEB)/vite.config.ts \
  $(wildcard $(WEB)/*.json $(WEB)/client/*.json)
CONFORMANCE := tests/conformance
WORKSPACES := . fuzz benches/peers/rust
FUZZ_TARGETS := frame_decode inflate client_message binary_decode input itch packets capture dbn csv lobster recording checkpoint \
  token jwks api_keys revocations proxy_header forwarded origin rest_query configuration bus_message
FUZZ_SECONDS ?= 12
VENV := .venv

# Tests skip, loudly, when Node, Python, Chromium, a balancer, a broker, tshark, promtool or what they need is absent; here that is a failure instead.
CLIENTS_ENV := CLIENTS_REQUIRED=1 CLIENTS_PYTHON=$(CURDIR)/$(VENV)/bin/python

# $(call need,command,what it is for and where it comes from)
need = command -v $(1) >/dev/null || { echo "error: '$(1)' is not installed: $(2)" >&2; exit 1; }
need_cargo = $(call need,cargo,Tickwire is written in Rust; install it with rustup)

.PHONY: help run web test test-rust test-page page-speed test-loom soak chaos figures fuzz conformance clients lint bench bench-peers

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

run: web ## build the page, and serve it with a simulated market on 127.0.0.1:8080
	@$(need_cargo)
	cargo run --release --locked -- serve

web: $(WEB)/dist/index.html $(WEB)/client/dist/index.js ## the page, which the program takes in when it is built, and the TypeScript client

$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	@$(call need,npm,the page is built with Node 20.19 or newer; 'cargo run --release' does without it)
	npm ci --prefix $(WEB) --no-audit --no-fund
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/.package-lock.json $(WEB_SOURCES)
	npm run --silent --prefix $(WEB) build -- --logLevel warn

$(WEB)/client/dist/index.js: $(WEB)/node_modules/.package-lock.json $(WEB_SOURCES)
	npm run --silent --prefix $(WEB) client

test: clients web test-page test-loom ## every test: Rust, benches in small, the clients in Node, Python and Chromium, the page, the model tests
	@$(need_cargo)
	$(CLIENTS_ENV) cargo test --workspace --release --locked --all-targets
	cargo test --workspace --release --locked --doc
	cargo test --release --locked -p tickwire-feeds --features parquet --lib export::

test-rust: ## the Rust tests alone; what needs Node, Python, Chromium, a balancer, a broker, tshark or promtool skips, and says so
	@$(need_cargo)
	cargo test --workspace --release --locked --all-targets
	cargo test --workspace --release --locked --doc
	cargo test --release --locked -p tickwire-feeds --features parquet --lib export::

test-page: web ## the page's own logic, without a browser, and the binary protocol as Node reads it
	node --test $(WEB)/test/page.test.mjs $(CLIENTS)/binary.test.mjs

# What it prints depends on the machine, so it fails nothing.
page-speed: clients web ## how many frames a second the page draws of 5,000 updates a second, and how much script each takes
	@$(need_cargo)
	cargo build --release --locked
	cd $(CLIENTS) && node page/speed.mjs $(CURDIR)/target/release/tickwire /usr/bin/chromium

# loom replaces the atomics, so everything is built once more: in a folder of its own, for both to stay warm. A
# filter that matches nothing would pass, hence the grep, once for each file that has models.
test-loom: ## every interleaving of the quote cache's sequence latch, and of what the bus shares
	@$(need_cargo)
	mkdir -p target/loom
	RUSTFLAGS="--cfg tickwire_loom" CARGO_TARGET_DIR=target/loom cargo test --profile model --locked --lib model:: 2>&1 | tee target/loom/test.log
	@for file in market::quotes::latch bus::interest bus::untaken; do \
	  grep -qE "^test $$file::model::.* ok$$" target/loom/test.log || { echo "error: no model test of $$file ran" >&2; exit 1; }; \
	done

soak: export SOAK_SECONDS ?= 1800
soak: ## half an hour of churn: memory and files stay flat, no state diverges; SOAK_SECONDS=N for another time
	@$(need_cargo)
	cargo test --release --locked --test soak -- --nocapture

# In a network namespace of its own, where the test may lose packets: as root, or where users may have namespaces.
chaos: export CHAOS_NETWORK := 1
chaos: export CHAOS_STRICT := 1
chaos: export CHAOS_FIRST_SEED ?= 1
chaos: export CHAOS_SEEDS ?= 20
chaos: export CHAOS_CLIENTS ?= 1000
chaos: export CHAOS_OUTAGE_SECONDS ?= 30
chaos: clients ## a cluster under a thousand clients, each of whose parts is killed, frozen and cut off: CHAOS_FIRST_SEED=N CHAOS_SEEDS=N CHAOS_CLIENTS=N CHAOS_OUTAGE_SECONDS=N
	@$(need_cargo)
	@$(call need,unshare,Debian's package util-linux)
	@$(call need,ip,Debian's package iproute2)
	@$(call need,nft,Debian's package nftables)
	cargo test --release --locked --test chaos --no-run
	$(CLIENTS_ENV) CARGO_NET_OFFLINE=true unshare --net $(if $(filter 0,$(shell id -u)),,--map-root-user) \
	  bash -c 'ip link set lo up && exec cargo test --release --locked --test chaos -- --nocapture 2>&1' | grep --line-buffered -vE ' (INFO|WARN) '

figures: export DEAF_SECONDS ?= 60
figures: export OVERLOAD_SECONDS ?= 10
figures: ## what is promised under attack and overload, in figures, each held to its bound: DEAF_SECONDS=N OVERLOAD_SECONDS=N
	@$(need_cargo)
	cargo test --release --locked --test floods --test overload --test admission --test identity -- --nocapture --test-threads=1

# `cargo fuzz` asks rustc for coverage, which a stable one allows when it is told to. What was found before is kept in
# fuzz/corpus, and what crashed in fuzz/artifacts.
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: ## bytes of all kinds at each decoder and each format of recordings, FUZZ_SECONDS (12) each; a crash, 5 s or 1 GB for one input fails
	@$(need_cargo)
	@cargo fuzz --version 2>/dev/null || cargo install --locked cargo-fuzz
	cargo fetch --locked --manifest-path fuzz/Cargo.toml
	cargo fuzz build --sanitizer none
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1; \
	done

clients: $(CLIENTS)/node_modules/.package-lock.json $(VENV)/.ready ## what the clients in Node, Python and Chromium need, the balancers, the brokers, tshark and promtool
	@$(call need,curl,the tutorials of docs ask by it; 'make test-rust' does without)
	@$(call need,/usr/bin/chromium,a client of tests/clients runs in Debian's package chromium; 'make test-rust' does without)
	@$(call need,/usr/sbin/haproxy,deploy/haproxy.cfg is tried with Debian's package haproxy; 'make test-rust' does without)
	@$(call need,/usr/sbin/nginx,deploy/nginx.conf is tried with Debian's package nginx-light; 'make test-rust' does without)
	@$(call need,tshark,tools/wireshark is tried with Debian's package tshark; 'make test-rust' does without)
	@$(call need,/usr/lib/rabbitmq/bin/rabbitmq-server,the bus is tried over Debian's package rabbitmq-server; 'make test-rust' does without)
	@$(call need,promtool,deploy/alerts.yaml is tried with Debian's package prometheus; 'make test-rust' does without)

$(CLIENTS)/node_modules/.package-lock.json: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@$(call need,npm,the Node client of tests/clients needs Node 20 or newer; 'make test-rust' does without)
	npm ci --prefix $(CLIENTS) --no-audit --no-fund
	@touch $@

# Debian's python3 comes without ensurepip until python3-venv is installed; any other pip will do in its place.
$(VENV)/.ready: $(CLIENTS)/requirements.txt
	@$(call need,python3,the Python client of tests/clients needs Python 3.10 or newer; 'make test-rust' does without)
	@rm -rf $(VENV)
	@if python3 -c 'import ensurepip' 2>/dev/null; then \
	  python3 -m venv $(VENV); \
	elif python3 -m pip --version >/dev/null 2>&1; then \
	  echo "note: this python3 has no ensurepip; its own pip fills $(VENV)" >&2; \
	  python3 -m venv --without-pip $(VENV); \
	else \
	  echo "error: python3 has neither ensurepip nor pip: install python3-venv, or use 'make test-rust'" >&2; exit 1; \
	fi
	if [ -x $(VENV)/bin/pip ]; then pip=$(VENV)/bin/pip; else pip="python3 -m pip --python $(VENV)/bin/python"; fi; \
	$$pip install --quiet --disable-pip-version-check --requirement $(CLIENTS)/requirements.txt
	@touch $@

$(VENV)/.conformance: $(CONFORMANCE)/requirements.txt $(VENV)/.ready
	if [ -x $(VENV)/bin/pip ]; then pip=$(VENV)/bin/pip; else pip="python3 -m pip --python $(VENV)/bin/python"; fi; \
	$$pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

conformance: $(VENV)/.conformance ## every case of the Autobahn suite, against an echo server of the same WebSocket layer
	@$(need_cargo)
	cargo build --release --locked --features conformance --bin ws-echo
	$(VENV)/bin/python $(CONFORMANCE)/run.py target/release/ws-echo target/conformance

lint: $(WEB)/node_modules/.package-lock.json ## format, clippy, types, licences and sources of dependencies, documentation
	@$(need_cargo)
	npm run --silent --prefix $(WEB) check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	@cargo deny --version 2>/dev/null || cargo install --locked cargo-deny
	@# Licences are read from the sources of all platforms' crates.
	for workspace in $(WORKSPACES); do \
	  cargo fetch --locked --manifest-path $$workspace/Cargo.toml; \
	  cargo deny --offline --locked --manifest-path $$workspace/Cargo.toml check bans licenses sources; \
	done
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked

bench: ## the benchmarks, in full; each asserts its result
	@$(need_cargo)
	cargo bench --workspace --locked

bench-peers: ## Tickwire beside Bun, Node, Python, axum and the kernel's limit: ROUNDS=5 SCENARIOS=A,B SERVERS=tickwire,bun
	@$(need_cargo)
	@$(call need,python3,it starts and measures the peers)
	benches/peers/compare.py --rounds $(or $(ROUNDS),5) --scenarios $(or $(SCENARIOS),all) --servers $(or $(SERVERS),all)
