# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OFFLINE := 'pip installed nothing, for the reason above; without a network install the wheelhouse of a \
release: docs/install.md, As a package'
# A virtual environment that python3 could not finish must not be taken for one.
.DELETE_ON_ERROR:

.PHONY: demo test coverage lint docs results bundle clean

demo: $(VENV)/runtime            ## the whole pipeline on the bundled sample
	@echo 'A recognizer of English, downloaded once (56 MB) ...'
	@$(VENV)/bin/mera-edge models pull moonshine-tiny-en \
		|| echo 'The demo goes on without it: its words come from the bundled recognizer alone.'
	@echo 'Playing the bundled sample through all models ...'
	@$(VENV)/bin/mera-edge demo --report build/demo.html

test: lint                       ## every check and every test
	$(VENV)/bin/python -m pytest --numprocesses=2 --dist=loadfile

coverage: $(VENV)/dev            ## which lines of mera_edge its tests run
	$(VENV)/bin/python -m pytest -q tests/edge --cov --cov-report=term

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/dev                ## the documentation, into build/site
	$(VENV)/bin/mkdocs build --strict

results: $(VENV)/dev             ## the pages, cards and tables that follow from the checkpoints
	$(VENV)/bin/mera-edge results pages

bundle: $(VENV)/dev              ## the default bundle: train/checkpoints in INT8; DATA=DIR has the corpora
	@test -n '$(DATA)' || { echo 'INT8 is compared with full precision: run make bundle DATA=DIR' >&2; exit 2; }
	$(VENV)/bin/mera-edge calibrate --data '$(DATA)' --out calibration/ranges
	$(VENV)/bin/mera-edge export --int8 --data '$(DATA)' --calibration calibration/ranges \
		--report build/int8 --out edge/mera_edge/bundle/default

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import struct, sys; v = sys.version_info[:2]; \
		v < (3, 10) and sys.exit(f"Python {v[0]}.{v[1]} is too old: run make PYTHON=python3.10 or newer, to 3.13"); \
		v > (3, 13) and sys.exit(f"Python {v[0]}.{v[1]} is not supported: run make PYTHON=python3.13 or older"); \
		struct.calcsize("P") < 8 and sys.exit("32-bit systems are not supported: install the 64-bit operating system")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo 'Installing the runtime into $(VENV), 500 MB ...'
	@$(PIP) --editable . || { echo $(OFFLINE) >&2; exit 1; }
	touch $@

$(VENV)/dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo 'Installing the development set into $(VENV) ...'
	@$(PIP) --editable '.[dev]' || { echo $(OFFLINE) >&2; exit 1; }
	touch $(VENV)/runtime $@
