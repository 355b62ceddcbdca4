# Every target has a help line; the first run of any of them sets up .venv: Python 3.11 or newer is all that it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Compiled Python is kept, whatever the shell says: else every start compiles for seconds what it imports.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
MANIFESTS := pyproject.toml shared/pyproject.toml $(wildcard services/*/pyproject.toml) cli/pyproject.toml deploy/local/pyproject.toml
# What takes long stands first, so that the last process is not left alone with it.
SUITES := tests/e2e tests/security tests/integration tests/architecture tests/k8s tests/contract tests/unit
PYTEST := $(BIN)/python -m pytest
# Several processes, each with servers of its own; tests/conftest.py says how many, and what stays together.
PARALLEL := --numprocesses=auto --no-loadscope-reorder

.PHONY: help demo down test lint types architecture check bench faults soak compose-test compose-faults identity-test k8s-check k8s-test docs lock clean

help:  ## Say what each target does
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/ready: tools/setup $(wildcard locks/*.txt) $(MANIFESTS)
	@tools/setup

demo: .venv/ready  ## Start everything, load the demo federation, say where to go   (启动全部并载入演示数据)
	@$(BIN)/unionhall demo

down: .venv/ready  ## Stop everything that make demo started   (停止)
	@$(BIN)/unionhall down

test: .venv/ready  ## Run all tests on real PostgreSQL and real Kafka   (运行全部测试)
	@$(PYTEST) $(PARALLEL) $(wildcard $(SUITES)) $(ARGS)

lint: .venv/ready  ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/ready  ## Check types, strictly
	@$(BIN)/mypy

architecture: .venv/ready  ## Check who imports whom, and the other rules of the house
	@$(BIN)/lint-imports --no-logo
	@$(PYTEST) tests/architecture $(ARGS)

check: lint types  ## What CI runs: lint, types and all tests, the rules of the house among them
	@$(MAKE) --no-print-directory test

bench: .venv/ready  ## Measure speed and memory, write build/bench.json
	@$(BIN)/python -m tests.bench $(ARGS)

faults: .venv/ready  ## Kill processes at named points, write build/faults.json
	@$(BIN)/python -m tests.faults $(ARGS)

soak: .venv/ready  ## Ten minutes of mixed commands while every process is killed at random, write build/soak.json
	@$(BIN)/python -m tests.soak $(ARGS)

compose-test: .venv/ready  ## Build the images, bring all up under Docker Compose, work with it, take it down (ARGS=demo: the demo)
	@$(BIN)/python -m tests.compose $(ARGS)

compose-faults: .venv/ready  ## Kill every container once while people work, take all down and up again, compare the books
	@$(BIN)/python -m tests.compose.faults $(ARGS)

identity-test: .venv/ready  ## Sign in, refresh, rotate keys and sign out with Keycloak itself, through the gateway
	@$(BIN)/python -m tests.identity $(ARGS)

k8s-check: .venv/ready  ## Build deploy/k8s in every way, hold it against schemas, the code, compose and a linter
	@$(BIN)/python -m tests.k8s check $(ARGS)

k8s-test: .venv/ready  ## Bring all up on a cluster (KUBECONFIG), work with it, update and disturb it under traffic
	@$(BIN)/python -m tests.k8s.trial $(ARGS)

docs: .venv/ready  ## Write the generated pages anew, build the documentation into build/site
	@mkdir -p build && $(BIN)/python -m tools.settings_page > build/settings.md && mv build/settings.md docs/settings.md
	@$(BIN)/python -m shared.contracts.generate --write
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@echo "build/site/index.html"

lock:  ## Write locks/*.txt anew (ARGS=--upgrade takes newer versions)
	@test -x $(BIN)/uv || tools/setup
	@tools/lock $(ARGS)

clean: .venv/ready  ## Stop everything, remove what was built and the local data (.venv stays)
	@$(BIN)/unionhall down || true
	rm -rf build .unionhall .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
