# Two commands are enough: `make conform` (the main job) and `make test`.
# Every tier below also runs alone.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: conform test lint types layers doctest unit proofs live crash-live vectors machines docs test-browser man results lock wheel bench demo-rescue fuzz-nbd test-clients mutants clean

conform: $(READY)
	$(BIN)/writecache conform

test: lint types layers doctest unit proofs live crash-live vectors machines docs man test-browser wheel

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	touch $@

# The versions that development and CI use, with all that they need: made anew from the groups in
# pyproject.toml, in an environment of its own.
lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-lock/bin/python -m pip install --quiet --group dev
	(echo '# Versions for development: a constraints file of pip.  Written by `make lock`.'; \
	  $(VENV)-lock/bin/python -m pip freeze) > constraints.txt
	rm -rf $(VENV)-lock

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python changelog.d/collect.py --check

types: $(READY)
	$(BIN)/mypy

# Imports go one way: spec <- models, spec <- proofs, and impl on top.
layers: $(READY)
	$(BIN)/python tests/layers.py

# The suite that ships for others is left out: it is no doctest, and wants a target.
doctest: $(READY)
	$(BIN)/python -m pytest -q --doctest-modules --doctest-glob="*.md" docs changelog.d spec models proofs impl --ignore=docs/_build --ignore=docs/conf.py --ignore=impl/writecache_impl/linux/guest --ignore=models/writecache_models/conformance/test_conformance.py

# Two hash seeds: nothing may depend on the order of a set.
unit: $(READY)
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -q tests/spec tests/models tests/docs tests/test_layers.py tests/test_kernel_functions.py tests/test_packaging.py
	PYTHONHASHSEED=4711 $(BIN)/python -m pytest -q tests/spec tests/models

# The theorems, their twins, and the executor that proves them.
proofs: $(READY)
	$(BIN)/python -m pytest -q tests/proofs
	$(BIN)/writecache prove

# What boots a real kernel, fetched on first use, and what needs clients of network block devices
# (packages libnbd-bin, qemu-utils, fio, nbdkit-plugin-python).
live: $(READY)
	$(BIN)/python -m pytest -q tests/impl

# Contents that crashes of two live kernels leave: at least 3,000 of them activated by these, too.
crash-live: $(READY)
	$(BIN)/writecache crash --target kernel:sid --resume 200 --resumed 1500 --seconds 300 --seed ci
	$(BIN)/writecache crash --target kernel:bookworm --resume 200 --resumed 1500 --seconds 300 --seed ci

vectors: $(READY)
	$(BIN)/writecache vectors check
	$(BIN)/writecache vectors coverage

# What walks and the explorer reach of the specification: all that they can.
machines: $(READY)
	$(BIN)/writecache fuzz --coverage

# The site: docs/_build/html/index.html.  Warnings are errors; links inside are followed.
docs: $(READY)
	PYTHONPATH=docs $(BIN)/python -m writecache_docs docs/_build/source
	PYTHONPATH=docs $(BIN)/sphinx-build -q -W --keep-going -n -c docs docs/_build/source docs/_build/html
	PYTHONPATH=docs $(BIN)/python -m writecache_docs.links docs/_build/html

# Manual pages, section 8: docs/_build/man.
man: $(READY)
	PYTHONPATH=docs $(BIN)/python -m writecache_docs docs/_build/source
	$(BIN)/sphinx-build -q -W --keep-going -b man -c docs docs/_build/source docs/_build/man
	@ls docs/_build/man | wc -l

# Five live kernels, a minute each: the README's table, and bench/results/conform.json.
results: $(READY)
	$(BIN)/writecache conform --target reference --target kernel:bullseye --target kernel:bookworm \
	  --target kernel:trixie --target kernel:sid --target kernel:bookworm-pmem --seconds 60 --json \
	  > docs/_build/conform.json
	PYTHONPATH=docs $(BIN)/python -m writecache_docs.results docs/_build/conform.json

# The trace explorer in a headless browser (packages chromium, chromium-driver).
test-browser: $(READY)
	$(BIN)/python -m pytest -q tests/browser

# The wheel, installed outside the checkout; and what would be published.
wheel: $(READY)
	tests/published.sh
	tests/wheel.sh

bench: $(READY)
	$(BIN)/python bench/operations.py
	$(BIN)/python bench/engine.py
	$(BIN)/python bench/tools.py
	$(BIN)/python bench/nbd.py

# A live kernel is killed over ext4 on a writecache; check, view, writeback and undo bring the files
# home.  Needs mke2fs, e2fsck and debugfs (package e2fsprogs).
demo-rescue: $(READY)
	$(BIN)/python -m writecache_impl.rescue.demo

# A million mutated requests to the NBD server, each of which must have the reply it is due.
fuzz-nbd: $(READY)
	$(BIN)/python tests/impl/nbd_fuzz.py --requests 1000000

# Real clients of the NBD server, and 50 kills while clients write, 50 more while fio does: what it
# verifies in all is more than 10 GiB.
test-clients: $(READY)
	NBD_KILLS=50 $(BIN)/python -m pytest -q tests/impl/test_nbd_process.py tests/impl/test_nbd_fio.py

# Every mutant, and the reference without each repair: hunted, and explored; exit code 1 where one
# survives the hunt.
mutants: $(READY)
	$(BIN)/python -m writecache_models.mutants

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache .pytest_cache
