# The commands of this project; `make help` lists them. What a person runs here is what CI runs.
#
# Variables: VAR=DIR (where the stack keeps everything, default var), PORT_BASE=N (default 8000; every port is N
# plus its offset), MAIL_SERVERS=n (default 1), ARGS="…" (for the tests). Every documented setting of the panel in
# the environment reaches it. The last line of a recipe that starts a stack is one plain command, so that make
# runs it without a shell and a SIGTERM sent to make reaches it.

VENV ?= .venv
PYTHON = $(VENV)/bin/python
export VAR PORT_BASE MAIL_SERVERS VENV

.DEFAULT_GOAL := help
.PHONY: help run test check soak mutants bench demo shell stack-stop install install-for-tests

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: install ## the whole service on this machine, in the foreground, with demo data
	@$(PYTHON) -m deploy.stack run

test: install-for-tests ## the whole suite, on a stack of its own with two mail servers (ARGS="tests/billing -x")
	@$(PYTHON) -m deploy.stack test -- $(ARGS)

check: install-for-tests ## lint, format, types, import contracts, migrations, deployment checks, templates
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy manage.py mxpanel accounts billing domains delivery foundation mailnode deploy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/djlint templates --lint --quiet
	@$(PYTHON) manage.py makemigrations --check --dry-run
	@$(PYTHON) manage.py spectacular --validate --fail-on-warn | diff docs/openapi.yaml - # written by the same command
	@PANEL_URL=https://panel.example.com SECRET_KEY=0123456789-only-for-this-check-abcdefghijklmnopqrstuvwxyz-ABCDEF \
		ENCRYPTION_KEYS=b25seS1mb3ItdGhpcy1jaGVjay1hYmNkZWZnaGlqa2w= \
		$(PYTHON) manage.py check --deploy --fail-level WARNING

soak: install-for-tests ## the fault and property tests with their full counts
	@$(PYTHON) -m deploy.stack soak -- $(ARGS)

mutants: install-for-tests ## whether the tests notice each missing check of tenant, permission or ownership
	@$(PYTHON) -m deploy.stack mutants -- $(ARGS)

bench: install-for-tests ## the benchmarks, one JSON line each, also in var/bench.json
	@$(PYTHON) -m deploy.stack bench -- $(ARGS)

demo: install ## load the demo data again into the running stack
	@$(PYTHON) -m deploy.stack exec -- python manage.py load_demo

shell: install ## a Python shell of the panel in the running stack
	@$(PYTHON) -m deploy.stack exec -- python manage.py shell

stack-stop: ## end the stack of VAR, also what a killed one left behind
	@$(PYTHON) -m deploy.stack stop

install: # what `make run` needs: Debian packages, virtual environment, system users
	@deploy/install.sh

install-for-tests: # the same and what the tests need: Chromium, test tools
	@deploy/install.sh --for-tests
