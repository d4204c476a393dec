"""The faults of the campaign: how each is caused, and the required outcome."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

from cartpole_robot.campaign.bench import Bench, Struck, in_short
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.simulation.line import Line, LineFaults
from firmware_bridge._host import encode_frame
from firmware_bridge.errors import BridgeError
from firmware_bridge.faults import FAULTS
from firmware_bridge.messages import PingMessage
from firmware_bridge.protocol import read_protocol

WATCHDOG_MS = 20
MOST_TRAVEL_MM = 50.0
CART_CUT = ("CART_STUCK", "POLARITY")  # one channel alone counts back and forth: either fault may be seen
POLE_CUT = ("POLE_STILL", "POLE_SIGN")
CART_B, CART_A, POLE_B, POLE_A = 1, 2, 4, 8
LEFT_SWITCH, RIGHT_SWITCH = (int(read_protocol().enums["input_flag"][f"{side}_SWITCH"]) for side in ("LEFT", "RIGHT"))
MOST_STANDING_MS = 250  # while the motor pushes the cart against its end stop
_STOP_NEAR_MM = 1.0
_PRESENT_MS = 100
_PRESENCE = encode_frame(PingMessage(host_us=0).pack())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial: whether it met all requirements, the rig's message, and the limited figure.

    The figure is None if the trial failed before there was one. `struck` counts how often the disturbance occurred, if
    that is left to chance; `speed_m_s` is the cart's speed at the strike, where it matters. `was_rocked`: nothing moved
    after the strike until the host rocked the cart. `repeats`: how often the machine was too busy for the trial.
    `is_judged` is False if it was too busy to measure at all.
    """

    is_good: bool
    message: str
    figure: float | None
    struck: int = 1
    speed_m_s: float | None = None
    was_rocked: bool = False
    repeats: int = 0
    is_judged: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """What is tried, and the required outcome.

    The worst figure (in `unit`) is the largest, or with `is_more_better` the smallest.
    """

    group: str
    name: str
    must: str
    unit: str
    is_more_better: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial(Kind):
    """One kind of trial on a bench; `run` does it once, at a time drawn from the generator."""

    count: int
    short_count: int
    run: Callable[[Bench, random.Random], Outcome]


def fault_trials() -> list[Trial]:
    """All fault trials, in order."""
    return [*_stopping(), *_encoders(), *_switches(), *_line()]


# ---- the motor off in time ----


def _stopping() -> list[Trial]:
    return [
        Trial(
            group="stop",
            name="host falls silent",
            must="off when the cart's command timeout has passed since the last command",
            unit="ms",
            count=100,
            short_count=1,
            run=silence,
        ),
        Trial(
            group="stop",
            name="e-stop pressed",
            must="off with the next safety tick (0 ms)",
            unit="ms",
            count=100,
            short_count=1,
            run=lambda bench, rng: _off_within(bench.strike(rng, lambda: _press(bench)), 0, ("ESTOP",)),
        ),
        Trial(
            group="stop",
            name="e-stop frame",
            must="off with the safety tick after it has arrived (1 ms)",
            unit="ms",
            count=100,
            short_count=1,
            run=lambda bench, rng: _off_within(bench.strike(rng, lambda: bench.link.post_mode("ESTOP")), 1, ("ESTOP",)),
        ),
        *(
            Trial(
                group="stop",
                name=name,
                must=f"off within {WATCHDOG_MS} ms by the watchdog; a new session, and the host names the reset",
                unit="ms",
                count=50,
                short_count=1,
                run=_restarting(lambda bench, program=program: bench.chip.hang(program), WATCHDOG_MS, "WATCHDOG"),  # type: ignore[misc]
            )
            for name, program in (("program hangs", True), ("tick interrupt lost", False))
        ),
        *(
            Trial(
                group="stop",
                name=f"reset: {name}",
                must="off at once; a new session, and the host names the reset",
                unit="ms",
                count=50,
                short_count=1,
                run=_restarting(lambda bench, cause=cause: bench.restart(cause), 0, cause),  # type: ignore[misc]
            )
            for name, cause in (("power", "POWER_ON"), ("reset pin", "EXTERNAL"), ("brown-out", "BROWN_OUT"))
        ),
    ]


def _press(bench: Bench) -> None:
    bench.cart.is_estop_pressed = True


def _off_within(struck: Struck, most_ms: int, faults: tuple[str, ...]) -> Outcome:
    return Outcome(
        is_good=struck.off_ms <= most_ms and struck.fault in faults, message=struck.fault, figure=float(struck.off_ms)
    )


def silence(bench: Bench, rng: random.Random) -> Outcome:
    """The host answers one STATE and never again; its command takes half a millisecond to arrive."""
    bench.begin(rng.randrange(1_000_000))
    bench.balance(rng.randrange(20, 60))
    at_ms = bench.board.strike_in(1, lambda: None)
    bench.command_once()
    bench.pass_ms(2 * bench.timeout_ms)
    _, message = bench.survive(1)
    return _off_within(bench.watch(at_ms, message), bench.timeout_ms, ("COMMAND_TIMEOUT",))


