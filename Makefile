# Two commands set everything up: `make demo` and `make test`. Each makes .venv and installs pinned versions first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-full torture bench-teacher bench-train bench-recipes lint constraints clean

demo: $(STAMP)
	$(BIN)/groundling run examples/handbook --out runs/handbook

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

test-full: $(STAMP)
	$(BIN)/python -m pytest

# A hundred SIGKILLs at random moments, under all faults of the wire, and fifty in batch mode: nothing lost, nothing paid twice (about 20 minutes).
torture: $(STAMP)
	$(BIN)/python -m tests.llm.torture --kills 100
	$(BIN)/python -m tests.llm.torture_batch --kills 50

# The teacher engine beside its peers on loopback. Each peer gets a virtual environment of its own, made at the first run.
bench-teacher: $(STAMP)
	$(BIN)/python benchmarks/teacher/run.py

# Training beside TRL and LLaMA-Factory over the same rows: on the CPU, and on a GPU where there is one. LLaMA-Factory gets a virtual environment of
# its own, made at the first run.
bench-train: $(STAMP)
	$(BIN)/python benchmarks/train/speed.py

# Each recipe on a small project of its own: the held-out metric that it is for, before and after training. The table goes into docs/recipes/README.md.
bench-recipes: $(STAMP)
	$(BIN)/python benchmarks/recipes/run.py

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,serve,pdf,search,dev]"
	touch $(STAMP)

# Renew the pins from what is installed and passes the tests. Torch stays at the release whose plain wheel is the CPU build.
constraints: $(STAMP)
	$(BIN)/python -m pip freeze --exclude-editable | grep -iv '^groundling' | sed -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' > constraints.txt

clean:
	rm -rf $(VENV) build dist
