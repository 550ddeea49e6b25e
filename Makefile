# `make book` and `make test` are all a reader needs; both work from a fresh clone.

# The first Python that is recent enough; override with `make book PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python3.13 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# OpenBLAS picks its kernel by the processor, and a near tie in k-means falls to one side or the other by it. One that
# every x86-64 processor of the last ten years has gives the same figures on all of them.
ifeq ($(shell uname -m),x86_64)
export OPENBLAS_CORETYPE ?= Haswell
endif

# Rooms whose tests take seconds, the chapters as files, and the ledger.
QUICK := $(addprefix tests/test_,$(addsuffix .py,arguments codes data nets intervals charts claims selection doors)) \
	tests/test_recording.py tests/test_book.py -k "not built and not runs and not building and not environment"

.PHONY: book pages test check wheel soak scaling notebooks clean help

book: .venv/installed-book  ## run every chapter and build the book into _build/html
	$(BIN)/python book/build.py

pages: .venv/installed-book  ## build the book from the stored outputs, running no chapter
	$(BIN)/python book/build.py pages

# The package's tests take one thread, since torch's threads wait for each other when chapters need the core.
test: .venv/installed-test  ## run the whole test suite, chapters and built pages included
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python book/counts.py
	@mkdir -p _build
	@echo "The chapters run beside the other tests; what they print follows at the end."
	@$(BIN)/python -m pytest --nbval notebooks > _build/test-chapters.log 2>&1 & chapters=$$!; \
	trap 'kill $$chapters' INT TERM; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests splinelab; package=$$?; \
	wait $$chapters; status=$$?; cat _build/test-chapters.log; \
	exit $$((package | status))

check: .venv/installed-test  ## what a commit should pass: lint, types, counts, quick tests; about a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python book/counts.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" $(QUICK)

wheel: .venv/installed-test  ## build sdist and wheel into dist/, and try the wheel in an environment of its own
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	SPLINELAB_WHEEL=$$(ls dist/*.whl) $(BIN)/python -m pytest -q tests/test_wheel.py

soak: .venv/installed-test  ## maintainers: 3,000 broken files and 100 killed runs; the figures go to the status page
	OMP_NUM_THREADS=1 $(BIN)/python tests/soak.py --files 3000 --kills 100 --write book/soak.json

scaling: .venv/installed-test  ## maintainers: how histograms grow with samples and cores, on full MNIST; for the cost page
	OMP_NUM_THREADS=1 $(BIN)/python book/scaling.py --write book/scaling.json

notebooks: .venv/installed-book  ## maintainers: run the chapters' .py, store outputs and results (NAMES="..." for some)
	$(BIN)/python book/build.py notebooks $(NAMES)

clean:  ## remove what was built; .venv stays
	rm -rf _build build *.egg-info .pytest_cache .ruff_cache .hypothesis

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A .venv that is there already is kept: it may hold a build of PyTorch without GPU libraries.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "splinelab needs Python 3.11 or newer with venv (on Debian: apt install" \
	"python3-venv). Set PYTHON=/path/to/python if it is not on the PATH." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed-book: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e ".[book]"
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e ".[book,test,fast,cluster]"
	@touch $@ .venv/installed-book
