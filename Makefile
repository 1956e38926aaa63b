# `make demo` and `make test` need python3, make and a package index; they build .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
REPORT ?= matchloss-demo.html

unexport PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes: each would compile what it imports anew

.PHONY: demo test test-all lint bench docs ledger clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.installed
	$(BIN)/matchloss demo --report $(REPORT)

test: $(VENV)/test.installed
	$(BIN)/pytest -n auto --dist worksteal

# And the sweeps: every loss, parameter and dtype on every engine and host, and more examples of each property.
test-all: test
	$(BIN)/pytest -n auto --dist worksteal --rest

lint: $(VENV)/lint.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/docs.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/bench.installed
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks

# docs/ledger.md, about the versions that ledger/requirements.txt pins: they replace those in .venv.
ledger: $(VENV)/ledger.installed
	$(BIN)/python -m ledger

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# An unpinned torch pulls gigabytes of CUDA: whatever asks for torch finds the pinned CPU build already there.
$(VENV)/torch.installed: | $(BIN)/python
	$(BIN)/pip install --quiet $(TORCH)
	touch $@

$(VENV)/demo.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/test.installed: pyproject.toml $(VENV)/torch.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/lint.installed: pyproject.toml $(VENV)/test.installed
	$(BIN)/pip install --quiet --editable '.[test,lint]'
	touch $@

$(VENV)/docs.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[demo,docs]'
	touch $@

$(VENV)/bench.installed: pyproject.toml $(VENV)/torch.installed
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/ledger.installed: ledger/requirements.txt $(VENV)/test.installed
	$(BIN)/pip install --quiet --requirement ledger/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) site
