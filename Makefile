# Everything a developer or an operator types, each idempotent. `make help` lists it.
#   make run ARGS="--port 9000"      make setup PYTHON=python3.12      make test ARGS="-k guard"

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --require-hashes --disable-pip-version-check --no-input --timeout 60 --retries 5
LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
# Most tests wait, for browsers and databases: one process more than cores. A file's tests stay in one process, as they
# share servers. The long files come first.
TEST_PROCESSES ?= $(shell expr $$(nproc) + 1)
export PYTHON
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help setup browser test-tools run test lint fmt types bench lock docs docs-reference clean
.NOTPARALLEL:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: .venv/.run ## Create .venv with the locked dependencies

browser:
	@scripts/install-browser

test-tools:
	@scripts/install-test-tools

run: .venv/.run browser ## Set everything up, then serve on port 8600
	@exec $(BIN)/calotype serve $(ARGS)

test: browser test-tools lint types ## Set everything up, then run all checks and all tests
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.dev ## Check style, format and the layers between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

fmt: .venv/.dev ## Format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.dev ## Check types
	$(BIN)/basedpyright

bench: .venv/.bench browser ## Measure against the raw floor and Playwright; ARGS=--write-docs keeps the figures in docs/
	$(BIN)/python -m bench $(ARGS)

lock: .venv/.lock ## Resolve requirements/ anew; `make lock UPGRADE=1` takes newer versions
	$(LOCK) pyproject.toml --all-extras --group build -o requirements/run.txt
	$(LOCK) pyproject.toml --all-extras --group build --group dev -c requirements/run.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml --all-extras --group build --group bench -c requirements/run.txt -o requirements/bench.txt
	$(LOCK) --group lock -o requirements/lock.txt

docs: .venv/.dev ## Serve the docs on port 8000; `make docs ARGS=build` writes them to build/docs
	$(BIN)/mkdocs $(or $(ARGS),serve)

docs-reference: .venv/.dev ## Write what comes from the code: references in docs/, the client's fields
	$(BIN)/python scripts/generate_reference.py

clean: ## Remove .venv and everything else that was made here
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov dist build bench/results
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps. hatchling is locked in run.txt, so the package itself is built without asking an index for anything.
.venv/.run: requirements/run.txt pyproject.toml scripts/make-venv
	@scripts/make-venv
	$(PIP) -r $<
	$(BIN)/python -m pip install --quiet --no-deps --no-index --no-build-isolation -e .
	@touch $@

.venv/.%: requirements/%.txt .venv/.run
	$(PIP) -r $<
	@touch $@
