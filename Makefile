# `make book` and `make test` do everything, set-up included, on a machine with Python 3.11 or newer.
#
#   make book [PARAMS=params/NAME.yaml] [ARGS="-p NAME VALUE ..."]
#                                         run the chapters with these parameters, render the book of that run
#   make test                             every test: the package, the book, a browser, the stored notebooks
#   make notebooks [CHAPTERS="04 05"]     execute the chapters' texts anew: notebooks/*.md -> notebooks/*.ipynb
#   make clean                            remove what builds and tests leave; runs/ and .venv stay

PARAMS ?= params/digits.yaml
ARGS ?=
CHAPTERS ?=
PYTHON ?= python3
RUN = runs/$(basename $(notdir $(PARAMS)))# and a comma before every -p NAME VALUE in ARGS
PY := .venv/bin/python
READY := .venv/.ready
APT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq
USABLE := $(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

.PHONY: book test notebooks clean browser

book: $(READY)
	$(PY) -m dcgan_lib batch $(PARAMS) $(ARGS)
	$(PY) book/build.py --notebooks "$$(ls -dt $(RUN)/notebooks $(RUN),*/notebooks 2>/dev/null | head -n 1)"

# The stored notebooks are compared with a fresh run, so what a reader has trained there is set aside for the time.
ASIDE := notebooks/.runs-aside
test: $(READY) browser
	test -e $(ASIDE) || ! test -e notebooks/runs || mv notebooks/runs $(ASIDE)
	rm -rf notebooks/runs
	status=0; \
	$(PY) -m pytest || status=1; \
	$(PY) -m pytest --nbval notebooks || status=1; \
	rm -rf notebooks/runs; ! test -e $(ASIDE) || mv $(ASIDE) notebooks/runs; \
	exit $$status

notebooks: $(READY)
	$(PY) book/make_notebooks.py $(CHAPTERS)

clean:
	rm -rf _build .pytest_cache

$(READY): requirements.txt constraints.txt pyproject.toml
	@$(USABLE) || { $(APT) python3-venv; } || true
	@$(USABLE) || { echo "$(PYTHON) is missing, older than 3.11, or without its venv module." \
	    "Install Python 3.11 or newer (Debian: apt install python3-venv), or name one: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt -e .
	touch $@

browser:
	@command -v chromium >/dev/null || { $(APT) chromium; } || echo "No Chromium here: the browser tests cannot run."
