# make demo and make test do all their own set-up: a virtual environment in .venv, the packages pinned in
# constraints.txt, and (for tests, as root) Debian's chromium, bubblewrap and openssl.
#
# torch is installed first, as constraints.txt has it. For another build, say one for a GPU, give pip's words for it:
#   make demo TORCH="torch==2.13.0 --index-url https://example.org/your/index"

PYTHON ?= python3
TORCH ?= $(shell grep '^torch==' constraints.txt)
VENV := .venv
BIN := $(VENV)/bin
# torch and the test processes share the cores: one thread for each of as many processes.
WORKERS ?= 2

.PHONY: demo test lint proof lean-check gpu-check gpu-wheels docs docs-site demo-models dist test-core test-wheel system-packages clean help

help:
	@echo "make demo         the demo study: set-up, training, answer, report (runs/demo/report.html)"
	@echo "make test         lint, types and tests"
	@echo "make proof        the full-size versions of the long tests"
	@echo "make lean-check   the Lean proofs, by Lean: the one on the PATH, or a container's (docker or podman)"
	@echo "make gpu-check    tests and benchmarks for a machine with a GPU, in some 8 minutes (PYTHON=... that has torch)"
	@echo "make gpu-wheels   collect what a GPU machine without a network lacks into .gpu"
	@echo "make test-core    the commands that need no torch, in an environment without it"
	@echo "make dist         the wheel and the source archive, checked (dist/)"
	@echo "make test-wheel   the demo from the wheel, in an environment of its own"
	@echo "make docs         rewrite the generated pages of docs/"
	@echo "make docs-site    the documentation as a site, its links checked (build/docs-site)"
	@echo "make demo-models  rebuild the two models that the package ships"

$(VENV)/.torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH)
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@touch $@

$(VENV)/.models: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet -c $(VENV)/constraints.txt -e '.[models]'
	@touch $@

$(VENV)/.dev: $(VENV)/.models
	$(BIN)/pip install --quiet -c $(VENV)/constraints.txt -e '.[models,dev]'
	@touch $@

# Programs of others that check what a record holds; they want older packages than the project's, so they live apart.
$(VENV)/.checkers: tests/checkers.txt $(VENV)/.torch
	test -x $(VENV)/checkers/bin/python || $(PYTHON) -m venv $(VENV)/checkers
	$(VENV)/checkers/bin/pip install --quiet -r tests/checkers.txt
	@touch $@

# Larger ones, which only `make proof` runs.
$(VENV)/.checkers-proof: tests/checkers-proof.txt $(VENV)/.checkers
	$(VENV)/checkers/bin/pip install --quiet -r tests/checkers-proof.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/pip install --quiet -c $(VENV)/constraints.txt -e '.[models,dev,docs]'
	@touch $@

demo: $(VENV)/.models
	$(BIN)/tarazu run demo --out runs/demo

# Each process takes one half of the tests, so that most fixtures of a module are made once, and whichever is done first
# takes some of the other's.
test: lint system-packages $(VENV)/.checkers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

proof: $(VENV)/.dev system-packages $(VENV)/.checkers-proof
	$(BIN)/python -m pytest -m proof -s
	$(BIN)/python scripts/calibrate.py docs/calibration.md --date $$(date +%F)

# The gate's check of Lean sources, by Lean itself. Without `lean`, in a container with the version that its recipe names;
# there, bubblewrap needs leave to make namespaces.
CONTAINER ?= $(shell command -v podman || command -v docker)
lean-check:
	@if command -v lean > /dev/null; then \
	  $(MAKE) $(VENV)/.dev && $(BIN)/python -m pytest -q -k lean tests/record/test_mathematics.py; \
	elif [ -n "$(CONTAINER)" ]; then \
	  git archive HEAD | $(CONTAINER) build -t tarazu-lean -f scripts/lean/Containerfile - && \
	  $(CONTAINER) run --rm --network none --cap-add SYS_ADMIN --security-opt seccomp=unconfined \
	    --security-opt apparmor=unconfined tarazu-lean; \
	else \
	  echo "make lean-check: needs Lean 4 on the PATH, or docker or podman"; exit 2; \
	fi

# On a machine with a GPU, by the Python there that has torch; a network is not needed. The wheels are what it may lack.
gpu-check:
	PYTHONPATH="src:$$PYTHONPATH" $(PYTHON) scripts/gpu_check.py

gpu-wheels:
	$(PYTHON) scripts/collect_gpu_wheels.py

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test-core:
	rm -rf .venv-core && $(PYTHON) -m venv .venv-core
	.venv-core/bin/pip install --quiet -c constraints.txt .
	.venv-core/bin/tarazu --help > /dev/null
	.venv-core/bin/tarazu languages > /dev/null
	.venv-core/bin/tarazu analyze tests/files/scores.csv --out .venv-core/run
	.venv-core/bin/tarazu run 2>&1 | grep -F "pip install 'tarazu[models]'"

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# As a user installs it: torch apart, with the newest packages that it allows, not those of constraints.txt.
test-wheel: dist
	rm -rf .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet $(TORCH)
	.venv-wheel/bin/pip install --quiet "$$(echo dist/*.whl)[models]"
	cd .venv-wheel && bin/tarazu run demo --out run

docs: $(VENV)/.dev
	$(BIN)/python scripts/write_docs.py
	$(BIN)/python scripts/write_parallel_card.py

# Not with --quiet, under which mkdocs counts no warnings and takes broken links.
docs-site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

demo-models: $(VENV)/.models
	$(BIN)/python scripts/build_demo_models.py

# The browser that opens the report, fonts for its fifty languages, the sandbox of records, and the program that checks
# their signatures.
system-packages:
	@missing=""; \
	command -v chromium > /dev/null || missing="chromium fonts-noto-core"; \
	command -v bwrap > /dev/null || missing="$$missing bubblewrap"; \
	command -v openssl > /dev/null || missing="$$missing openssl"; \
	PATH="$$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q 'libseccomp\.so\.2' || missing="$$missing libseccomp2"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	  else \
	    echo "the tests need packages of the system: sudo apt-get install $$missing"; \
	  fi; \
	fi

clean:
	rm -rf $(VENV) .venv-core .venv-wheel dist .pytest_cache .mypy_cache .ruff_cache
