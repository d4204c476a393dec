"""The page of a stepper's cart in headless Chromium: its own buttons and words, and steps that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.page.offline import write_offline_page
from firmware_bridge.faults import FAULTS
from tests.chromium import Noted
from tests.page_contents import needs_module
from tests.page_deeds import deed_script
from tests.policy_on_board import regulating_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = needs_module
MOST_BYTES = 1_000_000
# What the visitor does, the faults that may follow, and the most milliseconds until the firmware names one. A motor
# that does not follow shows by the pole, or by a count that runs on, whichever is first.
FOLLOWS_NOT = ("POLE_ANGLE", "POLE_SIGN", "POLE_STILL", "TRAVEL_LIMIT")
INTERVENTIONS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "e-stop": ("document.getElementById('estop').click()", ("ESTOP",), 1),
    "host killed": ("press('host')", ("COMMAND_TIMEOUT",), 60),
    "left switch": ("press('left-switch')", ("STEPS_LOST",), 3),
    "right switch": ("press('right-switch')", ("STEPS_LOST",), 3),
    "supply low": ("slide('supply', 'min')", ("SUPPLY_LOW",), 20),
    "supply high": ("slide('supply', 'max')", ("SUPPLY_HIGH",), 20),
    "line too slow": ("slide('delay', 'max')", ("COMMAND_TIMEOUT",), 60),
    "cart blocked": ("press('block')", FOLLOWS_NOT, 1200),
    "driver without power": ("press('driver-supply')", FOLLOWS_NOT, 1200),
    "driver's alarm": ("press('driver-alarm')", ("DRIVER_ALARM",), 3),
    "direction inverted": ("press('driver-direction'); push('pole')", ("POLE_ANGLE", "POLE_SIGN"), 400),
    "pulses missed": ("press('driver-pulses')", ("STEPS_LOST", "POLE_STILL"), 60_000),  # it creeps to a switch
    "pole's wire cut": ("press('cut-pole'); push('pole')", ("POLE_STILL",), 5000),  # once the cart has gone 4 cm
    "pole's channels swapped": ("press('swap-pole'); push('pole')", ("POLE_ANGLE", "POLE_SIGN"), 400),
    "pole pulled over": ("cartPolePage.simulation.grabPole(0.6)", ("POLE_ANGLE", "POLE_SIGN"), 200),
    "cart pulled away": ("cartPolePage.simulation.grabCart(1)", FOLLOWS_NOT, 200),
}
RUN = deed_script({name: deed for name, (deed, _, _) in INTERVENTIONS.items()})
LOST = "[data-view=lost]"


@pytest.fixture(scope="module")
def stepper_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stepper")
    policy = folder / "balancing" / "policy.npz"
    policy.parent.mkdir()
    regulating_policy(load_cart("diy_stepper")).save(policy)
    made = write_offline_page([policy], folder / "page.html", "diy_stepper")
    assert made.size < MOST_BYTES
    assert list(made.controllers) == ["policy:balancing", "lqr", "swing-up", "off"]
    (note,) = made.notes
    assert "its alarm output wired" in note
    return made.path


@pytest.fixture(scope="module")
def opened(browser: Browser, stepper_page: Path) -> Iterator[Noted]:
    """One page for all tests, paused; each begins by `Start again`."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    noted = Noted(context)
    noted.page.goto(stepper_page.as_uri())
    noted.wait_for_state("ARMED")
    noted.page.click("#pause")
    yield noted
    context.close()
    assert noted.wrong == []


@pytest.fixture
def page(opened: Noted) -> Page:
    opened.page.evaluate("cartPolePage.simulation.release()")
    opened.page.select_option("#controller", "lqr")
    opened.page.click("#reset")
    return opened.page


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("cartPolePage.simulation.snapshot()")
    return found


def pass_ms(page: Page, ms: int) -> None:
    page.evaluate("(ms) => { cartPolePage.simulation.advance(ms); cartPolePage.draw(); }", ms)


@pytest.mark.parametrize("deed", INTERVENTIONS)
def test_intervention_has_its_named_fault_in_time(page: Page, deed: str) -> None:
    _, faults, most_ms = INTERVENTIONS[deed]
    fault, ms = page.evaluate(RUN, [deed, most_ms])
    assert fault in faults, f"{fault} after {ms} ms"
    shown = page.locator("[data-view=fault]")
    shown.wait_for(state="visible")
    assert shown.inner_text() == fault
    assert page.inner_text("[data-view=remedy]").lower() == f"{FAULTS[fault]}.".lower()


