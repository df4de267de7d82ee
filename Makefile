# `make demo` and `make test` do all the set-up they need: make and a Python with a lock are enough.

# What is tested is what has a lock, requirements-3.x.lock: the exact versions for that Python.
VERSIONS := $(sort $(patsubst requirements-%.lock,%,$(wildcard requirements-3.*.lock)))
VENV = .venv
BIN := $(VENV)/bin
VERSION_OF = -c 'import sys; print("%d.%d" % sys.version_info[:2])'

# Of the Pythons $(1) the first that starts and has a lock; python3.x may also be where only pyenv looks.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
choose = $(shell for python in \
  $(foreach python,$(1),$(python) $(patsubst python%,$(PYENV)/%.*/bin/python,$(python))); do \
  version=$$($$python $(VERSION_OF) 2>/dev/null) && test -f requirements-$$version.lock && \
  command -v $$python && break; done)

# Unless PYTHON=... names another one, an environment keeps its Python.
INTERPRETER := $(call choose,$(or $(PYTHON),$(BIN)/python python3.11 python3 python3.12 python3.13))
VERSION := $(if $(INTERPRETER),$(shell $(INTERPRETER) $(VERSION_OF)))
LOCK := $(VERSION:%=requirements-%.lock)
READY := $(VENV)/ready-$(VERSION)

.PHONY: setup test test-all test-newest newest parity pods gcs check docs demo lock clean

setup: $(READY)

# The stamp is newer than what it was made from, so a second `make setup` takes no time.
$(READY): $(LOCK) setup.cfg pyproject.toml
	@test -n "$(VERSION)" || { echo "$(or $(PYTHON),python3) was not found or is another Python than" \
	  "those that have a lock: $(VERSIONS). Install one of them, or name it:" \
	  "make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	$(INTERPRETER) -m venv $(if $(wildcard $(READY)),,--clear) $(VENV)
	$(BIN)/python -m pip install --quiet --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

# Two tests at a time or more, by the cores there are; each process takes about 2 GB. A file is run by
# one process, which makes what its tests share once.
test: setup
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
	  -m "not slow and not parity and not tpu_compiler" $(TESTS)

test-all: setup
	$(BIN)/python -m pytest -m "not parity and not tpu_compiler"

# The tests with the newest Python and the newest versions, in an environment of their own.
NEWEST = $(call choose,python3.13 python3.12)
test-newest:
	$(MAKE) test VENV=.venv-newest PYTHON=$(or $(NEWEST),python3.13)

newest:
	@echo $(NEWEST)

# torch, transformers and CTranslate2 are installed beside the locked versions, which stay as they are.
$(VENV)/parity-ready: $(READY)
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(LOCK) \
	  --editable '.[parity,speed]'
	touch $@

parity: $(VENV)/parity-ready
	$(BIN)/python -m pytest -m parity tests/parity

# The compiler of TPUs (200 MB), with which programs for pods are compiled on any machine, beside them.
$(VENV)/pods-ready: $(READY)
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(LOCK) \
	  --editable '.[plan]'
	touch $@

pods: $(VENV)/pods-ready
	$(BIN)/python -m pytest -m tpu_compiler $(addprefix tests/,model planning pods)

# The client of gs://, with which a whole run is made in an emulated bucket, beside them as well.
$(VENV)/gcs-ready: $(READY)
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(LOCK) \
	  --editable '.[gcs]'
	touch $@

gcs: $(VENV)/gcs-ready
	$(BIN)/python -m pytest tests/storage

# What makes the site and runs its notebook, beside the locked versions as well.
$(VENV)/docs-ready: $(READY)
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(LOCK) \
	  --editable '.[docs]'
	touch $@

# build/site/index.html; a broken link or anchor is an error. Its notice is about a version 2 of
# MkDocs that setup.cfg keeps out.
docs: $(VENV)/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" bash launch/local/demo.sh

# The newest versions that setup.cfg allows, found in an environment of its own. A further Python
# begins with `touch requirements-3.x.lock`.
lock:
	rm -rf build/lock
	$(INTERPRETER) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade 'setuptools>=77' '.[dev]'
	{ sed -n '/^#/p' requirements-3.11.lock | sed 's/3\.11/$(VERSION)/'; \
	  build/lock/bin/python -m pip freeze --all --exclude pip --exclude t5x_lite; } > build/lock.txt
	mv build/lock.txt $(LOCK)

clean:
	rm -rf .venv .venv-newest build dist demo *.egg-info .pytest_cache .ruff_cache .mypy_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
