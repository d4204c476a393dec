"""The C of the page under the sanitizers, and its state after a visit against that of WebAssembly."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.page_runs import in_node
from cartpole_robot.page import module_build
from firmware_bridge.protocol import read_protocol
from tests.page_contents import contents_of, needs_node

ROOT = module_build.ROOT
HERE = Path(__file__).parent
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
# A visit as the program reads it, and the same for simulation.js: most of what a visitor may do, at rest and in motion.
# HOMING is how long a cart takes to be homed and armed, NOMINAL its supply in V.
VISIT: list[tuple[str, list[Any]]] = [
    ("choose 2", ["setController", "swing-up"]),
    ("want 3", ["arm"]),
    ("advance HOMING", ["advance", "HOMING"]),
    ("see", ["see"]),
    ("push 0.05", ["push", 0.05, "pole"]),
    ("late 20", ["setDelayMs", 20]),
    ("advance 3000", ["advance", 3000]),
    ("see", ["see"]),
    ("kill", ["killHost"]),
    ("hold 1 2.5", ["grabPole", 2.5]),
    ("advance 700", ["advance", 700]),
    ("see", ["see"]),
    ("hold 2 0.6", ["grabCart", 0.6]),
    ("friction 3", ["setFriction", 3]),
    ("advance 2000", ["advance", 2000]),
    ("see", ["see"]),
    ("hold 0 0", ["release"]),
    ("late 500", ["setDelayMs", 500]),
    ("estop 1", ["pressEstop"]),
    ("advance 3000", ["advance", 3000]),
    ("estop 0", ["pressEstop", False]),
    ("supply 30000", ["setSupplyV", 30]),
    ("advance 500", ["advance", 500]),
    ("supply NOMINAL000", ["setSupplyV", "NOMINAL"]),
    ("friction 1", ["setFriction", 1]),
    ("late 0", ["setDelayMs", 0]),
    ("cut 3", ["cutEncoder", "pole", "both"]),
    ("want 3", ["arm"]),
    ("advance 60000", ["advance", 60000]),
    ("see", ["see"]),
    ("cut 0", ["cutEncoder", "pole", "none"]),
    ("block 1", ["blockCart"]),
    ("reset", ["resetBoard"]),
    ("advance 300", ["advance", 300]),
    ("block 0", ["blockCart", False]),
    ("choose 1", ["setController", "lqr"]),
    ("want 3", ["arm"]),
    ("advance 60000", ["advance", 60000]),
    ("see", ["see"]),
]


OF_DRIVE: dict[str, list[tuple[str, list[Any]]]] = {
    "dc": [],
    "stepper": [
        *((f"driver {problem} 1", ["breakDriver", name]) for problem, name in enumerate(("supply", "alarm"))),
        *((f"driver {problem} 0", ["breakDriver", name, False]) for problem, name in enumerate(("supply", "alarm"))),
        *(("driver 3 1", ["breakDriver", "pulses"]), ("advance 30000", ["advance", 30000]), ("see", ["see"])),
        *(("driver 2 1", ["breakDriver", "direction"]), ("advance 3000", ["advance", 3000]), ("see", ["see"])),
    ],
}


def visit_of(drive: str) -> list[tuple[str, list[Any]]]:
    """The whole visit of a cart with that drive."""
    numbers = {"dc": {"HOMING": 32000, "NOMINAL": 12}, "stepper": {"HOMING": 45000, "NOMINAL": 24}}[drive]
    found = []
    for line, step in [*VISIT, *OF_DRIVE[drive]]:
        for name, number in numbers.items():
            line = line.replace(name, str(number))
        found.append((line, [numbers.get(each, each) for each in step]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visit")


def program(folder: Path, drive: str) -> Path:
    """The visit's program for carts with that drive, compiled where it is missing."""
    path = folder / drive
    if path.exists():
        return path
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is needed")
    folders = ["-I", str(ROOT), "-iquote", str(ROOT / "cartpole_robot/simulation/native")]
    folders += ["-iquote", str(ROOT / "firmware_bridge/firmware")]
    hash_of_protocol = f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}u"
    words = [compiler, "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", *SANITIZE, *folders]
    sources = [str(each) for each in module_build.sources(drive=drive)]
    done = subprocess.run(
        [
            *words,
            *module_build.defined(drive),
            hash_of_protocol,
            str(HERE / "visit.c"),
            *sources,
            "-o",
            str(path),
            "-lm",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def lines_of(contents: dict[str, Any]) -> list[str]:
    """The contents as the program reads them."""
    lines = [f"number {name} {number!r}" for name, number in contents["numbers"].items()]
    endless = ("end_stop_m", "host.centred_m", "swing.most_speed_m_s")
    lines += [f"number {name} inf" for name in endless if name not in contents["numbers"]]
    for name, array in contents["arrays"].items():
        raw = base64.b64decode(array["data"])
        numbers = np.frombuffer(raw, np.int8 if array["type"] == "int8" else np.float64).tolist()
        lines.append(" ".join(["array", name, str(len(numbers)), *(repr(float(number)) for number in numbers)]))
    for name in ("limits", "stepper_limits"):
        lines.append(" ".join([name, *(str(byte) for byte in base64.b64decode(contents[name]))]))
    return [*lines, "begin"]


@pytest.mark.long
@needs_node
@pytest.mark.parametrize("name", ["as shipped", "sluggish", "stepper", "late stepper"])
def test_no_undefined_behaviour_in_a_visit_and_the_same_states_as_webassembly(folder: Path, name: str) -> None:
    contents = contents_of(name)
    drive = contents["cart"]["drive"]
    whole = visit_of(drive)
    text = "\n".join([*lines_of(contents), *(line for line, _ in whole)])
    done = subprocess.run([str(program(folder, drive))], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = in_node(contents, "visit", steps=[step for _, step in whole])
    states, faults = contents["states"], contents["fault_names"]
    native = [[float(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert [(states[str(int(row[8]))], faults[str(int(row[9]))]) for row in native] == [
        (each["state"], each["fault"]) for each in seen
    ]
    keys = (
        "time_s",
        "position_m",
        "speed_m_s",
        "angle_rad",
        "rate_rad_s",
        "requested_duty",
        "applied_duty",
        "supply_v",
    )
    assert np.allclose([row[:8] for row in native], [[each[key] for key in keys] for each in seen], atol=1e-9)
    print([(each["state"], each["fault"], each["message"]) for each in seen])
    assert {each["state"] for each in seen} >= {"ARMED", "FAULT"}
