"""The command line: arguments in, exit code out.

Heavy packages are imported only after the arguments are parsed, so that a wrong argument is reported at once.
"""

from __future__ import annotations

import argparse
import difflib
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence

from cartpole_robot import __version__
from cartpole_robot.commands.bring_up import add_bring_up
from cartpole_robot.commands.carts import add_carts
from cartpole_robot.commands.compare import add_compare
from cartpole_robot.commands.datasets import add_convert, add_import
from cartpole_robot.commands.deploy import add_deploy, add_replay
from cartpole_robot.commands.evaluate import add_evaluate
from cartpole_robot.commands.extras import extras_for
from cartpole_robot.commands.firmware import add_firmware
from cartpole_robot.commands.identify import add_identify
from cartpole_robot.commands.output import FAILED, PROGRAM, USAGE, print_error
from cartpole_robot.commands.page import add_page
from cartpole_robot.commands.record import add_excite, add_record, add_show
from cartpole_robot.commands.rig import add_check_rig, add_jog, add_ports, add_virtual_cart
from cartpole_robot.commands.score import add_score
from cartpole_robot.commands.stability_map import add_stability_map
from cartpole_robot.commands.study import add_study
from cartpole_robot.commands.train import add_demo, add_export, add_train
from cartpole_robot.commands.verbs import Verb, add_verbs
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.terminal.interrupts import sigterm_stops
from cartpole_robot.terminal.printable import printable
from cartpole_robot.terminal.streams import print_everything
from firmware_bridge.errors import BridgeError

