# Everything runs in the checkout's own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check slow mini docs clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q torch -c constraints.txt
	$(BIN)/pip install -q -e ".[dev]" -c constraints.txt
	touch $@

demo: $(STAMP)   ## answer questions about the clips in examples/, in three languages, offline
	$(BIN)/valley demo

check: $(STAMP)  ## lint, format, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

test: check docs ## the whole gate
	$(BIN)/pytest

slow: $(STAMP)   ## the slow tests too
	$(BIN)/pytest -m "slow and not gpu and not network"

docs: $(STAMP)   ## build the documentation, warnings are errors
	$(BIN)/mkdocs build --strict -q

mini: $(STAMP)   ## rebuild the embedded model from nothing (about 40 minutes on two cores)
	$(BIN)/valley train recipes/mini/vision.yaml
	$(BIN)/valley train recipes/mini/language.yaml
	$(BIN)/valley train recipes/mini/align.yaml
	$(BIN)/valley train recipes/mini/instruct.yaml
	$(BIN)/valley eval synthetic --model out/mini/instruct

clean:
	rm -rf out site dist build .pytest_cache .ruff_cache .hypothesis
