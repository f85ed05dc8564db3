# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint bundle clean

demo: $(VENV)/runtime            ## the whole pipeline on the bundled sample
	@$(VENV)/bin/mera-edge models pull moonshine-tiny-en \
		|| echo 'The demo goes on without it: its words come from the bundled recognizer alone.'
	$(VENV)/bin/mera-edge demo --report build/demo.html

test: lint                       ## every check and every test
	$(VENV)/bin/python -m pytest

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bundle: $(VENV)/dev              ## export train/checkpoints into the package's default bundle
	$(VENV)/bin/mera-edge export --checkpoints train/checkpoints --out edge/mera_edge/bundle/default

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $(VENV)/runtime $@