_COMPILED = ("firmware_bridge._host", "cartpole_robot.simulation._native", "cartpole_robot.training.dqn._update")
VERB_GROUPS = {
    "learn": (
        Verb("demo", "run every stage once: train, export, drive, record, compare", add_demo),
        Verb("train", "train a DQN and export its policy", add_train),
        Verb("evaluate", "run many episodes and count how long a policy balances", add_evaluate),
        Verb("export", "export a run's policy again, or a Stable-Baselines3 model's", add_export),
        Verb("page", "make a web page of a cart, its firmware and policies", add_page),
    ),
    "run on a cart": (
        Verb("carts", "list or show the known carts, or write a new one", add_carts),
        Verb("ports", "list the serial ports and the carts on them", add_ports),
        Verb("check-rig", "check a cart step by step: link, encoders, motor, homing", add_check_rig),
        Verb("bring-up", "take a wired cart to a balanced one in one run", add_bring_up),
        Verb("jog", "move a cart with the keyboard", add_jog),
        Verb("virtual-cart", "simulate a cart with its firmware on a pseudo-terminal", add_virtual_cart),
        Verb("deploy", "run a policy on a cart in real time", add_deploy),
        Verb("replay", "replay a black box in the firmware and compare the fault", add_replay),
    ),
    "work with data": (
        Verb("record", "run one episode of a policy and record it", add_record),
        Verb("show", "summarize and plot a recording", add_show),
        Verb("import", "convert a CSV file to a recording", add_import),
        Verb("convert", "convert a recording to a CSV file, Minari dataset or video", add_convert),
        Verb("excite", "record a motion that reveals a cart's parameters", add_excite),
        Verb("identify", "estimate a cart's parameters from recordings of it", add_identify),
        Verb("compare", "measure how far the simulation is from a recording, and why", add_compare),
    ),
    "experiment": (
        Verb("study", "train with many seeds and settings, and plot the effect", add_study),
        Verb("score", "score a policy with measures from the literature", add_score),
        Verb("stability-map", "map how far a cart may differ before a policy fails", add_stability_map),
    ),
    "firmware": (Verb("firmware", "build, flash, measure and stress-test the cart's firmware", add_firmware),),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 when it is done, 1 when the run failed or was stopped, 2 for a mistake in its use."""
    print_everything()
    arguments = _parsed(sys.argv[1:] if argv is None else argv)
    try:
        with sigterm_stops():
            return int(arguments.run(arguments))
    except UsageError as error:
        print_error(str(error))
        return USAGE
    except ImportError as error:
        advice = _import_advice(error, arguments.extra)
        return _report_unexpected(error) if advice is None else _usage(advice)
    except (RunError, BridgeError) as error:
        print_error(str(error))
        return FAILED
    except BrokenPipeError:
        print_error("stopped: whatever read its messages is gone, or a process that it needs")
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"{where}{error.strerror or error}; free space or choose another place")
        return FAILED
    except KeyboardInterrupt:
        print_error("stopped")
        return FAILED
    except Exception as error:
        if type(error).__name__ == "BrokenProcessPool":  # by name: importing the class takes a while
            print_error("a worker process was killed, perhaps for lack of memory; try again")
            return FAILED
        return _report_unexpected(error)


def _usage(message: str) -> int:
    print_error(message)
    return USAGE


def _import_advice(error: ImportError, extra: str) -> str | None:
    """What to install where a package is missing or a compiled part does not load; None for another error."""
    part = _compiled_part(error)
    if part is not None:
        return (
            f"the compiled part {part} does not load on this machine, {platform.machine()} with "
            f"{sys.implementation.name} {platform.python_version()} ({error.msg}); install the package again here, "
            "with a C compiler at hand"
        )
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package in ("cartpole_robot", "firmware_bridge"):
        return None
    return (
        f"the package {package} is not installed; "
        f"install this one with its extra: pip install 'cartpole-robot[{extras_for(package, extra)}]'"
    )


def _report_unexpected(error: Exception) -> int:
    """The last resort for an error of this program: one line, and the traceback in a file of its own."""
    summary = f"{type(error).__name__}: {error}".rstrip(": ")
    try:
        path = _saved_traceback(error)
    except OSError:
        traceback.print_exception(error)
        print_error(f"an error of this program: {summary}; please report it with the lines above")
        return FAILED
    print_error(f"an error of this program: {printable(summary, longest=300)}; please report it with the file {path}")
    return FAILED


def _saved_traceback(error: Exception) -> str:
    """The new file in the folder for temporary files that has the traceback of `error`, for its user alone."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{PROGRAM}-error-", suffix=".txt", encoding="utf-8", errors="backslashreplace", delete=False
    ) as file:
        file.write(f"{PROGRAM} {__version__}, {platform.platform()}, Python {platform.python_version()}\n")
        file.write(f"{shlex.join(sys.argv)}\n\n")
        file.writelines(traceback.format_exception(error))
    return file.name


def _compiled_part(error: ImportError) -> str | None:
    """The extension that could not be imported; the dynamic loader's errors have the last part of its name only."""
    return next((part for part in _COMPILED if f".{part}".endswith(f".{error.name}")), None)


def command_line_parser() -> argparse.ArgumentParser:
    """The parser of all verbs, which the reference of the command line is made from too."""
    parser = argparse.ArgumentParser(prog=PROGRAM, usage=f"{PROGRAM} [-h] [--version] VERB ...")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.description = (
        "Train a cart-pole controller in simulation and run it on a real cart.\n\n"
        f"example: {PROGRAM} train --cart diy_arduino --out runs/diy\n"
        f"         {PROGRAM} deploy runs/diy --rig virtual"
    )
    parser.epilog = f"{PROGRAM} VERB --help explains a verb."
    add_verbs(parser, VERB_GROUPS)
    return parser


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of one verb. Exits with 2 where they are wrong, with 0 after printing help or the version."""
    parser = command_line_parser()
    verbs = [verb.name for group in VERB_GROUPS.values() for verb in group]
    if words and words[0] not in verbs and not words[0].startswith("-"):
        near = difflib.get_close_matches(words[0], verbs, 1)
        hint = f"did you mean {near[0]}?" if near else f"{PROGRAM} --help lists them"
        parser.error(f"there is no verb {words[0]!r}; {hint}")
    return parser.parse_args(words)
