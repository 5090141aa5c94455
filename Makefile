# Two commands do everything on a machine with make and Python 3.11 to 3.13: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SLICER_VERSIONS := 5.11 5.13
NEWEST_SLICER := $(lastword $(SLICER_VERSIONS))

.PHONY: demo test test-long test-library test-slow test-slicer test-desktop screenshots looks lint format study-brain-growth experiment-synthetic experiment-cavity sample-model bench clean

# The main job: simulate, train without fusion and with majority vote, predict, compare. A second call continues.
demo: $(VENV)/.installed
	$(BIN)/observer-uncertainty demo --out demo-output --resume

# What every change must pass, within minutes; and what takes longer: older Slicer versions, whole studies, Ray.
test: lint test-library test-slicer-$(NEWEST_SLICER)

test-long: $(filter-out test-slicer-$(NEWEST_SLICER),$(SLICER_VERSIONS:%=test-slicer-%)) test-slow

# A process a core: threads within a test of small networks mostly wait for each other.
PYTEST := -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

# Needs no Slicer. COVERAGE=--cov prints the share of lines reached; before Python 3.12 it takes half as long again.
test-library: $(VENV)/.installed
	OMP_NUM_THREADS=1 PYTHONWARNDEFAULTENCODING=1 $(BIN)/python $(PYTEST) $(COVERAGE)

# Whole studies from end to end, and several processes of a Ray cluster.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	OMP_NUM_THREADS=1 PYTHONWARNDEFAULTENCODING=1 $(BIN)/python $(PYTEST) -m slow

# The Slicer module on the MRML of two Slicer versions, each in an environment of its own. Workers of background jobs
# need torch, which only the library's environment has.
test-slicer: $(SLICER_VERSIONS:%=test-slicer-%)

test-slicer-%: .venv-slicer-%/.installed $(VENV)/.installed
	QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 OBSERVER_UNCERTAINTY_PYTHON=$(CURDIR)/$(BIN)/python \
		.venv-slicer-$*/bin/python -X warn_default_encoding $(PYTEST) Testing/Slicer

# The real application, which must be given: make test-desktop SLICER=path/to/Slicer. WALK: actions of the random walk;
# ONLY: topics, or topic.check, in place of everything.
WALK ?= 150
SEED ?= 0
test-desktop: $(VENV)/.installed
	@test -n '$(SLICER)' || { echo 'Which Slicer? make test-desktop SLICER=path/to/Slicer'; exit 1; }
	$(BIN)/python Testing/Desktop/run.py --slicer '$(SLICER)' --walk $(WALK) --seed $(SEED) \
		$(if $(ONLY),--only $(ONLY)) $(if $(REPLAY),--replay '$(REPLAY)') \
		--worker-python '$(or $(OBSERVER_UNCERTAINTY_PYTHON),$(CURDIR)/$(BIN)/python)'

# The pictures of README and catalogue, taken in the application.
screenshots: $(VENV)/.installed
	@test -n '$(SLICER)' || { echo 'Which Slicer? make screenshots SLICER=path/to/Slicer'; exit 1; }
	$(BIN)/python Testing/Desktop/run.py --slicer '$(SLICER)' --room screenshots --pictures build/screenshots \
		--worker-python '$(or $(OBSERVER_UNCERTAINTY_PYTHON),$(CURDIR)/$(BIN)/python)'
	cp build/screenshots/*.png Resources/Screenshots

# Pictures of every step, to look at: two sizes of the screen in both themes, and 200 % scaling.
looks: $(VENV)/.installed
	@test -n '$(SLICER)' || { echo 'Which Slicer? make looks SLICER=path/to/Slicer'; exit 1; }
	$(BIN)/python Testing/Desktop/run.py --slicer '$(SLICER)' --room looks --pictures build/looks \
		--worker-python '$(or $(OBSERVER_UNCERTAINTY_PYTHON),$(CURDIR)/$(BIN)/python)'

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

# What docs/experiment1.md shows. Continued if interrupted; a second call at the same time shares the work.
SYNTHETIC := study-output/synthetic
experiment-synthetic: $(VENV)/.installed
	$(BIN)/observer-uncertainty experiment synthetic --out $(SYNTHETIC) --width 128 --resume
	$(BIN)/observer-uncertainty experiment synthetic --out $(SYNTHETIC) --width 128 --seeds 0 --parts extras,sweeps --resume

# What docs/experiment2.md describes, in small: simulated patients, three seeds. Two calls share the units, a core each.
CAVITY := study-output/cavity
CAVITY_CALL = $(BIN)/observer-uncertainty experiment cavity --simulate --preset small --seeds 0,1,2 --out $(CAVITY) \
	--threads 1 --resume
experiment-cavity: $(VENV)/.installed
	$(CAVITY_CALL) >/dev/null & $(CAVITY_CALL); status=$$?; wait $$! && exit $$status

# The small model that ships with the program; two hours and 12 GB of memory, continued if interrupted.
SAMPLE_MODEL := ObserverUncertaintyLib/model/shipped/SimulatedCavity
sample-model: $(VENV)/.installed
	$(BIN)/observer-uncertainty simulate cavities --out study-output/sample-model/cohort --cases 244 --seed 100 \
		--various-scanners --resume
	$(BIN)/observer-uncertainty train study-output/sample-model/cohort/cohort.toml --fusion none \
		--out study-output/sample-model/model --validation-cases case241,case242,case243,case244 --depth 4 --filters 12 \
		--spacing 2,2 --background-slices 0.6 --prior-bias --epochs 50 --batch-size 8 --learning-rate 0.002 \
		--schedule cosine --augmentation flip --may-be-missing T1,T2,FLAIR --seed 100 --device cpu --resume
	mkdir -p $(SAMPLE_MODEL)
	cp study-output/sample-model/model/model.json study-output/sample-model/model/weights.safetensors $(SAMPLE_MODEL)

# Every benchmark, into benchmarks/RESULTS.md; on idle cores, two hours or more. BENCH=--quick shows only that they run.
bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' \
		|| echo 'The peers to compare with could not be installed: the benchmarks go without them.'
	$(BIN)/python benchmarks/run_all.py $(BENCH)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo 'Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Kept after the tests, which make would otherwise take for an intermediate file.
.PRECIOUS: .venv-slicer-%/.installed
.venv-slicer-%/.installed: Testing/Slicer/requirements-%.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo 'slicer-core has wheels for Python 3.11, 3.12 and 3.13: make PYTHON=python3.12 ...'; exit 1; }
	test -x .venv-slicer-$*/bin/python || $(PYTHON) -m venv .venv-slicer-$*
	.venv-slicer-$*/bin/python -m pip install --quiet --upgrade pip
	.venv-slicer-$*/bin/python -m pip install --quiet --only-binary :all: --requirement $< \
		|| { echo 'The Slicer environment could not be made: no connection, or no wheel of slicer-core for this machine' \
		'and Python. The tests of the library need none of it: make test-library.'; exit 1; }
	touch $@

clean:
	rm -rf $(VENV) .venv-slicer-* demo-output study-output build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
