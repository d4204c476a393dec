"""Checks a cart step by step: what is wrong with it, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cartpole_robot.bring_up.acceleration import tried_cart
from cartpole_robot.bring_up.bench import Bench, Meters
from cartpole_robot.bring_up.board_checks import check_bootloader, check_chip, check_fuses
from cartpole_robot.bring_up.contact_checks import check_estop, check_switches
from cartpole_robot.bring_up.drive_checks import check_brake, check_dead_zone
from cartpole_robot.bring_up.encoder_checks import check_cart_encoder, check_pole_encoder, check_pole_turn
from cartpole_robot.bring_up.findings import Finding, StepResult, Verdict, skipped, wrong
from cartpole_robot.bring_up.line_checks import (
    check_counters,
    check_firmware,
    check_latency,
    check_limits,
    check_round_trip,
    check_usb,
)
from cartpole_robot.bring_up.motor_checks import check_homing, check_motor, check_track
from cartpole_robot.bring_up.operator import NobodyAnswersError, Operator
from cartpole_robot.bring_up.stepper_checks import check_acceleration, check_direction, check_driver_off
from cartpole_robot.bring_up.supply_checks import check_rail, check_supply
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from cartpole_robot.terminal.interrupts import signals_held
from firmware_bridge.errors import BridgeError, RefusedError
from firmware_bridge.link import Link
from firmware_bridge.transport import Transport
from firmware_bridge.usb import UsbBridge


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step; it is left out where one of `needs` found something wrong, or was left out for that reason itself."""

    name: str
    title: str
    look: Callable[[Bench], Finding]
    needs: tuple[str, ...] = ()
    moves: bool = False


_SAFE = ("supply", "e-stop", "switches", "cart-encoder")  # before anything moves
STEPS = (
    Step(name="usb", title="USB chip in front of the board", look=check_usb),
    Step(name="latency", title="latency mode of the USB chip, read back", look=check_latency),
    Step(name="firmware", title="firmware, and why it last started", look=check_firmware),
    Step(name="chip", title="microcontroller and its pulses' timer", look=check_chip),
    Step(name="fuses", title="fuses: clock, brown-out", look=check_fuses),
    Step(name="bootloader", title="bootloader", look=check_bootloader),
    Step(name="round-trip", title="round trip against the control period", look=check_round_trip),
    Step(name="limits", title="the cart file's limits in the firmware", look=check_limits),
    Step(name="rail", title="5 V rail against a voltmeter", look=check_rail),
    Step(name="supply", title="motor supply against a voltmeter", look=check_supply, needs=("limits",)),
    Step(name="e-stop", title="e-stop by hand, and its relay", look=check_estop, needs=("limits", "supply")),
    Step(name="switches", title="end switches by hand", look=check_switches, needs=("limits",)),
    Step(name="cart-encoder", title="cart's encoder by hand", look=check_cart_encoder, needs=("limits",)),
    Step(name="pole-encoder", title="pole's encoder by hand", look=check_pole_encoder, needs=("limits",)),
    Step(name="pole-turn", title="one turn of the pole by hand", look=check_pole_turn, needs=("pole-encoder",)),
    Step(name="motor", title="motor's direction", look=check_motor, needs=_SAFE, moves=True),
    Step(name="track", title="track between the switches, twice", look=check_track, needs=("motor",), moves=True),
    Step(name="dead-zone", title="motor's dead zone", look=check_dead_zone, needs=("motor", "track"), moves=True),
    Step(
        name="brake",
        title="distance that braking takes",
        look=check_brake,
        needs=("pole-encoder", "pole-turn", "motor", "track"),  # the pole's swing pushes the cart
        moves=True,
    ),
    Step(
        name="homing",
        title="homing: both zeros, the pole's swing",
        look=check_homing,
        needs=(*_SAFE, "pole-encoder", "pole-turn", "motor", "track"),
        moves=True,
    ),
    Step(name="counters", title="errors and missed ticks, counted by the firmware", look=check_counters),
)
STEP_NAMES = tuple(step.name for step in STEPS)
_STEPPER_SAFE = ("supply", "e-stop", "switches", "driver")
_OF_A_STEPPER = {
    "cart-encoder": Step(
        name="driver", title="driver off, cart free by hand", look=check_driver_off, needs=("limits", "switches")
    ),
    "motor": Step(name="motor", title="motor's direction", look=check_direction, needs=_STEPPER_SAFE, moves=True),
    "dead-zone": None,
    "brake": None,
    "homing": Step(
        name="homing",
        title="homing: both zeros, the pole's swing",
        look=check_homing,
        needs=(*_STEPPER_SAFE, "pole-encoder", "pole-turn", "motor", "track"),
        moves=True,
    ),
    "counters": Step(
        name="acceleration",
        title="largest acceleration without a lost step",
        look=check_acceleration,
        needs=("pole-encoder", "pole-turn", "motor", "track", "homing"),
        moves=True,
    ),
}
"""What takes the place of a DC motor's step; the one in place of `counters` comes before it."""


