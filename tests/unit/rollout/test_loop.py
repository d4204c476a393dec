from __future__ import annotations

import tracemalloc
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata, RolloutEnd
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.loop import Rollout, StepLog, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.signals import Measurement, State


class Still:
    """A controller that never pushes."""

    def reset(self) -> None: ...

    def duty(self, observation: NDArray[Any]) -> float:
        return 0.0


class NotingRig(NativeSimRig):
    """A cart that stays upright and notes what is asked of it; it fails in the numbered call of `fails`."""

    def __init__(self, fails: tuple[str, int] = ("", 0), error: BaseException | None = None) -> None:
        super().__init__(load_cart("gym"), None)
        self.calls: list[str] = []
        self._fails = fails
        self._error = error or RigError("the link is lost")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if (call, self.calls.count(call)) == self._fails:
            raise self._error

    def command(self, duty: float) -> None:
        self._note("command")
        super().command(duty)

    def measure(self) -> Measurement:
        self._note("measure")
        return super().measure()


def driven(rig: NotingRig, steps: int, log: StepLog) -> Rollout:
    first = rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
    return run_rollout(rig, SinglePilot(Still()), first, max_steps=steps, log=log)


@pytest.mark.parametrize("cart", ["gym", "diy_arduino"])
def test_command_and_measure_are_a_step(cart: str) -> None:
    params = load_cart(cart)
    halves, whole = simulated_rig(params), simulated_rig(params)
    regulator = regulator_of(params)
    found: list[tuple[State, float]] = []
    first = start_rollout(halves, 3)
    log = StepLog(on_step=lambda measured: found.append((measured.state(), measured.applied_duty)))
    done = run_rollout(halves, SinglePilot(regulator), first, max_steps=60, log=log)
    measured, expected = start_rollout(whole, 3), []
    regulator.reset()
    for _ in range(done.steps):
        expected.append((measured.state(), measured.applied_duty))
        measured = whole.step(regulator.duty(task.observation(measured)))
    assert (done.steps, found) == (60, expected)
    halves.close()
    whole.close()


def test_nothing_is_noted_before_the_command() -> None:
    rig = NotingRig()

    def arrival_s() -> float:
        rig.calls.append("arrival")
        return 12.5

    times = StepTimes(10)
    log = StepLog(times=times, arrival_s=arrival_s, on_step=lambda _: rig.calls.append("noted"))
    assert driven(rig, 3, log) == Rollout(steps=3, end=RolloutEnd.DURATION)
    assert rig.calls == ["command", "arrival", "noted", "measure"] * 3
    assert times.steps == 3


def test_without_an_arrival_clock_a_measurement_arrives_when_the_pilot_is_asked() -> None:
    times = StepTimes(10)
    driven(NotingRig(), 3, StepLog(times=times))
    times_kept = np.frombuffer(times._received)[:3], np.frombuffer(times._asked)[:3]
    assert (times_kept[0] == times_kept[1]).all()


@pytest.mark.parametrize(
    ("fails", "error", "expected"),
    [
        (("command", 3), RigError("no port"), Rollout(steps=2, end=RolloutEnd.FAULT, reason="no port")),
        (("measure", 3), RigError("no cart"), Rollout(steps=2, end=RolloutEnd.FAULT, reason="no cart")),
        (("measure", 2), KeyboardInterrupt(), Rollout(steps=1, end=RolloutEnd.STOPPED)),
    ],
)
def test_failures_and_ctrl_c_end_a_rollout(fails: tuple[str, int], error: BaseException, expected: Rollout) -> None:
    assert driven(NotingRig(fails, error), 10, StepLog()) == expected


@pytest.mark.parametrize("call", ["command", "measure"])
def test_last_measurement_is_recorded_whether_or_not_its_command_was_sent(call: str, tmp_path: Path) -> None:
    rig = NotingRig((call, 3))
    with Recorder(
        tmp_path / "a.parquet", RecordingMetadata(cart=rig.cart, rig="sim", controller=ControllerRecord(policy="still"))
    ) as recorder:
        done = driven(rig, 10, StepLog(recorder=recorder))
    assert (done.steps, done.end) == (2, RolloutEnd.FAULT)
    rows = read_recording(tmp_path / "a.parquet").rows
    assert rows["tick"].tolist() == [0, 1, 2]
    assert np.isnan(rows["requested_duty"]).tolist() == [False, False, call == "command"]


def test_no_step_makes_an_object_that_lasts() -> None:
    rig, times = simulated_rig(load_cart("gym")), StepTimes(400)
    first = start_rollout(rig, 0)
    used = array("q", bytes(8 * 400))

    def note(measured: Measurement) -> None:
        used[measured.tick] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        pilot = SinglePilot(regulator_of(rig.cart))
        done = run_rollout(rig, pilot, first, max_steps=400, log=StepLog(times=times, on_step=note))
    finally:
        tracemalloc.stop()
        rig.close()
    assert done.steps == 400
    assert abs(used[-1] - used[100]) < 300  # a byte a step
