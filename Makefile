# Latent Wardrobe. `make` alone lists the targets. Readers without make: see README.md.

VENV = .venv/bin/python

# Everything in tests/ and notebooks/, two at a time; a stored notebook output that differs is an error.
# PYTEST_FLAGS is free for you:  make test PYTEST_FLAGS="-k data"
PYTEST = -n 2 --dist loadscope --no-loadscope-reorder --nbval --nbval-cell-timeout=180

# This computer only, with Jupyter's own token; a busy port moves on by itself. Jupyter refuses root unless told.
# Without a screen no browser is tried. The address is printed in any case, and little else. JupyterLab neither fetches
# its news nor asks at its first start whether it may.
LAB = --ip=127.0.0.1 --LabApp.default_url=/lab/tree/notebooks --LabApp.app_settings_dir=.ci/jupyterlab --log-level=WARN \
      $(if $(filter 0,$(shell id -u)),--allow-root) \
      $(ENCRYPTED) $(SCREEN)
# Server and kernel talk in cipher; else each kernel says at its start that another user could listen.
ENCRYPTED = --KernelManager.transport_encryption=auto
SCREEN = $(if $(filter Linux,$(shell uname)),$(if $(DISPLAY)$(WAYLAND_DISPLAY),,--no-browser))

# What opens a file in the reader's browser.
OPEN = $(if $(filter Darwin,$(shell uname)),open,xdg-open)

# Notebook 07 as an app, on this computer only. Cells tagged "course" (its exercises) stay out, and so does the part
# of Notebook 7 that does not start in Voila.
VOILA = --Voila.ip=127.0.0.1 $(ENCRYPTED) $(SCREEN) --TagRemovePreprocessor.remove_cell_tags=course \
          --VoilaConfiguration.extension_denylist=@jupyter-notebook/lab-extension $(CULL) \
          --VoilaConfiguration.show_tracebacks=True
# A page that is closed or loaded again leaves its kernel behind, with a gigabyte of memory: its own request to end it is
# refused for want of a cookie. Kernels that no page is connected to end a minute later.
CULL = --MappingKernelManager.cull_idle_timeout=60 --MappingKernelManager.cull_interval=20

# Packages and kernels of other projects must not shadow those of .venv.
unexport PYTHONPATH PYTHONHOME
export JUPYTER_PREFER_ENV_PATH = 1

.PHONY: help lab explore explorer site voila kernel test test-all lint bench checkpoints results sweeps pictures readme lock setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

lab: setup ## set up, then open the course in JupyterLab
	@echo "JupyterLab starts. To stop it, press Ctrl-C twice here."
	$(VENV) -m jupyterlab $(LAB)

explore: ## open the latent explorer, one page that needs no Python: explorer.html
	@echo "Opening explorer.html. In a browser: file://$(CURDIR)/explorer.html"
	@$(if $(SCREEN),,$(OPEN) explorer.html)

explorer: setup ## write explorer.html again from the shipped models
	$(VENV) -m helpers.making.release explorer

site: setup ## build the course as an offline site in site/, to read from the disk or from any web server
	$(VENV) -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	$(VENV) -m helpers.making.site

voila: setup ## set up, then serve notebook 07 as an app without code
	@echo "The app starts. To stop it, press Ctrl-C here."
	$(VENV) -m voila notebooks/07_latent_explorer.ipynb $(VOILA)

kernel: ## compile the page's matrix product again (needs npm)
	npx --yes --package assemblyscript@0.28.20 asc helpers/machinery/kernel.ts -o helpers/machinery/kernel.wasm \
	  --enable simd -O3 --runtime stub --noAssert

test: lint ## set up, then run ruff, the import linter, the unit tests and every notebook
	$(VENV) -m pytest $(PYTEST) $(PYTEST_FLAGS)

test-all: lint ## the same with what takes minutes, and all notebooks once more on the drawn wardrobe
	$(VENV) -m pytest $(PYTEST) -m "nightly or not nightly" $(PYTEST_FLAGS)
	COURSE_DATA=wardrobe $(VENV) -m pytest $(PYTEST) notebooks $(PYTEST_FLAGS)

lint: setup
	$(VENV) -m ruff check
	$(VENV) -m ruff format --check
	$(VENV) -c "from importlinter.cli import lint_imports_command; lint_imports_command()" --no-logo

bench: setup ## measure speed, side by side with the usual ways (an idle computer, please)
	$(VENV) tests/benchmarks $(BENCH_FLAGS)

checkpoints: setup ## train the shipped models that are missing (long; goes on after a stop)
	$(VENV) -m helpers.making.release checkpoints

results: setup ## run the stored experiments that are missing (long; goes on after a stop)
	$(VENV) -m helpers.making.release results

sweeps: setup ## run notebook 05's sweeps that are missing (about an hour; goes on after a stop)
	$(VENV) -m helpers.making.release sweeps

pictures: setup ## draw the pictures of README and notebooks again
	$(VENV) -m helpers.making.release pictures

readme: setup ## write the table of results in README.md again
	$(VENV) -m helpers.making.release readme

# One set of versions for every supported Python and system: uv resolves for all of them at once. What is locked already
# stays while requirements.in allows it:  make lock LOCK_FLAGS=--upgrade  takes the newest.
lock: setup ## lock the packages of requirements.in again, in requirements.txt
	$(VENV) -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(VENV) -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --no-config --custom-compile-command "make lock" -o requirements.txt \
	  requirements.in tests/requirements.in $(LOCK_FLAGS)

# Any Python from 3.8 on can run the set-up script, which then looks for a supported one or takes PYTHON=...
setup: ## make or update .venv; done already: a moment
	@for p in python3 python python3.13 python3.12 python3.11 "$(PYTHON)"; do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && exec "$$p" .ci/setup.py; \
	done; \
	echo "No Python found. Install version 3.11 to 3.13 from https://www.python.org/downloads/" >&2; exit 1

clean: ## remove .venv, caches and the built site; data, checkpoints and notebooks stay
	rm -rf .venv site *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
