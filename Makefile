# Everything a developer types. Each target installs what it needs into .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
APPS   := .venv-apps
ARGS   ?=

.PHONY: setup dev test lint lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Programs of others that the tests run behind the gateway, apart from what the product needs.
$(APPS)/.ready: tests/applications/requirements.lock
	$(PYTHON) -m venv $(APPS)
	$(APPS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

dev: setup  ## The whole system on this machine: http://127.0.0.1:8080
	$(BIN)/my-jarvis dev $(ARGS)

test: setup $(APPS)/.ready  ## Every test; real Postgres, real processes, a real browser
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## Format, lint and types, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: setup  ## Pin the newest versions that pyproject.toml admits
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --group dev --extra local pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate tests/applications/requirements.in -o tests/applications/requirements.lock
	sed -i.bak '/^ *# via/d' requirements.lock requirements-dev.lock && rm -f requirements*.bak

clean:
	rm -rf $(VENV) $(APPS) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: bench bench-quick bench-hub
bench: setup  ## The gateway beside its peers; writes docs/performance.md
	$(BIN)/python -m bench full $(if $(ONLY),--only "$(ONLY)")

bench-quick: setup  ## The fast lane's targets in three minutes; prints one line of JSON
	@$(BIN)/python -m bench quick

bench-hub: setup  ## First visits beside JupyterHub's first spawns
	@$(BIN)/python -m bench hub

.PHONY: chaos
chaos: setup  ## 200 lives under every kind of trouble, a gateway killed at every named point; writes docs/reliability.md
	@$(BIN)/python -m tests.chaos --write $(ARGS)

.PHONY: bench-lifecycle
bench-lifecycle: setup  ## What the gateway adds to Fly's own time: first visits, claims, wakes; writes docs/reliability.md
	@$(BIN)/python -m bench lifecycle $(ARGS)
