# Every target sets up .venv first, on a machine with Python 3.11 or newer; `make` lists the targets.

PARAMS ?= params/fashion.yaml
ARGS ?=
CHAPTERS ?=
PORT ?= 8000
PYTHON ?= python3
RUN = runs/$(basename $(notdir $(PARAMS)))# and a comma before every -p NAME VALUE in ARGS
PY := .venv/bin/python
READY := .venv/.ready
APT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq
USABLE := $(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

# Tests run side by side, one process a core and one thread in each.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 8
# What `make quick` leaves out: programs that are started and killed, networks that are trained for
# tables, the benchmarks, the book.
LONG := tests/training/test_restart.py tests/commands tests/classification/test_table.py tests/test_benchmarks.py \
	tests/book/test_book.py tests/book/test_browser.py tests/book/test_jupyterlab.py

.PHONY: help book serve test test-all quick lint lowest notebooks clean browser

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

book: $(READY) ## run all chapters, render their book; PARAMS=params/NAME.yaml ARGS="-p NAME VALUE"
	$(PY) -m dcgan_lib batch $(PARAMS) $(ARGS)
	$(PY) book/build.py --notebooks "$$(ls -dt $(RUN)/notebooks $(RUN),*/notebooks 2>/dev/null | head -n 1)"

serve: $(READY) ## render the stored notebooks and serve the book on this machine; PORT=8000
	$(PY) book/build.py
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

quick: $(READY) ## the unit tests that take under a minute in all
	$(PYTEST) --dist worksteal -m "not slow" $(addprefix --ignore=,$(LONG))

test: $(READY) browser ## the unit tests, the stored notebooks, the book, a browser
	$(call every_test,-m "not slow")

test-all: $(READY) browser ## the same and the slow tests
	$(call every_test)

# The stored notebooks are compared with fresh runs, so what a reader has trained there is set aside.
ASIDE := notebooks/.runs-aside
define every_test
test -e $(ASIDE) || ! test -e notebooks/runs || mv notebooks/runs $(ASIDE)
rm -rf notebooks/runs
status=0; \
$(PYTEST) --dist worksteal $(1) || status=1; \
$(PYTEST) --dist loadfile --nbval notebooks || status=1; \
rm -rf notebooks/runs; ! test -e $(ASIDE) || mv $(ASIDE) notebooks/runs; \
exit $$status
endef

lint: $(READY) ## format, style and types of the code
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright

lowest: PY := .venv-lowest/bin/python
lowest: ## the unit tests and notebooks with the lowest versions, in .venv-lowest; PYTHON=python3.11
	test -x $(PY) || $(PYTHON) -m venv .venv-lowest
	$(PY) -m pip install -c constraints-lowest.txt -r requirements.txt
	$(PYTEST) --dist worksteal -m "not slow" --ignore=tests/book
	$(PYTEST) --dist loadfile --nbval-lax notebooks

notebooks: $(READY) ## execute the chapters' texts anew, .md to .ipynb; CHAPTERS="04 05"
	$(PY) book/make_notebooks.py $(CHAPTERS)

clean: ## remove what builds and tests leave; runs/ and .venv stay
	rm -rf _build .pytest_cache .ruff_cache .venv-lowest

$(READY): requirements.txt constraints.txt pyproject.toml
	@$(USABLE) || { $(APT) python3-venv; } || true
	@$(USABLE) || { echo "$(PYTHON) is missing, older than 3.11, or without its venv module." \
	    "Install Python 3.11 or newer (Debian: apt install python3-venv), or name one: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt
	touch $@

browser:
	@command -v chromium >/dev/null || { $(APT) chromium; } || echo "No Chromium here: the browser tests cannot run."
