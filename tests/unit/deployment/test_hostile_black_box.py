"""Black boxes that no firmware can have sent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.deployment.black_box import SAMPLE, BlackBox, load_black_box
from cartpole_robot.deployment.replay import replay
from cartpole_robot.errors import UsageError


def box(**changed: Any) -> BlackBox:
    samples = np.zeros(20, SAMPLE)
    samples["time_ms"] = np.arange(20)
    whole = BlackBox(
        samples=samples,
        cart=load_cart("diy_arduino"),
        fault="ESTOP",
        message="stopped",
        warmth=0,
        options=0,
        since_armed_ms=5,
        counts_before=(0, 0),
        provenance={},
    )
    return dataclasses.replace(whole, **changed)


def samples_with(field: str, values: Any) -> np.ndarray:
    samples = box().samples.copy()
    samples[field] = values
    return samples


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": samples_with("time_ms", [*range(19), 2**31 - 1])}, "its times go from 0 to 2147483647 ms"),
        ({"samples": samples_with("time_ms", [*range(19), 600_001])}, "its times go from 0 to 600001 ms"),
        ({"samples": samples_with("time_ms", [0, 5, 3, *range(6, 23)])}, "expected rising ones"),
        ({"samples": samples_with("time_ms", -1)}, "its times go from -1"),
        ({"samples": samples_with("cart_counts", -(2**31))}, "cart_counts reach 2147483648"),
        ({"samples": samples_with("pole_counts", 2**31 - 1)}, "pole_counts reach 2147483647"),
        ({"samples": np.zeros((2, 2), SAMPLE)}, r"its samples have shape \(2, 2\)"),
        ({"warmth": 256}, "warmth = 256"),
        ({"options": -1}, "options = -1"),
        ({"since_armed_ms": 2**40}, "since_armed_ms = 1099511627776"),
    ],
)
def test_impossible_samples_are_refused_where_they_are_read(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    box(**changed).save(tmp_path / "box.npz")
    with pytest.raises(UsageError, match=rf"box\.npz: was altered: .*{message}"):
        load_black_box(tmp_path / "box.npz")


@pytest.mark.parametrize("counts", [1 << 30, [0] * 10 + [1 << 29] * 10])
def test_counts_that_jump_further_than_any_encoder_are_not_replayed(counts: Any) -> None:
    with pytest.raises(UsageError, match="cannot be replayed: an encoder jumped by"):
        replay(box(samples=samples_with("cart_counts", counts)), "virtual")


def test_repeated_times_and_a_gap_are_what_a_firmware_sends(tmp_path: Path) -> None:
    samples = samples_with("time_ms", [0, 0, 1, *range(9_000, 9_017)])
    box(samples=samples).save(tmp_path / "box.npz")
    assert (load_black_box(tmp_path / "box.npz").samples == samples).all()


def test_other_types_of_samples_are_refused(tmp_path: Path) -> None:
    box().save(tmp_path / "box.npz")
    with np.load(tmp_path / "box.npz") as archive:
        header = archive["header"]
    for samples in (np.zeros(3), np.zeros(3, [("time_ms", "<i8")])):
        np.savez(tmp_path / "box.npz", header=header, samples=samples)
        with pytest.raises(UsageError, match="black box"):
            load_black_box(tmp_path / "box.npz")


def test_cart_with_both_drives_is_refused(tmp_path: Path) -> None:
    box(cart=load_cart("diy_stepper")).save(tmp_path / "box.npz")
    with np.load(tmp_path / "box.npz") as arrays:
        header, samples = json.loads(arrays["header"].tobytes()), arrays["samples"]
    header["cart"]["motor"] = load_cart("diy_arduino").as_dict()["motor"]
    np.savez(tmp_path / "both.npz", header=np.frombuffer(json.dumps(header).encode(), np.uint8), samples=samples)
    with pytest.raises(UsageError, match=r"cart\]: has both \[motor\] .* and \[stepper\] \(steps_per_m = 20000"):
        load_black_box(tmp_path / "both.npz")
