# Two commands do everything on a machine with make and Python 3.11 to 3.13: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format study-brain-growth sample-model bench clean

# The main job: simulate, train without fusion and with majority vote, predict, compare. A second call continues.
demo: $(VENV)/.installed
	$(BIN)/observer-uncertainty demo --out demo-output --resume

test: lint
	$(BIN)/python -X warn_default_encoding -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Real raters: 24 cases of the QUBIQ brain growth data, which you must have (see docs/results.md).
BRAIN_GROWTH ?= ../shared/data/brain_growth
study-brain-growth: $(VENV)/.installed
	$(BIN)/python benchmarks/brain_growth.py --data $(BRAIN_GROWTH) --out study-output/brain_growth

# The small model that the Slicer module ships with; about half an hour on one core, continued if interrupted.
SAMPLE_MODEL := ObserverUncertainty/Resources/Models/SimulatedCavity
sample-model: $(VENV)/.installed
	$(BIN)/observer-uncertainty simulate cavities --out study-output/sample-model/cohort --cases 30 --seed 100 --resume
	$(BIN)/observer-uncertainty train study-output/sample-model/cohort/cohort.toml --fusion none \
		--out study-output/sample-model/model --validation-cases case27,case28,case29,case30 --depth 3 --filters 14 \
		--spacing 2,2 --background-slices 0.6 --epochs 60 --seed 100 --device cpu --resume
	mkdir -p $(SAMPLE_MODEL)
	cp study-output/sample-model/model/model.json study-output/sample-model/model/weights.safetensors $(SAMPLE_MODEL)

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/staple.py
	$(BIN)/python benchmarks/prediction_memory.py

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo 'Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo-output study-output build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
