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
SWING_UP, LQR = 2, 1
ARM = 3
# A visit as the program reads it, and the same for simulation.js: most of what a visitor may do, at rest and in motion.
VISIT = [
    ("choose 2", ["setController", "swing-up"]),
    ("want 3", ["arm"]),
    ("advance 32000", ["advance", 32000]),
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
    ("supply 12000", ["setSupplyV", 12]),
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


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is needed")
    path = tmp_path_factory.mktemp("visit") / "visit"
    folders = ["-I", str(ROOT), "-iquote", str(ROOT / "cartpole_robot/simulation/native")]
    folders += ["-iquote", str(ROOT / "firmware_bridge/firmware")]
    hash_of_protocol = f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}u"
    words = [compiler, "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", *SANITIZE, *folders]
    sources = [str(each) for each in module_build.sources()]
    done = subprocess.run(
        [*words, hash_of_protocol, str(HERE / "visit.c"), *sources, "-o", str(path), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def lines_of(contents: dict[str, Any]) -> list[str]:
    """The contents as the program reads them."""
    lines = [f"number {name} {number!r}" for name, number in contents["numbers"].items()]
    if "end_stop_m" not in contents["numbers"]:
        lines.append("number end_stop_m inf")
    for name, array in contents["arrays"].items():
        raw = base64.b64decode(array["data"])
        numbers = np.frombuffer(raw, np.int8 if array["type"] == "int8" else np.float64).tolist()
        lines.append(" ".join(["array", name, str(len(numbers)), *(repr(float(number)) for number in numbers)]))
    limits = base64.b64decode(contents["limits"])
    return [*lines, " ".join(["limits", *(str(byte) for byte in limits)]), "begin"]


@needs_node
@pytest.mark.parametrize("name", ["as shipped", "sluggish"])
def test_no_undefined_behaviour_in_a_visit_and_the_same_states_as_webassembly(program: Path, name: str) -> None:
    contents = contents_of(name)
    text = "\n".join([*lines_of(contents), *(line for line, _ in VISIT)])
    done = subprocess.run([str(program)], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = in_node(contents, "visit", steps=[step for _, step in VISIT])
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
