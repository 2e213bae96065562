PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test test-labelstudio check clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/boxwise demo

test: install
	$(BIN)/python -m pytest

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

clean:
	rm -rf $(VENV) .venv-labelstudio runs build dist *.egg-info