def _stepper_steps() -> Iterator[Step]:
    for step in STEPS:
        other = _OF_A_STEPPER.get(step.name, step)
        if other is not None:
            yield other
        if step.name == "counters":
            yield step


STEPPER_STEPS = tuple(_stepper_steps())
_ALL_NAMES = {*STEP_NAMES, *(step.name for step in STEPPER_STEPS)}


def steps_for(cart: CartParams) -> tuple[Step, ...]:
    """The steps of a cart with that drive, in their order."""
    return STEPS if cart.stepper is None else STEPPER_STEPS


def chosen_steps(names: Sequence[str], cart: CartParams | None = None) -> tuple[Step, ...]:
    """The steps of those names for `cart`, None for any with a DC motor, in their order; all for no names.

    With them comes `limits`, which gives the firmware the cart, and before `supply` what it is measured against.

    Raises `UsageError` for a name that no step has, or only one of a cart with the other drive.
    """
    steps = STEPS if cart is None else steps_for(cart)
    known = [step.name for step in steps]
    for name in names:
        if name in _ALL_NAMES and name not in known and cart is not None:
            this, other = ("a DC motor", "a stepper") if cart.stepper is None else ("a stepper", "a DC motor")
            raise UsageError(
                f"the step {name} of check-rig is for {other}, and the cart {cart.name!r} has {this}; expected some of "
                f"{', '.join(known)}"
            )
        if name not in known:
            raise UsageError(f"check-rig has no step {name!r}; expected some of {', '.join(known)}")
    chosen = {*names, "limits", *(["rail"] if "supply" in names else [])}
    return tuple(step for step in steps if not names or step.name in chosen)


