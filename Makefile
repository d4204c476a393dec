# make demo   set up, train, export, evaluate, animate
# make test   set up, lint, type-check, check the architecture, test
# Everything is installed into .venv beside this file. PYTHON=... chooses another Python 3.11.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for name in python3.11 python3 python; do \
	if command -v $$name >/dev/null 2>&1 && \
	   $$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; \
	then echo $$name; break; fi; done)

.PHONY: help setup demo test check pytest display chip browser seeds reliability benchmarks deployment campaign mutants pictures clean

help: ## what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1	/' | expand -t 20

setup: $(STAMP) ## make .venv and install into it

$(STAMP): pyproject.toml setup.py constraints.txt $(shell find firmware_bridge/firmware firmware_bridge/simavr cartpole_robot/training/dqn/native -name '*.[ch]')
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 found. PyBullet has wheels for CPython up to 3.11 only; install python3.11 with its" >&2; \
		echo "headers and venv (Debian: python3.11 python3.11-dev python3.11-venv), or say make PYTHON=/path/to/python3.11" >&2; \
		exit 2; \
	fi
	@$(PYTHON) -c 'import sysconfig, pathlib, sys; h = pathlib.Path(sysconfig.get_path("include"), "Python.h"); sys.exit(None if h.exists() else f"{h} is missing: install the headers of Python 3.11 (Debian: python3.11-dev)")'
	@command -v gcc >/dev/null || command -v cc >/dev/null || { echo "No C compiler found; install gcc." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint constraints.txt --editable '.[all]'
	@touch $@

demo: $(STAMP) ## train, export, evaluate, animate; leaves a run folder under runs/
	$(BIN)/cartpole-robot demo

test: check pytest ## lint, types, architecture, tests

check: $(STAMP) ## lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(STAMP) display chip browser ## the tests alone
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m "not realtime"
	$(BIN)/python -m pytest -m realtime

display: ## a virtual display for the tests of PyBullet's window
	@if ! command -v Xvfb >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then as=""; elif sudo -n true 2>/dev/null; then as="sudo"; else as="no"; fi; \
		if [ "$$as" = no ] || ! command -v apt-get >/dev/null; then \
			echo "Xvfb is not installed and cannot be from here: the tests of PyBullet's window are skipped." >&2; \
		else \
			echo "Installing Xvfb and its OpenGL with apt-get, for the tests of PyBullet's window." >&2; \
			$$as apt-get update -qq >/dev/null && \
			$$as apt-get install -qq -y --no-install-recommends xvfb libgl1 libgl1-mesa-dri >/dev/null; \
		fi; \
	fi

chip: ## the compiler for the ATmega328P, and the emulator that runs what it makes
	@if ! command -v avr-gcc >/dev/null || [ ! -e /usr/include/simavr/sim_avr.h ]; then \
		if [ "$$(id -u)" = 0 ]; then as=""; elif sudo -n true 2>/dev/null; then as="sudo"; else as="no"; fi; \
		if [ "$$as" = no ] || ! command -v apt-get >/dev/null; then \
			echo "avr-gcc or simavr is not installed and cannot be from here: the firmware is not tested on its chip." >&2; \
		else \
			echo "Installing gcc-avr, avr-libc, simavr and libsimavr-dev with apt-get, to test the firmware on its chip." >&2; \
			$$as apt-get update -qq >/dev/null && \
			$$as apt-get install -qq -y --no-install-recommends gcc-avr avr-libc simavr libsimavr-dev >/dev/null; \
		fi; \
	fi

browser: ## a browser for the tests of the comparison's page
	@if ! command -v chromium >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then as=""; elif sudo -n true 2>/dev/null; then as="sudo"; else as="no"; fi; \
		if [ "$$as" = no ] || ! command -v apt-get >/dev/null; then \
			echo "Chromium is not installed and cannot be from here: the comparison's page is not tested in a browser." >&2; \
		else \
			echo "Installing chromium with apt-get, for the tests of the comparison's page." >&2; \
			$$as apt-get update -qq >/dev/null && \
			$$as apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
		fi; \
	fi

campaign: $(STAMP) chip ## train a policy, then try to break the firmware that runs it on the emulated chip
	@if [ ! -e runs/campaign-policy/policy.npz ]; then \
		$(BIN)/cartpole-robot train --cart diy_arduino --out runs/campaign-policy; fi
	$(BIN)/cartpole-robot firmware campaign --policy runs/campaign-policy --out runs/campaign

seeds: $(STAMP) ## train ten seeds of the recommended preset and count the successes
	$(BIN)/python -m benchmarks.recommended_seeds

reliability: $(STAMP) ## fifty seeds on gym, twenty on each cart with a motor, one policy for drawn carts (an hour and a half)
	$(BIN)/python -m benchmarks.recommended_seeds --seeds 50 --workers 2
	for cart in quanser_ip02 sensorsini diy_arduino; do \
		$(BIN)/python -m benchmarks.recommended_seeds --cart $$cart --seeds 20 --workers 2; done
	$(BIN)/python -m benchmarks.robust_policy --seeds 3

benchmarks: $(STAMP) ## physics, environment steps and training against their peers
	$(BIN)/python -m benchmarks.physics_against_gymnasium
	$(BIN)/python -m benchmarks.environment_step
	$(BIN)/python -m benchmarks.closed_forms
	$(BIN)/python -m benchmarks.motor_cart_step
	$(BIN)/python -m benchmarks.learner_throughput
	$(BIN)/python -m benchmarks.training_against_zoo
	$(BIN)/python -m benchmarks.study_scaling

deployment: $(STAMP) ## inference and the real-time loop against their peers, and learning on a changed cart
	@if [ ! -e runs/campaign-policy/policy.npz ]; then \
		$(BIN)/cartpole-robot train --cart diy_arduino --out runs/campaign-policy; fi
	$(BIN)/python -m benchmarks.inference runs/campaign-policy
	$(BIN)/python -m benchmarks.deployment_loop runs/campaign-policy
	$(BIN)/python -m benchmarks.learning_on_cart

mutants: $(STAMP) ## every mutant of the safety core, a million frames against the firmware
	$(BIN)/python -m tests.firmware.mutate_safety
	$(BIN)/python -m tests.firmware.frame_storm

pictures: $(STAMP) ## the README's pictures, made again into docs/
	$(BIN)/python -m benchmarks.readme_pictures

clean: ## remove .venv and what tools left
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find firmware_bridge cartpole_robot -name '*.so' -delete
