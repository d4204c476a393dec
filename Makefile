# make demo   set up, train, export, evaluate, animate
# make test   set up, lint, type-check, check the architecture, test; make test-long runs the rest
# make smoke  set up, test the main path in a minute
# Everything is installed into .venv next to this file. PYTHON=... chooses one of CPython 3.11 to 3.14.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Else each of the many processes that tests start compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

# A tool that tests need | its Debian packages | the tests that are skipped without it
define TOOLS
Xvfb|xvfb libgl1 libgl1-mesa-dri|PyBullet's window
avr-gcc|gcc-avr avr-libc|the firmware built for the ATmega328P
simavr|simavr|the network on an emulated ATmega328P
/usr/include/simavr/sim_avr.h|libsimavr-dev|the firmware on an emulated ATmega328P
node|nodejs|the firmware on a second emulated ATmega328P
npm|npm|the second emulator's package
chromium|chromium|the pages in a browser
clang|clang|the firmware as WebAssembly
wasm-ld|lld|the firmware as WebAssembly
/usr/include/wasm32-wasi/math.h|wasi-libc libclang-rt-dev-wasm32|the firmware as WebAssembly
endef
export TOOLS

.PHONY: help setup pybullet fresh demo test test-long check pytest smoke packages seeds reliability swing-up score benchmarks deployment campaign wheels release mutants fuzz pictures module docs docs-serve docs-check docs-accessibility clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1	/' | expand -t 28

setup: $(STAMP) ## create .venv and install into it

