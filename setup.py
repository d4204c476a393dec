"""The C extension; everything else is in pyproject.toml."""

from setuptools import Extension, setup

FIRMWARE = "firmware_bridge/firmware"

setup(
    ext_modules=[
        Extension(
            "firmware_bridge._host",
            sources=[
                f"{FIRMWARE}/boards/host/extension.c",
                f"{FIRMWARE}/boards/host/estimator_object.c",
                f"{FIRMWARE}/policy.c",
                f"{FIRMWARE}/estimator.c",
            ],
            depends=[f"{FIRMWARE}/policy.h", f"{FIRMWARE}/estimator.h", f"{FIRMWARE}/boards/host/objects.h"],
            extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra"],
        )
    ]
)
