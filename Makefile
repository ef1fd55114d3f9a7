# Two commands do everything: `make demo` and `make test`. Both set up what they need in .venv, and only once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test lint kernels prometheus bench lock clean

# The first Python of 3.11 or newer that really runs.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# As pip does, where there are such: the proxy of a hospital or a company signs with an authority of its own. The second
# is for what fetches Kafka.
AUTHORITIES := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
ifneq ($(AUTHORITIES),)
export UV_SYSTEM_CERTS ?= true
export REQUESTS_CA_BUNDLE ?= $(AUTHORITIES)
endif
SECONDS ?= 0
BEDS ?= 8

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/demo.done ## .venv with the monitor and the embedded Apache Kafka
setup-dev: .venv/dev.done ## the same with everything for tests, training and benchmarks (5 GB: torch)

.venv/bin/uv: locks/uv.txt
	@test -n "$(PYTHON)" || { echo "telebeat needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "this Python cannot make a virtual environment: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

.venv/demo.done: .venv/bin/uv locks/demo.txt pyproject.toml
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r locks/demo.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.done: .venv/bin/uv locks/dev.txt pyproject.toml
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r locks/dev.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ .venv/demo.done

demo: .venv/demo.done ## eight beds at real time on an embedded Apache Kafka, until Ctrl-C (SECONDS=60 BEDS=8)
	@$(BIN)/telebeat demo --beds $(BEDS) $(if $(filter-out 0,$(SECONDS)),--seconds $(SECONDS))

lint: .venv/dev.done ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kernels: .venv/dev.done ## compile the kernels, unless that has been done
	@$(BIN)/python -m stream.warm

prometheus:
	@bash tests/bring_prometheus.sh

# First what keeps one core busy each: two workers of pytest would compile the same kernels side by side. Nor need two
# workers on two cores a team of threads each, which would wait for one another.
test: .venv/dev.done ## style, types, and all tests, with a real Kafka and a real Prometheus
	@$(MAKE) --no-print-directory -j 2 lint kernels prometheus
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

bench: .venv/dev.done ## speed of annotate, same bytes through Kafka, 64 beds: writes benchmarks/results
	$(BIN)/python -m benchmarks.figures

lock: ## resolve all dependencies again
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra demo pyproject.toml locks/build.in -c locks/limits.in -o locks/demo.txt $(LOCK)
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--all-extras pyproject.toml locks/build.in -c locks/demo.txt -c locks/limits.in -o locks/dev.txt $(LOCK)
	echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		- -o locks/uv.txt $(LOCK)

clean: ## remove what `make` made here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
