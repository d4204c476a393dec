"""The campaign's bench, and how its outcomes are judged."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.campaign import endurance
from cartpole_robot.campaign.bench import Bench, Moment, Subject, has_foreign
from cartpole_robot.campaign.report import from_record, row_of, row_text, to_record
from cartpole_robot.campaign.run import _outcomes
from cartpole_robot.campaign.trials import Kind, Outcome
from cartpole_robot.errors import RigError
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rollout.loop import Rollout

KIND = Kind(group="line", name="some", must="holds", unit="steps", is_more_better=True)


@pytest.fixture
def bench(chip_tools: None) -> Iterator[Bench]:
    with Bench(Subject(policy=Path("lqr"), cart="diy_arduino")) as made:
        yield made


def test_chip_restarts_after_its_clock_was_wrong(bench: Bench) -> None:
    """Its ticks have drifted within the world's milliseconds; only a reset aligns them again."""
    bench.begin(0)
    resets = bench.chip.figures()["resets"]
    bench.skew(0)
    bench.begin(1)
    assert bench.chip.figures()["resets"] == resets
    bench.skew(10_000)
    bench.balance(20)
    bench.begin(2)
    assert bench.chip.figures()["resets"] == resets + 1


def test_cart_that_has_come_to_rest_shows_its_cut_wire_once_the_host_rocks_it(bench: Bench) -> None:
    """The regulator has it stand on its dry friction when the wire is cut, and 0.6 s later still."""
    struck = bench.strike(random.Random(0), lambda: bench.wire(cut=2), steps=30, may_rock=True)
    assert struck.was_rocked
    assert struck.fault == "CART_STUCK"
    assert struck.travel_mm < 50.0


def test_cart_with_whole_encoders_balances_while_the_host_rocks_it(bench: Bench) -> None:
    struck = bench.strike(random.Random(0), lambda: None, steps=30, may_rock=True)
    assert struck.was_rocked
    assert struck.message is None
    assert 5.0 < struck.travel_mm < 50.0


def test_failed_trial_is_a_bad_outcome_and_the_next_restarts_the_cart(bench: Bench) -> None:
    def fail() -> Outcome:
        raise RigError("CART_STUCK at 3 mm: the cart does not move")

    def work() -> Outcome:
        bench.begin(0)
        return Outcome(is_good=True, message="continues", figure=5.0)

    bench.begin(1)
    resets = bench.chip.figures()["resets"]
    outcomes, _ = _outcomes("some", bench, [fail, work])
    assert bench.chip.figures()["resets"] == resets + 1
    assert outcomes[0] == Outcome(is_good=False, message="CART_STUCK", figure=None, struck=0)
    row = row_of(KIND, outcomes, 1.0)
    assert (row.good, row.count, row.worst, row.is_good) == (1, 2, 5.0, False)
    assert from_record(to_record([row], []), "here") == ([row], [])


def test_ended_emulator_ends_the_campaign(bench: Bench) -> None:
    bench.begin(0)
    os.kill(bench.chip.process_id, signal.SIGKILL)
    with pytest.raises(RigError, match="the emulated chip has ended"):
        _outcomes("some", bench, [lambda: Outcome(is_good=bench.balance(9) == 9, message="", figure=0.0)])


def test_row_of_what_never_came_about_does_not_hold() -> None:
    good = Outcome(is_good=True, message="continues", figure=500.0, struck=0)
    row = row_of(KIND, [good, good], 1.0)
    assert (row.good, row.count, row.is_good) == (2, 2, False)
    assert "the disturbance never occurred" in row_text(row)
    assert row_of(KIND, [good, Outcome(is_good=True, message="continues", figure=500.0)], 1.0).is_good
    nothing = row_of(KIND, [Outcome(is_good=False, message="NONE", figure=None)], 1.0)
    assert (nothing.worst, nothing.median) == (None, None)
    assert "no figure" in row_text(nothing)


def test_speeds_at_the_strike_stand_in_the_row() -> None:
    outcomes = [Outcome(is_good=True, message="off", figure=60.0, speed_m_s=speed) for speed in (0.5, 1.5, 1.0)]
    assert row_of(KIND, outcomes, 1.0).speeds_m_s == (0.5, 1.0, 1.5)


def test_row_counts_what_was_rocked_repeated_and_not_judged() -> None:
    good = Outcome(is_good=True, message="CART_STUCK", figure=20.0, was_rocked=True, repeats=2)
    row = row_of(KIND, [good, good], 1.0)
    assert row.is_good
    assert "2 stood still until the host rocked the cart; 4 repeated: the machine was busy" in row_text(row)
    slow = Outcome(is_good=False, message="not judged, the machine is busy: load 9", figure=7.0, is_judged=False)
    row = row_of(KIND, [slow, slow], 1.0)
    assert row.is_good
    assert row_text(row).startswith("  --   line     some                            0 of 2 ")
    assert not row_of(KIND, [slow, Outcome(is_good=False, message="measured", figure=7.0)], 1.0).is_good


@pytest.mark.parametrize(
    ("pulses", "time_ms", "is_foreign"),
    [
        (40, 21, False),
        (40, 100, False),
        (40, 101, True),  # requested too long ago to be still in force
        (40, 20, True),  # not yet requested
        (-40, 50, True),
        (41, 50, True),
        (0, 150, False),
        (None, 150, False),
    ],
)
def test_only_what_was_asked_for_of_late_may_be_driven(pulses: int | None, time_ms: int, is_foreign: bool) -> None:
    assert has_foreign([Moment(time_ms, 0, 0, 0, pulses)], [(20, 40)], 80) is is_foreign


def test_interrupted_measurement_is_no_measurement(chip_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> Rollout:
        return Rollout(steps=7, end=RolloutEnd.STOPPED)

    monkeypatch.setattr(endurance, "run_rollout", stopped)
    speed = next(trial for trial in endurance.endurance_trials() if trial.name == "speed")
    with Bench(Subject(policy=Path("lqr"), cart="diy_arduino")) as bench, pytest.raises(KeyboardInterrupt):
        speed.run(bench, random.Random(0))