$(STAMP): pyproject.toml setup.py constraints.txt $(wildcard install/*.py install/system.sh) $(shell find firmware_bridge/firmware firmware_bridge/simavr cartpole_robot/simulation/native cartpole_robot/training/dqn/native -name '*.[ch]')
	@python=$$(sh install/system.sh python "$(PYTHON)" $(BIN)/python) && "$$python" install $(VENV)
	@touch $@

pybullet: $(STAMP) ## build PyBullet, once a C++ compiler is there
	@$(BIN)/python install pybullet

fresh: ## as root: demo and test in empty Debian systems (an hour)
	@bash install/fresh.sh $(SYSTEMS)

demo: $(STAMP) ## train, export, evaluate, animate; leaves a run folder under runs/
	$(BIN)/cartpole-robot demo

# Most tests compute, and some wait: one process more than processors keeps all busy. Real-time tests mostly wait: a
# test shares the processors with at most two others.
PROCESSES := $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4)))
PYTEST := $(BIN)/python -m pytest --no-loadscope-reorder
PARALLEL := $(PYTEST) --numprocesses $(PROCESSES) --dist loadfile -m "not realtime and not long"
REALTIME := $(PYTEST) --numprocesses 3 --dist loadfile -m "realtime and not long"
CHECK = $(MAKE) --no-print-directory check

test: $(STAMP) packages ## lint, types, architecture, tests
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	echo "make check runs next to the tests; its output follows theirs"; \
	$(CHECK) >"$$log" 2>&1 & check=$$!; \
	failed=""; \
	$(PARALLEL) || failed=" tests"; \
	wait "$$check" || failed=" check$$failed"; \
	cat "$$log"; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed" >&2; exit 1; fi
	$(REALTIME)
	@$(MAKE) --silent packages

check: $(STAMP) ## lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(STAMP) packages ## the tests only
	$(PARALLEL)
	$(REALTIME)
	@$(MAKE) --silent packages

test-long: $(STAMP) packages ## the tests that make test leaves out: whole campaigns, wheels, notebooks, more mutants
	$(PYTEST) --numprocesses $(PROCESSES) --dist loadfile -m "long and not realtime"
	$(PYTEST) --numprocesses 2 --dist loadfile -m "long and realtime"

smoke: $(STAMP) packages ## one minute: a test on each rig, a short training, an export, a comparison
	$(BIN)/python -m pytest -m smoke -rs tests/contract

packages: ## report missing system packages that tests need; with CI=true install them
	@missing="" skipped=""; \
	while IFS='|' read -r tool names tests; do \
		if command -v "$$tool" >/dev/null || [ -e "$$tool" ]; then continue; fi; \
		missing="$$missing $$names" skipped="$$skipped  $$tool: $$tests"$$'\n'; \
	done <<< "$$TOOLS"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then sudo=""; else sudo="sudo "; fi; \
	install="apt-get install --yes --no-install-recommends$$missing"; \
	if [ "$${CI:-}" != true ]; then \
		printf 'Tests are skipped for lack of these tools:\n%sInstall them with: %s\n' "$$skipped" "$$sudo$$install" >&2; \
	elif ! { $${sudo:+sudo -n} apt-get update -qq && $${sudo:+sudo -n} $$install >/dev/null; }; then \
		printf 'CI=true needs these tools, and they cannot be installed:\n%s' "$$skipped" >&2; \
		exit 1; \
	fi

campaign: $(STAMP) packages ## train a policy, then try to break the firmware that runs it on the emulated chip
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

swing-up: $(STAMP) ## train ten seeds of the swing_up preset, vary it, and compare it with two policies
	$(BIN)/python -m benchmarks.swing_up_preset --first-seed 210
	$(BIN)/python -m benchmarks.swing_up_preset --ablation
	$(BIN)/python -m benchmarks.swing_up_preset --hand-over

score: $(STAMP) ## score LQR and the swing-up controller, and find the strength of the pushes again
	$(BIN)/cartpole-robot score lqr --cart diy_arduino
	$(BIN)/python -m benchmarks.push_scale

benchmarks: $(STAMP) ## physics, environment steps and training against other packages
	$(BIN)/python -m benchmarks.physics_against_gymnasium
	$(BIN)/python -m benchmarks.environment_step
	$(BIN)/python -m benchmarks.engine_equality
	$(BIN)/python -m benchmarks.engine_speed
	$(BIN)/python -m benchmarks.page_equality
	$(BIN)/python -m benchmarks.page_equality --cart diy_stepper
	$(BIN)/python -m benchmarks.vector_env
	$(BIN)/python -m benchmarks.evaluation_speed
	$(BIN)/python -m benchmarks.chip_speed
	$(BIN)/python -m benchmarks.closed_forms
	$(BIN)/python -m benchmarks.bring_up
	$(BIN)/python -m benchmarks.motor_cart_step
	$(BIN)/python -m benchmarks.learner_throughput
	$(BIN)/python -m benchmarks.training_against_zoo
	$(BIN)/python -m benchmarks.study_scaling
	$(BIN)/python -m benchmarks.long_recording

deployment: $(STAMP) ## inference and the real-time loop against other packages, and learning on a changed cart
	@if [ ! -e runs/campaign-policy/policy.npz ]; then \
		$(BIN)/cartpole-robot train --cart diy_arduino --out runs/campaign-policy; fi
	$(BIN)/python -m benchmarks.inference runs/campaign-policy
	$(BIN)/python -m benchmarks.deployment_loop runs/campaign-policy
	$(BIN)/python -m benchmarks.browser_view
	$(BIN)/python -m benchmarks.page_speed runs/campaign-policy
	$(BIN)/python -m benchmarks.learning_on_cart

wheels: $(STAMP) ## build the sdist and the wheel into dist/, test both in empty environments
	$(BIN)/python -m tests.wheels

release: $(STAMP) ## check version, changelog and tree, then build and test what would be published; pushes nothing
	@$(BIN)/python -m tests.release $(RELEASE)

mutants: $(STAMP) ## every mutant of the safety core and of boards/avr, boards that are not set up, a million frames, coverage
	$(BIN)/python -m tests.firmware.mutate_safety --journal build/mutants/core.jsonl
	$(BIN)/python -m tests.firmware.mutate_stepper --journal build/mutants/stepper.jsonl
	$(BIN)/python -m tests.firmware.mutate_boards --journal build/mutants/boards.jsonl
	$(BIN)/python -m tests.firmware.mutate_stepper_board --journal build/mutants/stepper_board.jsonl
	$(BIN)/python -m tests.firmware.mutate_kernel --journal build/mutants/kernel.jsonl
	$(BIN)/python -m tests.firmware.coverage
	$(BIN)/python -m tests.firmware.frame_storm
	EVERY_IMAGE=1 $(BIN)/python -m pytest tests/firmware/test_board_setup.py tests/firmware/test_second_board_setup.py

fuzz: $(STAMP) ## ten minutes of damaged and hostile files and frames for every reader
	$(BIN)/python -m tests.fuzz $(FUZZ)

pictures: $(STAMP) ## make the pictures in docs/
	$(BIN)/python -m cartpole_robot.drawing.wiring docs/wiring.svg
	$(BIN)/python -m cartpole_robot.drawing.stepper_wiring docs/wiring_stepper.svg
	$(BIN)/python -m benchmarks.readme_pictures

module: $(STAMP) ## compile the page's WebAssembly
	$(BIN)/python -m cartpole_robot.page.module_build

SITE := docs/_build/html

docs: $(STAMP) ## build the documentation site into docs/_build; warnings are errors
	@$(BIN)/python -m docs.live_page
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -d docs/_build/doctrees docs $(SITE)
	@echo "$(SITE)/index.html"

docs-serve: docs ## build the site and serve it on this machine
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE) $(PORT)

docs-check: $(STAMP) ## run the commands and snippets that the pages show, each page in a folder of its own
	$(BIN)/python -m docs.check $(PAGES)

docs-accessibility: docs ## audit pages of the site with Lighthouse in Chromium (needs npx and chromium)
	$(BIN)/python -m docs.accessibility $(SITE) $(PAGES)

clean: ## remove .venv, build output and caches
	rm -rf $(VENV) build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find firmware_bridge cartpole_robot \( -name '*.so' -o -name '*.wasm' \) -delete
