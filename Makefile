# Two commands need nothing but Python and pip: `make demo` and `make test`. Each makes $(VENV), installs, and runs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Without an NVIDIA GPU the constraints keep pip from fetching several GB of CUDA libraries.
CONSTRAINTS := $(if $(shell command -v nvidia-smi),,-c constraints.txt)
WORKERS ?= 2

.PHONY: demo test check format clean help

help:
	@echo "make demo    the whole way on the rendered street: people, training, a number, pictures (in ./demo)"
	@echo "make test    format, lint, types, tests"
	@echo "make format  put the code into its format"
	@echo "make clean   remove $(VENV)"

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable ".[all]" --group dev
	touch $@

demo: $(BIN)/.installed
	$(BIN)/passerby demo --out demo

check: $(BIN)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

format: $(BIN)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
