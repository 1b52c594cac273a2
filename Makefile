# Every target makes the environment first when it is missing or when pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin
# Threads that wait busily for long slow down what runs beside them; those that sleep at once are slow to wake. 20,000 turns
# are a moment.
export GOMP_SPINCOUNT = 20000
# Modules are compiled when they are first imported, and then kept: to compile all that is installed takes a minute.
export PYTHONDONTWRITEBYTECODE =
INSTALL := pip install --quiet --disable-pip-version-check --no-compile

.PHONY: study real pictures test slow check lint types coverage cluster interop docs wheel bench bench-tools clean

study: .venv/ready  ## the main job on the embedded default
	$(BIN)/mechsteer study --out results/guestbook

# Data of the field is no part of the project; models neither.
real: export MECHSTEER_DATA ?= ../shared/data
real: .venv/ready  ## a real model and one concept, in ten minutes; MECHSTEER_MODELS names the models' folder
	$(BIN)/mechsteer study --config docs/slice.toml --out results/real

# Apart from the study: another processor rounds otherwise, and a study changes no tracked file.
pictures: study  ## the README's pictures, drawn anew
	cp results/guestbook/figures/preference_utility.png results/guestbook/figures/frontier.png docs/
	chromium --headless --no-sandbox --hide-scrollbars --virtual-time-budget=20000 --window-size=1440,900 \
	  --screenshot=docs/page.png "file://$(CURDIR)/results/guestbook/report.html"

test: .venv/ready  ## the tests of every day
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

slow: .venv/ready  ## the rest: whole studies, frozen numbers, worlds, more families, kills, the docs' commands
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

check: lint types test slow  ## all of them

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/pyright --pythonpath $(BIN)/python

coverage: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term-missing:skip-covered

cluster: .venv/cluster/ready  ## campaigns on Ray, in an environment of their own
	OMP_NUM_THREADS=1 .venv/cluster/bin/python -m pytest tests/test_cluster.py

.venv/cluster/ready: .venv/ready
	test -d .venv/cluster || $(PYTHON) -m venv .venv/cluster
	.venv/cluster/bin/$(INSTALL) --constraint constraints.txt --editable '.[dev,ray]'
	touch $@

interop: .venv/interop/ready  ## every format in the programs that read it; writes docs/formats.md
	OMP_NUM_THREADS=1 PYTHONPATH=.venv/interop $(BIN)/python benchmarks/interop.py

# Not into the environment of the tests: they ask for other versions of what stands there, and run beside it all the same.
.venv/interop/ready: .venv/ready benchmarks/interop.txt
	$(BIN)/$(INSTALL) --no-deps --upgrade --target .venv/interop --requirement benchmarks/interop.txt
	touch $@

docs: .venv/docs  ## the documentation in site/, with the notebooks' outputs, without a network; ends where a link leads nowhere
	$(BIN)/zensical build --clean --strict
	OMP_NUM_THREADS=1 $(BIN)/python tests/notebooks.py site

.venv/docs: .venv/ready
	$(BIN)/$(INSTALL) --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

wheel: .venv/ready  ## the wheel: installed with its dependencies into a fresh environment, and used from an empty folder
	rm -rf dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	OMP_NUM_THREADS=1 tests/newcomer.sh dist/*.whl $(BIN)/python

bench: .venv/ready  ## how fast sweeps and training are (benchmarks/README.md)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/writing.py
	$(BIN)/python benchmarks/beside.py
	test -z "$$MECHSTEER_MODELS" || $(BIN)/python benchmarks/stages.py

bench-tools: .venv/bench-tools/ready  ## the same of other tools, in an environment of their own
	.venv/bench-tools/bin/python benchmarks/other_tools.py

.venv/bench-tools/ready: .venv/ready benchmarks/other_tools.txt constraints.txt
	test -d .venv/bench-tools || $(PYTHON) -m venv .venv/bench-tools
	.venv/bench-tools/bin/$(INSTALL) --constraint constraints.txt \
		--requirement benchmarks/other_tools.txt
	touch $@

.venv/ready: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv results dist site .cache
