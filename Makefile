# make demo   fresh machine to results         make test   everything that needs no GPU
# make up     the service, until Ctrl-C        make check  fast checks, no network

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo up test test-clients check bench bench-tune eval-demo eval-instructions eval-sessions transcripts faults soak mutants pages postgres lock sync clean

demo: $(READY)
	$(BIN)/autoglm demo

up: $(READY)
	$(BIN)/autoglm up

$(READY): requirements-dev.txt requirements-torch.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Install it, or run: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing into .venv (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install -r requirements-torch.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit

# The tests need the server program of PostgreSQL; without it theirs are skipped.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "Installing PostgreSQL for the tests (once) ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends postgresql >/dev/null; \
	else echo "No PostgreSQL server here: its tests are skipped. Debian: apt-get install postgresql"; fi; }

test: $(READY) postgres
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check
	$(BIN)/pytest

bench: $(READY)
	$(BIN)/python -m bench $(BENCH)

bench-tune: $(READY)
	$(BIN)/python -m bench.tune $(BENCH)

eval-instructions: $(READY)
	$(BIN)/python -m tools.instructions.evaluate --cases evals/instructions/final4.jsonl

transcripts: $(READY)
	$(BIN)/python -m tools.sessions.transcripts

eval-sessions: $(READY)
	$(BIN)/python -m tools.sessions.evaluate --cases evals/sessions/final.jsonl

eval-demo: $(READY)
	$(BIN)/python -m tools.demo.evaluate

# Every fault many times on both databases; the numbers go to var/faults/report.json, and the last
# command names what falls short. A part that fails does not keep the next ones from running.
faults: $(READY) postgres
	rm -f var/faults/report.json
	@status=0; \
	$(BIN)/python -m tests.faults.campaign --database sqlite --calm-rounds 6 || status=1; \
	$(BIN)/python -m tests.faults.campaign --database postgresql --calm-rounds 6 || status=1; \
	$(BIN)/python -m tests.faults.campaign --database sqlite --engine demo --rounds 2 --seconds 240 || status=1; \
	$(BIN)/pytest -m "long or not long" tests/faults/test_hosts.py tests/faults/test_rollout.py \
		tests/faults/test_restart_of_all.py tests/integration/test_worker_kills.py \
		tests/integration/test_poison_crowd.py tests/integration/test_docker_stop.py \
		tests/integration/test_api_stops.py || status=1; \
	$(BIN)/python -m tests.faults.verdict || status=1; \
	exit $$status

# Half an hour of load and random faults; docs/soak.png shows what grows.
soak: $(READY)
	$(BIN)/python -m tests.faults.soak

# Breaks the program on purpose and shows that the suite notices.
mutants: $(READY)
	$(BIN)/python -m tools.mutants

# OpenAI's clients of earlier years, laid over the installed one; each must pass the same tests.
CLIENTS := 2.54.0 1.109.1
test-clients: $(READY)
	@for each in $(CLIENTS); do \
		test -d var/clients/$$each || \
			$(PIP) install --no-deps --target var/clients/$$each openai==$$each distro sniffio tqdm; \
		echo "== openai $$each"; \
		PYTHONPATH=var/clients/$$each $(BIN)/pytest -q tests/acceptance/test_openai_*.py || exit 1; \
	done

pages: $(READY)
	$(BIN)/python -m tools.pages

lock: $(READY)
	$(BIN)/python -m tools.lock

sync: $(READY)
	$(BIN)/python -m uv pip sync --python $(BIN)/python requirements-dev.txt
	rm -f $(READY)
	$(MAKE) $(READY)

clean:
	rm -rf .venv var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
