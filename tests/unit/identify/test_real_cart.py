"""A short identification of a real cart; needs its recordings next to this checkout."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_cart import (
    ASYMMETRIES,
    CART,
    FULL_COMMAND,
    STEPS,
    Run,
    end_speeds,
    errors_on,
    final_speed,
    imported,
    main,
    published,
    swing_ups,
)
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.identify.identification import IdentifyRequest, default_terms, identify
from cartpole_robot.open_loop.model import TERMS, Model, model_of
from cartpole_robot.open_loop.series import Series
from tests.conftest import Completed

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "real_cart_recordings"

real_recordings = pytest.mark.skipif(not REAL.is_dir(), reason="no recordings of a real cart next to this checkout")


@pytest.fixture
def benchmark_here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """Runs `python -m benchmarks.real_cart` with the given words, in this process."""

    def run(*words: object) -> Completed:
        monkeypatch.setattr(sys, "argv", ["real_cart", *map(str, words)])
        try:
            status = main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Completed(words, status, *capfd.readouterr())

    return run


def test_benchmark_without_the_recordings_is_skipped(tmp_path: Path, benchmark_here: Callable[..., Completed]) -> None:
    done = benchmark_here(tmp_path)
    assert done.returncode == 0
    assert f"skipped: {tmp_path} holds no {STEPS}.csv" in done.stdout


def test_picture_that_is_there_is_refused_before_anything_is_fitted(
    tmp_path: Path, benchmark_here: Callable[..., Completed]
) -> None:
    (tmp_path / f"{STEPS}.csv").touch()
    (tmp_path / "found_steps.png").touch()
    done = benchmark_here(tmp_path, "--picture", tmp_path / "found.png")
    assert done.returncode == 2
    assert "found_steps.png: exists already" in done.stderr
    assert "Traceback" not in done.stderr


def test_steps_alone_write_no_file(tmp_path: Path, benchmark_here: Callable[..., Completed]) -> None:
    (tmp_path / f"{STEPS}.csv").touch()
    done = benchmark_here(tmp_path, "--steps", "--out", tmp_path / "a.toml")
    assert done.returncode == 2
    assert "--steps writes no file; leave out --out and --picture" in done.stderr


def test_end_speeds_are_those_of_steps_that_are_long_enough_by_command() -> None:
    command = np.repeat([0.0, 0.5, -1.0, 0.0, 0.5, -1.5, 0.0], [30, 40, 40, 30, 40, 10, 30])
    time_us = 20_000 * np.arange(len(command), dtype=np.int64)
    speed = np.where(command > 0.0, 0.6, 0.7) * command
    series = Series(
        name="steps",
        cart=load_cart(CART),
        period_s=0.02,
        time_us=time_us,
        position_m=0.02 * np.concatenate([[0.0], np.cumsum(speed)[:-1]]),
        angle_rad=np.full(len(command), np.pi),
        duty=0.6 * command,
        begins=(0,),
    )
    run = Run(series=series, commanded=dataclasses.replace(series, duty=command / FULL_COMMAND))
    found = end_speeds(run)
    assert set(found) == {0.5, -1.0}
    assert found[0.5] == (pytest.approx(0.3), pytest.approx(0.3))
    assert found[-1.0] == (pytest.approx(-0.7), pytest.approx(-0.6))
    weaker = TERMS["gain_asymmetry"].write(model_of(load_cart(CART)), -0.1)
    assert final_speed(weaker, 0.6) == pytest.approx(-0.9 / 1.1 * final_speed(weaker, -0.6))


def test_published_parameters_keep_what_is_the_recordings() -> None:
    found = Model(cart=load_cart(CART), delay_s=0.005, angle_zero_rad=0.01)
    model = published(found)
    assert (model.delay_s, model.angle_zero_rad) == (0.005, 0.01)
    assert TERMS["motor_gain"].read(model) == pytest.approx(2.655)
    assert TERMS["damping"].read(model) == pytest.approx(3.22)


@real_recordings
def test_few_seconds_of_the_real_cart_tell_more_than_its_published_parameters(tmp_path: Path) -> None:
    steps = imported(STEPS, REAL, tmp_path)
    run = imported(*(swing_ups([12])), REAL, tmp_path)
    known = steps.part(0.4, 0.6).series
    cart = load_cart(CART)
    names = default_terms([known], cart)
    assert {"cart_mass", "saturation", "back_emf", "viscous"} <= set(names)
    assert not set(ASYMMETRIES) & set(names), "every step to the right has the same command"
    assert set(ASYMMETRIES) <= set(default_terms([run.series], cart))
    terms = ("delay", "motor_gain", "back_emf", "coulomb", "cart_mass")
    found = identify([known], cart, IdentifyRequest(terms=terms, window_s=0.5, held_out=0.0))
    by_name = {e.term.name: e.value for e in found.estimates}
    assert by_name["cart_mass"] > 3.0 * TERMS["cart_mass"].read(model_of(cart))
    for part in (steps.part(0.6, 0.7), run):
        errors = errors_on(part, found.model)
        assert errors["identified"].position_m < 0.5 * errors["published"].position_m
        assert errors["identified"].angle_rad < errors["published"].angle_rad
        assert np.isfinite(errors["published"].angle_rad)