def _restarting(
    strike: Callable[[Bench], object], most_ms: int, cause: str
) -> Callable[[Bench, random.Random], Outcome]:
    """A strike that resets the chip: the motor must be off in time, and old commands must be refused."""

    def run(bench: Bench, rng: random.Random) -> Outcome:
        struck = bench.strike(rng, lambda: strike(bench))
        link = bench.link
        before = link.session
        link.command(0, link.protocol.constants["PROTOCOL_DUTY_ONE"], 200)  # of the old session
        bench.pass_ms(50)
        ignores_old = bench.cart.drive is None
        try:
            link.mode("ARM")
        except BridgeError as error:
            refusal = str(error)
        else:
            refusal = ""
        hello = link.open()
        message = struck.fault
        is_good = (
            struck.off_ms <= most_ms
            and message == f"the cart has restarted ({cause})"
            and ignores_old
            and "BAD_SESSION" in refusal
            and hello.session != before
            and hello.reset_cause == link.protocol.enums["reset_cause"][cause]
        )
        bench.restart_first()
        return Outcome(is_good=is_good, message=message, figure=float(struck.off_ms))

    return run


# ---- encoders ----


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wires:
    """How an encoder's wires are harmed, as `Bench.wire` takes it, and the faults that may name it while balancing."""

    encoder: str
    faults: tuple[str, ...]
    cut: int = 0
    swapped: int = 0
    spiked: int = 0
    spikes: int = 0

    def harm(self, bench: Bench) -> None:
        """From now on."""
        bench.wire(cut=self.cut, swapped=self.swapped, spiked=self.spiked, spikes=self.spikes)


def harmed_wires() -> dict[str, Wires]:
    """Each by its name."""
    found: dict[str, Wires] = {}
    for encoder, a, b, cut, signs, swapped in (
        ("cart", CART_A, CART_B, CART_CUT, "POLARITY", 1),
        ("pole", POLE_A, POLE_B, POLE_CUT, "POLE_SIGN", 2),
    ):
        noise = f"{encoder.upper()}_ENCODER"
        found |= {
            f"{encoder} A cut": Wires(encoder=encoder, faults=cut, cut=a),
            f"{encoder} B cut": Wires(encoder=encoder, faults=cut, cut=b),
            f"{encoder} A and B cut": Wires(encoder=encoder, faults=cut, cut=a | b),
            f"{encoder} A and B swapped": Wires(encoder=encoder, faults=(signs, noise), swapped=swapped),
            f"{encoder} spikes, both channels": Wires(encoder=encoder, faults=(noise,), spiked=a | b, spikes=2),
            f"{encoder} spikes, one channel": Wires(
                encoder=encoder, faults=(noise,), spiked=CART_A if encoder == "cart" else POLE_B, spikes=2
            ),
        }
    return found


def _encoders() -> list[Trial]:
    return [
        *(
            Trial(
                group="encoder",
                name=name,
                must=f"{' or '.join(wires.faults)} before {MOST_TRAVEL_MM:g} mm of travel",
                unit="mm",
                count=20,
                short_count=1,
                run=_wired(wires),
            )
            for name, wires in harmed_wires().items()
        ),
        *(
            Trial(
                group="encoder",
                name=f"{name} spikes, 1 a ms",
                must=f"{name.upper()}_ENCODER, or balances {MAX_EPISODE_STEPS} steps with every lost count reported",
                unit="counts",
                count=20,
                short_count=1,
                run=_rare_spikes(name, channel),
            )
            for name, channel in (("cart", CART_A), ("pole", POLE_B))
        ),
    ]


def _within_travel(struck: Struck, faults: tuple[str, ...]) -> Outcome:
    return Outcome(
        is_good=struck.fault in faults and struck.travel_mm < MOST_TRAVEL_MM,
        message=struck.fault,
        figure=struck.travel_mm,
        was_rocked=struck.was_rocked,
    )


def _wired(wires: Wires) -> Callable[[Bench, random.Random], Outcome]:
    def run(bench: Bench, rng: random.Random) -> Outcome:
        return _within_travel(bench.strike(rng, lambda: wires.harm(bench), may_rock=True), wires.faults)

    return run


def _rare_spikes(encoder: str, channel: int) -> Callable[[Bench, random.Random], Outcome]:
    """A spike on one channel counts forth and back, unless the other channel has an edge in between.

    One a millisecond may as well be a pole that shakes on an edge: no single spike is a fault.
    """

    def run(bench: Bench, rng: random.Random) -> Outcome:
        before, health = bench.begin_counted(rng.randrange(1_000_000)), bench.link.health()
        bench.wire(spiked=channel, spikes=1)
        _, message = bench.survive(MAX_EPISODE_STEPS)
        bench.chip.wire()
        off = bench.counts_lost(before)
        after = bench.link.health()
        illegal = getattr(after, f"{encoder}_illegal") - getattr(health, f"{encoder}_illegal")
        is_good = in_short(message) == f"{encoder.upper()}_ENCODER" or (message is None and (off == 0 or illegal > 0))
        return Outcome(is_good=is_good, message=in_short(message), figure=float(off), struck=illegal)

    return run


