# `make demo` and `make test` set up all they need in .venv; PYTHON may name another interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-all bench lint clean

demo: $(READY)
	$(BIN)/python -m experiments.quickstart

test: $(READY)
	$(BIN)/python -m pytest

# What `make test` leaves out: the long forms of tests whose short forms it runs.
test-all: $(READY)
	$(BIN)/python -m pytest -m exhaustive

# Speed beside PyTorch, on what this machine has; writes benchmarks/results/.
bench: $(READY)
	$(BIN)/python -m benchmarks.compare

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf .venv runs build *.egg-info

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,data,demo,test,lint]'
	touch $(READY)
