# All commands of a developer. `make help` prints each target's text after ##.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VECTORS ?= ../shared/conformance

# Without compiled files each process compiles all that it imports: the workers of pytest three times 15 s, each `courier` 2 s.
unexport PYTHONDONTWRITEBYTECODE

# The system's list of certificate authorities, which also has that of a proxy that inspects TLS. uv and older versions of
# pip bring a list of their own.
CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem))

.DEFAULT_GOAL := help

help: ## list every target
	@grep -hE '^[a-z][a-z0-9%-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(VENV)/.installed ## make .venv from requirements.lock; the command is then .venv/bin/courier

$(VENV)/.installed lock: export UV_SYSTEM_CERTS := true
$(VENV)/.installed: export PIP_CERT := $(or $(PIP_CERT),$(CERTIFICATES))
$(VENV)/.installed: requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Courier needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps "$$(grep -oE '^uv==[^ ]+' requirements.lock)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## resolve pyproject.toml into requirements.lock, and into requirements-run.lock for the image
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock
	echo 'setuptools>=77' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.lock --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" pyproject.toml - --output-file requirements-run.lock

demo: install ## run the demo: sample alerts through every integration, without Docker (ALERTS=FILE CONFIG=FILE KEEP=1 PORT=N)
	@$(BIN)/python -m ops.demo $(if $(ALERTS),--alerts "$$ALERTS") $(if $(CONFIG),--config "$$CONFIG") $(if $(filter-out 0,$(KEEP)),--keep) $(if $(PORT),--port $(PORT))

lint: install ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## let ruff format the code and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint ## environment, linters, types and all everyday tests
	$(BIN)/pytest -n 3 --dist worksteal -m "not slow and not chaos and not e2e" --cov --cov-report=term:skip-covered --cov-fail-under=85

test-slow: install ## the tests that take ten seconds or more each
	$(BIN)/pytest -n 3 --dist worksteal -m slow

properties: install ## the property tests with seven times as many examples as in make test
	$(BIN)/pytest -n 3 --dist worksteal -m "hypothesis and not chaos and not e2e" --hypothesis-profile=thorough --timeout 900

# Tests that depend on the interpreter: TLS, recursion, signals, threads, processes. Tests of benchmarks and documents do not.
ON_EACH_PYTHON := tests/common tests/producer tests/workers tests/security tests/properties tests/e2e/test_wrong_input.py \
	tests/e2e/test_redis_addresses.py tests/e2e/test_up.py tests/e2e/test_scripts_end.py tests/e2e/test_worker_crash.py

test-on: ## run the tests that depend on the interpreter with another one (PYTHON=python3.13), in a separate environment
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	&& $(MAKE) --no-print-directory install VENV=.venv-$$version PYTHON=$(PYTHON) \
	&& .venv-$$version/bin/pytest -n 2 --dist worksteal -m "not chaos and not e2e" $(ON_EACH_PYTHON)

conformance: install ## compare with recordings of the stock Integrator (VECTORS=DIR)
	@$(BIN)/python -m tests.conformance.harness "$(VECTORS)"

chaos: install ## kill real processes for minutes and check that nothing is lost or repeated; long runs of the state machines (SEED=N repeats a run, ROUNDS=50)
	@SEED=$(SEED) ROUNDS=$(ROUNDS) $(BIN)/pytest -m chaos -q -s tests/chaos tests/properties

e2e: install ## docker compose on a real engine, as root: build, scale, kill, check with Chromium (ENGINE_UP=COMMAND starts an engine first)
	@docker info >/dev/null 2>&1 || $(if $(ENGINE_UP),$(ENGINE_UP),{ echo "make e2e: no container engine answers: start Docker, or say how with ENGINE_UP=COMMAND" >&2; exit 1; })
	$(BIN)/pytest -m e2e -s

fuzz: install ## fuzz every parser of untrusted input, guided by coverage (MINUTES=10 for all, DOORS="record letter")
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(DOORS)

new-service: install ## write module, tests, documentation and demo of a new service (NAME=zulip)
	@$(BIN)/python -m ops.new_service "$(NAME)"

audit: install ## check every locked package against the advisory database
	$(BIN)/python -m ops.release.audit

sbom: install ## write the bill of materials of the wheel, or with IMAGE=NAME of the image, to dist/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m ops.release.sbom $(if $(IMAGE),--image "$(IMAGE)")

release: install ## build wheel, source archive, image and bills of materials into dist/, and check them in empty environments
	$(BIN)/python -m ops.release.copy_version --check
	$(BIN)/python -m ops.release.build
	$(MAKE) --no-print-directory sbom
	! docker info >/dev/null 2>&1 || $(MAKE) --no-print-directory sbom IMAGE="courier:$$($(BIN)/python -c 'from common.version import version; print(version())')"

pictures: install ## take the pictures of README again, with Chromium, from a demo that runs
	$(BIN)/pytest -q -n 0 -m e2e tests/e2e/test_pictures.py
	cp artifacts/demo-page.png artifacts/console.png artifacts/status.svg ops/docs/pictures/

docs: install ## the documentation as a website in dist/docs, with every link between the pages checked
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -c ops/docs -d build/doctrees . dist/docs

bench: install ## run every benchmark and compare with the committed results (QUICK=1: ten minutes, SAVE=1: keep the new results; NAMES="growth soak": only these)
	@$(BIN)/python -m ops.bench $(if $(filter-out 0,$(QUICK)),--quick) $(if $(filter-out 0,$(SAVE)),--save) $(NAMES)

soak: install ## half an hour of load, rotations and restarted workers: nothing lost, constant memory and connections (MINUTES=30)
	@$(BIN)/python -m ops.bench.soak --minutes $(or $(MINUTES),30) $(ARGS)

bench-%: install ## run one benchmark, such as bench-delivery or bench-isolation (ARGS=OPTIONS)
	@$(BIN)/python -m ops.bench.$(subst -,_,$*) $(ARGS)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .venv-* build dist artifacts *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*

.PHONY: help install lock demo lint format test test-slow properties test-on conformance chaos e2e fuzz new-service audit sbom release pictures docs bench soak clean
