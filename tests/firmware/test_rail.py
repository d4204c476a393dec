"""The 5 V rail by the chip's reference, and the supply that is measured against that rail."""

from __future__ import annotations

import ctypes

import pytest

from tests.firmware.c_core import Core


class Rail:
    """One rail_t."""

    def __init__(self, core: Core) -> None:
        self._library = core.library
        self._rail = (ctypes.c_uint16 * 6)()
        self._library.rail_corrected.restype = ctypes.c_uint16
        self._library.rail_update.restype = None

    def update(self, steps: int, bandgap_mv: int = 0) -> None:
        self._library.rail_update(ctypes.byref(self._rail), ctypes.c_uint16(steps), ctypes.c_uint16(bandgap_mv))

    @property
    def mv(self) -> int:
        return int(self._rail[4])

    def corrected(self, measured_mv: int) -> int:
        return int(self._library.rail_corrected(ctypes.byref(self._rail), ctypes.c_uint16(measured_mv)))


def steps_of(rail_mv: float, bandgap_mv: float) -> int:
    """What the converter reads of the reference, four times added up."""
    return round(bandgap_mv / rail_mv * 4096)


def test_nothing_is_known_before_the_first_measurement(core: Core) -> None:
    rail = Rail(core)
    rail.update(0, 1100)
    assert rail.mv == 0
    assert rail.corrected(12_000) == 12_000


@pytest.mark.parametrize("bandgap_mv", [1000, 1100, 1200])
@pytest.mark.parametrize("begun_mv", [4700, 5000, 5200])
def test_uncalibrated_reference_shows_a_fall_from_start_up(core: Core, bandgap_mv: int, begun_mv: int) -> None:
    rail = Rail(core)
    rail.update(steps_of(begun_mv, bandgap_mv))
    assert rail.mv == 5000
    rail.update(steps_of(begun_mv, bandgap_mv))
    assert rail.corrected(12_345) == 12_345, "to the millivolt: nothing has changed"
    rail.update(steps_of(0.9 * begun_mv, bandgap_mv))
    assert rail.mv == pytest.approx(4500, rel=0.002)
    assert rail.corrected(12_000) == pytest.approx(10_800, rel=0.002)
    rail.update(0)
    assert rail.mv == pytest.approx(4500, rel=0.002), "the last measurement holds"


@pytest.mark.parametrize("bandgap_mv", [1000, 1043, 1200])
@pytest.mark.parametrize("true_mv", [4200, 5000, 5500])
def test_calibrated_reference_shows_the_rail(core: Core, bandgap_mv: int, true_mv: int) -> None:
    rail = Rail(core)
    rail.update(steps_of(true_mv, bandgap_mv), bandgap_mv)
    assert rail.mv == pytest.approx(true_mv, rel=0.002)
    assert rail.corrected(round(12_000 * 5000 / true_mv)) == pytest.approx(12_000, rel=0.002)


def test_calibration_that_comes_later_takes_effect(core: Core) -> None:
    rail = Rail(core)
    rail.update(steps_of(4600, 1100))
    assert rail.mv == 5000
    rail.update(steps_of(4600, 1100), 1100)
    assert rail.mv == pytest.approx(4600, rel=0.002)
    rail.update(steps_of(4600, 1100))
    assert rail.mv == 5000, "and goes with it"
    rail.update(steps_of(4140, 1100), 1100)
    rail.update(steps_of(4140, 1100))
    assert rail.mv == pytest.approx(4500, rel=0.002), "of what was measured at start-up"


@pytest.mark.parametrize("measured_mv", [1, 12_345, 60_000, 65_534, 65_535])
def test_rail_as_at_start_up_leaves_every_voltage_as_it_is(core: Core, measured_mv: int) -> None:
    rail = Rail(core)
    rail.update(901)
    assert rail.corrected(measured_mv) == measured_mv


@pytest.mark.parametrize(
    ("steps", "bandgap_mv", "rail_mv"),
    [(901, 1100, 5000), (900, 1100, 5005), (902, 1100, 4994), (901, 1101, 5000), (902, 1101, 4994), (1500, 1101, 3003)],
)
def test_rail_is_rounded_down_to_whole_steps_and_millivolts(
    core: Core, steps: int, bandgap_mv: int, rail_mv: int
) -> None:
    """1100 mV are 901.1 steps of 4096 in 5 V, 1101 mV are 901.9, and both count as 901."""
    rail = Rail(core)
    rail.update(steps, bandgap_mv)
    assert rail.mv == rail_mv


def test_absurd_readings_saturate(core: Core) -> None:
    rail = Rail(core)
    rail.update(1, 1200)
    assert rail.mv == 9999
    assert rail.corrected(60_000) == 65_535
    rail.update(4092, 1000)
    assert rail.mv == 1000
