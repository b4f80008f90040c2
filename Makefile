# Roundtrip. A newcomer needs `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
CODE := roundtrip.py schemas service ingest streams sinks console deploy proof tests
FAST := not stack and not browser and not kill
# Compiled modules are kept: without, each of the many processes of a test run compiles all of them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up check test bench kills availability load joining deciding joinerkills readings catalogs chromium schemas lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/ready  ## everything into .venv: Python packages and Kafka's jars

.venv/ready: lock/uv.txt lock/python.txt pyproject.toml deploy/kafka_jars.sha256
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) not found: install Python 3.11 or newer, or say make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: $(PYTHON) is older than 3.11: say make PYTHON=/path/to/newer"; exit 1; }
	@echo "setup: Python packages into .venv (1.3 GB the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python lock/python.txt lock/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m deploy.kafka_jars
	@touch .venv/ready

demo: setup  ## the whole round trip on real traffic: start, play, verify, report (about a minute)
	@$(BIN)/python -m proof.demo $(ARGS)

up: setup  ## the stack on this machine with a sample catalog, until Ctrl-C; ARGS="…" for `roundtrip up`
	@$(BIN)/roundtrip up --catalog deploy/sample_catalog.toml $(ARGS)

check: setup  ## lint, types and the fast tests, under a minute
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal --hypothesis-profile quick -m "$(FAST)" $(ARGS)

test: setup chromium  ## everything: lint, types, all tests with the real Kafka, ClickHouse and browser
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/mypy
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not kill"
	@$(BIN)/python -m pytest -m kill
else
	@$(BIN)/python -m pytest $(ARGS)
endif

bench: setup  ## what it costs: CPU-seconds per 1 000 events and resident memory by process
	@$(BIN)/python -m proof.bench $(ARGS)

kills: setup  ## kill -9 at random moments under load, then every answer is looked for; ARGS="--kills 300 --resume FILE"
	@$(BIN)/python -m proof.kills $(ARGS)

availability: setup  ## Kafka, ClickHouse and the joiner gone for ten minutes; ARGS="--minutes 1 --kind silent"
	@$(BIN)/python -m proof.availability $(ARGS)

load: setup  ## overload by class, slow callers, and what a click costs the collector; ARGS="overload slow cost"
	@$(BIN)/python -m proof.load $(ARGS)

joining: setup  ## what the joiner costs: CPU, memory with millions of transactions, hot keys, a lost state; ARGS="memory"
	@$(BIN)/python -m proof.joining $(ARGS)

deciding: setup  ## what a decision costs: CPU of a case by the shape of its facts, by 10 and by 10 000 offers
	@$(BIN)/python -m proof.deciding $(ARGS)

catalogs: setup  ## what a catalog of 10 000 offers costs: to check, publish and keep, a click by it; ARGS="stack"
	@$(BIN)/python -m proof.catalog_costs $(ARGS)

joinerkills: setup  ## joiner and Kafka killed under load, states lost, replays: the result is compared; ARGS="--kills 100"
	@$(BIN)/python -m proof.joiner_kills $(ARGS)

readings: setup  ## the rules against a second reading of them, on invented histories; ARGS="--histories 100000"
	@$(BIN)/python -m proof.readings $(ARGS)

chromium:
	@tests/chromium.sh

schemas: setup
	@$(BIN)/python -m schemas.json

lock: setup  ## the lock files anew from pyproject.toml, with hashes and without addresses
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-find-links --python-version 3.11 --extra embedded --extra dev -o lock/python.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-find-links --python-version 3.11 -o lock/uv.txt - <<<"uv"

clean:  ## removes .venv, the default stack directory and caches
	@rm -rf .venv .roundtrip .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
