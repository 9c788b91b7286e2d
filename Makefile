# Each target does its own set-up: it makes .venv from constraints.txt when that is needed.
# Only a Python >= 3.11 has to be there; PYTHON=... picks one.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
GOLDEN ?= ../shared/golden/kube-scheduler
GOLDEN_FGD ?= ../shared/golden/fgd
OPENB ?= ../shared/data/openb

.PHONY: run test lint format golden bench notebooks clean help

help:
	@echo "make run        compare three schedulers (experiments/quickstart.yaml)"
	@echo "make test       all tests"
	@echo "make lint       ruff, mypy, import contracts"
	@echo "make golden     compare with all decisions recorded from kube-scheduler (GOLDEN=...), and with"
	@echo "                all placements and published curves of FGD's paper (GOLDEN_FGD=..., OPENB=...)"
	@echo "make bench      speed and memory, the numbers of README.md"
	@echo "make notebooks  open the notebooks in JupyterLab"
	@echo "make clean      remove .venv, caches and results"

run: $(VENV)/.run
	$(BIN)/schedlab run experiments/quickstart.yaml --out results/quickstart --jobs $(JOBS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/.dev
	$(BIN)/python -m schedlab.testing.golden $(GOLDEN) --jobs $(JOBS)
	$(BIN)/python -m schedlab.testing.golden_fgd $(GOLDEN_FGD) $(OPENB) --jobs $(JOBS)

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/bench -m bench --benchmark-enable -o addopts="--import-mode=importlib" -s

notebooks: $(VENV)/.notebooks
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf $(VENV) results build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.pip: constraints.txt
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 with venv is needed: set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "pip>=25.1"
	@touch $@

$(VENV)/.run: $(VENV)/.pip pyproject.toml
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.pip pyproject.toml
	$(PIP) install --quiet --editable . --group dev
	@touch $@ $(VENV)/.run

$(VENV)/.notebooks: $(VENV)/.dev
	$(PIP) install --quiet --editable ".[notebooks]"
	@touch $@
