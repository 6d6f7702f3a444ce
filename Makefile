# Everything that is done by hand here; `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CLIENTS := tests/clients
CONFORMANCE := tests/conformance
WORKSPACES := . fuzz benches/peers/rust
FUZZ_TARGETS := frame_decode inflate client_message binary_decode input itch packets capture dbn csv lobster recording
FUZZ_SECONDS ?= 12
VENV := .venv

# The clients' tests skip, loudly, when Node, Python, Chromium or their packages are absent; here that is a failure instead.
CLIENTS_ENV := CLIENTS_REQUIRED=1 CLIENTS_PYTHON=$(CURDIR)/$(VENV)/bin/python

# $(call need,command,what it is for and where it comes from)
need = command -v $(1) >/dev/null || { echo "error: '$(1)' is not installed: $(2)" >&2; exit 1; }
need_cargo = $(call need,cargo,Tickwire is written in Rust; install it with rustup)

.PHONY: help run test test-rust test-page test-loom fuzz conformance clients lint bench bench-peers

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

run: ## serve a simulated market and its page on 127.0.0.1:8080
	@$(need_cargo)
	cargo run --release --locked -- serve

test: clients test-page test-loom ## every test: Rust, benches in small, the clients in Node, Python and Chromium, the page, the model tests
	@$(need_cargo)
	$(CLIENTS_ENV) cargo test --workspace --release --locked --all-targets
	cargo test --workspace --release --locked --doc
	cargo test --release --locked -p tickwire-feeds --features parquet --lib export::

test-rust: ## the Rust tests alone; what needs Node, Python or Chromium skips, and says so
	@$(need_cargo)
	cargo test --workspace --release --locked --all-targets
	cargo test --workspace --release --locked --doc
	cargo test --release --locked -p tickwire-feeds --features parquet --lib export::

test-page: ## the page's own logic, without a browser, and the binary protocol as Node reads it
	@$(call need,node,the page's tests need Node 20 or newer; 'make test-rust' does without)
	node --test $(CLIENTS)/page.test.mjs $(CLIENTS)/binary.test.mjs

# loom replaces the atomics, so everything is built once more: in a folder of its own, for both to stay warm. A
# filter that matches nothing would pass, hence the grep, once for each file that has models.
test-loom: ## every interleaving of the quote cache's sequence latch, and of what the bus shares
	@$(need_cargo)
	mkdir -p target/loom
	RUSTFLAGS="--cfg tickwire_loom" CARGO_TARGET_DIR=target/loom cargo test --release --locked --lib model:: 2>&1 | tee target/loom/test.log
	@for file in market::quotes::latch bus::interest bus::untaken; do \
	  grep -qE "^test $$file::model::.* ok$$" target/loom/test.log || { echo "error: no model test of $$file ran" >&2; exit 1; }; \
	done

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

clients: $(CLIENTS)/node_modules/.package-lock.json $(VENV)/.ready ## what the clients in Node, Python and Chromium need
	@$(call need,/usr/bin/chromium,a client of tests/clients runs in Debian's package chromium; 'make test-rust' does without)

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

lint: ## format, clippy, licences and sources of dependencies, documentation
	@$(need_cargo)
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
