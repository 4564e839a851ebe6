# make run              fetch weights and solve one ToolHop task in the terminal
# make run TASK="..."   work on your own task
# make test             every test that needs no large installation
# make test-vllm        the tests on a real vLLM server and engine, on the CPU (installs them: 3.5 GB)
# make test-sandbox     everything about the sandbox, as root and as an ordinary user
# make bench-framework  what the loop adds to model calls; ARGS="--peers" beside other frameworks, ARGS="--quick" in short
# make bench-memory     endurance, what folds keep and cost (hours with the embedded model; goes on when it is cut off)
# make test-browser     the web page in a real browser (installs chromium and what drives it)
# make screenshots      the pictures in docs/images, of runs with a scripted model
# make test-faults      the whole fault programme: kills, signals, cancellations, broken disks and servers, clocks, a soak
# make test-killed-model  a run of the default model that is killed in its middle and goes on (fetches 1.1 GB of weights)
# make test-success     the default model finds and uses four kinds of tools in one task; some minutes (fetches 1.1 GB of weights)
# make test-training    whole training runs: killed and resumed, with an adapter, in two processes, as an example (some minutes)
# make test-mcp         the tests on a published MCP server (installs it with npm)
# make test-ray         the tests on a Ray cluster of two nodes on this machine, one of which is killed (installs Ray)
# make eval-smoke       every benchmark's first five tasks with the embedded model, and one report of them
# make bench-eval       what evaluating adds to the loop, resuming 10,000 episodes, a report of 100,000
# make test-alfworld    the tests on ALFWorld's engine (installs it; needs a C compiler)
# make catalogue-107k   index 2,600 real APIs (fetched with npm) as one catalogue; takes half an hour of a core
# make retrieval-tables  the tables of docs/retrieval.md; ARGS="--rerank" or ARGS="--left-out" for the slow ones
# make docs             the documentation site in .site, with warnings as errors
# make dist             wheel and sdist in dist/
# make test-dist        the wheel in a clean environment, used from an empty folder as the README says (installs packages)
# make check            lint, format, types, import contract
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
TASK ?=
export TASK

SANDBOX_TESTS := tests/sandbox tests/test_code_actions.py -m "heavy or not heavy" -rs

.PHONY: catalogue-107k retrieval-tables run test docs dist test-dist test-vllm test-sandbox test-faults test-killed-model test-success test-training test-mcp test-browser screenshots test-ray test-alfworld check bench-framework bench-memory bench-eval eval-smoke weights install clean

run: install
	@$(BIN)/deepagent models pull qwen2.5-coder-1.5b
	@if [ -n "$$TASK" ]; then \
	    $(BIN)/deepagent run -- "$$TASK"; \
	else \
	    $(BIN)/deepagent eval toolhop --config configs/demo.yaml --task toolhop-006 --show; \
	fi

test: install weights
	@$(BIN)/python -m pytest

test-vllm: .venv-vllm/installed
	@.venv-vllm/bin/python -m pytest tests/vllm

# Attacks, a thousand kernels, gVisor where there is runsc.
test-sandbox: install
	$(BIN)/python -m pytest $(SANDBOX_TESTS)
	scripts/as-user.sh $(BIN)/python -m pytest -p no:cacheprovider $(SANDBOX_TESTS)

test-browser: install
	@scripts/browser.sh
	$(BIN)/python -m pytest -m browser tests/viewer/test_browser.py

screenshots: install
	@scripts/browser.sh
	$(BIN)/python scripts/screenshots.py docs/images

test-faults: install
	$(BIN)/python -m pytest tests/faults tests/runs tests/test_resume.py tests/test_faulty_server.py tests/models/test_faults.py \
	    -m "heavy or not heavy" -rs

test-training: install
	$(BIN)/python -m pytest tests/training tests/examples -m "heavy or not heavy" -rs --timeout 900

test-killed-model: install
	@$(BIN)/deepagent models pull qwen2.5-coder-1.5b
	$(BIN)/python -m pytest -m "weights and heavy" -rs tests/test_embedded_kill.py

test-success: install
	@$(BIN)/deepagent models pull qwen2.5-coder-1.5b
	$(BIN)/python -m pytest -m "weights and heavy" -rs --timeout 3600 tests/toolsets/test_four_sources.py tests/success

test-mcp: install
	npm install --silent --no-audit --no-fund --prefix .npm @modelcontextprotocol/server-everything@2026.8.31
	@.venv/bin/python -m pytest -m npm tests/toolsets/test_mcp.py

test-ray: install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	@$(BIN)/python -m pytest -m ray tests/ray

BENCHMARKS := alfworld api_bank api_bank_3 gaia hle m3tooleval spotify tmdb toolbench toolhop webshop

# Takes most of an hour of a core. Can be interrupted: the next call goes on.
eval-smoke: install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[alfworld]'
	@$(BIN)/deepagent models pull qwen2.5-coder-1.5b
	$(BIN)/deepagent eval $(BENCHMARKS) --limit 5 --config configs/smoke.yaml --resume --store .eval/runs.sqlite --report docs/reports/smoke.html
	$(BIN)/python scripts/smoke_table.py docs/reports/smoke.json docs/evaluation.md

bench-eval: install
	@$(BIN)/python -m benchmarks.evaluation

test-alfworld: install
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[alfworld]'
	@.venv/bin/python -m pytest -m "heavy or not heavy" tests/toolsets/test_alfworld.py tests/evaluation/benchmarks/test_alfworld.py

docs: install
	@$(BIN)/python scripts/docs_reference.py
	@$(BIN)/zensical build --strict --clean

dist: install
	rm -rf dist
	$(BIN)/python -m build --no-isolation

test-dist: install
	@$(BIN)/deepagent models pull smollm2-135m
	$(BIN)/python -m pytest -m "dist or not dist" -rs --timeout 1200 tests/test_stranger.py tests/test_packaging.py

# Can be interrupted: the next call goes on.
catalogue-107k: install
	@scripts/catalogue_107k.sh

retrieval-tables: install
	@scripts/retrieval_tables.sh $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-memory: install
	$(BIN)/python -m benchmarks.memory endurance
	$(BIN)/python -m benchmarks.memory retention --model none --seeds $$(seq 20) --folds 34
	$(BIN)/python -m benchmarks.memory recall --seeds $$(seq 20)
	$(BIN)/python -m benchmarks.memory retention --model scripted --seeds 1 2 3 --folds 10
	$(BIN)/python -m benchmarks.memory retention --model qwen2.5-coder-0.5b
	$(BIN)/python -m benchmarks.memory retention --model qwen2.5-coder-1.5b
	$(BIN)/python -m benchmarks.memory report --write docs/memory.md

bench-framework: install
	@$(BIN)/python -m benchmarks.framework $(ARGS)

weights: install
	@$(BIN)/deepagent models pull smollm2-135m
	@$(BIN)/deepagent models pull all-minilm-l6-v2

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt scripts/install.sh
	@PYTHON="$(PYTHON)" scripts/install.sh

.venv-vllm/installed: pyproject.toml constraints-vllm.txt scripts/vllm_cpu.sh scripts/gguf_to_hf.py
	@PYTHON="$(PYTHON)" scripts/vllm_cpu.sh

clean:
	rm -rf .venv .venv-vllm .npm build dist .site .cache docs/reference *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