@pytest.mark.long
def test_page_starts_again_from_every_fault(opened: Noted, page: Page) -> None:
    page.select_option("#controller", "policy:balancing")
    for deed, (_, _, most_ms) in INTERVENTIONS.items():
        page.click("#reset")
        assert snapshot(page)["state"] == "ARMED", deed
        fault, _ = page.evaluate(RUN, [deed, max(most_ms, 5000)])
        assert fault in FAULTS, deed
        page.evaluate("cartPolePage.simulation.release()")
    page.click("#reset")
    assert page.locator("[data-break][aria-pressed=true]").count() == 0
    assert snapshot(page)["lost_m"] == pytest.approx(0.0, abs=1e-3)


def test_every_word_and_button_is_a_steppers(page: Page) -> None:
    breaks = page.eval_on_selector_all("[data-break]", "(all) => all.map((each) => each.dataset.break)")
    assert set(breaks) == {
        *("host", "block", "driver-supply", "driver-alarm", "driver-direction", "driver-pulses"),
        *("cut-pole", "swap-pole", "left-switch", "right-switch"),
    }
    assert page.eval_on_selector_all("[data-push]", "(all) => all.map((each) => each.dataset.push)") == ["pole", "pole"]
    assert page.inner_text("[data-view=duty-label]") == "Acceleration"
    assert page.inner_text("[data-view=duty]").endswith("m/s²")
    assert page.get_by_role("slider", name="Supply of the driver").get_attribute("aria-valuetext") == "24.0 V"
    assert "loses steps that nothing counts" in page.inner_text("#hint")
    assert page.locator("[data-drive=dc]").count() == 0
    panels = page.evaluate("cartPolePage.curves.panels.map((panel) => panel.title)")
    assert panels == ["Pole angle", "Cart position", "Acceleration", "Supply"]


def test_page_of_a_dc_motor_has_none_of_it(browser: Browser, page_file: Path) -> None:
    context = browser.new_context()
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    noted.wait_for_state("ARMED")
    assert noted.page.locator("[data-drive=stepper]").count() == 0
    assert noted.page.locator(LOST).count() == 0
    assert noted.page.inner_text("[data-view=duty-label]") == "Duty at the motor"
    assert "steps" not in noted.page.inner_text("#hint")
    context.close()
    assert noted.wrong == []


def test_arrow_keys_push_the_pole_of_a_cart_that_its_motor_holds(page: Page) -> None:
    page.focus("#cart")
    page.keyboard.press("ArrowRight")
    before = snapshot(page)
    pass_ms(page, 10)
    after = snapshot(page)
    assert after["rate_rad_s"] > before["rate_rad_s"] + 0.4
    assert abs(after["speed_m_s"] - before["speed_m_s"]) < 0.2


def test_cart_that_is_dragged_off_its_steps_stands_elsewhere_than_counted_until_a_switch_tells(page: Page) -> None:
    pass_ms(page, 100)
    assert page.inner_text(LOST) == "none"
    page.evaluate("cartPolePage.simulation.grabCart(0.42)")
    pass_ms(page, 1500)
    page.evaluate("cartPolePage.simulation.release()")
    pass_ms(page, 1000)
    page.click("#arm")
    pass_ms(page, 3000)
    astray = snapshot(page)
    assert astray["state"] == "ARMED"  # it is homed still, as far as its firmware knows
    assert astray["position_m"] == pytest.approx(0.42, abs=0.04)
    steps = round(20_000 * astray["lost_m"])
    assert page.inner_text(LOST) == f"{steps} (+{100 * astray['lost_m']:.1f} cm)"
    assert steps % 16 == 0  # of four steps each, a motor loses four at a time
    page.click("[data-push=pole][data-direction='1']")
    pass_ms(page, 1500)
    assert page.inner_text("[data-view=fault]") == "STEPS_LOST"
    page.click("#reset")
    assert snapshot(page)["state"] == "ARMED"
    assert abs(snapshot(page)["position_m"]) < 0.05


def test_cart_stays_where_the_motor_holds_it_against_a_gentle_hand(page: Page) -> None:
    page.select_option("#controller", "off")
    pass_ms(page, 500)
    before = snapshot(page)
    assert before["state"] == "READY"
    assert page.inner_text("[data-view=sentence]") == "Homed: the motor holds the cart"
    page.evaluate("(at) => cartPolePage.simulation.grabCart(at)", before["position_m"] + 0.02)
    pass_ms(page, 1000)
    assert snapshot(page)["position_m"] == pytest.approx(before["position_m"], abs=1e-3)
    assert page.inner_text(LOST) == "none"
    page.evaluate("(at) => cartPolePage.simulation.grabCart(at)", before["position_m"] + 0.2)
    pass_ms(page, 1000)
    assert snapshot(page)["position_m"] == pytest.approx(before["position_m"] + 0.2, abs=0.01)
    assert snapshot(page)["lost_m"] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("width", [320, 420, 800, 1400])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100.0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1400, "height": 900})
