# The project's commands; `make` alone shows them. PYTHON is any Python 3.11 or newer with venv; nothing else is needed.
PYTHON ?= python3
ARGS ?=
SEEDS ?= 1
HOURS ?= 0.05
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint types format install lock kafka faults soak bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  ARGS goes to the program: make demo ARGS="--events 20000", make test ARGS="-k policy"'
	@echo '  PYTHON chooses the interpreter: make test PYTHON=python3.13'

demo: $(READY) ## The whole scorer on a real Kafka, with a live view; nothing needs to be set up
	$(BIN)/lead-scorer demo $(ARGS)

test: $(READY) ## All tests, on a real Kafka
	$(BIN)/pytest $(ARGS)

unit: $(READY) ## The tests that need no broker and no registry; seconds
	$(BIN)/pytest tests/unit -m "not kafka and not registry" $(ARGS)

lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check types
	$(BIN)/mypy

format: $(READY) ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(READY) ## Create the virtual environment from the lock file

kafka: $(READY) ## A local Kafka on port 9092 until Ctrl-C; its data stays in out/kafka
	$(BIN)/python -m runtime.local_kafka --port 9092 --dir out/kafka

faults: $(READY) ## Only the tests that break things, each for SEEDS seeds: kills, pauses, lost connections
	FAULT_SEEDS=$(SEEDS) $(BIN)/pytest tests/faults -m "" $(ARGS)

soak: $(READY) ## HOURS of traffic (a few minutes) with a fault each 30 s, watched for leaks; then every invariant
	$(BIN)/python -m benchmarks.soak --hours $(HOURS) $(ARGS)

bench: $(READY) ## All benchmarks, 12 minutes on a quiet machine; docs/benchmarks.md has each alone and how to read it
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(READY) ## Renew the lock files after a change to pyproject.toml (ARGS="--upgrade" for newer versions)
	test -x $(BIN)/uv || $(BIN)/python -m pip install uv
	$(COMPILE) --all-extras pyproject.toml -o requirements-dev.lock $(ARGS)
	$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock

clean: ## Remove all that these targets made; the download cache stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist out *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last: an installation that was interrupted is taken up again.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.11'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo 'The module venv is needed (on Debian: apt install python3-venv)'; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@
