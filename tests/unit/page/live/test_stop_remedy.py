"""What the live view advises after an emergency stop: a stop that a browser sent has no button to release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.page.live.view import Shown
from firmware_bridge.protocol import read_protocol
from tests.chromium import Noted, chromium
from tests.unit.page.live.fed_view import fed_view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

SHOWN = Shown(cart=load_cart("diy_arduino"), title="cart", lead="A cart.", drivers=("LQR",), has_lateness=True)
ADDRESS = "http://view.invalid/"
ENUMS = read_protocol().enums
ARMED, FAULT = int(ENUMS["cart_state"]["ARMED"]), int(ENUMS["cart_state"]["FAULT"])
PRESSED = "The emergency stop was pressed; release it, press START if the wiring has one, and start again."
SENT = "A browser sent the emergency stop, so there is no button to release;"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    yield context
    context.close()


def row(time_s: float, fault: str = "NONE") -> list[Any]:
    """A row of a frame, armed or in that fault."""
    number = int(ENUMS["fault"][fault])
    return [time_s, 0.1, 0.0, 0.01, 0.0, 0.0, 0.0, 12.0, 40.0, FAULT if number else ARMED, number, 0]


def opened(context: BrowserContext, *frames: tuple[int, list[list[Any]]], ends: bool = False) -> Noted:
    """A view that gets these frames, each the number of stops that browsers have sent, and its rows."""
    events = [("frame", {"rows": rows, "stops": stops}) for stops, rows in frames] + ([("end", {})] if ends else [])
    return fed_view(context, ADDRESS, SHOWN, events)


def remedy(noted: Noted) -> str:
    noted.wait_for_state("FAULT")
    return noted.page.inner_text("[data-view=remedy]")


def test_stop_sent_by_a_browser_has_nothing_to_release(context: BrowserContext) -> None:
    noted = opened(context, (0, [row(1.0)]), (1, [row(1.1), row(1.2, "ESTOP")]), (1, [row(1.3, "ESTOP")]))
    assert remedy(noted).startswith(SENT)
    assert "start the next run, which clears the stop" in remedy(noted)


def test_remedy_does_not_cover_the_cart_and_its_upright_pole(context: BrowserContext) -> None:
    noted = opened(context, (1, [row(1.0), row(1.1, "ESTOP")]))
    noted.wait_for_state("FAULT")
    fault, canvas = (noted.page.locator(name).bounding_box() for name in (".fault", "#cart"))
    assert fault is not None
    assert canvas is not None
    assert fault["y"] > canvas["y"] + 0.55 * canvas["height"]


def test_view_that_is_opened_after_the_stop_knows_who_sent_it(context: BrowserContext) -> None:
    assert remedy(opened(context, (1, [row(1.0), row(1.1, "ESTOP")]))).startswith(SENT)


def test_stop_pressed_at_the_cart_is_to_be_released(context: BrowserContext) -> None:
    assert remedy(opened(context, (0, [row(1.0), row(1.1, "ESTOP")]))) == PRESSED


def test_stop_pressed_after_one_that_was_sent_is_to_be_released(context: BrowserContext) -> None:
    frames = [(1, [row(1.0, "ESTOP")]), (1, [row(1.1)]), (1, [row(1.2, "ESTOP")])]
    assert remedy(opened(context, *frames)) == PRESSED


def test_stop_sent_while_the_button_is_pressed_is_still_to_be_released(context: BrowserContext) -> None:
    frames = [(0, [row(1.0), row(1.1, "ESTOP")]), (1, [row(1.2, "ESTOP")])]
    assert remedy(opened(context, *frames)) == PRESSED


def test_other_fault_keeps_its_remedy(context: BrowserContext) -> None:
    assert remedy(opened(context, (1, [row(1.0), row(1.1, "POLE_ANGLE")]))).startswith("The pole fell past its limit;")


def test_end_of_a_run_is_not_shown_as_a_fault(context: BrowserContext) -> None:
    noted = opened(context, (0, [row(1.0)]), ends=True)
    badge = noted.page.locator("#connection")
    badge.get_by_text("The run is over").wait_for()
    assert badge.get_attribute("data-colour") == "faint"
    background = "getComputedStyle(document.getElementById('connection')).backgroundColor"
    assert noted.page.evaluate(background) == "rgba(0, 0, 0, 0)"
