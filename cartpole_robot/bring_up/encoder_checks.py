"""Steps by hand at both encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cartpole_robot.bring_up.bench import Bench
from cartpole_robot.bring_up.findings import Finding, fine, skipped, wrong
from cartpole_robot.simulation.hand import Deed

_LEAST_M, _LEAST_RAD = 0.01, 0.2
_NO_OPERATOR = "no operator to move it by hand"
_OTHER_LEAST = 20  # counts of the other encoder that are worth a word
_ILLEGAL_MOST = 8  # as many as the firmware bears within 0.1 s
_TURN_TOLERANCE = 0.02
_BACK_TOLERANCE = 0.01
_TURN_TIMES = {0.25: "a quarter", 0.5: "half", 2.0: "twice", 4.0: "four times"}  # as edges are counted


@dataclass
class _Track:
    """What an encoder went through: its counts, summed over the steps of a wrapping counter, with `least` and `most`.

    `changes` is how often they changed from one STATE to the next, `illegal` how many transitions no encoder makes.
    """

    moved: int = 0
    least: int = 0
    most: int = 0
    changes: int = 0
    illegal: int = 0

    @property
    def furthest(self) -> int:
        """The extreme farther from where it began."""
        return self.most if self.most >= -self.least else self.least


def _followed(counts: Iterable[int], wrap: int | None = None) -> _Track:
    """How an encoder's `counts` moved; a homed pole's are within a turn of `wrap`."""
    track = _Track()
    before: int | None = None
    for now in counts:
        if before is not None and now != before:
            step = now - before
            if wrap is not None:
                step = (step + wrap // 2) % wrap - wrap // 2
            track.moved += step
            track.changes += 1
            track.least, track.most = min(track.least, track.moved), max(track.most, track.moved)
        before = now
    return track


def check_cart_encoder(bench: Bench) -> Finding:
    """Whether the cart's encoder counts, upwards to the right."""
    if bench.operator is None:
        return skipped(f"{_NO_OPERATOR}; homing checks it against the motor")
    least = _LEAST_M * bench.encoders.cart_counts_per_m
    before = bench.link.health().cart_illegal
    states = list(bench.during(Deed.PUSH_RIGHT, "push the cart a few cm to the RIGHT; Enter"))
    track = _followed(state.cart_counts for state in states)
    track.illegal = bench.link.health().cart_illegal - before
    other = _followed((state.pole_counts for state in states), bench.encoders.pole_counts_per_turn)
    return _judged(track, other, least, "cart")


def check_pole_encoder(bench: Bench) -> Finding:
    """Whether the pole's encoder counts, upwards where the hanging pole's tip goes left, as it leans right on top."""
    if bench.operator is None:
        return skipped(f"{_NO_OPERATOR}; homing checks it against the motor")
    least = _LEAST_RAD * bench.encoders.pole_counts_per_rad / 2.0  # an encoder of half the counts is named later
    before = bench.link.health().pole_illegal
    states = list(bench.during(Deed.SWING_LEFT, "let the pole hang still, then take its tip to the LEFT; Enter"))
    counts = _until_moved((state.pole_counts for state in states), 2.0 * least)
    track = _followed(counts, bench.encoders.pole_counts_per_turn)
    track.illegal = bench.link.health().pole_illegal - before
    return _judged(track, _followed(state.cart_counts for state in states), least, "pole")


def _until_moved(counts: Iterable[int], most: float) -> list[int]:
    """The counts until they are that far from the first: what comes after is a swing back."""
    kept: list[int] = []
    for now in counts:
        if not kept or abs(kept[-1] - kept[0]) <= most:
            kept.append(now)
    return kept


