# What a newcomer and a developer run. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check $(if $(WHEELS),--no-index --find-links '$(WHEELS)')
WORKERS ?= 2
PROMPT ?= a large blue star on a yellow background

.PHONY: help
help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Triptych's server and tests need Python 3.11; name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[server]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.server

.PHONY: demo
demo: $(VENV)/.server ## Set up without torch, then make a picture: triptych-demo.png (PROMPT="..." for another)
	$(BIN)/triptych demo "$(PROMPT)" --output triptych-demo.png

.PHONY: setup
setup: $(VENV)/.dev ## Set up everything that tests and checks need (torch and diffusers as well)

.PHONY: test
test: $(VENV)/.dev ## Set up, then run all tests but the slow and the container ones (WORKERS=1: one after the other)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

.PHONY: test-browser
test-browser: $(VENV)/.dev ## The page's tests alone, in Chromium (in `make test` too, where there is one)
	TRIPTYCH_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -m browser

.PHONY: test-slow
test-slow: $(VENV)/.dev ## The tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 1800

.PHONY: test-containers
test-containers: $(VENV)/.dev ## Build the images, run compose.yaml, make a picture (needs a container engine)
	$(BIN)/python -m pytest -m containers --timeout 3600

.PHONY: parity
parity: $(VENV)/.dev ## Compare every family, task and parameter with diffusers, and write the tables of families.md and tasks.md
	$(BIN)/python -m tests.parity

.PHONY: check
check: $(VENV)/.dev ## Formatting, lint, types, and that nothing derived is stale
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src orchestrator services gateway training tools benchmarks examples
	$(BIN)/python tools/generate.py --check

.PHONY: format
format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: $(VENV)/.dev ## Write what is derived: gRPC stubs, Triton's model repository
	$(BIN)/python tools/generate.py

.PHONY: graphs
graphs: $(VENV)/.dev ## Export the graphs that are shipped, or kept for tests, where they are stale (minutes for each UNet)
	$(BIN)/python tools/ship_graphs.py
	$(BIN)/python -m tests.session.kept

.PHONY: score
score: $(VENV)/.dev ## Judge the demo checkpoint on held-out prompts
	$(BIN)/python -m triptych_training score

.PHONY: benchmark
benchmark: $(VENV)/.dev ## All benchmarks, or BENCHMARKS="split-cost ..." (an hour for all, 12 GB of memory)
	@names="$(BENCHMARKS)"; missed=; \
	for name in $${names:-$$($(BIN)/python -c 'from benchmarks.__main__ import BENCHMARKS; print(*BENCHMARKS)')}; do \
	  $(BIN)/python -m benchmarks $$name || missed="$$missed $$name"; \
	done; test -z "$$missed" || { echo "missed:$$missed"; exit 1; }

.PHONY: gpu-check
gpu-check: $(VENV)/.dev ## What the GPU here does, beside diffusers: docs/gpu.md (OPTIONS="--minutes 8"; WHEELS=folder)
	$(BIN)/triptych gpu-check $(if $(WHEELS),--wheels '$(WHEELS)') $(OPTIONS)

.PHONY: dist
dist: $(VENV)/.dev ## Build the wheel and the source distribution: dist/
	$(BIN)/python -m build --no-isolation

.PHONY: clean
clean: ## Remove the environment and caches
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache dist
