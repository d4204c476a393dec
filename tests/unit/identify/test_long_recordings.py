"""Recordings of an hour and more, with and without pauses, at several rates."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.compare import open_loop as opened
from cartpole_robot.compare.open_loop import compare_open_loop
from cartpole_robot.errors import UsageError
from cartpole_robot.identify import identification
from cartpole_robot.identify import search as search_module
from cartpole_robot.identify.identification import IdentifyRequest, identify
from cartpole_robot.identify.search import Search
from cartpole_robot.open_loop.model import TERMS, Model, freed, model_of
from cartpole_robot.open_loop.native_runs import NativePredictor
from cartpole_robot.open_loop.plant_runs import PlantPredictor
from cartpole_robot.open_loop.series import Series, series_of
from cartpole_robot.open_loop.shooting import Shooting
from cartpole_robot.open_loop.windows import Window, bounded, guessed_starts, windows_of
from cartpole_robot.recording.format import ROW_DTYPE, Recording
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata
from cartpole_robot.simulation.engine import Engine

HOUR_S = 3600
RATES = (50, 100, 500)
GAIN = 1.15
SWING_S = 20


def cart_at(rate: int) -> CartParams:
    cart = load_cart("diy_arduino")
    return dataclasses.replace(cart, timing=dataclasses.replace(cart.timing, control_period_s=1.0 / rate))


def stronger(cart: CartParams) -> Model:
    return freed(TERMS["motor_gain"].write(model_of(cart), GAIN * cart.motor.stall_force_n))


def swings(rate: int, seconds: int) -> Series:
    """A pole that swings on a pushed cart, again every `SWING_S`."""
    cart = cart_at(rate)
    count = rate * seconds
    time_us = np.arange(count) * (1_000_000 // rate)
    time_s = time_us / 1e6
    series = Series(
        name=f"{seconds} s at {rate} Hz",
        cart=cart,
        period_s=1.0 / rate,
        time_us=time_us,
        position_m=np.zeros(count),
        angle_rad=np.zeros(count),
        duty=0.3 * np.sin(4.4 * time_s) + 0.15 * np.sin(12.0 * time_s + 1.0),
        begins=tuple(range(0, count, SWING_S * rate)),
    )
    windows = [Window(series=0, first=first, end=end) for first, end in series.stretches()]
    starts = np.tile([0.0, 0.0, math.pi - 0.4, 0.0], (len(windows), 1))
    (runs,) = NativePredictor([series], windows).run([(stronger(cart), starts)])
    return dataclasses.replace(series, position_m=runs.readings[:, 0], angle_rad=runs.readings[:, 1])


def recording_of(series: Series, time_us: np.ndarray, ticks: np.ndarray) -> Recording:
    rows = np.zeros(len(series), ROW_DTYPE)
    rows["tick"], rows["mcu_time_us"] = ticks % 2**32, time_us % 2**32
    rows["cart_position_m"], rows["pole_angle_rad"] = series.position_m, series.angle_rad
    rows["requested_duty"] = series.duty
    metadata = RecordingMetadata(cart=series.cart, rig="sim", controller=ControllerRecord(policy="excitation"))
    return Recording(path=Path("long.parquet"), metadata=metadata, rows=rows, outcome=None)


@pytest.mark.parametrize("engine", [Engine.NATIVE, pytest.param(Engine.PYBULLET, marks=pytest.mark.pybullet)])
@pytest.mark.parametrize("rate", RATES)
def test_window_gives_the_same_numbers_wherever_it_lies(rate: int, engine: Engine) -> None:
    """Bit by bit, in the first second, after an hour and after a month."""
    cart = cart_at(rate)
    size, repeats = rate + 1, 4
    shifts_us = np.array([0, 1_000_000, HOUR_S * 1_000_000, 30 * 24 * HOUR_S * 1_000_000])
    one_us = np.arange(size) * (1_000_000 // rate)
    duty = np.random.default_rng(0).uniform(-0.5, 0.5, size)
    series = [
        Series(
            name="again",
            cart=cart,
            period_s=1.0 / rate,
            time_us=np.concatenate([[0], 2_000_000 + shift_us + one_us]),
            position_m=np.zeros(size + 1),
            angle_rad=np.zeros(size + 1),
            duty=np.concatenate([[0.0], duty]),
            begins=(0, 1),
        )
        for shift_us in shifts_us
    ]
    windows = [Window(series=k, first=1, end=size + 1) for k in range(repeats)]
    starts = np.tile([0.0, 0.0, math.pi - 0.3, 0.1], (repeats, 1))
    model = dataclasses.replace(stronger(cart), delay_s=0.0137)
    predictor = NativePredictor(series, windows) if engine is Engine.NATIVE else PlantPredictor(series, windows, cart)
    (runs,) = predictor.run([(model, starts)])
    predictor.close()
    first, *others = np.split(runs.readings, repeats)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("rate", [pytest.param(rate, marks=pytest.mark.long) for rate in (50, 100, 500)])
def test_an_hour_is_identified_and_compared_in_a_bounded_number_of_windows(
    rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((identification, "_MOST_WINDOWS"), (identification, "_MOST_TESTED"), (opened, "_MOST_STARTS")):
        monkeypatch.setattr(module, name, 60)
    series = swings(rate, HOUR_S)
    found = identify([series], series.cart, IdentifyRequest(terms=("motor_gain",), window_s=0.5))
    (gain,) = found.estimates
    assert gain.value == pytest.approx(GAIN * series.cart.motor.stall_force_n, rel=1e-3)
    assert any("of their 5040 windows of 0.5 s, evenly spread, were used" in note for note in found.notes)
    assert found.after[0].windows <= 60
    compared = compare_open_loop(series, stronger(series.cart), Engine.NATIVE)
    assert compared.is_thinned
    assert all(horizon.windows <= 60 for horizon in compared.horizons)
    assert compared.horizons[2].rmse[0].value < 1e-4
    assert compared.runs[-1].time_s[-1] > 0.99 * HOUR_S


@pytest.mark.parametrize(
    "pause_s",
    [
        1,
        25 * HOUR_S,
        *(pytest.param(pause_s, marks=pytest.mark.long) for pause_s in (HOUR_S, 3 * HOUR_S)),
    ],
)
def test_a_pause_of_any_length_is_a_gap(pause_s: int) -> None:
    """Longer than the microcontroller's clock takes to wrap, too."""
    series = swings(50, 2 * SWING_S)
    half = SWING_S * 50
    is_after = np.arange(len(series)) >= half
    time_us = series.time_us + pause_s * 1_000_000 * is_after
    read = series_of(recording_of(series, time_us, np.arange(len(series)) + 50 * pause_s * is_after))
    assert read.begins == (0, half)
    assert read.time_us.tolist() == time_us.tolist()
    found = identify([read], read.cart, IdentifyRequest(terms=("motor_gain",), window_s=0.5))
    assert found.estimates[0].value == pytest.approx(GAIN * read.cart.motor.stall_force_n, rel=1e-3)
    assert compare_open_loop(read, stronger(read.cart), Engine.NATIVE).horizons[2].rmse[0].value < 1e-4


