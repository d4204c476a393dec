"""How much disturbance the cart bears: a sagging supply, a wrong clock, a slow line, each from none to too much."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from cartpole_robot.campaign.bench import Bench, in_short
from cartpole_robot.campaign.trials import Outcome
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.simulation.line import Line, LineFaults

EPISODES = 20  # with the same starts at every size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One disturbance at rising sizes; `harm` applies it once the cart balances, which it must up to `must_bear`."""

    name: str
    unit: str
    sizes: tuple[float, ...]
    must_bear: float
    harm: Callable[[Bench, float], object]

    def run(self, bench: Bench, seed: int, size: float) -> Outcome:
        """One episode; the figure is the steps survived."""
        bench.begin(seed)
        self.harm(bench, size)
        survived, message = bench.survive(MAX_EPISODE_STEPS)
        bench.repair()
        return Outcome(is_good=message is None, message=in_short(message), figure=float(survived))


def all_curves() -> list[Curve]:
    """Every curve of the campaign, in order."""
    return [
        Curve(
            name="supply droop",
            unit="%",
            sizes=(0, 5, 10, 15, 20, 22, 24, 26, 28, 30),
            must_bear=10,
            harm=_droop,
        ),
        Curve(
            name="clock skew",
            unit="%",
            sizes=(-6, -5, -4.5, -4, -3.5, -3, -2, -1, 0, 1, 2, 3, 3.5, 4, 4.5, 5, 6),
            must_bear=1,
            harm=lambda bench, size: bench.skew(round(size * 10_000)),
        ),
        Curve(
            name="USB latency",
            unit="ms",
            sizes=(0, 1, 2, 4, 8, 12, 16, 17, 18, 19, 20, 24, 32),
            must_bear=4,
            harm=lambda bench, size: _line(bench, LineFaults(usb_latency_ms=round(size))),
        ),
        Curve(
            name="line delay",
            unit="ms",
            sizes=(0, 4, 8, 12, 16, 17, 18, 19, 20, 24, 28, 32, 36, 37, 38, 39, 40, 44, 48, 60),
            must_bear=4,
            harm=lambda bench, size: _line(bench, LineFaults(delay_ms=round(size))),
        ),
    ]


def _droop(bench: Bench, size: float) -> None:
    bench.cart.supply_mv = round(bench.cart.nominal_mv * (1.0 - size / 100.0))


def _line(bench: Bench, faults: LineFaults) -> None:
    bench.cart.line = Line(faults)
