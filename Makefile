# Evenhand: `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS ?= all
# Test processes. Two cores is what the project promises to work on.
WORKERS ?= 2

# Steps call plain `python`: it must be this environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH
unexport VIRTUAL_ENV
# A run starts Python some twenty times, the tests more often: compiled modules are kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env demo test integration lint style types format portraits clean

help: ## what each target does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

env: $(STAMP) ## make .venv with the pinned packages, or refresh it when the pins changed

$(STAMP): requirements.lock pyproject.toml
	@ok='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'
	if ! [ -x $(BIN)/python ]; then
	  found=
	  for candidate in $(PYTHON) python3.11 python3.12 python3 python; do
	    if "$$candidate" -c "$$ok" >/dev/null 2>&1; then found=$$candidate; break; fi
	  done
	  if [ -z "$$found" ]; then
	    echo "Evenhand needs Python 3.11 or 3.12, and none was found." >&2
	    echo "Install it, or name it: make PYTHON=/path/to/python3.11 ..." >&2
	    exit 1
	  fi
	  echo "Making $(VENV) with $$("$$found" --version)"
	  rm -rf $(VENV)
	  "$$found" -m venv $(VENV)
	fi
	echo "Installing pinned packages into $(VENV) (a first time takes minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[$(EXTRAS)]"
	touch $@

demo: $(STAMP) ## align the embedded small model; print bias before and after
	@DVC_NO_ANALYTICS=1 dvc repro
	evenhand table

# A cold type check takes 40 seconds of one core: it runs beside the tests and is told after them.
test: style ## environment if missing, then every check and every test
	@report=$$(mktemp)
	trap 'rm -f "$$report"' EXIT
	$(MAKE) types >"$$report" 2>&1 & types=$$!
	status=0
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadgroup || status=$$?
	wait $$types || { cat "$$report"; status=1; }
	exit $$status

integration: $(STAMP) ## what needs containers and servers: builds the CPU image, runs on it (root, Debian)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[$(EXTRAS),integration]"
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 infra/images/check.sh python -m pytest -m integration

lint: style types ## format, lint, types and layers, changing nothing

style: $(STAMP)
	@ruff format --check --quiet . || { ruff format --check .; exit 1; }
	ruff check --quiet .

types: $(STAMP)
	@mypy --no-error-summary
	layers=$$(lint-imports --no-logo) || { echo "$$layers"; exit 1; }

format: $(STAMP) ## rewrite the code in the one format
	@ruff format .
	ruff check --fix .

portraits: $(STAMP) ## train the models that ship with the package, from nothing (<= 40 minutes)
	@evenhand portraits build

clean: ## remove what runs and checks made; keeps .venv and the data of finished runs
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
