# The commands of this project; `make` alone lists them. `make PYTHON=/path/to/python ...` uses that Python as it is
# (installing what it lacks); otherwise each command sets up .venv first.

.DEFAULT_GOAL := help
.PHONY: help setup fit test test-slow test-kills check format bench bench-faults bench-logging bench-scaling
.PHONY: bench-gpu bench-images bench-memory bench-checkpoints bench-transfer clean

ifdef PYTHON
READY := python-has-all
else
PYTHON := .venv/bin/python
READY := .venv/.ready
endif
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))
CODE := lightning_app datamodules models submit tests benchmarks

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' | column -t -s '|'

setup: $(READY)  ## install everything; the other commands do so, too

fit: $(READY)  ## train on generated images, or ARGS="--data_path DIR"
	$(PYTHON) -m lightning_app.fit $(ARGS)

test: $(READY)  ## run the tests
	$(PYTHON) -m pytest $(ARGS)

test-slow: $(READY)  ## run the tests that take minutes
	$(PYTHON) -m pytest -m slow $(ARGS)

test-kills: $(READY)  ## kill and stop trainings at random; ARGS="--seed 1"
	$(PYTHON) -m tests.kills $(ARGS)

check: $(READY)  ## look for mistakes: ruff and mypy
	$(PYTHON) -m ruff check $(CODE)
	$(PYTHON) -m ruff format --check $(CODE)
	$(PYTHON) -m mypy

format: $(READY)  ## lay the code out
	$(PYTHON) -m ruff check --fix $(CODE)
	$(PYTHON) -m ruff format $(CODE)

bench: $(READY)  ## compare speed and accuracy with the tutorials' loop
	$(PYTHON) -m benchmarks $(ARGS)

bench-gpu: $(READY)  ## where there is a GPU: its tests, then make bench
	$(PYTHON) -m pytest -m gpu -n 0 tests/lightning_app/test_gpu.py
	$(PYTHON) -m benchmarks --long --precision 16-mixed $(ARGS)

bench-faults: $(READY)  ## training and metrics when Azure ML fails
	$(PYTHON) -m benchmarks.logger_faults $(ARGS)

bench-logging: $(READY)  ## what a log call costs, beside MLflow (installs it)
	@$(PYTHON) -c 'import mlflow' 2>/dev/null || $(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(PYTHON) -m benchmarks.logging_cost $(ARGS)

bench-scaling: $(READY)  ## what a step costs with two processes, and with 16 nodes
	$(PYTHON) -m benchmarks.scaling $(ARGS)

bench-images: $(READY)  ## loading of image files; ARGS=--mount: from a slow mount
	$(PYTHON) -m benchmarks.image_loading $(ARGS)

bench-memory: $(READY)  ## memory of four processes, and of 100 times the data
	$(PYTHON) -m benchmarks.memory $(ARGS)

bench-checkpoints: $(READY)  ## what saving often costs, and the start of a resume
	$(PYTHON) -m benchmarks.checkpoint_cost $(ARGS)

bench-transfer: $(READY)  ## a ResNet beside the transfer tutorial; ARGS=--finetune
	$(PYTHON) -m benchmarks.transfer $(ARGS)

clean:  ## remove what the commands made, except runs
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info build

.venv/.ready: pyproject.toml
	@echo "Setting up .venv; PyTorch is large, so this takes some minutes the first time."
	@found=; for python in python3 python3.12 python3.11 python3.10; do \
	    if $$python -c '$(SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then echo "error: no Python 3.10, 3.11 or 3.12 found; install one, or give PYTHON=" >&2; exit 2; fi; \
	$$found -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: python-has-all
python-has-all:
	@$(PYTHON) -c 'import azure.ai.ml, azureml.core, jinja2, jsonargparse, jwt, playwright, pytest, pytorch_lightning, sklearn, tensorboard, torchvision, trustme, xdist' 2>/dev/null \
	    || $(PYTHON) -m pip install --editable '.[dev]'
