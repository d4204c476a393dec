"""A serial line's faults: what they do to bytes, and when bytes arrive."""

from __future__ import annotations

import pytest

from cartpole_robot.simulation.line import Line, LineFaults


def arrivals(line: Line, sent: dict[int, bytes], until_ms: int) -> dict[int, bytes]:
    found = {}
    for time_ms in range(until_ms):
        data = line.to_host(sent.get(time_ms, b""), time_ms)
        if data:
            found[time_ms] = data
    return found


def test_sound_line_changes_nothing() -> None:
    line = Line(LineFaults())
    assert line.to_cart(b"abc") == b"abc"
    assert arrivals(line, {3: b"x", 4: b"y"}, 10) == {3: b"x", 4: b"y"}
    assert line.harmed == 0


def test_usb_bridge_waits_for_its_timer_or_a_full_packet() -> None:
    line = Line(LineFaults(usb_latency_ms=16))
    assert arrivals(line, {0: b"a", 5: b"b"}, 40) == {16: b"ab"}
    assert arrivals(Line(LineFaults(usb_latency_ms=16)), {0: bytes(40), 3: bytes(22)}, 40) == {3: bytes(62)}


def test_delay_keeps_distances() -> None:
    assert arrivals(Line(LineFaults(delay_ms=7)), {0: b"a", 5: b"b"}, 20) == {7: b"a", 12: b"b"}


def test_both_add_up() -> None:
    assert arrivals(Line(LineFaults(usb_latency_ms=4, delay_ms=3)), {1: b"a"}, 20) == {8: b"a"}


@pytest.mark.parametrize("what", ["flipped", "dropped", "inserted"])
def test_harm_is_as_frequent_as_asked_and_the_same_for_the_same_seed(what: str) -> None:
    faults = {
        "flipped": LineFaults(flipped=0.1),
        "dropped": LineFaults(dropped=0.1),
        "inserted": LineFaults(inserted=0.1),
    }
    first, again, other = (Line(faults[what], seed=seed) for seed in (1, 1, 2))
    data = bytes(2000)
    harmed = first.to_cart(data)
    assert harmed == again.to_cart(data) != other.to_cart(data)
    assert 120 < first.harmed < 280
    assert len(harmed) - len(data) == {"flipped": 0, "dropped": -first.harmed, "inserted": first.harmed}[what]


def test_dead_line_carries_nothing() -> None:
    line = Line(LineFaults(is_dead_to_cart=True, is_dead_to_host=True))
    assert line.to_cart(b"abc") == b""
    assert arrivals(line, {0: b"abc"}, 5) == {}


@pytest.mark.parametrize("wrong", [{"flipped": 1.5}, {"dropped": -0.1}, {"usb_latency_ms": -1}, {"delay_ms": 1001}])
def test_impossible_faults_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LineFaults(**wrong)  # type: ignore[arg-type]
