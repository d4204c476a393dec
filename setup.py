"""The packages and the C extensions; everything else is in pyproject.toml."""

import importlib.util
import os
import sys
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

FIRMWARE = "firmware_bridge/firmware"
CORE = (
    *("framing", "config", "safety", "plausibility", "pole_zero", "homing", "app", "estimator", "policy", "onboard"),
    *("rail", "stillness"),
)
EMULATOR = "firmware_bridge/simavr"
HEADERS = (
    *("protocol", "limits", "hal", "quadrature", "pulses", "inputs", "policy_image", "counts", "drive", "ramp"),
    *("drive_dc", "drive_stepper", "homing_parts", *CORE),
)
LEARNER = "cartpole_robot/training/dqn/native"
LEARNER_HEADERS = ("update", "lanes", "rows", "chunk", "optimize", "update_object", "collect")
ENGINE = "cartpole_robot/simulation/native"
ENGINE_CORE = ("plant", "motor", "stepper", "delay", "cart", "episode", "fleet", "window")
ENGINE_FIRMWARE = ("estimator", "ramp", "boards/host/pulse_train")
ENGINE_OBJECTS = (
    *("params_reader", "stepper_object", "cart_object", "cart_ahead", "cart_episode", "fleet_object", "window_object"),
    *("board_object", "extension"),
)
ENGINE_HEADERS = ("plant_step", "trig", "width", "objects", "cart_object", "cart_api", "history", "bit_generator")
HOST = (
    *("extension", "estimator_object", "firmware_object", "framing_object", "policy_image", "policy_image_object"),
    *("policy_arrays", "host_network", "host_policy_object", "simulated_board"),
)
STEPPER_HOST = ("stepper_extension", "firmware_object", "policy_image", "simulated_board", "pulse_train")
HOST_HEADERS = (
    *("objects", "board_api", "board_parts", "heap_types", "policy_api", "policy_image", "policy_arrays"),
    *("host_network", "simulated_board", "firmware_motor", "pulse_train"),
)
STABLE_ABI = ("Py_LIMITED_API", "0x030B0000")  # one build serves CPython 3.11 and later
FIRMWARE_HEADERS = ["-iquote", FIRMWARE]  # not -I: the firmware has a limits.h of its own
ENGINE_FOLDER = ["-iquote", ENGINE]
COMPILE = ["-std=c11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra"]


HERE = Path(__file__).parent
RELEASE = "CARTPOLE_ROBOT_RELEASE"  # set: everything that a wheel may carry has to be in it


def loaded(path: str):
    """A file of this package that needs nothing else of it, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, HERE / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def protocol_hash() -> int:
    """The hash that host and firmware compare, from the reader that parses protocol.h."""
    protocol = loaded("firmware_bridge/protocol.py")
    return protocol.Protocol((HERE / FIRMWARE / "protocol.h").read_text(encoding="utf-8")).hash


def compile_page_module() -> None:
    """Compile the page's WebAssembly unless it is there; without the tools a release fails, other builds continue."""
    module_build = loaded("cartpole_robot/page/module_build.py")
    try:
        for drive in module_build.MODULES:
            if not module_build.is_current(HERE, drive):
                module_build.build(protocol_hash(), HERE, drive=drive)
    except module_build.ModuleBuildError as error:
        if os.environ.get(RELEASE):
            sys.exit(f"error: {error}")
        print(f"warning: {error}; everything but cartpole-robot page works without it", file=sys.stderr)


class BuildPython(build_py):
    """As setuptools' own, with the page's module among the data."""

    def run(self) -> None:
        compile_page_module()
        super().run()


class BuildExtensions(build_ext):
    """As setuptools' own, with a folder of objects for each extension: two of them compile one file differently."""

    def build_extension(self, ext: Extension) -> None:
        whole = self.build_temp
        self.build_temp = str(Path(whole) / ext.name.rpartition(".")[2])
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = whole


class SourceDistribution(sdist):
    """As setuptools' own, with the page's module, so that a wheel made of it needs no compiler for WebAssembly."""

    def run(self) -> None:
        compile_page_module()
        super().run()