def test_a_clock_that_goes_back_is_refused_whatever_the_ticks_say() -> None:
    series = swings(50, SWING_S)
    time_us = series.time_us.copy()
    time_us[500:] -= 300 * 20_000
    with pytest.raises(UsageError, match=r"long\.parquet: row 500: its time 4000000 us is not after 9980000 us"):
        series_of(recording_of(series, time_us, np.arange(len(series))))


def test_bounded_windows_are_spread_over_every_series() -> None:
    windows = [Window(series=k, first=50 * n, end=50 * n + 51) for k, count in ((0, 4), (1, 900)) for n in range(count)]
    assert bounded(windows, 1000, 10**6) == windows
    few = bounded(windows, 100, 10**6)
    assert [w for w in few if w.series == 0] == windows[:4]
    of_long = [w.first for w in few if w.series == 1]
    assert 95 <= len(of_long) <= 105
    assert (of_long[0], of_long[-1]) == (0, 50 * 899)
    assert sum(w.end - w.first for w in bounded(windows, 1000, 5100)) <= 1.1 * 5100


def test_step_in_parts_is_the_step_of_all_points(monkeypatch: pytest.MonkeyPatch) -> None:
    series = swings(50, SWING_S)
    windows = windows_of([series], 0.5)
    shooting = Shooting([series], windows, NativePredictor([series], windows))
    search = Search(shooting, [TERMS["motor_gain"], TERMS["coulomb"]], model_of(series.cart))
    models = [TERMS["coulomb"].write(freed(model_of(series.cart)), 0.5 * k) for k in range(1, 5)]
    points = [search.iterate(model, guessed_starts([series], windows, model)) for model in models]
    together = search.step(points)
    monkeypatch.setattr(search_module, "_MOST_RESIDUALS", 1)
    assert [at.cost for at in search.step(points)] == [at.cost for at in together]
