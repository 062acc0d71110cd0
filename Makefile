# `make demo` and `make test` set up all they need in .venv; PYTHON may name another interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# JAX for an accelerator: ACCELERATOR=cuda12, cuda13 or tpu; empty, for the CPU alone. Where it is not given, it is
# chosen by the CUDA version that nvidia-smi prints; where nothing is printed, as on a cluster's login node, .venv keeps
# what it has.
ifeq ($(origin ACCELERATOR),undefined)
ACCELERATOR := $(shell nvidia-smi 2>/dev/null | \
	sed -n -e 's/.*CUDA[A-Za-z ]*Version: *12[^0-9].*/cuda12/p' -e 's/.*CUDA[A-Za-z ]*Version: *1[3-9][^0-9].*/cuda13/p')
ACCELERATOR := $(or $(ACCELERATOR),$(patsubst .venv/ready-%,%,$(wildcard .venv/ready-*)))
endif
ifneq ($(filter-out cuda12 cuda13 tpu,$(ACCELERATOR)),)
$(error ACCELERATOR=$(ACCELERATOR) is unknown; give cuda12, cuda13 or tpu, or nothing for the CPU)
endif
READY := .venv/ready$(ACCELERATOR:%=-%)

# PyTorch runs on the CPU, for conversion. On Linux the package index's build of it brings a CUDA of its own, of other
# versions than JAX's, and 3.5 GB more. So builds without CUDA are taken first, from PyTorch's index, where that answers
# within seconds: their versions (2.13.0+cpu) come before the package index's (2.13.0) and satisfy the same constraint,
# and what is installed next finds PyTorch there. TORCH_INDEX may name another index, or none.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
SILENT := $(TORCH_INDEX) does not answer: PyTorch comes from the package index, with 3.5 GB of CUDA on Linux.
ANSWERS := $(BIN)/python -c "import urllib.request as r; r.urlopen('$(TORCH_INDEX)/torch/', timeout=5)" 2>/dev/null

.PHONY: demo evidence check test test-all bench lint docs clean

demo: $(READY)
	$(BIN)/python -m experiments.quickstart

# The study of Fashion-MNIST, hours on two cores; it goes on where it stopped. ARGUMENTS may hold --dry-run or --data DIR.
evidence: $(READY)
	$(BIN)/python -m experiments.benchmark $(ARGUMENTS)

# What to run before each commit; tests/conftest.py says what it leaves out.
check: $(READY)
	$(BIN)/python -m pytest --check

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

# The guides and the API reference as a site, build/docs/index.html; a broken link is an error. The variable silences an
# advertisement.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv runs build *.egg-info

# Two builds of JAX or PyTorch in one environment would be in each other's way: another accelerator is a new .venv.
$(READY): pyproject.toml setup.py constraints.txt
	@echo "Installing into .venv, once: 2.5 GB, some minutes."
	$(PYTHON) -m venv $(if $(filter-out $(READY),$(wildcard .venv/ready*)),--clear) .venv
	@$(if $(TORCH_INDEX),if $(ANSWERS); then $(PIP) --extra-index-url $(TORCH_INDEX) torch torchvision; else echo "$(SILENT)"; fi)
	$(PIP) -e '.[torch,data,demo,test,lint,docs$(ACCELERATOR:%=,%)]'
	touch $@