if sys.platform == "win32":
    sys.exit("cartpole-robot does not run on Windows: install it in the Windows Subsystem for Linux (wsl --install)")

# Builds of before the stable ABI, which Python would prefer to today's.
for folder in ("firmware_bridge", "cartpole_robot/simulation", "cartpole_robot/training/dqn"):
    for stale in HERE.glob(f"{folder}/_*.cpython-*.so"):
        stale.unlink()

setup(
    cmdclass={"build_ext": BuildExtensions, "build_py": BuildPython, "sdist": SourceDistribution},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    # Folders of data are packages too, so they are installed; pyproject.toml names the URDF's folder.
    packages=[*find_namespace_packages(include=["cartpole_robot*", "firmware_bridge*"]), "cartpole_robot.urdf"],
    ext_modules=[
        Extension(
            "firmware_bridge._host",
            sources=[
                *(f"{FIRMWARE}/boards/host/{name}.c" for name in HOST),
                *(f"{FIRMWARE}/{name}.c" for name in (*CORE, "drive_dc", "homing_dc")),
                *(f"{EMULATOR}/{name}.c" for name in ("mailbox", "mailbox_object", "driver")),
            ],
            depends=[
                *(f"{FIRMWARE}/{name}.h" for name in HEADERS),
                *(f"{FIRMWARE}/boards/host/{name}.h" for name in HOST_HEADERS),
                f"{EMULATOR}/mailbox.h",
                f"{EMULATOR}/driver.h",
            ],
            define_macros=[STABLE_ABI, ("PROTOCOL_HASH", f"0x{protocol_hash():08x}u")],
            py_limited_api=True,
            extra_compile_args=COMPILE,
        ),
        Extension(
            "firmware_bridge._stepper",
            sources=[
                *(f"{FIRMWARE}/boards/host/{name}.c" for name in STEPPER_HOST),
                *(f"{FIRMWARE}/{name}.c" for name in (*CORE, "drive_stepper", "homing_stepper", "ramp")),
            ],
            depends=[
                *(f"{FIRMWARE}/{name}.h" for name in HEADERS),
                *(f"{FIRMWARE}/boards/host/{name}.h" for name in HOST_HEADERS),
            ],
            define_macros=[STABLE_ABI, ("PROTOCOL_HASH", f"0x{protocol_hash():08x}u"), ("FIRMWARE_STEPPER", "1")],
            py_limited_api=True,
            extra_compile_args=COMPILE,
        ),
        Extension(
            "cartpole_robot.simulation._native",
            sources=[
                *(f"{ENGINE}/{name}.c" for name in (*ENGINE_CORE, *ENGINE_OBJECTS)),
                *(f"{FIRMWARE}/{name}.c" for name in ENGINE_FIRMWARE),
            ],
            depends=[
                *(f"{ENGINE}/{name}.h" for name in (*ENGINE_CORE, *ENGINE_HEADERS)),
                *(f"{FIRMWARE}/{name}.h" for name in ENGINE_FIRMWARE),
                *(f"{FIRMWARE}/boards/host/{name}.h" for name in ("board_api", "heap_types", "policy_api")),
            ],
            define_macros=[STABLE_ABI],
            py_limited_api=True,
            # The last two change no value; they let it vectorise.
            extra_compile_args=[*COMPILE, *FIRMWARE_HEADERS, "-fno-math-errno", "-fno-trapping-math"],
        ),
        Extension(
            "cartpole_robot.training.dqn._update",
            sources=[f"{LEARNER}/{name}.c" for name in ("update", "update_object", "collect", "collector_object")],
            depends=[
                *(f"{LEARNER}/{name}.h" for name in LEARNER_HEADERS),
                *(f"{ENGINE}/{name}.h" for name in ("cart_api", "history", "bit_generator")),
                f"{FIRMWARE}/boards/host/heap_types.h",
            ],
            define_macros=[STABLE_ABI],
            py_limited_api=True,
            # Neither changes a value; without them the compiler does not vectorise square roots and selections.
            extra_compile_args=[*COMPILE, *FIRMWARE_HEADERS, *ENGINE_FOLDER, "-fno-math-errno", "-fno-trapping-math"],
            optional=True,  # without it the learner updates in PyTorch
        ),
    ],
)
