# The whole project from here. `make demo` shows it working, `make test` proves it.
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := $(shell find ccn_bgp dataplane -name '*.py' -o -name '*.c' -o -name '*.h' -o -name meson.build) \
	meson.build pyproject.toml
TESTS ?= tests

.PHONY: setup install demo demo-down check test test-long bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' Makefile

## make setup      install what is missing and build .venv/bin/ccn (may be run again at any time)
setup: build/.debian $(VENV)/.requirements $(VENV)/.installed

build/.debian: scripts/install-debian.sh
	scripts/install-debian.sh
	@mkdir -p build && touch $@

$(VENV)/.requirements: requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed: build/.debian $(VENV)/.requirements $(SOURCES)
	@mkdir -p build/mesonpy
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --force-reinstall --config-settings=build-dir=build/mesonpy .
	cp build/mesonpy/dataplane/ccn_wire.cdef ccn_bgp/forwarder/
	@touch $@

## make demo       bring up topologies/two-regions.yaml with real packets and print what was seen
demo: setup
	$(VENV)/bin/ccn lab demo topologies/two-regions.yaml

## make demo-down  end the demo without a trace
demo-down:
	$(VENV)/bin/ccn lab down topologies/two-regions.yaml

## make check      formatting, types, layers, unit tests: no root, no DPDK, under a minute
check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	clang-format --dry-run -Werror dataplane/*.c dataplane/*.h
	$(VENV)/bin/pytest -q -n 2 -m 'not long' tests/unit tests/errors tests/golden

## make test       every test, real peers and real packets included (at most 15 minutes)
test: check
	$(VENV)/bin/meson test -C build/mesonpy --print-errorlogs
	$(VENV)/bin/pytest -q -n 2 tests/property -m 'not long'
	$(VENV)/bin/pytest -q -n 2 --dist loadfile tests/fuzz tests/smoke -m 'not long'

## make test-long  torture, fuzzing and soak
test-long: test
	$(VENV)/bin/pytest -q tests -m long

## make bench      our figures beside the peers', same run
bench: setup
	$(VENV)/bin/ccn bench learn
	$(VENV)/bin/ccn bench verify
	$(VENV)/bin/ccn bench forward
	$(VENV)/bin/ccn bench commit

clean:
	rm -rf build $(VENV)
