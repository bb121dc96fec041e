# make demo, make test, make bench: each sees to its own environment in .venv first.
#
#   PYTHON=python3.12        the interpreter that .venv is made with (3.11 or newer)
#   TORCH_ARGS="--index-url URL"   where another build of torch comes from (CUDA, ROCm, CPU only)
#   SCAN=folder REFERENCE=file     a real scan for make demo, and what its mask is compared with
#   DEMO_OUTPUT=demo_output        where make demo writes

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
TORCH_ARGS ?=
DEMO_OUTPUT ?= demo_output

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
SOURCES := GANSegmentationLib GANSegmentation Testing benchmarks tools
LINTED = $(wildcard $(SOURCES))
BENCHMARKS = $(shell grep -l '__name__ == "__main__"' benchmarks/*.py)

# 3D Slicer 5.10, which the module still supports, ships older versions; not part of make test, for it needs a second
# environment of its own.
OLD_VENV := .venv-slicer-5.10
OLD_PINS := numpy==2.0.2 scipy==1.13.1 pydicom==2.4.4
OLD_ROOMS := volumes slicing metrics networks models reports inference protocol worker

.PHONY: help demo test test-slicer-5.10 lint bench clean environment

help:  ## Show what can be made
	@grep -hE '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9.-]+):.*## */  make \1\t/' | expand -t 28

demo: $(VENV)/.installed-base  ## Segment a synthetic patient (or SCAN=folder [REFERENCE=file]) and show the result
	@$(BIN)/ganseg demo --output "$(DEMO_OUTPUT)" $(if $(SCAN),--scan "$(SCAN)") $(if $(REFERENCE),--reference "$(REFERENCE)")

test: lint  ## Run every check that CI runs
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --max-worker-restart 0

lint: $(VENV)/.installed-dev  ## Check style, types and the floors of the library
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slicer-5.10: $(OLD_VENV)/.installed  ## Run the library's tests with what 3D Slicer 5.10 ships
	$(OLD_VENV)/bin/python -m pytest -p no:cacheprovider $(addprefix Testing/,$(OLD_ROOMS))

bench: $(VENV)/.installed-dev  ## Time the library against its peers; results in benchmarks/results
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python "$$script"; done

environment: $(VENV)/.installed-dev  ## Make .venv with everything that developers need

clean:  ## Remove what make made: .venv, caches, the demo's output
	rm -rf $(VENV) $(OLD_VENV) build dist demo_output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(LINTED) -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment comes in two steps: what segments (enough for the demo), then what tests. torch comes first, alone:
# it is the largest, and the one package that may have to come from elsewhere.
$(VENV)/.installed-base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); the tested versions need Python 3.11 or newer. Say which: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing torch"
	@$(PIP) $(TORCH_ARGS) torch
	@echo "Installing the library and what it needs"
	@$(PIP) --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-base system-packages.txt
	@tools/system_packages.sh
	@echo "Installing what the tests need"
	@$(PIP) --quiet --editable '.[dev,slicer-test]'
	@touch $@

$(OLD_VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(OLD_VENV)/bin/python || $(PYTHON) -m venv $(OLD_VENV)
	@grep -vE '^(numpy|scipy|pydicom|highdicom)==' constraints.txt > $(OLD_VENV)/constraints.txt
	@printf '%s\n' $(OLD_PINS) >> $(OLD_VENV)/constraints.txt
	@$(OLD_VENV)/bin/python -m pip install --quiet --constraint $(OLD_VENV)/constraints.txt $(TORCH_ARGS) torch
	@$(OLD_VENV)/bin/python -m pip install --quiet --constraint $(OLD_VENV)/constraints.txt \
		--editable '.[train]' $(OLD_PINS) pytest pytest-timeout hypothesis
	@touch $@