# ---- switches ----


def _switches() -> list[Trial]:
    sides = (("left", LEFT_SWITCH, -1.0), ("right", RIGHT_SWITCH, 1.0))
    return [
        *(
            Trial(
                group="switch",
                name=f"{name} switch stuck pressed",
                must=f"END_SWITCH before {MOST_TRAVEL_MM:g} mm of travel",
                unit="mm",
                count=20,
                short_count=1,
                run=_pressed(bit),
            )
            for name, bit, _ in sides
        ),
        *(
            Trial(
                group="switch",
                name=f"{name} switch never closes",
                must=f"homing ends by name before {MOST_TRAVEL_MM:g} mm beyond the switch, and the motor is off within "
                f"{MOST_STANDING_MS} ms of standing at the end stop",
                unit="ms",
                count=20,
                short_count=1,
                run=_dead(bit, side),
            )
            for name, bit, side in sides
        ),
    ]


def press_switch(bench: Bench, bit: int) -> None:
    """An end switch, by its input flag, is stuck from now on."""
    bench.cart.inputs_set = bit


def _pressed(bit: int) -> Callable[[Bench, random.Random], Outcome]:
    def run(bench: Bench, rng: random.Random) -> Outcome:
        return _within_travel(bench.strike(rng, lambda: press_switch(bench, bit)), ("END_SWITCH",))

    return run


def _dead(bit: int, side: float) -> Callable[[Bench, random.Random], Outcome]:
    """Homing from a random place along the track, after a moment of balancing.

    The figure is how long the motor kept driving a cart that was at its end stop, or stood beyond the switch.
    """

    def run(bench: Bench, rng: random.Random) -> Outcome:
        bench.begin(rng.randrange(1_000_000))
        bench.balance(rng.randrange(1, 60))
        bench.link.mode("DISARM")
        bench.pass_ms(600)
        bench.cart.inputs_cleared = bit
        bench.cart.hang()
        bench.pass_ms(1000)
        stop_mm = 1000.0 * (bench.cart_params.limits.end_stop_m or math.inf)
        farthest_mm, stands_ms, driven_ms = 0.0, None, 0
        bench.link.mode("HOME")
        for passed_ms in range(60_000):
            if passed_ms % _PRESENT_MS == 0:
                bench.cart.receive(_PRESENCE)
            bench.cart.pass_ms()
            state = bench.cart.true_state()
            place_mm = 1000.0 * side * state.cart_position_m
            farthest_mm = max(farthest_mm, place_mm)
            is_at_stop = place_mm > stop_mm - _STOP_NEAR_MM
            if stands_ms is None and place_mm > bench.switch_mm and (is_at_stop or abs(state.cart_speed_m_s) < 0.01):
                stands_ms = bench.cart.time_ms
            if bench.cart.drive is None:
                break
            if bench.cart.drive != 0.0:
                driven_ms = bench.cart.time_ms
        is_off = bench.cart.drive is None
        standing_ms = 0 if stands_ms is None else max(0, driven_ms + 1 - stands_ms)
        message = bench.reported_fault()
        is_named = message in FAULTS and message != "HOST_SILENT"
        beyond_mm = farthest_mm - bench.switch_mm
        return Outcome(
            is_good=is_off and is_named and beyond_mm < MOST_TRAVEL_MM and standing_ms <= MOST_STANDING_MS,
            message=f"{message} {beyond_mm:.0f} mm beyond the switch",
            figure=float(standing_ms),
        )

    return run


# ---- the serial line ----


def _line() -> list[Trial]:
    kinds = [
        (f"{what} bytes, {100 * share:g} %", what, share) for share in (0.0001, 0.001, 0.01, 0.03) for what in _HARM
    ]
    return [
        Trial(
            group="line",
            name=name,
            must=f"balances {MAX_EPISODE_STEPS} steps, or stops by name; no duty that was not requested",
            unit="steps",
            count=20,
            short_count=1,
            is_more_better=True,
            run=_harmed(what, share),
        )
        for name, what, share in kinds
    ]


_HARM: dict[str, Callable[[float], LineFaults]] = {
    "flipped": lambda share: LineFaults(flipped=share),
    "dropped": lambda share: LineFaults(dropped=share),
    "inserted": lambda share: LineFaults(inserted=share),
}


def _harmed(what: str, share: float) -> Callable[[Bench, random.Random], Outcome]:
    def run(bench: Bench, rng: random.Random) -> Outcome:
        bench.begin(rng.randrange(1_000_000))
        line = bench.cart.line = Line(_HARM[what](share), seed=rng.randrange(2**31))
        steps, message, is_foreign = bench.watch_duties(MAX_EPISODE_STEPS)
        fault = in_short(message)
        is_named = message is None or fault in FAULTS or "no measurement" in fault
        return Outcome(is_good=is_named and not is_foreign, message=fault, figure=float(steps), struck=line.harmed)

    return run