def _judged(track: _Track, other: _Track, least: float, name: str) -> Finding:
    """What an encoder's `track` says; `other` is the other encoder's meanwhile."""
    illegal = f", with {track.illegal} transitions that no encoder makes" if track.illegal else ""
    if abs(track.furthest) < least:
        if track.changes == 0:
            other_name = "pole" if name == "cart" else "cart"
            is_other = abs(other.furthest) >= _OTHER_LEAST
            return wrong(
                f"{name}-encoder-dead",
                "not a single count came"
                + (f", while the {other_name}'s encoder counted {other.furthest:+d}" if is_other else ""),
                "check the encoder's 5 V and ground, both channels' wires, and that its shaft turns"
                + (f"; if the {other_name} did not move, the two encoders' wires are exchanged" if is_other else ""),
            )
        if track.most - track.least <= 1:
            return wrong(
                "channel-dead",
                f"the count went forth and back by one, {track.changes} times{illegal}: one of the {name} encoder's "
                "channels does not change",
                f"check the wires of the {name} encoder's channels A and B, and their pull-ups",
            )
        return wrong(
            f"{name}-encoder-slow",
            f"{track.furthest:+d} counts{illegal}, expected at least {least:.0f}",
            "move it farther, or check its coupling and the counts in the cart file",
        )
    if track.furthest < 0:
        return wrong(
            f"{name}-encoder-swapped",
            f"it counts the wrong way ({track.furthest:+d})",
            f"exchange its channels A and B, or set firmware.is_{name}_reversed in the cart file (reverse it where it "
            "is set)",
        )
    if track.illegal > _ILLEGAL_MOST:
        return wrong(
            "encoder-noise",
            f"it counts the right way ({track.furthest:+d}){illegal}",
            "shield its wires, keep them away from the motor's, and check the pull-ups and the capacitors to ground",
        )
    return fine(f"it counts the right way ({track.furthest:+d})")


def check_pole_turn(bench: Bench) -> Finding:
    """Whether one turn of the pole is the turn of the cart file, and back is where it was."""
    if bench.operator is None:
        return skipped(_NO_OPERATOR)
    turn = bench.encoders.pole_counts_per_turn
    for _ in bench.during(Deed.HANG, "let the pole hang still; Enter when it does"):
        pass
    bench.wait_still()
    there = _turned(bench, Deed.TURN, "turn the pole once around, clockwise (its tip goes left, up, right, down)")
    back = _turned(bench, Deed.TURN_BACK, "turn the pole once around, back again, counterclockwise")
    found = (abs(there) + abs(back)) / 2.0
    share = found / turn
    text = f"{there:+d} counts in a turn and {back:+d} back; the cart file has {turn}"
    if abs(share - 1.0) <= _TURN_TOLERANCE:
        if abs(there + back) > _BACK_TOLERANCE * turn:
            return wrong(
                "pole-slips",
                f"{text}: it hangs {there + back:+d} counts from where it did",
                "the pole's hub slips on the encoder's shaft, or a gear between them has play: tighten it; the pole "
                "goes on the encoder's own shaft",
            )
        return fine(text)
    for times, words in _TURN_TIMES.items():
        if abs(share / times - 1.0) <= _TURN_TOLERANCE:
            counts = round(turn * times)
            names = {0.5: "pole-counts-halved", 2.0: "pole-counts-doubled"}
            return wrong(
                names.get(times, "pole-counts"),
                f"{text}: {words} as many",
                f"set encoders.pole_counts_per_turn = {counts}, which is four counts for each of {counts // 4} lines, "
                "or use the encoder that the file describes",
                {"encoders.pole_counts_per_turn": float(counts)},
            )
    return wrong(
        "pole-encoder-geared",
        f"{text}: {share:.2f} times as many, which no way of counting edges gives",
        "the encoder is geared to the pole, or the turn was not a whole one: repeat it; put the pole on the encoder's "
        "own shaft, for gears have play and after a turn the pole does not come back to the same count",
    )


def _turned(bench: Bench, deed: Deed, text: str) -> int:
    """The counts of a turn, from where the pole hung still to where it hangs still again."""
    states = bench.during(deed, f"{text}, and let it hang still; Enter when it hangs")

    def counts() -> Iterator[int]:
        for state in states:
            yield state.pole_counts
        yield bench.wait_still().pole_counts

    return _followed(counts(), bench.encoders.pole_counts_per_turn).moved
