# `make` alone explains itself: each target's comment is its help.

# The first Python here that is new enough; override with `make PYTHON=...`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
DEV := $(PY) -m devstack
UV := VIRTUAL_ENV=.venv .venv/bin/uv
READY := .venv/.ready
BENCH := .venv-bench/.ready
JAVA := services/executor/java/autoloader/reading/*.java
SOURCES := libs services client devstack tests bench
# More for pytest: make test ARGS="tests/unit -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup up down status services demo bench bench-api bench-scale bench-freshness bench-slots test contract property faults soak fuzz model check fmt lint types imports verify docs lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[36m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything into .venv and the download cache (done by the others when needed)
	@:

$(READY): requirements-dev.lock pyproject.toml deploy/versions.toml $(wildcard deploy/checksums/*) $(wildcard $(JAVA))
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found: install one, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m devstack.setup
	@touch $@

up: setup ## Start Postgres, Kafka, MinIO and Spark Connect
	@$(DEV) up

services: setup ## Start these and Autoloader's API, scanner and executor
	@$(DEV) up --services

down: setup ## Stop everything that was started, keep the data
	@$(DEV) down

status: setup ## Show what runs
	@$(DEV) status

demo: services ## Load a year of real flights into an Iceberg table, and leave everything running
	@eval "$$($(DEV) env)" && $(PY) -m client.demo
	@echo "Everything is still running; stop it with: make down"

bench: setup $(BENCH) ## Measure Autoloader and its peers in turns (ARGS="--quick" for a look, "--only w1,w3 --skip stream --rounds 5")
	@AUTOLOADER_DEV_SPARK_PEAK=1 $(DEV) run --services -- $(PY) -m bench $(ARGS)

# The peers' packages live apart from ours.
$(BENCH): requirements-bench.lock | setup
	@test -x .venv-bench/bin/python || .venv/bin/uv venv --quiet --python $(PY) .venv-bench
	@VIRTUAL_ENV=.venv-bench .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements-bench.lock
	@touch $@

bench-scale: setup ## Measure runs that find nothing new among 100,000 to 1,000,000 keys (ARGS="--rounds 5 --keys 100000,300000")
	@$(DEV) run --services -- $(PY) -m bench.scale $(ARGS)

bench-api: setup ## Measure how many requests the API takes on one core, and how late it shows facts (ARGS="--seconds 5")
	@$(PY) -m bench.api $(ARGS)

bench-freshness: setup ## Measure how long a file takes from landing to being queried (ARGS=1000 for so many objects)
	@$(DEV) run --services -- $(PY) -m bench.freshness $(ARGS)

bench-slots: setup ## Measure 8 executor slots on 4 tables and on 1, beside 1 slot: throughput, conflicts, waits (ARGS="--slots 1,8 --rounds 1")
	@AUTOLOADER_DEV_SPARK_PEAK=1 $(DEV) run -- $(PY) -m bench.slots $(ARGS)

# Stories and other tests side by side (tests/conftest.py); what is long begins first, unit tests fill what is left.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

test: setup ## Run the tests on the real stack (ARGS="..." for pytest); stops only what it started
	@$(DEV) run --services -- $(PY) -m pytest $(SIDE_BY_SIDE) $(ARGS)

contract: setup ## What adapters and their fakes promise, each held against the real part: every format, option and table (ARGS="..." for pytest)
	@$(DEV) run -- $(PY) -m pytest $(SIDE_BY_SIDE) tests/contract $(ARGS)

property: setup ## The properties over new examples (MINUTES=5, SEED=; ARGS="..." for pytest); the tests take the same ones each time
	@MINUTES="$(MINUTES)" SEED="$(SEED)" $(PY) -m tests.property $(ARGS)

faults: setup ## The whole fault catalogue on real processes (NEGATIVE=1: prove that it sees duplicates; LARGE=1: 2 GB, 100,000 files; ARGS="..." for pytest)
	@$(DEV) run -- $(PY) -m tests.faults $(if $(NEGATIVE),--negative) $(if $(LARGE),--large) $(ARGS)

soak: setup ## Random faults of all kinds at once, then the oracle (MINUTES=30, SEED=; CALM=1: no faults, does memory grow?; NEGATIVE=1: must find duplicates)
	@MINUTES="$(MINUTES)" SEED="$(SEED)" NEGATIVE="$(NEGATIVE)" CALM="$(CALM)" $(DEV) run -- $(PY) -m tests.soak

fuzz: setup ## 2,000 and more made-up requests to a real API: no 5xx, nothing undocumented (ARGS="--seed=1" for schemathesis)
	@$(DEV) run -- $(PY) -m tests.fuzz $(ARGS)

model: setup ## 100,000 steps of made-up trouble over the services' code in memory (SEED=, STEPS=; NEGATIVE=1: must find what is broken)
	@NEGATIVE="$(NEGATIVE)" SEED="$(SEED)" STEPS="$(STEPS)" $(PY) -m tests.model

check: lint types imports verify ## All checks that need no running stack

fmt: setup ## Format the code and fix what can be fixed
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

lint: setup ## Style and common mistakes
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet . || { echo "not formatted: run make fmt"; exit 1; }

types: setup ## mypy, strict
	@$(PY) -m mypy $(SOURCES)

imports: setup ## Who may import whom
	@.venv/bin/lint-imports

verify: setup ## What is written down twice still says the same
	@$(PY) -m pytest -q tests/unit -k in_step

LOCK = env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(UV) pip compile pyproject.toml --quiet --generate-hashes --universal \
	--python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

docs: setup ## Write the generated pages of docs/reference anew
	@$(PY) docs/generate.py

lock: $(PY) ## Pin the newest allowed versions of all packages, with hashes
	@$(LOCK) --upgrade --extra devstack -o requirements.lock
	@$(LOCK) --upgrade --extra devstack --extra dev -c requirements.lock -o requirements-dev.lock
	@$(LOCK:pyproject.toml=--group bench) --upgrade -o requirements-bench.lock

$(PY):
	@$(MAKE) --no-print-directory setup

clean: ## Remove what tools left in the clone (downloads and data are elsewhere: autoloader dev reset)
	@rm -rf .venv .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
