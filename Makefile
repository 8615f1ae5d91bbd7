# What one does here. Everything installs what it needs first (scripts/setup); ARGS="..." is passed on.
SHELL := /bin/bash
JOBS ?= $(shell expr $$(nproc) + 1)
.PHONY: up down test check tour fresh conformance chaos bench cinder glance docs lock

up:       # Moorage in the foreground; prints the two export lines that make `openstack` work in another terminal
	@scripts/setup up
	@exec .venv/bin/moorage up $(ARGS)

down:     # stop it, storage daemons too
	@.venv/bin/moorage down $(ARGS)

test:     # everything that must hold: check, then the whole suite on SQLite and PostgreSQL
	@$(MAKE) --no-print-directory check
	.venv/bin/pytest -n $(JOBS) --dist worksteal $(ARGS)

check:    # lint, format, types, the import rule, house rules, documentation against the code
	@scripts/setup test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest -q tests/test_rooms.py tests/test_house.py tests/test_docs.py

fresh:    # the README's two commands, then `make test`, in a new Debian 12 (root; FRESH_TEST=0 leaves the tests out)
	@scripts/fresh

tour conformance chaos bench:   # guided tour | unmodified clients, recorded | crash points, crowds, harm under load | measurements: `run` or `__main__.py` there
	@test -e $@/run || test -e $@/__main__.py || { echo "make $@: $@/run does not exist yet" >&2; exit 2; }
	@scripts/setup $(if $(filter bench,$@),bench,test)
	@if test -e $@/run; then exec $@/run $(ARGS); else exec .venv/bin/python -m $@ $(ARGS); fi

cinder:   # the store of volumes against a real Cinder, which OS_* variables name (tests/image_volumes/against_cinder.py)
	@scripts/setup test
	.venv/bin/pytest -q tests/image_volumes/against_cinder.py $(ARGS)

glance:   # imports from a real Glance, which OS_* variables name (tests/safety/against_glance.py)
	@scripts/setup test
	.venv/bin/pytest -q tests/safety/against_glance.py $(ARGS)

docs:     # rewrite the pages that come from the code
	.venv/bin/python docs/generate.py

lock:     # remake requirements*.lock from pyproject.toml; ARGS=--upgrade takes the newest of everything
	@scripts/setup test
	@scripts/lock $(ARGS)
