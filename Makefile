# make demo: install, build the bundled collection, show it.   make test: the tests, offline.   make up: the UIs.
PYTHON ?= python3
SIZE ?= small
BIN := .venv/bin
STAMP := .venv/.installed
export HF_HUB_OFFLINE ?= 1
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: demo test up check format install clean stop

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0 --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	PYTHON_FUNCTIONS=$(SIZE) $(BIN)/vector-assets demo --report .vector_assets-demo.json

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

up: $(STAMP)
	$(BIN)/vector-assets up

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

stop: $(STAMP)
	$(BIN)/vector-assets doctor --stop

clean: stop
	rm -rf .vector_assets .vector_assets-demo.json
