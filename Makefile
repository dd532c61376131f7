# make study   run the main example; make test   run the tests. Both make .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
EXTRAS := xsuite,test,docs,bench,dev
STUDY ?= examples/psb/study.toml
PYTEST_ARGS ?=

export SC_BRIDGE_LATTICES ?= ../shared/lattices

.DEFAULT_GOAL := help
.PHONY: help study test test-slow test-gpu lint format docs clean

help:
	@echo "make study | test | test-slow | test-gpu | lint | format | docs | clean"

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing sc_bridge into $(VENV)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing sc_bridge and all its extras into $(VENV)"
	$(INSTALL) -e ".[$(EXTRAS)]"
	@touch $(VENV)/.base $@

study: $(VENV)/.base
	$(BIN)/sc-bridge run $(STUDY)

# one process a core, one thread each
test: $(VENV)/.all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal $(PYTEST_ARGS)

test-slow: $(VENV)/.all
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-gpu: $(VENV)/.all
	$(BIN)/python -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

lint: $(VENV)/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .coverage
