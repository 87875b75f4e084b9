# `make demo` shows bytegraph at work, `make test` runs its tests; `make tiny`, `make quick` and `make affected` run some
# of them (see CONTRIBUTING.md). Each target creates .venv if it is missing and installs what it needs; stamp files in
# .venv keep later runs quick.
#
#   PYTHON=...      the interpreter that the virtual environment is made with (python3.11)
#   TORCH=...       the version of torch (2.13.0); each other pair has an environment of its own, .venv-PYTHON-torchTORCH
#   TORCH_FLAGS=... flags of the pip command that installs torch, such as the index of CPU builds
#   DEVICE=...      a device that the tests of tests/test_devices.py run on as well, such as cuda
#   JOBS=...        number of processes that run the tests
#   BASE=...        what `make affected` compares with (main)
#   ARGS=...        further arguments for pytest, the demo or the benchmarks

PYTHON ?= python3.11
TORCH ?= 2.13.0
TORCH_FLAGS ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BASE ?= main
DEVICE ?=
ARGS ?=
export DEVICE
# Without compiled files, each run would spend ten seconds on compiling the tests.
export PYTHONDONTWRITEBYTECODE :=

PAIR := $(notdir $(PYTHON))-torch$(TORCH)
VENV := $(if $(filter python3.11-torch2.13.0,$(PAIR)),.venv,.venv-$(PAIR))
BIN := $(VENV)/bin
# The pairs that `make matrix` tests; the usual one last, for which the extensions are built in the end. Other pairs are
# installed all the same, without the dependencies that would ask for another torch.
MATRIX := python3.11-torch2.14.1 python3.12-torch2.13.0 python3.13-torch2.13.0 python3.11-torch2.13.0
EDITABLE := $(if $(filter $(MATRIX),$(PAIR)),,--no-deps --ignore-requires-python) --no-build-isolation --editable .
# An interpreter of pyenv's does not run under its plain name where another version is the chosen one.
INTERPRETER = $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null \
	|| ls $(HOME)/.pyenv/versions/*/bin/$(notdir $(PYTHON)) 2>/dev/null | sort -V | tail -n 1)
# Extensions lie beside the sources, one for each Python: another torch for the same Python builds them again.
BUILT_FOR := build/torch-of-$(notdir $(PYTHON))
$(shell mkdir -p build; test "$$(cat $(BUILT_FOR) 2>/dev/null)" = "$(TORCH)" || echo "$(TORCH)" > $(BUILT_FOR))
# What pip fetches takes minutes: it says what it does.
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c $(VENV)/constraints.txt
NATIVE := $(wildcard tracer/dispatch/native/* passes/record/native/* passes/native/*) tracer/guards/source.py tracer/guards/checks.py

# Installed without their dependencies, which would pull in torchvision and with it another build of torch.
ZOO := vit-pytorch==1.26.11 x-transformers==2.31.10 torch-einops-utils==0.2.0
ZOO_NEEDS := einops einx loguru packaging
BENCH_NEEDS := 'rich>=13' 'transformers>=5,<6' 'pyarrow>=20' 'duckdb>=2' 'typer>=0.15' expecttest $(ZOO_NEEDS)
TEST_NEEDS := 'pytest>=8' 'pytest-xdist>=3' 'hypothesis>=6' 'safetensors>=0.4' 'matplotlib>=3.8' \
	'nbclient>=0.10' 'nbformat>=5.10' 'ipykernel>=6.29' 'pdoc>=15' 'dask>=2024.1' 'distributed>=2024.1' 'build>=1'

.PHONY: demo tiny quick lane matrix environment affected screenshots test cpython fuzz native-asan installed lint bench docs pages rulebook format clean zoo
.DELETE_ON_ERROR:

demo: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.demo $(ARGS)

TINY := tests/test_tiny.py tests/test_architecture.py tests/test_graph_show.py tests/test_code_emit.py

tiny: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 0 $(ARGS) $(TINY)

quick: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

# What is tested on each pair of Python and torch: quick, and all of what knows the bytecode and the frames of CPython.
LANE := $(wildcard tests/test_code_*.py tests/test_resume*.py tests/test_conformance*.py tests/test_guards*.py) \
	tests/test_hook.py tests/test_dispatch.py

lane: quick
	$(BIN)/python -m pytest -n $(JOBS) -m slow $(LANE)

# Every pair, each in its environment; fails where one cannot be made, too.
matrix:
	for pair in $(MATRIX); do \
		$(MAKE) lane PYTHON=$${pair%-torch*} TORCH=$${pair##*-torch} || exit 1; \
	done

# The virtual environment with all that is to be fetched, which takes minutes and no look at the tree.
environment: $(VENV)/torch.stamp
	$(PIP) $(BENCH_NEEDS) $(TEST_NEEDS)
	$(PIP) --no-deps $(ZOO)

affected: $(VENV)/test.stamp
	$(BIN)/python -m tests.affected --base $(BASE) -n $(JOBS) $(ARGS)

screenshots: $(VENV)/test.stamp
	$(BIN)/python -m tests.screenshots

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# CPython's own tests, each plain and captured: all modules in an hour, ARGS=--sample for the fixed sample of .ci/run.
cpython: $(VENV)/test.stamp
	$(BIN)/python -m tests.cpython --jobs $(JOBS) $(ARGS)

# Random programs, plain and captured: 2,000, or ARGS="--programs 100000 --seed 1000" for more and others.
fuzz: $(VENV)/test.stamp
	$(BIN)/python -m tests.fuzz --jobs $(JOBS) $(ARGS)

# The tests of the C++ code, with extensions that AddressSanitizer and UBSan watch, in a copy of the tree.
native-asan: $(VENV)/test.stamp
	$(BIN)/python -m tests.sanitized -n $(JOBS) $(ARGS)

# `python -m build`, the wheel in a new virtual environment below build/, and what a new user tries first there.
installed: $(VENV)/test.stamp
	$(BIN)/python -m tests.installed

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(ARGS)

# Programs of public libraries, plain against captured, beside TorchDynamo: writes docs/zoo.md. Libraries that are not
# installed are named and left out; ARGS="--library kornia" runs one.
zoo: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.zoo $(ARGS)

# The API reference as HTML, build/docs/bytegraph.html, from the docstrings of all public names.
docs: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.reference

# Rewrites the parts of README.md and docs/ that programs print; tests/test_snapshots.py compares them.
pages: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks --pages

# Builds the next rulebook to ship, build/rules/book. Existing corpora and rules of operators already studied are kept.
# An operator whose study failed is studied once more. The rules of the first book are checked on calls that they were not
# learned from; the operators that they got wrong are studied again with another seed. Merging keeps the better rules for
# each operator, those of the shipped book among them. Then they are tried in what they lack, and last, answers are
# withdrawn that trials of tensors beside each other, or recorded calls, contradict: narrowing the book once more gives the
# same book. Its title says under which other default dtypes its rules were tried.
SOURCES := opinfo modules usage models
CORPORA := $(SOURCES:%=build/rules/%)
SHIPPED = $(shell $(BIN)/python -c "from passes.rules.book import shipped_folder; print(shipped_folder())")
INFER := $(BIN)/python -m tracer infer $(CORPORA) $(ARGS)

rulebook: $(VENV)/bench.stamp
	for source in $(SOURCES); do \
		test -d build/rules/$$source \
		|| $(BIN)/python -m tracer record $$source -o build/rules/$$source --level aten --level function --jobs $(JOBS) \
		|| exit 1; \
	done
	$(INFER) -o build/rules/first --siblings --held-out 0.2 || $(INFER) -o build/rules/first --siblings --held-out 0.2
	$(INFER) -o build/rules/second --siblings --imperfect-in build/rules/first --seed 1 --terms 1600000
	rm -rf build/rules/merged build/rules/kept build/rules/wide build/rules/book
	$(BIN)/python -m tracer rules merge build/rules/first build/rules/second $(CORPORA) -o build/rules/merged
	$(BIN)/python -m tracer rules merge build/rules/merged $(SHIPPED) $(CORPORA) -o build/rules/kept
	$(BIN)/python -m tracer rules widen build/rules/kept $(CORPORA:%=--corpus %) -o build/rules/wide
	$(BIN)/python -m tracer rules narrow build/rules/wide $(CORPORA:%=--corpus %) -o build/rules/book
	$(BIN)/python -m tracer rules defaults build/rules/book

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/lint.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-* build *.egg-info tracer/*.so passes/record/*.so .pytest_cache .ruff_cache .hypothesis

$(VENV)/venv.stamp:
	@test -n "$(INTERPRETER)" || { echo "bytegraph needs Python 3.11, 3.12 or 3.13: install it, or set PYTHON=/path/to/python3.11"; exit 1; }
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' || { echo "bytegraph needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another version"; exit 1; }
	test -x $(BIN)/python || $(INTERPRETER) -m venv $(VENV)
	echo "torch==$(TORCH)" > $(VENV)/constraints.txt
	@touch $@

$(VENV)/torch.stamp: $(VENV)/venv.stamp
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) $(TORCH_FLAGS) torch==$(TORCH)
	$(PIP) 'setuptools>=77' wheel ninja numpy 'networkx>=3' 'rich>=13' 'typer>=0.15'
	@touch $@

$(VENV)/build.stamp: $(VENV)/torch.stamp pyproject.toml setup.py $(NATIVE) $(BUILT_FOR)
	@command -v $(firstword $(CXX)) >/dev/null || { echo "bytegraph needs $(firstword $(CXX)) to build its extension: install it (Debian: apt-get install g++)"; exit 1; }
	$(PIP) $(EDITABLE)
	@$(BIN)/python -m compileall -q bytegraph.py tracer passes backends
	@touch $@

$(VENV)/bench.stamp: $(VENV)/build.stamp Makefile
	$(PIP) $(BENCH_NEEDS)
	$(PIP) --no-deps $(ZOO)
	@touch $@

$(VENV)/test.stamp: $(VENV)/bench.stamp
	$(PIP) $(TEST_NEEDS)
	@touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp Makefile
	$(PIP) 'ruff>=0.6' 'pyright[nodejs]>=1.1.380'
	@touch $@
