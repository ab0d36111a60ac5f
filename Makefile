# Everything is made and run below .venv: nothing else on the machine changes, except that
# scripts/apt-install adds Debian packages when root runs it and they are missing.

PORT ?= 8000
BIN := .venv/bin
ASSETS := src/taskpush/api/static/vendor/versions.json src/taskpush/api/static/dashboard/index.html
# What hatch_build.py builds the dashboard from.
DASHBOARD := $(shell find web/client/src web/dashboard -path '*/node_modules' -prune -o -path '*/tests' -prune -o -path '*/dist' -prune -o -type f -print)
MAKEFLAGS += --no-print-directory

.PHONY: help setup setup-test setup-bench demo test test-full soak bench bench-quick check lint fmt audit lock clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: .venv/.ready $(ASSETS) ## .venv with everything in it
	@:

.venv/.ready: requirements.lock pyproject.toml hatch_build.py web/package-lock.json $(DASHBOARD) scripts/setup
	@scripts/setup

# Lost, though .venv says that everything is there: the install that fetches them runs again.
$(ASSETS): | .venv/.ready
	@scripts/setup

setup-test: tests/js/node_modules/.ready web/client/node_modules/.ready web/dashboard/node_modules/.ready ## what tests need besides: strace, a browser, nginx, JavaScript clients
	@scripts/install-test-tools

tests/js/node_modules/.ready: tests/js/package-lock.json .venv/.ready
	@echo "setup: installing the JavaScript clients of tests/js"
	@scripts/npm --prefix tests/js ci >/dev/null
	@touch $@

web/client/node_modules/.ready: web/client/package-lock.json .venv/.ready
	@echo "setup: installing what web/client is built and tested with"
	@scripts/npm --prefix web/client ci >/dev/null
	@touch $@

web/dashboard/node_modules/.ready: web/dashboard/package-lock.json .venv/.ready
	@echo "setup: installing what web/dashboard is checked with"
	@scripts/npm --prefix web/dashboard ci >/dev/null
	@touch $@

setup-bench: bench/peers/node/node_modules/.ready ## what benchmarks need besides: Node's server, nginx with nchan, nats-server
	@scripts/install-bench-tools

bench/peers/node/node_modules/.ready: bench/peers/node/package-lock.json .venv/.ready
	@echo "setup: installing the Node server of bench/peers"
	@scripts/npm --prefix bench/peers/node ci >/dev/null
	@touch $@

demo: setup ## the server with the example, on PORT (8000); ONCE=1 runs it through once and ends
	@$(BIN)/python -m examples.demo --port $(PORT) $(if $(ONCE),--once)

# Many tests wait for others to give up: three at a time keep two cores busy. A file's tests stay
# in one process, which shares a server; the slowest files come first.
test: setup-test check ## checks and tests, in three processes
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

test-full: setup-test check ## the slow tests too
	@$(BIN)/pytest -q -m "full or not full"

soak: setup ## ten minutes of steady load (SECONDS=600); fails when the server grows under it
	@$(BIN)/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS))

bench: setup-bench ## measure taskpush beside its peers; about an hour, best on an idle machine
	@$(BIN)/python -m bench

bench-quick: setup-bench ## the same with fewer turns and clients
	@$(BIN)/python -m bench --quick

check: setup lint ## format, style, types, import contract; changes nothing
	@$(BIN)/ruff format --quiet --check . || { echo "make fmt puts that right" >&2; exit 1; }

lint: setup ## check without the format
	@$(BIN)/ruff check --quiet --output-format=concise .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >.venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

fmt: setup ## format, and fix what can be fixed
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@[ ! -d web/client/node_modules ] || scripts/npm --prefix web/client run --silent fmt
	@[ ! -d web/client/node_modules ] || scripts/npm --prefix web/dashboard run --silent fmt

audit: setup ## has a locked package a known vulnerability? fails too when nobody can tell
	@scripts/audit

lock: setup ## requirements.lock and the package-lock.json files; UPGRADE=1 moves every pin
	@scripts/lock

clean: ## all that is made; not what a server stored
	@rm -rf .venv __pycache__ build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -rf .coverage .coverage.* htmlcov tests/js/node_modules bench/peers/node/node_modules web/node_modules
	@rm -rf web/client/node_modules web/client/dist web/dashboard/node_modules web/dashboard/dist
	@rm -rf src/taskpush/api/static/vendor src/taskpush/api/static/.vendor-*
	@rm -rf src/taskpush/api/static/dashboard src/taskpush/api/static/.dashboard-*
	@find src tests examples bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
