.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.synced
TEMPORAL ?= github.com/temporalio/cli/cmd/temporal@v1.5.1
BENCHES ?= plane scale streams scheduler artifacts trade_audit answer_run
export JOBPLANE_GEN_PYTHON ?= .venv-gen/bin/python

.PHONY: help demo dev test check lint format types gen docs bench bench-peers robust clean sync

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run a real job end to end, live, and show what it made
	@$(BIN)/python -m jobplane.cli.demo

dev: $(STAMP) ## Serve on loopback, with data in .jobplane
	@$(BIN)/jobplane dev

test: third_party .venv-gen/.synced ## Run the tests
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest $(ARGS)

check: lint types test ## All that a change must pass

lint: $(STAMP) third_party ## Check style, layers and the contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(BIN)/buf lint
	@$(BIN)/buf format -d --exit-code protos

format: $(STAMP) ## Format code and contract
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format .
	@$(BIN)/buf format -w protos

types: $(STAMP) ## Check types, twice
	@$(BIN)/mypy
	@$(BIN)/pyright

gen: third_party .venv-gen/.synced ## Write gen/ from protos/
	@$(JOBPLANE_GEN_PYTHON) protos/generate.py
	@$(JOBPLANE_GEN_PYTHON) clients/generate.py

third_party: $(STAMP)
	@$(BIN)/python protos/third_party.py

docs: third_party .venv-gen/.synced ## Write docs/reference/ from the contract
	@$(JOBPLANE_GEN_PYTHON) protos/reference.py

bench: $(STAMP) ## Measure; results go to bench/results/
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m bench.$$name || missed="$$missed $$name"; done; \
	  test -z "$$missed" || { echo "below target:$$missed"; exit 1; }

bench-peers: $(STAMP) ## Measure other systems on the same work, beside ours
	@$(BIN)/uv venv -q --allow-existing -p $(BIN)/python .venv-peers
	@while read -r package; do $(BIN)/uv pip install -q -p .venv-peers "$$package" || true; done \
	  < bench/peers/requirements.txt
	@test -x .tools/bin/temporal || GOBIN=$(CURDIR)/.tools/bin go install $(TEMPORAL) || true
	@$(BIN)/python -m bench.peers $(ARGS)

robust: $(STAMP) ## Prove the promises at length
	@$(BIN)/python -m pytest -m robust --timeout 7200 tests

sync: $(STAMP) ## Set up the environment

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip install -q --compile-bytecode -p .venv -e '.[all]' --group dev
	@$(BIN)/python -m compileall -q engine service gen clients/python
	@touch $@

.venv-gen/.synced: pyproject.toml $(STAMP)
	@test -x .venv-gen/bin/python || $(BIN)/uv venv -q -p $(BIN)/python .venv-gen
	@$(BIN)/uv pip install -q -p .venv-gen --group gen
	@touch $@

clean: ## Remove what can be made again
	@rm -rf .venv .venv-gen .tools third_party .jobplane dist build
	@rm -rf .pytest_cache .mypy_cache .ruff_cache clients/typescript/dist clients/typescript/node_modules
