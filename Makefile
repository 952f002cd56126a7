# For GNU make and BSD make alike.
#   make demo         see it work; S3=1: and a bucket   make test-crash   kill it at every system call
#   make test         the tests                         make test-live    1000 rotations of real syslogds
#   make check        types, lint, layers               make test-year    a year of the service, by zone
#   make man          the manual pages, from docs/      make bench        side by side with zstd, zgrep
#   make fuzz         whatever comes, to the parsers    make test-long    the tests that take long
#   make clean        remove what these made
PYTHON = python3
BIN = .venv/bin
PIP = $(BIN)/pip --disable-pip-version-check --quiet

DEMO_1 = --s3

.PHONY: demo test test-long check man test-crash test-live test-year fuzz bench clean

demo: .venv/ready
	$(BIN)/archiver demo $(DEMO_$(S3)) demo

test: .venv/ready
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: .venv/ready
	$(BIN)/pytest -n 2 -m long

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

man: .venv/ready
	$(BIN)/python -m docs.manpages

test-crash: .venv/ready
	$(BIN)/python -m tests.whole.crash.sweep --full --jobs 2
	$(BIN)/python -m tests.whole.crash.sweep --full --errors --jobs 2
	$(BIN)/python -m tests.whole.s3.killed --full

test-live: .venv/ready
	ARCHIVER_ROTATIONS=1000 $(BIN)/pytest tests/whole/live

test-year: .venv/ready
	ARCHIVER_YEARS=all $(BIN)/pytest -n 2 tests/whole/test_serve_year.py

# Only where it runs: Linux, and CPythons that it was built for.
fuzz: .venv/ready
	$(PIP) install atheris==3.0.0
	$(BIN)/python -m tests.whole.fuzz 600

bench: .venv/ready
	$(BIN)/python benchmarks/nightly.py
	$(BIN)/python benchmarks/needles.py
	$(BIN)/python -m benchmarks.bucket

# The pins make every machine test the same thing; the package itself asks for less.
.venv/ready: requirements-ci.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install -r requirements-ci.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	touch .venv/ready

clean:
	rm -rf .venv demo build .mypy_cache .pytest_cache .ruff_cache .hypothesis
