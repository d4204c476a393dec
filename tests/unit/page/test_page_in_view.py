"""Drawing, state and fault stay in view while the controls are used, on every screen, and cover nothing in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import Noted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENS = {
    "desktop": (1400, 900),
    "laptop": (1366, 650),
    "tablet": (768, 1024),
    "phone": (390, 844),
    "small phone": (360, 640),
    "phone on its side": (844, 390),
}
IN_VIEW = ("#cart", "[data-view=state]", "[data-view=fault]", "[data-view=remedy]")
CONTROLS = 24  # more than any screen's tab stops between the drawing and the last slider


@pytest.fixture(scope="module", params=SCREENS)
def screen(request: pytest.FixtureRequest, browser: Browser, page_file: Path) -> Any:
    width, height = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    screen = Noted(context)
    screen.page.goto(page_file.as_uri())
    screen.wait_for_state("ARMED")
    screen.page.click("#pause")
    yield screen
    context.close()
    assert screen.wrong == []


@pytest.fixture
def noted(screen: Noted) -> Noted:
    """A page of that screen, which one test after another starts again."""
    screen.page.evaluate("delete cartPolePage.simulation.snapshot")  # one of a test
    screen.page.click("#reset")
    screen.wait_for_state("ARMED")
    screen.page.evaluate("scrollTo(0, 0)")
    return screen


def outside(page: Page) -> list[str]:
    """What of the drawing and the fault is not in the window."""
    found: list[str] = page.evaluate(
        """(names) => names.filter((name) => {
          const { top, bottom, left, right, height } = document.querySelector(name).getBoundingClientRect();
          return height === 0 || top < 0 || left < 0 || bottom > innerHeight || right > innerWidth;
        })""",
        list(IN_VIEW),
    )
    return found


@pytest.mark.parametrize("fault", ["cut-pole", "right-switch"])
def test_fault_and_cart_are_in_view_after_a_click_that_moves_nothing(noted: Noted, fault: str) -> None:
    page = noted.page
    page.select_option("#controller", "lqr")
    page.click(f"[data-break={fault}]")
    before = page.locator(f"[data-break={fault}]").bounding_box()
    page.evaluate("cartPolePage.controls.push('cart', 1); cartPolePage.simulation.advance(400)")
    noted.wait_for_state("FAULT")
    assert outside(page) == []
    assert page.locator(f"[data-break={fault}]").bounding_box() == before


@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
def test_focus_is_never_covered(noted: Noted, key: str) -> None:
    page = noted.page
    page.evaluate(f"document.getElementById('{'pause' if key == 'Tab' else 'supply'}').focus()")
    covered = []
    for _ in range(CONTROLS):
        page.keyboard.press(key)
        covered += page.evaluate(
            """() => {
              const focused = document.activeElement;
              if (focused === document.body) return [];
              const { left, right, top, bottom } = focused.getBoundingClientRect();
              const at = [top + 2, bottom - 2].map((y) => document.elementFromPoint((left + right) / 2, y));
              return at.every((each) => each && focused.contains(each)) ? [] : [focused.id || focused.textContent];
            }"""
        )
    assert covered == []


def test_longest_remedy_stays_within_the_drawing(noted: Noted) -> None:
    page = noted.page
    page.evaluate(
        """() => {
          const { faults } = cartPolePage.status;
          const [longest] = Object.keys(faults).sort((one, other) => faults[other].length - faults[one].length);
          const { simulation } = cartPolePage;
          const { snapshot } = simulation;
          simulation.snapshot = () => ({ ...snapshot.call(simulation), state: "FAULT", fault: longest });
        }"""
    )
    noted.wait_for_state("FAULT")
    page.evaluate("document.querySelector('[data-break=right-switch]').scrollIntoView({ block: 'center' })")
    assert outside(page) == []
    bottoms = page.evaluate(
        "['fault', 'stage'].map((name) => document.querySelector(`.${name}`).getBoundingClientRect().bottom)"
    )
    assert bottoms[0] <= bottoms[1]
