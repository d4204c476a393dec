"""`bring-up`: its stages on virtual carts, what it refuses, and what it says when one fails."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from cartpole_robot.bring_up.cart_line import CartLine, DriveMeter
from cartpole_robot.bring_up.cautious import Brake, brake_of, cautious_cart, weakest_brake
from cartpole_robot.bring_up.folder import Identity, open_folder
from cartpole_robot.bring_up.intervals import ranges_of
from cartpole_robot.bring_up.report_page import write_reports
from cartpole_robot.bring_up.run import BringUp, BringUpRequest, Listener, bring_up
from cartpole_robot.bring_up.stage import StageName, StageResult
from cartpole_robot.bring_up.stages.brake import fitted_brake
from cartpole_robot.bring_up.summary import files_of
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import changed_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.messages import StateMessage
from tests.policy_on_board import regulating_policy

CART = quickly_homing(load_cart("diy_arduino"))
Completed = CompletedProcess[str]


def changed(**factors: float) -> CartParams:
    """The cart with some numbers, named as "section__key", multiplied."""
    cart = dataclasses.replace(CART, action_duties=(-1.0, 1.0))
    values = {}
    for name, factor in factors.items():
        section, key = name.split("__")
        values[f"{section}.{key}"] = getattr(getattr(cart, section), key) * factor
    return changed_cart(cart, values, source="test")


class Struck(DriveMeter):
    """Something happens once the motor has been armed for so long."""

    def __init__(self, armed_s: float, strike: Callable[[], object]) -> None:
        super().__init__()
        self._until_s, self._strike = armed_s, strike

    def look(self, state: StateMessage) -> None:
        super().look(state)
        if self.armed_s > self._until_s:
            self._strike()


class EstopPressedAfter(Struck):
    """Presses the e-stop once the motor has been armed for so long."""

    virtual: VirtualCart | None = None

    def __init__(self, armed_s: float) -> None:
        super().__init__(armed_s, self._press)

    def _press(self) -> None:
        if self.virtual is not None:
            self.virtual.is_estop_pressed = True


def request(out: Path, until: StageName, file: CartParams = CART) -> BringUpRequest:
    return BringUpRequest(rig="virtual", cart=file, out=out, may_move=True, is_checked=True, until=until)


def run(
    out: Path,
    until: StageName,
    plant: CartParams = CART,
    listener: Listener | None = None,
    *,
    file: CartParams = CART,
    meter: DriveMeter | None = None,
) -> BringUp:
    line = CartLine("virtual", file, plant=plant)
    line.meter = meter or line.meter
    if isinstance(line.meter, EstopPressedAfter):
        line.meter.virtual = line.virtual
    return bring_up(request(out, until, file), listener or Listener(), line=line)


CHECKED = StageResult(name=StageName.CHECK, line="made by the test", notes=())


def identity_of(rig: str) -> Identity:
    return Identity(rig=rig, cart=CART.name, fingerprint=CART.fingerprint(), seed=0)


@pytest.fixture
def off() -> Callable[[BringUp], bool]:
    """Whether the motor of the virtual cart is off."""

    def is_off(done: BringUp) -> bool:
        virtual = done.work.line.virtual
        assert virtual is not None
        return not virtual.drive

    return is_off


def test_weak_cart_with_another_pole_is_excited_within_its_cautious_limits(tmp_path: Path) -> None:
    plant = changed(motor__stall_force_n=0.7, pole_cart__pole_half_length_m=1.5, friction__cart_coulomb_n=1.5)
    done = run(tmp_path / "out", StageName.EXCITE, plant)
    assert done.failure is None
    found = {result.name: result.figures for result in done.results}
    assert found[StageName.HOME]["half_period_s"] == pytest.approx(0.5 * 1.158 * 1.5**0.5, rel=0.1)
    assert found[StageName.HOME]["track_m"] == pytest.approx(0.94, abs=0.02)
    assert found[StageName.EXCITE]["farthest_m"] < 0.75 * 0.40
    assert sum(result.armed_s for result in done.results) < 30.0


def test_same_command_does_not_repeat_a_finished_stage_and_the_next_continues(tmp_path: Path) -> None:
    run(tmp_path / "out", StageName.HOME)
    seen: list[tuple[str, bool]] = []
    done = run(
        tmp_path / "out", StageName.BRAKE, listener=Listener(ends=lambda result, old: seen.append((result.name, old)))
    )
    assert seen == [("check", True), ("home", True), ("brake", False)]
    assert [result.name for result in done.results] == ["check", "home", "brake"]


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"rig": "avr"}, "of rig 'virtual', not of 'avr'"),
        ({"rig": "serial:/dev/ttyACM0"}, "of rig 'virtual', not of 'serial:/dev/ttyACM0'"),
        ({"fingerprint": "f" * 64}, r"in another state \(ffffffff\)"),
        ({"cart": "other", "fingerprint": "f" * 64}, "not of 'other'"),
        ({"seed": 1}, "began with --seed 0, not 1"),
    ],
)
def test_folder_of_another_bring_up_is_refused(tmp_path: Path, identity: dict[str, str], expected: str) -> None:
    known = identity_of("virtual")
    open_folder(tmp_path / "out", known).keep(CHECKED)
    with pytest.raises(UsageError, match=expected):
        open_folder(tmp_path / "out", dataclasses.replace(known, **identity))


def test_cart_on_another_port_continues_and_its_folder_is_refused_to_a_virtual_one(tmp_path: Path) -> None:
    open_folder(tmp_path / "out", identity_of("serial:/dev/ttyACM0")).keep(CHECKED)
    folder = open_folder(tmp_path / "out", identity_of("serial:/dev/ttyACM1"))
    assert folder.results == {StageName.CHECK: CHECKED}
    folder.keep(CHECKED)
    with pytest.raises(UsageError, match="of rig 'serial:/dev/ttyACM1', not of 'virtual'"):
        open_folder(tmp_path / "out", identity_of("virtual"))


def test_folder_of_a_rig_that_never_answered_is_free_for_another(tmp_path: Path) -> None:
    missing = dataclasses.replace(request(tmp_path / "out", StageName.CHECK), rig="serial:/dev/ttyMissing")
    failed = bring_up(missing)
    assert failed.failure is not None
    assert "no such port" in failed.failure.message
    write_reports(failed)
    assert [result.name for result in run(tmp_path / "out", StageName.CHECK).results] == [StageName.CHECK]


def test_folder_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is no bring-up"):
        run(tmp_path, StageName.CHECK)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_cart_that_is_stuck_at_homing_homes_with_higher_duties_within_the_ceilings(tmp_path: Path) -> None:
    file = load_cart("diy_arduino")
    plant = changed(motor__stall_force_n=0.6, friction__cart_coulomb_n=2.2)
    said: list[str] = []
    done = run(tmp_path / "out", StageName.HOME, plant, Listener(says=said.append), file=file)
    assert done.failure is None
    figures = done.folder.results[StageName.HOME].figures
    assert said[0] == "CART_STUCK: homing_duty raised to 0.35 and moving_duty to 0.315"
    assert list(done.folder.results[StageName.HOME].notes) == said
    assert 0.35 <= figures["homing_duty"] <= 0.5
    assert figures["moving_duty"] >= 0.315


def test_blocked_pole_fails_at_homing_with_the_motor_off(tmp_path: Path, off: Callable[[BringUp], bool]) -> None:
    done = run(tmp_path / "out", StageName.EXCITE, changed(friction__pole_coulomb_n_m=1e4))
    assert done.failure is not None
    assert done.failure.stage is StageName.HOME
    assert done.failure.figures["fault"] == "POLE_STUCK"
    assert "swings freely" in done.failure.remedy
    assert off(done)


def test_motor_too_weak_to_home_is_named_with_its_duty(tmp_path: Path, off: Callable[[BringUp], bool]) -> None:
    done = run(tmp_path / "out", StageName.HOME, changed(motor__stall_force_n=0.3, friction__cart_coulomb_n=1.5))
    assert done.failure is not None
    assert "homing_duty 0.5, the most that the firmware allows" in done.failure.message
    assert off(done)


def test_brake_weaker_than_any_expected_is_refused_with_its_figure(tmp_path: Path) -> None:
    plant = changed(motor__back_emf_n_s_m=0.1, friction__cart_coulomb_n=0.3, friction__cart_viscous_n_s_m=0.1)
    done = run(tmp_path / "out", StageName.EXCITE, plant)
    assert done.failure is not None
    assert done.failure.stage is StageName.BRAKE
    assert "times as far as with the weakest brake" in done.failure.message


def test_estop_in_the_middle_of_a_drive_ends_it_by_name(tmp_path: Path, off: Callable[[BringUp], bool]) -> None:
    run(tmp_path / "out", StageName.BRAKE)
    done = run(tmp_path / "out", StageName.EXCITE, meter=EstopPressedAfter(3.0))
    assert done.failure is not None
    assert done.failure.stage is StageName.EXCITE
    assert "ESTOP" in done.failure.message
    assert off(done)


def test_ctrl_c_in_the_middle_of_a_drive_is_a_stop_and_no_failure(tmp_path: Path) -> None:
    run(tmp_path / "out", StageName.BRAKE)
    line = CartLine("virtual", CART)
    line.meter = Struck(3.0, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        bring_up(request(tmp_path / "out", StageName.EXCITE), line=line)
    assert line.virtual is not None
    assert not line.virtual.drive


def test_cart_without_firmware_is_refused_with_the_missing_keys(tmp_path: Path) -> None:
    cart = dataclasses.replace(CART, firmware=None)
    with pytest.raises(UsageError, match=r"firmware\.switch_m, firmware\.travel_limit_m"):
        bring_up(BringUpRequest(rig="virtual", cart=cart, out=tmp_path / "out", may_move=True))
    assert not (tmp_path / "out").exists()


def test_cautious_cart_brakes_less_and_goes_less_far_than_any_cart_within_the_ranges() -> None:
    cart = load_cart("diy_arduino")
    cautious = cautious_cart(cart, weakest_brake(cart))
    assert cautious.firmware is not None
    assert cautious.firmware.brake_decel_m_s2 is not None
    assert cautious.firmware.travel_limit_m <= 0.75 * 0.43
    assert cautious.limits.cart_position_m <= 0.75 * 0.40
    half_as_much = dataclasses.replace(brake_of(cart), rate_1_s=0.5 * brake_of(cart).rate_1_s, dry_m_s2=0.7)
    assert cautious.firmware.brake_decel_m_s2 < half_as_much.deceleration_m_s2(0.8)


def test_brake_is_found_from_its_own_rolls() -> None:
    brake = Brake(rate_1_s=15.0, dry_m_s2=1.2)
    found = fitted_brake([(speed, brake.distance_m(speed)) for speed in (0.05, 0.1, 0.2, 0.4)])
    assert found.rate_1_s == pytest.approx(15.0, rel=0.05)
    assert found.distance_m(1.0) == pytest.approx(brake.distance_m(1.0), rel=0.03)


def test_ranges_are_as_wide_as_the_intervals_and_never_narrower_than_two_per_cent() -> None:
    cart = load_cart("diy_arduino")
    wide = {"term": "motor_gain", "value": 25.7, "low_95": 23.7, "high_95": 27.7}
    narrow = {"term": "coulomb", "value": 1.0, "low_95": 0.999, "high_95": 1.001}
    found = ranges_of(cart, [wide, narrow, {"term": "angle_zero", "value": 0.0, "low_95": 0.0, "high_95": 0.0}])
    assert found is not None
    ends = {key: (span.low, span.high) for key, span in found.ranges.items()}
    assert ends["motor.stall_force_n"] == pytest.approx((23.7, 27.7))
    assert ends["friction.cart_coulomb_n"] == pytest.approx((0.98, 1.02))
    assert len(ends) == 2


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[bool], Path]:
    """A folder as the stages up to `train` leave it, with a policy that balances or one that pushes the other way."""

    def make(is_good: bool) -> Path:
        folder = open_folder(tmp_path / "out", identity_of("virtual"))
        folder.write_cart(StageName.IDENTIFY, CART)
        bundle = regulating_policy(CART)
        if not is_good:
            network = dataclasses.replace(bundle.network, output_weight=-bundle.network.output_weight)
            bundle = bundle_of(network, CART, np.zeros((100, 4), np.float32), {})
        (folder.path / "policy").mkdir()
        bundle.save(folder.path / "policy" / "policy.npz")
        for name in list(StageName)[: list(StageName).index(StageName.SWING_UP)]:
            folder.keep(StageResult(name=name, line="made by the test", figures={"policy": "policy", "estimates": []}))
        return folder.path

    return make


@pytest.mark.long
def test_policy_swings_up_balances_a_minute_and_is_compared_in_one_report(trained: Callable[[bool], Path]) -> None:
    folder = trained(True)
    done = run(folder, StageName.COMPARE)
    assert done.failure is None
    assert done.folder.results[StageName.BALANCE].figures["balanced_s"] == pytest.approx(60.0)
    write_reports(done)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "the policy balanced 60 s" in (folder / "summary.txt").read_text(encoding="utf-8")
    assert page.count("<h1>") == 2  # the stages, and the comparison


@pytest.mark.long
def test_regulator_that_balances_in_place_of_the_policy_is_no_success(trained: Callable[[bool], Path]) -> None:
    folder = trained(False)
    done = run(folder, StageName.COMPARE)
    assert done.failure is not None
    assert done.failure.stage is StageName.BALANCE
    assert done.failure.figures["regulator_balanced"] is True
    assert len(done.failure.figures["falls"]) == 2
    assert StageName.BALANCE not in done.folder.results
    assert "the regulator of the identified cart balanced the whole minute" in done.failure.message
    write_reports(done)
    assert "failed" in (folder / "report.html").read_text(encoding="utf-8")


def test_files_that_are_named_are_in_the_folder(tmp_path: Path) -> None:
    done = run(tmp_path / "out", StageName.HOME)
    write_reports(done)
    named = dict(files_of(done))
    assert set(named) == {"summary.txt", "report.html", "bring_up.json"}
    assert all((tmp_path / "out" / name).is_file() for name in named)
    assert "comparison" not in named["report.html"]


def test_command_says_what_it_did_in_json_and_what_is_wrong_in_one_line(
    tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    done = command_here("bring-up", "--out", tmp_path / "out", "--until", "check", "--json")
    assert done.returncode == 0, done.stderr
    assert [stage["name"] for stage in json.loads(done.stdout)["stages"]] == ["check"]
    both = command_here("bring-up", "--out", tmp_path / "out", "--rig", "avr", "--port", "/dev/ttyACM0")
    assert (both.returncode, "name the cart once" in both.stderr) == (2, True)
    unarmed = command_here("bring-up", "--out", tmp_path / "other", "--port", "/dev/ttyACM0")
    assert (unarmed.returncode, "add --arm" in unarmed.stderr) == (2, True)
    assert not (tmp_path / "other").exists()
