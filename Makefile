# make run | setup | test | check | bench | faults | soak | format
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
.DEFAULT_GOAL = help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## install everything that running needs; afterwards .venv/bin/bridge works
	@deploy/install.sh packages run
	@deploy/install.sh python $(VENV)

run: setup ## serve on 127.0.0.1:8080; ARGS=--demo plays an outage with a real Prometheus and Alertmanager
	@case "$(ARGS)" in *--demo*) deploy/install.sh packages demo;; esac
	@$(BIN)/bridge run $(ARGS)

setup-test:
	@deploy/install.sh packages run demo test
	@deploy/install.sh python $(VENV) test,check

test: setup-test ## every test but the long ones
	$(BIN)/pytest -m "not long" $(ARGS)

check: setup-test ## format, lint, types, import rules, promtool, triage cases, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	promtool check rules $(filter-out alert_rules/triage.%,$(wildcard alert_rules/*.yml))
	promtool test rules $(wildcard alert_rules/tests/*.yml)
	$(BIN)/bridge --config tests/alert_rules/bridge.yml triage test
	$(BIN)/pytest -q tests/docs

format: setup-test ## format and mend what can be mended by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup-test ## side-by-side benchmarks; each prints ratios
	@deploy/install.sh packages bench
	$(BIN)/python bench/ingest.py; ingest=$$?; $(BIN)/python bench/storm.py && exit $$ingest

faults: setup-test ## kill -9 under load and what else takes minutes
	$(BIN)/pytest -m long tests/faults tests/hostile tests/e2e $(ARGS)

soak: setup-test ## the long run
	$(BIN)/pytest -m long tests/soak $(ARGS)

.PHONY: help setup run setup-test test check format bench faults soak
