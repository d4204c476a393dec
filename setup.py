"""The packages and the C extensions; everything else is in pyproject.toml."""

import importlib.util
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup

FIRMWARE = "firmware_bridge/firmware"
CORE = ("framing", "config", "safety", "plausibility", "homing", "app", "estimator", "policy", "onboard")
EMULATOR = "firmware_bridge/simavr"
HEADERS = ("protocol", "limits", "hal", "quadrature", "pulses", "inputs", "policy_image", *CORE)
LEARNER = "cartpole_robot/training/dqn/native"
ENGINE = "cartpole_robot/simulation/native"
ENGINE_CORE = ("plant", "motor", "delay", "cart", "episode", "fleet", "window")
ENGINE_OBJECTS = ("params_reader", "cart_object", "fleet_object", "window_object", "board_object", "extension")
HOST = ("extension", "estimator_object", "firmware_object", "policy_image", "policy_image_object")
STABLE_ABI = ("Py_LIMITED_API", "0x030B0000")  # one build serves CPython 3.11 and later
COMPILE = ["-std=c11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra"]


def protocol_hash() -> int:
    """The hash that host and firmware compare, from the reader that parses protocol.h."""
    spec = importlib.util.spec_from_file_location("protocol", Path(__file__).parent / "firmware_bridge/protocol.py")
    protocol = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(protocol)
    return protocol.Protocol((Path(__file__).parent / FIRMWARE / "protocol.h").read_text(encoding="utf-8")).hash


setup(
    # Folders of data are packages too, so they are installed; pyproject.toml names the URDF's folder.
    packages=[*find_namespace_packages(include=["cartpole_robot*", "firmware_bridge*"]), "cartpole_robot.urdf"],
    ext_modules=[
        Extension(
            "firmware_bridge._host",
            sources=[
                *(f"{FIRMWARE}/boards/host/{name}.c" for name in HOST),
                *(f"{FIRMWARE}/{name}.c" for name in CORE),
                *(f"{EMULATOR}/{name}.c" for name in ("mailbox", "mailbox_object")),
            ],
            depends=[
                *(f"{FIRMWARE}/{name}.h" for name in HEADERS),
                *(
                    f"{FIRMWARE}/boards/host/{name}.h"
                    for name in ("objects", "board_api", "policy_api", "policy_image")
                ),
                f"{EMULATOR}/mailbox.h",
            ],
            define_macros=[("PROTOCOL_HASH", f"0x{protocol_hash():08x}u")],
            extra_compile_args=COMPILE,
        ),
        Extension(
            "cartpole_robot.simulation._native",
            sources=[
                *(f"{ENGINE}/{name}.c" for name in (*ENGINE_CORE, *ENGINE_OBJECTS)),
                f"{FIRMWARE}/estimator.c",
            ],
            depends=[
                *(f"{ENGINE}/{name}.h" for name in (*ENGINE_CORE, "plant_step", "trig", "width", "objects")),
                *(f"{FIRMWARE}/{name}.h" for name in ("estimator", "boards/host/board_api", "boards/host/policy_api")),
            ],
            define_macros=[STABLE_ABI],
            py_limited_api=True,
            # Not -I: the firmware has a limits.h of its own. The last two change no value; they let it vectorise.
            extra_compile_args=[*COMPILE, "-iquote", FIRMWARE, "-fno-math-errno", "-fno-trapping-math"],
        ),
        Extension(
            "cartpole_robot.training.dqn._update",
            sources=[f"{LEARNER}/{name}.c" for name in ("update", "update_object")],
            depends=[f"{LEARNER}/update.h"],
            # Neither changes a value; without them the compiler does not vectorise square roots and selections.
            extra_compile_args=[*COMPILE, "-fno-math-errno", "-fno-trapping-math"],
            optional=True,  # without it the learner updates in PyTorch
        ),
    ],
)