@dataclass(frozen=True, kw_only=True)
class RigCheck:
    """What to check, and how.

    `open_line` opens the line to the cart and raises `BridgeError`. Nothing moves without `may_move`, nothing is asked
    without an `operator`. `usb` is the bridge in front of the board, None for a line without one. `steps` None are all
    that a cart with this drive has; `most_m_s2` is the largest acceleration that a stepper tries, None for the file's.
    """

    cart: CartParams
    open_line: Callable[[], Transport]
    port: str
    operator: Operator | None
    may_move: bool
    on_result: Callable[[StepResult], object]
    steps: tuple[Step, ...] | None = None
    most_m_s2: float | None = None
    meters: Meters = field(default_factory=Meters)
    usb: UsbBridge | None = None
    results: list[StepResult] = field(default_factory=list)

    def run(self) -> bool:
        """Whether nothing wrong or unknown was found. Leaves the motor off.

        Raises `UsageError` as `cfg_message` and, where `most_m_s2` is given, as `tried_cart`.
        """
        if self.most_m_s2 is not None:
            tried_cart(self.cart, self.most_m_s2)
        encoders, settings = encoders_and_settings(self.cart)
        cfg = cfg_message(self.cart)
        try:
            link = Link(self.open_line())
        except BridgeError as error:
            self._add(wrong("port", str(error), ""), "port", "serial port")
            return False
        bench = Bench(
            cart=self.cart,
            encoders=encoders,
            settings=settings,
            link=link,
            cfg=cfg,
            stepper=stepper_message(self.cart),
            most_m_s2=self.most_m_s2,
            operator=self.operator,
            may_move=self.may_move,
            meters=self.meters,
            usb=self.usb,
        )
        try:
            bench.hello = link.open()
            bench.state()  # by then it has measured what HEALTH tells
            for step in steps_for(self.cart) if self.steps is None else self.steps:
                result = self._add(self._finding(bench, step), step.name, step.title)
                bench.results[step.name] = result
        except BridgeError as error:
            self._add(wrong("link", str(error), ""), "link", "line to the cart")
        except OSError:  # of the terminal: those of the line are BridgeErrors
            self.results.append(_result(skipped("the terminal is gone"), "terminal", "the operator's terminal"))
            raise
        finally:
            self._stand_down(link)
        return not any(result.verdict in (Verdict.WRONG, Verdict.UNKNOWN) for result in self.results)

    def _finding(self, bench: Bench, step: Step) -> Finding:
        """Raises `LinkError` for a line that is lost: then no further step can be done.

        A step that is stopped is among the results as not checked.
        """
        if step.moves and not self.may_move:
            return skipped("it moves the cart, which needs --arm")
        blocked = [name for name in step.needs if bench.blocks(name)]
        if blocked:
            bench.blocked.add(step.name)
            return skipped(f"first put right what {' and '.join(blocked)} found")
        try:
            return step.look(bench)
        except RefusedError as error:
            return wrong("refused", str(error), "put right what the steps before found, and check again")
        except NobodyAnswersError as error:
            return skipped(str(error))
        except KeyboardInterrupt:
            self._add(skipped("it was stopped"), step.name, step.title)
            raise

    def _stand_down(self, link: Link) -> None:
        """Motor off, line released; a cart that does not confirm it is not fit to be driven."""
        try:
            if link.session is None:
                return
            with signals_held():
                link.disarm()
        except BridgeError as error:
            self._add(wrong("motor-not-off", str(error), ""), "motor off", "motor off at the end")
        finally:
            link.close()

    def _add(self, finding: Finding, name: str, title: str) -> StepResult:
        result = _result(finding, name, title)
        self.results.append(result)
        self.on_result(result)
        return result


def _result(finding: Finding, name: str, title: str) -> StepResult:
    return StepResult(
        name=name,
        title=title,
        verdict=finding.verdict,
        message=finding.message,
        remedy=finding.remedy,
        mistake=finding.mistake,
        measured=finding.measured,
    )


def verdict_text(results: Sequence[StepResult], cart: CartParams | None = None) -> str:
    """The last line: what all of it means for `cart`, None for any with a DC motor."""
    names = {
        verdict: [result.name for result in results if result.verdict is verdict]
        for verdict in (Verdict.WRONG, Verdict.UNKNOWN, Verdict.SKIPPED)
    }
    parts = [
        f"{words} {', '.join(names[verdict])}"
        for verdict, words in (
            (Verdict.WRONG, "wrong:"),
            (Verdict.UNKNOWN, "unknown:"),
            (Verdict.SKIPPED, "not checked:"),
        )
        if names[verdict]
    ]
    if names[Verdict.WRONG] or names[Verdict.UNKNOWN]:
        return f"the rig is not fit to be driven ({'; '.join(parts)})"
    left_out = len(STEPS if cart is None else steps_for(cart)) - len(results)
    if left_out > 0:
        parts.append(f"{left_out} steps left out")
    return f"nothing wrong was found ({'; '.join(parts)})" if parts else "the rig is fit to be driven"


def failed_steps(results: Sequence[StepResult]) -> list[str]:
    """The names to give to --only: what is to be checked again."""
    return [result.name for result in results if result.name in _ALL_NAMES and result.verdict is not Verdict.FINE]
