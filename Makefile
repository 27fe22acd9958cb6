# Every target makes .venv if it is missing. PYTHON names the interpreter it is made from (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# tests of a file stay together: they share what is dear to make
SPREAD := -n auto --maxprocesses 8 --dist loadfile
READY := $(VENV)/.ready

.PHONY: demo test check bench docs clean

demo: $(READY)          ## attack a model on real handwritten digits: table and picture
	$(BIN)/turncoat sweep --store demo.db
	$(BIN)/turncoat figure heatmap --store demo.db -o demo.png
	@echo "the picture is demo.png"

test: $(READY)          ## run the tests, on as many cores as there are
	$(BIN)/pytest $(SPREAD)

check: $(READY)         ## format, lint, types, import contracts, tests with shape checks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest $(SPREAD)

bench: $(READY)         ## the figures of every benchmark
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/aggregators.py
	$(BIN)/python benchmarks/certify.py
	$(BIN)/python benchmarks/gpu.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/aware.py

docs: $(VENV)/.docs docs/figures/index.md docs/audits/penguins.html  ## build the documentation into site/
	$(BIN)/python docs/gen_results.py results docs/results.md README.md
	$(BIN)/turncoat reproduce claims --from results --pictures docs/images/results -o docs/claims.md
	$(BIN)/mkdocs build --strict

DRAWN_BY := docs/gen_figures.py $(wildcard src/turncoat/figures/*.py src/turncoat/reproduce/*.py)

docs/figures/index.md: results/points.parquet results/curves.parquet $(DRAWN_BY) | $(VENV)/.docs
	$(BIN)/python docs/gen_figures.py results docs/figures docs/images/results

docs/audits/penguins.html: docs/gen_audits.py $(wildcard src/turncoat/auditing/*.py src/turncoat/report/*) | $(VENV)/.docs
	$(BIN)/python docs/gen_audits.py docs/audits

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) site docs/figures docs/audits build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
