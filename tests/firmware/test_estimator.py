"""The speed estimator: the C that the microcontroller runs, against least squares in floating point."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import Encoders
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.estimator import Estimator
from firmware_bridge._host import CartEstimator
from firmware_bridge.constants import ESTIMATOR_COUNT_S, ESTIMATOR_LAG_S
from tests.firmware.c_core import FIRMWARE, HERE, SANITIZED, STRICT, compile_c

WINDOW = 16


def least_squares_units(counts: list[int]) -> float:
    """The slope of the last 16 counts in 1/16 count per second, from NumPy's own fit."""
    return float(np.polyfit(np.arange(WINDOW), np.array(counts[-WINDOW:], float), 1)[0]) * 16_000.0


def test_speed_is_the_least_squares_slope_of_the_last_16_counts() -> None:
    rng = np.random.default_rng(5)
    estimator = CartEstimator()
    estimator.reset(0, 100)
    cart, pole = [0] * WINDOW, [100] * WINDOW
    for _ in range(3000):
        cart.append(cart[-1] + int(rng.integers(-40, 41)))
        pole.append(pole[-1] + int(rng.integers(-3, 4)))
        estimator.update(cart[-1], pole[-1])
        found = estimator.speeds()
        assert found[0] == pytest.approx(least_squares_units(cart), abs=0.51)
        assert found[1] == pytest.approx(least_squares_units(pole), abs=0.51)


def test_standing_still_reads_exactly_zero_after_the_window() -> None:
    estimator = CartEstimator()
    for k in range(100):
        estimator.update(k * 7, -k * 3)
    for _ in range(WINDOW):
        estimator.update(1234, -777)
    assert estimator.speeds() == (0, 0)


@pytest.mark.parametrize("start", [0, 2**31 - 50, -(2**31) + 50, 2**32 - 50])
def test_counts_may_wrap_at_32_bits(start: int) -> None:
    estimator = CartEstimator()
    estimator.reset(start, -start)
    for k in range(1, 200):
        estimator.update(start + 5 * k, -start - 3 * k)
    assert estimator.speeds() == (80_000, -48_000)


def test_absurd_speeds_saturate_and_do_not_overflow() -> None:
    estimator = CartEstimator()
    for k in range(100):
        estimator.update(k * 100_000, -k * 100_000)
    cart, pole = estimator.speeds()
    assert cart == -pole
    assert cart > 7_000 * 16_000


def test_every_speed_is_the_rounded_quotient(tmp_path: Path) -> None:
    """speeds.c divides; estimator.c does not."""
    sources = [HERE / "speeds.c", FIRMWARE / "estimator.c"]
    program = compile_c(tmp_path / "speeds", sources, [*STRICT, "-O2", *SANITIZED])
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "10737419 moments agree\n"


def test_reset_forgets() -> None:
    estimator = CartEstimator()
    for k in range(100):
        estimator.update(k * 7, k)
    estimator.reset(50, 60)
    assert estimator.speeds() == (0, 0)


@pytest.mark.parametrize("wrong", [(1.5, 0), ("1", 0), (0, None)])
def test_what_is_no_count_is_refused(wrong: tuple[object, object]) -> None:
    with pytest.raises(TypeError):
        CartEstimator().update(*wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        CartEstimator().update(1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["diy_arduino", "quanser_ip02", "sensorsini"])
def test_speed_lags_by_half_the_window_with_little_noise(name: str) -> None:
    """A sine of 1.5 Hz and 0.15 rad, as a balancing pole moves, through the encoder of each cart."""
    encoders = load_cart(name).encoders
    assert encoders is not None
    estimator = Estimator(encoders, 0.001)
    measurement = Measurement()
    omega = 2.0 * math.pi * 1.5
    errors = []
    for tick in range(4000):
        t = tick * 0.001
        counts = math.floor(0.15 * math.sin(omega * t) * encoders.pole_counts_per_rad + 0.5)
        estimator.update(0, counts)
        estimator.write(0, counts, measurement)
        if tick > WINDOW:
            lagged = 0.15 * omega * math.cos(omega * (t - ESTIMATOR_LAG_S))
            errors.append(measurement.pole_speed_rad_s - lagged)
    noise = float(np.std(errors))
    print(f"{name}: noise {noise:.4f} rad/s at a lag of {ESTIMATOR_LAG_S * 1000:.1f} ms")
    quantum_rad_s = 1.0 / encoders.pole_counts_per_rad / 0.001
    assert noise < 0.03 * quantum_rad_s, "one count in a millisecond is far coarser"
    assert abs(np.mean(errors)) < 0.002


def test_other_tick_than_the_firmwares_is_refused() -> None:
    with pytest.raises(UsageError, match=r"physics step 0\.002 s, expected 0\.001 s for a cart with encoders"):
        Estimator(Encoders(cart_counts_per_m=1e4, pole_counts_per_turn=4096), 0.002)


def test_one_count_reads_as_one_in_10_6_ms_at_most() -> None:
    estimator = CartEstimator()
    estimator.reset(0, 0)
    speeds = []
    for _ in range(WINDOW):
        estimator.update(1, 0)
        speeds.append(estimator.speeds()[0])
    assert max(speeds) == 1506
    assert pytest.approx(16 / 1506) == ESTIMATOR_COUNT_S
