# Every target sets up what it needs in .venv and runs there; a second call installs nothing.
# `make help` lists the targets.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
DEMO_OUTPUT := demo-output
# One process per core, so each keeps to one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint docs bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: $(VENV)/.installed-examples ## run the quick start on real data; plots go to demo-output/
	$(BIN)/python examples/quickstart.py $(DEMO_OUTPUT)

test: $(VENV)/.installed-test ## run the tests and the doctests, without the slow ones
	$(PYTEST)

test-slow: $(VENV)/.installed-test ## run the slow tests
	$(PYTEST) -m slow

lint: $(VENV)/.installed-dev ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-docs ## build the site into docs/_build/html, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "The site is docs/_build/html/index.html"

bench: $(VENV)/.installed-bench ## run the benchmarks beside other packages
	$(BIN)/python -m benchmarks

clean: ## remove .venv, caches and everything built
	rm -rf $(VENV) build dist $(DEMO_OUTPUT) docs/_build docs/auto_examples docs/generated
	rm -rf .mypy_cache .pytest_cache .ruff_cache docs/sg_execution_times.rst
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: install one, or name it with PYTHON=..." >&2; exit 1; }
	@echo "Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing sksparse[$*] into $(VENV) (minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]" -c constraints.txt
	@touch $@
