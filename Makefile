# Entry points of this repository. `make` lists the targets.
#
# VENV=PATH    another place for the environment          (make test VENV=/somewhere/venv)
# PYTHON=NAME  another interpreter, 3.11 or newer         (make setup PYTHON=python3.13)
# ARGS=...     more arguments for test, demo, bench ...   (make test ARGS="-k site")

VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --fork-strategy fewest \
  --only-binary :all: --generate-hashes --no-emit-index-url --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup fmt check test faults reliability mutants demo bench devservers devservers-down docs screenshots lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## create the environment and install the pinned packages

$(READY): requirements-dev.lock pyproject.toml scripts/make-venv scripts/fetch-web-assets scripts/web-assets/package-lock.json
	@PYTHON="$(PYTHON)" scripts/make-venv "$(VENV)"
	@echo "Installing the locked packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --no-deps --only-binary :all: --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@$(BIN)/python scripts/fetch-web-assets
	@touch $@

fmt: $(READY) ## format the code and apply automatic lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(READY) ## check formatting, lints, types (Python and JavaScript), import rules and translations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/update-catalog --check
	$(BIN)/python scripts/check-scripts

test: $(READY) ## run all tests except those that break servers (ARGS="-n 0": one after the other)
	$(BIN)/pytest -m "not faults" -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(READY) ## break servers and services on purpose, and count losses (ARGS=--short)
	@scripts/install-servers --all
	$(BIN)/pytest -m faults -n auto --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m tests.faults.matrix $(ARGS)

reliability: $(READY) ## run the whole crash matrix (half an hour) and write docs/reliability.md
	@scripts/install-servers --all
	$(BIN)/python -m tests.faults.matrix --page docs/reliability.md \
	  --json benchmarks/results/reliability.json

mutants: $(READY) ## change the code on purpose, and count what tests notice (ARGS="gate --survivors")
	$(BIN)/python -m tests.mutants $(ARGS)

demo: $(READY) ## turn five real clips into insights
	$(BIN)/trinetra demo $(ARGS)

bench: $(READY) ## run a benchmark (ARGS="pipeline ...")
	$(BIN)/trinetra bench $(or $(ARGS),--help)

devservers: $(READY) ## install if needed, and start, Redis and Kafka on loopback
	@scripts/install-servers
	@$(BIN)/trinetra devservers up $(ARGS)

devservers-down: $(READY) ## stop Redis and Kafka
	@$(BIN)/trinetra devservers down $(ARGS)

docs: $(READY) ## regenerate the generated documents
	$(BIN)/trinetra schema > docs/site.schema.json
	$(BIN)/trinetra events schema > docs/events.schema.json
	$(BIN)/trinetra settings > docs/settings.md
	$(BIN)/python -m tests.web.permissions
	$(BIN)/trinetra metrics --markdown > docs/metrics.md
	$(BIN)/python deploy/grafana/dashboards.py > deploy/grafana/dashboards/trinetra.json

screenshots: $(READY) ## take the pictures of docs/images from the real product in Chromium
	$(BIN)/python -m tests.web.screenshots $(ARGS)

lock: $(READY) ## regenerate the lock files (UPGRADE=--upgrade for the newest; then deploy/lock)
	$(LOCK) $(UPGRADE) --output-file requirements.lock
	$(LOCK) $(UPGRADE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the environment and all generated files
	rm -rf "$(VENV)" mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
