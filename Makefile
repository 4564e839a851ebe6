# make run              fetch weights and solve one ToolHop task in the terminal
# make run TASK="..."   work on your own task
# make test             every test
# make check            lint, format, types, import contract
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
TASK ?=
export TASK

.PHONY: run test check weights install benchmarks clean

run: install
	@$(BIN)/deepagent models pull qwen2.5-coder-1.5b
	@if [ -n "$$TASK" ]; then \
	    $(BIN)/deepagent run -- "$$TASK"; \
	else \
	    $(BIN)/deepagent models pull all-minilm-l6-v2 && \
	    $(BIN)/deepagent eval toolhop --config configs/demo.yaml --task toolhop-006 --show; \
	fi

test: install weights
	@$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

weights: install
	@$(BIN)/deepagent models pull smollm2-135m
	@$(BIN)/deepagent models pull all-minilm-l6-v2

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt scripts/install.sh
	@PYTHON="$(PYTHON)" scripts/install.sh

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
