.DEFAULT_GOAL := help
.PHONY: help setup run test test-system test-servers check check-types check-rest fmt lock bench soak screenshots

PYTHON ?= python3
PY := .venv/bin/python
# Bytecode is written by what imports a module: of most of the packages' modules nothing ever does.
PIP := $(PY) -m pip install --disable-pip-version-check --no-compile --require-hashes --progress-bar off
PYTEST ?= $(PY) -m pytest
PEERS ?=
COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
# The settings without which production does not start. Only checks use them.
PRODUCTION := DJANGO_SETTINGS_MODULE=marketdata_project.settings.production SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(64))')

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

# $(call install,FILE): runs pip, and says every four seconds how far it is. What pip prints is in .venv/pip.log.
define install
	@echo "Installing the $$(grep -c '==' $(1)) packages of $(1)"; \
	( while sleep 4 && kill -0 $$$$ 2>/dev/null; do \
		echo "  $$(grep -cE '^(Collecting|Processing)' .venv/pip.log) fetched, $$(ls -d .venv/lib/python*/site-packages/*.dist-info | wc -l) installed"; done ) & ticker=$$!; \
	$(PIP) -r $(1) >.venv/pip.log; status=$$?; kill $$ticker; exit $$status
endef

setup: .venv/.installed  ## make .venv with what the server runs on

# Prints the version of a Python that is new enough, such as 3.11; of an older one an empty line.
PRINT_VERSION := import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "")
# The version of .venv. It has no pip if its Python was replaced by another version.
VENV_VERSION := $(shell $(PY) -c 'import pip; $(PRINT_VERSION)' 2>/dev/null)
# A PYTHON that is given must have that version. Otherwise a .venv of any new enough Python stays.
ASKED_VERSION := $(if $(filter file,$(origin PYTHON)),$(VENV_VERSION),$(shell $(PYTHON) -c '$(PRINT_VERSION)' 2>/dev/null))
ifeq ($(and $(VENV_VERSION),$(filter $(VENV_VERSION),$(ASKED_VERSION))),)
.PHONY: .venv/bin/python
.venv/.installed: .venv/bin/python
endif

.venv/bin/python:
	@[ -n "$$($(PYTHON) -c '$(PRINT_VERSION)' 2>/dev/null)" ] || { \
		echo "Python 3.11 or newer is needed. $(PYTHON) is not: $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 run" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt requirements-charts.txt clients/python/pyproject.toml | .venv/bin/python
	$(call install,requirements.txt)
	@$(PIP) --quiet --no-deps -r requirements-charts.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable clients/python
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(call install,requirements-dev.txt)
	@touch $@

run: setup  ## set up, then run every process in the foreground until Ctrl-C
	@exec $(PY) manage.py serve

# Many processes share compiled modules: so bytecode is written, whatever the environment says.
run test test-system test-servers soak screenshots bench: export PYTHONDONTWRITEBYTECODE =

test: .venv/.installed-dev  ## run the tests without the system suites
	@echo "Testing"
	@$(PYTEST) -n 2 --dist loadgroup --durations 20 -m "not system" $(addprefix --ignore=tests/,browser faults hostile system)

# The groups that share a server take longest, and begin first; the many short ones fill what is left. Modules without a
# system test are not imported: that takes 15 s.
SYSTEM_TESTS = tests/browser tests/hostile tests/store/test_conformance_*.py tests/system tests/faults \
	$$(grep -rl --include='test_*.py' 'mark\.system' tests clients/python/tests)

# These wait at times: three at once for two cores. With four, calls waited ten seconds and more.
test-system: .venv/.installed-dev  ## run the system suites: real processes, faults, hostile clients
	@echo "Testing real processes"
	@$(PYTEST) -n 3 --dist loadgroup --no-loadscope-reorder --maxfail 15 --durations 20 -m system $(SYSTEM_TESTS)

test-servers: .venv/.installed-dev  ## run the tests over PostgreSQL, those of market data over ClickHouse, too
	@echo "Testing over PostgreSQL"
	@$(PY) -m tests.system.run_on_servers -n 2 --dist loadgroup -m "not system"
	@echo "Testing over PostgreSQL and ClickHouse"
	@$(PY) -m tests.system.run_on_servers --clickhouse -n 2 --dist loadgroup -m "not system" \
		tests/stats/ohlc tests/trades/ingest tests/trades/corrections tests/trades/instruments

# Tests that measure seconds run last and one at a time, so that other tests do not slow them.
soak: .venv/.installed-dev  ## run all tests with full counts
	@echo "Testing with full counts"
	@SOAK=1 $(PYTEST) -n 2 --dist loadgroup -m "not seconds"; outcome=$$?; \
		echo "Testing promises in seconds, alone"; \
		SOAK=1 $(PYTEST) -m seconds && exit $$outcome
	@$(MAKE) --no-print-directory test-servers

screenshots: .venv/.installed-dev  ## take the pictures of docs/images, with the sample and a browser
	@DJANGO_SETTINGS_MODULE=marketdata_project.settings.test $(PY) -m tests.browser.take_pictures

check: check-types check-rest  ## formatting, lint, types, imports, deployment, migrations, schema

check-types: .venv/.installed-dev
	@echo "Types"; $(PY) -m mypy .

check-rest: .venv/.installed-dev
	@echo "Formatting"; $(PY) -m ruff format --check --quiet .
	@echo "Lint"; $(PY) -m ruff check --quiet .
	@echo "Imports between apps"; .venv/bin/lint-imports
	@echo "The client for threads"; $(PY) clients/python/unasync.py --check
	@echo "Imports of the client"; cd clients/python && ../../.venv/bin/lint-imports
	@echo "Deployment"; $(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING
	@echo "Migrations"; $(PY) manage.py makemigrations --check --dry-run
	@echo "OpenAPI documents"; $(PY) -m tests.openapi_snapshot --check

fmt: .venv/.installed-dev  ## format the code and mend what lint can mend
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format .

lock: .venv/.installed-dev  ## compile requirements*.txt anew from requirements*.in
	@echo "Locking requirements.txt"; $(COMPILE) -o requirements.txt requirements.in
	@echo "Locking requirements-dev.txt"; $(COMPILE) -o requirements-dev.txt requirements-dev.in
	@echo "Locking requirements-bench.txt"; $(COMPILE) -o requirements-bench.txt requirements-bench.in
	@echo "Locking requirements-bench-backtests.txt"; $(COMPILE) -o requirements-bench-backtests.txt requirements-bench-backtests.in

.venv-bench/.installed .venv-bench-backtests/.installed: .venv-%/.installed: requirements-%.txt
	@echo "Installing $<"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Without a network the ratios that need the peers' packages are left out.
bench: .venv/.installed  ## measure ratios against peers (PEERS=folder) and limits
	@$(MAKE) --no-print-directory .venv-bench/.installed .venv-bench-backtests/.installed || echo "The peers' packages could not be installed"
	@PEERS="$(PEERS)" $(PY) -m benchmarks $(OPTIONS)
