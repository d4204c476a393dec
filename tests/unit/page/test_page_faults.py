"""What a visitor of the page can do to the cart, the fault that the firmware names, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firmware_bridge.faults import FAULTS
from tests.chromium import Noted
from tests.page_deeds import deed_script

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# What the visitor does, the fault that follows, and the most milliseconds until the motor is off. A visitor who cuts a
# wire pushes, too: a cart at rest shows nothing. Times as the firmware's own tests have them, rounded up.
INTERVENTIONS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "e-stop": ("document.getElementById('estop').click()", ("ESTOP",), 1),
    "host killed": ("press('host')", ("COMMAND_TIMEOUT",), 60),
    "left switch": ("press('left-switch')", ("END_SWITCH",), 3),
    "right switch": ("press('right-switch')", ("END_SWITCH",), 3),
    "supply low": ("slide('supply', 'min')", ("SUPPLY_LOW",), 20),
    "supply high": ("slide('supply', 'max')", ("SUPPLY_HIGH",), 20),
    "line too slow": ("slide('delay', 'max')", ("COMMAND_TIMEOUT",), 60),
    "cart blocked": ("press('block'); push('pole')", ("CART_STUCK",), 400),
    "cart's wire cut": ("press('cut-cart'); push('cart')", ("CART_STUCK",), 600),
    "pole's wire cut": ("press('cut-pole'); push('cart')", ("POLE_STILL",), 400),
    "cart's channels swapped": ("press('swap-cart'); push('cart')", ("POLARITY",), 200),
    "pole's channels swapped": ("press('swap-pole'); push('cart')", ("POLE_SIGN",), 200),
    "motor's wires swapped": ("press('swap-motor'); push('cart')", ("POLARITY",), 200),
    "pole pulled over": ("cartPolePage.simulation.grabPole(0.6)", ("POLE_ANGLE", "POLE_SIGN"), 200),
    "cart pulled away": ("cartPolePage.simulation.grabCart(1)", ("TRAVEL_LIMIT", "POLARITY"), 200),
}
RUN = deed_script({name: deed for name, (deed, _, _) in INTERVENTIONS.items()})


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("cartPolePage.simulation.snapshot()")
    return found


@pytest.fixture(scope="module")
def opened(browser: Browser, page_file: Path) -> Iterator[Noted]:
    """One page for all interventions, paused; each begins by `Start again`."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    noted.wait_for_state("ARMED")
    noted.page.click("#pause")
    yield noted
    context.close()
    assert noted.wrong == []


@pytest.mark.parametrize("deed", INTERVENTIONS)
def test_intervention_has_its_named_fault_in_time(opened: Noted, deed: str) -> None:
    page = opened.page
    page.evaluate("cartPolePage.simulation.release()")
    page.select_option("#controller", "lqr")
    page.click("#reset")
    _, faults, most_ms = INTERVENTIONS[deed]
    fault, ms = page.evaluate(RUN, [deed, most_ms])
    assert fault in faults, f"{fault} after {ms} ms"
    shown = page.locator("[data-view=fault]")
    shown.wait_for(state="visible")
    assert shown.inner_text() == fault
    assert page.inner_text("[data-view=remedy]").lower() == f"{FAULTS[fault]}.".lower()
    page.evaluate("cartPolePage.simulation.release()")


def test_policy_is_stopped_after_every_intervention(opened: Noted) -> None:
    """Which fault comes first depends on how a coarse policy happens to move: a wrong wire shows when it pushes."""
    page = opened.page
    page.select_option("#controller", "policy:balancing")
    for deed in INTERVENTIONS:
        page.click("#reset")
        fault, _ = page.evaluate(RUN, [deed, 5000])
        assert fault in FAULTS, deed
        page.evaluate("cartPolePage.simulation.release()")


@pytest.mark.long
def test_page_starts_again_from_every_fault(opened: Noted) -> None:
    page = opened.page
    for deed in INTERVENTIONS:
        page.click("#reset")
        assert snapshot(page)["state"] == "ARMED", deed
        page.evaluate(RUN, [deed, 1000])
        page.evaluate("cartPolePage.simulation.release()")
    page.click("#reset")
    assert page.locator("[data-break][aria-pressed=true]").count() == 0
    assert page.locator("#estop").get_attribute("aria-pressed") == "false"


def test_swing_up_begins_with_a_falling_pole_and_ends_upright(opened: Noted) -> None:
    page = opened.page
    page.click("#reset")
    page.click("#pause")
    page.select_option("#controller", "swing-up")
    opened.wait_for_state("READY")
    seen = [snapshot(page)]
    while seen[-1]["state"] == "READY" and seen[-1]["time_s"] < seen[0]["time_s"] + 30.0:
        page.wait_for_timeout(50)
        seen.append(snapshot(page))
    assert max(abs(each["angle_rad"]) for each in seen) > 1.7
    assert seen[-1]["state"] == "ARMED"
    page.click("#pause")
    ran = "(() => { cartPolePage.simulation.advance(20000); return cartPolePage.simulation.snapshot(); })()"
    after = page.evaluate(ran)
    assert after["state"] == "ARMED"
    assert abs(after["angle_rad"]) < 0.2
