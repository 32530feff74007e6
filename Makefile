# Everything below makes what it needs in .venv, from Python 3.11+ and make alone.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test faults mutants image-test source-test dask-test mlflow-test extras-test bench bench-scale check format bench-accuracy bench-gate bench-tables report-test docs lock clean

demo: $(VENV)/.complete
	$(RUN) -m jobs.demo

test: $(VENV)/.complete
	$(RUN) -m pytest -n 4 --dist worksteal

# The campaigns at their full length: hundreds of races, kills and trials of the gate, of which `make test` runs a few.
faults: $(VENV)/.complete
	$(RUN) -m pytest -n 3 --dist worksteal -m "campaign or at_length" --at-length

# Twelve faults, each made in a copy of the code, and the tests that must notice it: some five minutes on two cores.
# `python -m tests.mutants NUMBER ...` tries some of them.
mutants: $(VENV)/.complete
	$(RUN) -m tests.mutants

# Builds both images and runs the service in them, on a PostgreSQL of its own; as root, with Debian's buildah, netavark and
# debootstrap. BASE=IMAGE builds on that image instead of on a Debian made here.
image-test: $(VENV)/.complete
	$(RUN) -m tests.image

# A clinic's MariaDB, with Debian's package mariadb-server, which starts a server of its own in a temporary folder.
source-test: $(VENV)/.source
	$(RUN) -m pytest tests/sources

# Model versions mirrored to an MLflow: a store in a temporary folder, by MLflow's own client.
mlflow-test: $(VENV)/.mlflow
	$(RUN) -m pytest tests/mirror

# Each extra installed by the line that a command prints where it is missing, in an environment of its own under /var/tmp:
# from the package index, of TensorFlow only that it is to be had.
extras-test: $(VENV)/.complete
	$(RUN) -m pytest tests/extras

# A night on a Dask cluster of real processes, and files at URLs; DASK="--at-length -m campaign" kills at full length.
dask-test: $(VENV)/.dask
	$(RUN) -m pytest tests/cluster $(DASK)

# Speed and memory against their peers, side by side; writes the table of docs/measured/speed.md.
bench: $(VENV)/.complete
	$(RUN) -m tests.bench.speed

# Beyond one process, some 45 minutes; into docs/measured/scale.md. `python -m tests.bench.scale PART ...` does parts of it,
# --missing those without figures; --hundred-million adds 1e8 rows of files, for which some 10 GB of a disk must be free.
bench-scale: $(VENV)/.dask
	$(RUN) -m tests.bench.scale

# The gate's statistics at length, into docs/measured/gate.md: about a quarter of an hour on two cores.
bench-gate: $(VENV)/.complete
	$(RUN) -m tests.bench.gate

check: $(VENV)/.complete
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@echo "which database this is: asked and named in its own package alone, in pima/store/database.py, and of a source, which may be any"
	! grep -rnE --include=*.py --exclude-dir=sqlite --exclude-dir=postgresql --exclude=database.py \
	    --exclude=source_engine.py --exclude=source_query.py \
	    -e '"(sqlite|postgres|postgresql)"|(sqlite|postgresql)_|_(sqlite|postgresql)' \
	    -e '(dialects|store)[.](sqlite|postgresql)|store import .*(sqlite|postgresql)' \
	    -e 'dialect[.]name|get_backend_name|drivername' pima jobs
	$(VENV)/bin/codespell README.md CONTRIBUTING.md CHANGELOG.md docs config deploy jobs migrations pima
	@echo "pages and messages are plain English, and pages that are made from the code are what it makes of them"
	$(RUN) -m pytest -q tests/unit/test_prose.py tests/unit/test_reference.py
	@echo "what test files share stands in tests/support"
	! grep -rnE --include=*.py -e '(from|import) tests[.a-z]*[.]test_' tests
	@echo "a class name has one meaning, and a unit test the name of the file that it is about"
	$(RUN) -m pytest -q tests/unit/test_names.py
	$(RUN) -m pytest -q tests/store/test_schema.py -k equal

format: $(VENV)/.complete
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# About a quarter of an hour on two quiet cores; writes docs/measured/accuracy.md and its pictures. Ended at any moment it
# leaves no server and no folder behind.
bench-accuracy: $(VENV)/.bench
	$(RUN) -m tests.bench.accuracy

# The network on data sets that it was not made for, beside its peers, into docs/measured/tables.md: below 20 minutes on
# two quiet cores.
bench-tables: $(VENV)/.bench
	$(RUN) -m tests.bench.tables

# The report of a simulated half year, looked at by a headless Chromium (Debian's, or BROWSER=PROGRAM): some two minutes.
# Writes docs/report-desk.png and docs/report-phone.png.
report-test: $(VENV)/.browser
	$(RUN) -m tests.report

# The pages that are made from the code, then the site of all pages, to be opened at build/site/index.html.
docs: $(VENV)/.docs
	$(RUN) -m tests.support.reference
	$(VENV)/bin/sphinx-build -q --fail-on-warning -b html -c docs -d build/doctrees . build/site
	echo '<meta http-equiv="refresh" content="0; url=docs/index.html">' > build/site/index.html

# The environment is whole or absent: the stamp is written last. Making it anew empties the folder first, so it is never
# made behind a link, which may be somebody else's environment.
$(VENV)/.complete: locks/dev.txt
	@if [ -L $(VENV) ]; then echo "$(VENV) is a link, and making the environment would empty what it points to:" \
	    "remove the link (rm $(VENV)), or make that environment where it is." >&2; exit 1; fi
	@if [ -d $(VENV) ] && [ ! -e $(VENV)/.complete ] && [ ! -e $(VENV)/.begun ]; then echo "$(VENV) was not made by make," \
	    "which would empty it: move it away, or run make in another clone." >&2; exit 1; fi
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pima needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	touch $(VENV)/.begun
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/dev.txt
	touch $@

# What only some targets need, each with a lock of its own: learners for benchmarks, drivers of sources' databases, what
# speaks to an MLflow, Dask and fsspec, what drives a browser that is there, and what makes the site.
$(VENV)/.bench $(VENV)/.source $(VENV)/.mlflow $(VENV)/.dask $(VENV)/.browser $(VENV)/.docs: $(VENV)/.%: $(VENV)/.complete locks/%.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/$*.txt
	touch $@

# Pins anew, for every platform and Python from 3.11; hashes in, index addresses out.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/score.txt
	uv pip compile pyproject.toml --extra train --extra report --extra alerts --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/train.txt
	uv pip compile pyproject.toml --extra train --extra report --extra alerts --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/dev.txt
	uv pip compile pyproject.toml --extra train --extra report --extra alerts --group dev --group source --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/source.txt
	uv pip compile pyproject.toml --extra files --extra dask --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/dask.txt
	uv pip compile pyproject.toml --extra train --extra report --extra alerts --group dev --group bench --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/bench.txt
	uv pip compile pyproject.toml --extra train --extra report --extra alerts --extra mlflow --group dev --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/mlflow.txt
	uv pip compile --group oracle --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/oracle.txt
	uv pip compile --group docs --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/docs.txt
	uv pip compile --group browser --constraint locks/dev.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o locks/browser.txt

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis pima-demo
