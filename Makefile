# `make demo` and `make test` do all the set-up they need: Python 3.11 or newer and make are enough.

SUITABLE = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3 python3.12 python3.13; do \
  $$python $(SUITABLE) 2>/dev/null && command -v $$python && break; done)
endif
BIN := .venv/bin

.PHONY: setup test test-all parity check docs demo lock clean

setup: .venv/ready

# The stamp is newer than what it was made from, so a second `make setup` takes no time.
.venv/ready: requirements.lock setup.cfg pyproject.toml
	@$(or $(PYTHON),false) $(SUITABLE) 2>/dev/null || { echo "Python 3.11 or newer is needed and" \
	  "was not found. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
	  exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

# Two tests at a time or more, by the cores there are; each process takes about 2 GB.
test: setup
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 -m "not slow and not parity"

test-all: setup
	$(BIN)/python -m pytest -m "not parity"

# torch and transformers are installed beside the locked versions, which stay as they are.
.venv/parity-ready: .venv/ready
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint requirements.lock \
	  --editable '.[parity]'
	touch $@

parity: .venv/parity-ready
	$(BIN)/python -m pytest -m parity

# What makes the site and runs its notebook, beside the locked versions as well.
.venv/docs-ready: .venv/ready
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint requirements.lock \
	  --editable '.[docs]'
	touch $@

# build/site/index.html; a broken link or anchor is an error. Its notice is about a version 2 of
# MkDocs that setup.cfg keeps out.
docs: .venv/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" bash launch/local/demo.sh

# The newest versions that setup.cfg allows, found in an environment of its own.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade 'setuptools>=77' '.[dev]'
	{ sed -n '/^#/p' requirements.lock; \
	  build/lock/bin/python -m pip freeze --all --exclude pip --exclude t5x_lite; } > build/lock.txt
	mv build/lock.txt requirements.lock

clean:
	rm -rf .venv build dist demo *.egg-info .pytest_cache .ruff_cache .mypy_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
