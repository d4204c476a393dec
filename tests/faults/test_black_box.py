"""Each fault during a deployment leaves a black box whose replay has the same fault in the same millisecond."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.deployment.black_box import SAMPLE, BlackBox, load_black_box
from cartpole_robot.errors import UsageError
from tests.conftest import Completed
from tests.policy_on_board import regulating_policy

ROOT = Path(__file__).parent.parent.parent
# Fault, rig, what it is called, how many ms apart the replay may be: the supply comes once in eight samples.
EXPECTED = [
    ("e-stop", "virtual", {"ESTOP"}, 0),  # the zeros stay good
    ("switch", "virtual", {"END_SWITCH"}, 0),
    ("droop", "virtual", {"SUPPLY_LOW"}, 8),
    ("slow line", "virtual", {"COMMAND_TIMEOUT"}, 0),
    ("dead line", "virtual", {"COMMAND_TIMEOUT"}, 0),
    ("reset", "virtual", {"RESET BROWN_OUT"}, 1),
    ("missed ticks", "virtual", {"MISSED_TICKS"}, 0),
    ("flipped bytes", "virtual", {"COMMAND_TIMEOUT", "LINK"}, 100),
    ("cart spikes", "virtual", {"CART_ENCODER"}, 0),
    ("pole spikes", "virtual", {"POLE_ENCODER"}, 0),
    ("cart encoder cut", "virtual", {"CART_STUCK"}, 0),
    ("pole encoder cut", "virtual", {"POLE_STILL"}, 0),
    ("port gone", "virtual", {"LINK"}, 100),
    ("program hangs", "avr", {"RESET WATCHDOG"}, 1),
    ("tick lost", "avr", {"RESET WATCHDOG"}, 1),
    ("cart wire cut", "avr", {"CART_STUCK", "POLARITY"}, 0),
    ("pole wire cut", "avr", {"POLE_STILL", "POLE_SIGN"}, 0),
    ("cart wires swapped", "avr", {"POLARITY"}, 0),
    ("pole wires swapped", "avr", {"POLE_SIGN"}, 0),
]


@pytest.fixture(scope="module")
def outcomes(chip_tools: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All faults, on seven carts at the same time: they run in real time and mostly wait.

    The faults of a virtual cart are ordered: those that leave its zeros good come first, so that it homes less often.
    Each fault of a chip has a new one: a wire stays cut.
    """
    folder = tmp_path_factory.mktemp("boxes")
    policy = folder / "policy.npz"
    regulating_policy(load_cart("diy_arduino")).save(policy)
    virtual = [each[0] for each in EXPECTED if each[1] == "virtual"]
    chip = [each[0] for each in EXPECTED if each[1] == "avr"]
    groups = [
        *(f"virtual:{','.join(virtual[first::4])}" for first in range(4)),
        *(f"avr:{','.join(chip[k : k + 2])}" for k in range(0, len(chip), 2)),
    ]
    words = ["-m", "tests.faults.struck_deployment", str(policy), str(folder), *groups]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300.0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.realtime
@pytest.mark.long
@pytest.mark.parametrize(("fault", "names", "apart_ms"), [(each[0], each[2], each[3]) for each in EXPECTED])
def test_fault_is_named_and_comes_again(
    outcomes: dict[str, dict[str, Any]], fault: str, names: set[str], apart_ms: int
) -> None:
    found = outcomes[fault]
    assert found["fault"] in names, found
    if found["fault"].startswith("RESET "):
        assert found["reason"].startswith(f"the cart has restarted ({found['fault'].removeprefix('RESET ')}): "), found
    replayed = found["replayed"]
    assert replayed["kept_ms"] > 1000, found
    assert replayed["fault"] == ("COMMAND_TIMEOUT" if found["fault"] == "LINK" else found["fault"]), found
    assert abs(replayed["fault_ms"] - replayed["kept_ms"]) <= apart_ms, found
    if replayed["lost_ms"] == 0:
        assert replayed["duty_differences"] == 0, found


def a_box(**changes: Any) -> BlackBox:
    values: dict[str, Any] = {
        "samples": np.zeros(0, SAMPLE),
        "cart": load_cart("diy_arduino"),
        "fault": "ESTOP",
        "message": "ESTOP at 0 mm",
        "warmth": 0,
        "options": 16,
        "since_armed_ms": 0,
        "counts_before": (0, 0),
        "provenance": {},
    }
    return BlackBox(**{**values, **changes})


def test_box_survives_being_saved_and_is_never_overwritten(tmp_path: Path) -> None:
    samples = np.zeros(3, SAMPLE)
    samples["cart_counts"] = [5, 6, 7]
    a_box(samples=samples, counts_before=(4, 6)).save(tmp_path / "b.npz")
    found = load_black_box(tmp_path / "b.npz")
    assert found.samples.tolist() == samples.tolist()
    assert (found.fault, found.cart, found.counts_before) == ("ESTOP", load_cart("diy_arduino"), (4, 6))
    with pytest.raises(UsageError, match="exists already"):
        a_box().save(tmp_path / "b.npz")


def test_bad_boxes_are_named(tmp_path: Path, command_line: Callable[..., Completed]) -> None:
    a_box().save(tmp_path / "empty.npz")
    (tmp_path / "none.npz").write_bytes(b"no box")
    whole = (tmp_path / "empty.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "other.npz", header=np.frombuffer(b'{"format": 99}', np.uint8), samples=np.zeros(0, SAMPLE))
    header = json.loads(np.load(tmp_path / "empty.npz")["header"].tobytes())
    for name, spoilt in (
        ("list", [1]),
        ("cart", {**header, "cart": {"name": 5, "motor": {}}}),
        ("fault", {key: value for key, value in header.items() if key != "fault"}),
        ("protocol", {**header, "protocol_hash": "x"}),
        ("old", {**header, "format": 1, "provenance": {"versions": {"cartpole-robot": "0.9"}, "commit": "abc"}}),
        ("odd", {**header, "format": 1, "provenance": 5}),
    ):
        content = np.frombuffer(json.dumps(spoilt).encode(), np.uint8)
        np.savez(tmp_path / f"{name}.npz", header=content, samples=np.zeros(0, SAMPLE))
    for name, message in (
        ("empty", "this black box is empty"),
        (
            "list",
            "list.npz: has black box format None, this version reads 3; record another with deploy, or open it with",
        ),
        ("cart", "[black box.cart]: description is missing"),
        ("fault", "[black box]: fault is missing"),
        ("protocol", "comes from firmware with protocol 'x'"),
        ("none", "is no readable black box"),
        ("half", "is no readable black box"),
        (
            "other",
            "other.npz: has black box format 99, this version reads 3; record another with deploy, or open it with",
        ),
        (
            "old",
            "old.npz: has black box format 1, this version reads 3; record another with deploy, or open it with "
            "cartpole-robot 0.9 (commit abc)",
        ),
        (
            "odd",
            "odd.npz: has black box format 1, this version reads 3; record another with deploy, or open it with",
        ),
        ("missing", "no such black box; check the path"),
    ):
        done = command_line("replay", tmp_path / f"{name}.npz")
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    done = command_line("replay", tmp_path / "empty.npz", "--rig", "serial:/dev/null")
    assert (done.returncode, "use virtual, avr or avr:ELF" in done.stderr) == (2, True)
