"""Quadrature edges on both encoders, as fast as the chip can count them and faster."""

from __future__ import annotations

import random

from cartpole_robot.campaign.bench import CONTINUES, OFF, Bench
from cartpole_robot.campaign.trials import Outcome, Trial

EXACT_PER_S = 40_000
PAST_PER_S = (60_000, 80_000, 100_000, 120_000, 160_000)
SPUN_MS = 1000
_SWING_COUNTS = 100  # to each side, so that the firmware sees nothing forbidden
_CAUGHT_UP_MS = 450
HELD_DUTY = 0.05  # moves no cart: so the firmware does not report that it stands


class Spin:
    """A hand that turns an encoder back and forth by `per_ms` counts a millisecond."""

    def __init__(self, per_ms: int) -> None:
        self.counts = 0
        self._per_ms = per_ms
        self._is_ending = False

    def __call__(self) -> int:
        """The counts one millisecond later."""
        if self._is_ending and self.counts == 0:
            return 0
        if abs(self.counts + self._per_ms) > _SWING_COUNTS:
            self._per_ms = -self._per_ms
        self.counts += self._per_ms
        return self.counts

    def end(self) -> None:
        """Return to the start and stop there, which takes some milliseconds."""
        self._is_ending = True


def edge_trials() -> list[Trial]:
    """All encoder-speed trials, in order."""
    exact = Trial(
        group="edges",
        name=f"{EXACT_PER_S:,} a second, armed",
        must="no count lost, no tick missed, armed all the while",
        unit="counts lost",
        count=20,
        short_count=1,
        run=lambda bench, rng: spin(bench, rng, EXACT_PER_S, is_exact=True),
    )
    past = [
        Trial(
            group="edges",
            name=f"{per_s:,} a second, armed",
            must="no count lost and no tick missed, or off by name or by the watchdog",
            unit="counts lost",
            count=5,
            short_count=int(per_s == PAST_PER_S[-1]),
            run=lambda bench, rng, per_s=per_s: spin(bench, rng, per_s, is_exact=False),  # type: ignore[misc]
        )
        for per_s in PAST_PER_S
    ]
    return [exact, *past]


def spin(bench: Bench, rng: random.Random, per_s: int, *, is_exact: bool) -> Outcome:
    """Spin both encoders of an armed cart for a second while a hand holds it against the push of a small duty.

    Off is off for good: nothing is driven after the STATE that reports the fault, or after the reset.
    """
    before = bench.begin_counted(rng.randrange(1_000_000))
    link, protocol = bench.link, bench.link.protocol
    states = protocol.enums["cart_state"]
    missed, resets = link.health().missed_ticks, bench.chip.figures()["resets"]
    bench.cart.grab(bench.cart.true_state()._replace(cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.0))
    bench.board.watch()
    bench.board.spin = hand = Spin(per_s // 2000)
    end_ms = bench.board.time_ms + SPUN_MS
    message, off_from_ms = CONTINUES, None
    while bench.board.time_ms < end_ms:
        state = link.newest_state(link.clock() + 0.1)
        if off_from_ms is not None:
            continue
        if bench.chip.figures()["resets"] != resets:
            message, off_from_ms = "reset", bench.board.time_ms
        elif state is not None and state.state == states["ARMED"]:
            link.command(state.tick, round(HELD_DUTY * protocol.constants["PROTOCOL_DUTY_ONE"]), 60)
        elif state is not None and state.state == states["FAULT"]:
            message, off_from_ms = protocol.enums["fault"](state.fault).name, bench.board.time_ms
    hand.end()
    bench.pass_ms(_CAUGHT_UP_MS)
    bench.board.is_recording = False
    moments = bench.board.moments
    if off_from_ms is None:
        is_driven = any(moment.pulses not in OFF for moment in moments)
        is_good = is_driven
    else:
        is_good = not is_exact and all(moment.pulses in OFF for moment in moments if moment.time_ms >= off_from_ms)
    if bench.chip.figures()["resets"] != resets:  # its counts start again at 0
        bench.restart_first()
        is_reset_first = message == "reset"
        message = message if is_reset_first else f"{message}, then reset"
        return Outcome(is_good=is_good and is_reset_first, message=message, figure=None)
    missed = link.health().missed_ticks - missed
    lost = bench.counts_lost(before)
    if lost:
        bench.restart_first()
    if off_from_ms is None:
        is_good = is_good and lost == 0 and missed == 0
    return Outcome(is_good=is_good, message=message, figure=float(lost))
