PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test processes side by side, at most eight: one a core for what trains nothing, one more for everything, which often waits for a browser, a
# database or a process of its own. `make test WORKERS=0` runs everything in one.
CORES := $(shell $(PYTHON) -c "import os; print(min(7, os.cpu_count() or 1))")
fast: WORKERS ?= $(CORES)
test: WORKERS ?= $(shell expr $(CORES) + 1)
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Where this is set nothing compiled is kept, and each process that imports torch compiles it anew, for some 15 seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo fast test test-labelstudio check docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -q boxwise
	touch $@

demo: install
	$(BIN)/boxwise demo

# Everything that trains no network, opens no browser and takes no half second.
fast: install
	$(PYTEST) -m "not slow"

# Everything.
test: install
	$(PYTEST)

# A Label Studio of its own (1 GB, a minute to install), on loopback; BOXWISE_RECORD=1 renews the answers that `make test` replays.
test-labelstudio: install .venv-labelstudio/.installed
	BOXWISE_LABEL_STUDIO=$(CURDIR)/.venv-labelstudio/bin/label-studio $(BIN)/python -m pytest -s tests/labelstudio

.venv-labelstudio/.installed:
	test -x .venv-labelstudio/bin/python || $(PYTHON) -m venv .venv-labelstudio
	$(BIN)/uv pip install --quiet --python .venv-labelstudio/bin/python label-studio==1.23.2
	touch $@

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site in build/site; a broken link, or a page that is in no menu, is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-labelstudio runs build dist *.egg-info
