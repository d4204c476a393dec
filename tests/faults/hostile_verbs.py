"""Runs verbs of the command line against hostile devices, many at a time.

    python -m tests.faults.hostile_verbs POLICY FOLDER CASE...

prints one JSON object for each case. Each case has two processes, forked from this one, which has loaded everything:
the device, and the verb on the other end of its pseudo-terminal. A verb that does not end by its deadline is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

# What the verbs import when they run, loaded once for all.
import cartpole_robot.bring_up.check
import cartpole_robot.bring_up.jog
import cartpole_robot.bring_up.line_checks
import cartpole_robot.bring_up.motor_checks
import cartpole_robot.deployment.realtime
import cartpole_robot.deployment.run
import cartpole_robot.recording.summary
import cartpole_robot.rigs.firmware_rig
import cartpole_robot.rollout.judging
import cartpole_robot.rollout.record
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.commands.cli import main
from cartpole_robot.policy.lqr_design import design_lqr
from firmware_bridge.link import Link
from tests.faults.hostile_device import BEHAVIOURS

DEADLINE_S = 60.0  # a verb that takes longer hangs, on a busy machine too
TRAIN_DEADLINE_S = 180.0  # it loads PyTorch first
AT_ONCE = 16


@dataclass(frozen=True)
class Outcome:
    """How a verb ended: its status, None where it was killed; its output; seconds; what the device saw last."""

    case: str
    status: int | None
    text: str
    took_s: float
    last_drive: str
    is_motor_off: bool


def words_of(verb: str, port: str, policy: str, folder: str) -> list[str]:
    """The verb's arguments."""
    rig = ["--rig", f"serial:{port}", "--arm"]
    regulator = ["lqr", "--cart", "diy_arduino"]
    return {
        "deploy": ["deploy", *regulator, *rig, "--duration-s", "1", "--record", f"{folder}/r.parquet", "--no-view"],
        "deploy --on-board": [
            *("deploy", policy, "--cart", "diy_arduino", *rig, "--duration-s", "1"),
            *("--record", f"{folder}/r.parquet", "--no-view", "--on-board"),
        ],
        "record": ["record", *regulator, *rig, "--duration-s", "0.5", "--out", f"{folder}/r.parquet"],
        "excite": ["excite", "--upright", *rig, "--duration-s", "4", "--swing-s", "2", "--out", f"{folder}/r.parquet"],
        "evaluate": ["evaluate", *regulator, *rig, "--episodes", "1", "--steps", "20"],
        "check-rig": ["check-rig", "--port", port, "--arm", "--only", "homing,counters"],  # the device does not move
        "check-rig without --arm": ["check-rig", "--port", port],
        "jog": ["jog", "--port", port, "--arm"],
        "train": [
            "train",
            "--init",
            policy,
            "--cart",
            "diy_arduino",
            *rig,
            "--episodes",
            "1",
            "--out",
            f"{folder}/run",
        ],
    }[verb]


def _run_verb(verb: str, words: list[str], output: str, keys: int | None) -> None:
    """The verb, in its process; never returns."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY) if keys is None else keys, 0)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)
    status = 99
    if verb.startswith("deploy"):
        sys.modules["matplotlib"] = None  # type: ignore[assignment] - a picture takes longer than the run
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 98
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def run_case(case: str, policy: str, folder: str) -> Outcome:
    """One case, "VERB: BEHAVIOUR", or "VERB: BEHAVIOUR, Ctrl-C" where the verb is interrupted while armed."""
    verb, _, behaviour = case.partition(": ")
    is_interrupted = behaviour.endswith(", Ctrl-C")
    device = BEHAVIOURS[behaviour.removesuffix(", Ctrl-C")]()
    Path(folder).mkdir()
    output = f"{folder}/output.txt"
    master = keys = None
    if verb == "jog":
        master, keys = os.openpty()
    words = words_of(verb, device.path, policy, folder)
    began_s = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(device.master)
        os.close(device._slave)
        _run_verb(verb, words, output, keys)
    status: int | None = None
    interrupts, pressed, pressed_s = 0, 0, 0.0

    def is_over() -> bool:
        nonlocal status, interrupts, pressed, pressed_s
        now_s = time.monotonic() - began_s
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            return True
        if now_s > (TRAIN_DEADLINE_S if verb == "train" else DEADLINE_S):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        if is_interrupted and device.armed_for_s > 0.3 + 0.2 * interrupts and interrupts < 3:
            interrupts += 1
            os.kill(child, signal.SIGINT)
        if master is not None and device.stage in ("CFG", "JOG_RIGHT", "PING") and now_s > pressed_s + 0.2:
            pressed, pressed_s = pressed + 1, now_s
            os.write(master, b"d" if pressed < 4 else b"q")
        return False

    device.serve(is_over)
    text = Path(output).read_text(errors="replace") if Path(output).exists() else ""
    return Outcome(
        case=case,
        status=status,
        text=text,
        took_s=round(time.monotonic() - began_s, 2),
        last_drive=device.last_drive,
        is_motor_off=device.is_gone or device.is_motor_off,
    )


def run_cases(cases: list[str], policy: str, folder: Path) -> None:
    """All cases, `AT_ONCE` at a time; prints each outcome. Raises `RuntimeError` if a case could not be played."""
    cases = sorted(cases, key=lambda case: "flood" in case)  # these keep a processor busy: let them keep it from few
    waiting, running = list(enumerate(cases)), {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number, case = waiting.pop(0)
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                try:
                    outcome = run_case(case, policy, str(folder / f"{number}"))
                    with os.fdopen(writer, "w") as file:
                        json.dump(asdict(outcome), file)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            os.close(writer)
            running[child] = reader
        child, status = os.wait()
        with os.fdopen(running.pop(child)) as file:
            if status:
                raise RuntimeError("a case could not be played; its error is above")
            print(file.read(), flush=True)


def shorten() -> None:
    """Shorter waits for what a person or homing does, longer ones for a PONG, and no priority over the other cases."""
    Link.ping.__defaults__ = (1.0,)  # many cases share the processors
    cartpole_robot.rigs.firmware_rig.HOMING_S = 3.0
    cartpole_robot.rigs.firmware_rig.RAISE_S = 3.0
    cartpole_robot.bring_up.motor_checks.HOMING_S = 3.0
    cartpole_robot.bring_up.line_checks.PINGS = 10

    def refused(*_: object) -> None:
        raise OSError(1, "not in this test")

    for name in ("_run_first", "_pin", "_hurry_serial_bytes"):
        setattr(cartpole_robot.deployment.realtime, name, refused)


def load() -> None:
    """Import what the verbs import while they run, once for all of them."""
    design_lqr(load_cart("diy_arduino"))  # loads SciPy
    for name in ("pandas", "pyarrow.compute", "pyarrow.parquet"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    os.nice(10)  # floods keep the processors busy: the carts of other tests come first
    shorten()
    load()
    run_cases(sys.argv[3:], sys.argv[1], Path(sys.argv[2]))
