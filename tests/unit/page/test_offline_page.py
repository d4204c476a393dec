"""The page as a file, in headless Chromium without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.page.contents import page_contents
from cartpole_robot.page.module import module_bytes
from cartpole_robot.page.offline import offline_page
from cartpole_robot.policy.lqr_design import design_lqr
from tests.chromium import Noted
from tests.policy_on_board import regulating_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HOSTILE = "</script><script>document.title='taken'</script><b>&amp;"
MOST_BYTES = 1_000_000


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("cartPolePage.simulation.snapshot()")
    return found


def pass_ms(page: Page, ms: int) -> None:
    """Let so much of the cart's time pass, under the visitor's hand: the machine may be too slow for real time."""
    page.evaluate(
        """(ms) => {
      for (let passed = 0; passed < ms; passed += 10) {
        cartPolePage.controls.pull();
        cartPolePage.simulation.advance(10);
      }
    }""",
        ms,
    )


def test_file_is_smaller_than_a_megabyte(page_file: Path) -> None:
    assert page_file.stat().st_size < MOST_BYTES


def test_page_balances_and_time_passes(page: Page) -> None:
    before = snapshot(page)
    page.wait_for_timeout(500.0)
    after = snapshot(page)
    assert after["time_s"] > before["time_s"] + 0.2
    assert after["state"] == "ARMED"
    assert abs(after["angle_rad"]) < 0.1
    assert page.evaluate("cartPolePage.frames") > 5
    assert page.inner_text("[data-view=controller]") == "policy balancing"


def test_tick_is_a_millisecond_at_every_pace(page: Page) -> None:
    page.click("#pause")
    before_s = snapshot(page)["time_s"]
    page.wait_for_timeout(200.0)
    assert snapshot(page)["time_s"] == before_s
    page.evaluate("cartPolePage.simulation.advance(250)")
    assert snapshot(page)["time_s"] == pytest.approx(before_s + 0.25)


def test_dragging_moves_the_pole_and_letting_go_frees_it(page: Page) -> None:
    page.select_option("#controller", "off")
    box = page.locator("#cart").bounding_box()
    assert box is not None
    x, y = page.evaluate("cartPolePage.view.tipOf(cartPolePage.simulation.snapshot())")
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + x + 90, box["y"] + y + 30, steps=8)
    pass_ms(page, 1000)
    wanted_rad = page.evaluate("cartPolePage.view.angleAt(cartPolePage.controls.hand.x, cartPolePage.controls.hand.y)")
    assert wanted_rad > 0.3
    assert snapshot(page)["angle_rad"] == pytest.approx(wanted_rad, abs=0.1)
    page.mouse.up()
    pass_ms(page, 1500)
    assert abs(snapshot(page)["angle_rad"]) > 1.0  # it has fallen


def test_touch_drags_the_cart(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport={"width": 420, "height": 900}, has_touch=True)
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    noted.wait_for_state("ARMED")
    noted.page.select_option("#controller", "off")
    noted.page.evaluate("document.getElementById('cart').scrollIntoView({block: 'center'})")
    box = noted.page.locator("#cart").bounding_box()
    assert box is not None
    x, y = noted.page.evaluate(
        "[cartPolePage.view.xOf(cartPolePage.view.snapshot.position_m), cartPolePage.view.hingeY]"
    )
    touch = context.new_cdp_session(noted.page)
    at = {"x": box["x"] + x, "y": box["y"] + y + 8}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    for k in range(1, 9):
        at = {**at, "x": box["x"] + x + 5 * k}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    pass_ms(noted.page, 1000)
    moved_m = 40.0 / noted.page.evaluate("cartPolePage.view.scale")
    assert snapshot(noted.page)["position_m"] == pytest.approx(moved_m, abs=0.03)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    noted.page.wait_for_timeout(100.0)
    assert noted.page.evaluate("cartPolePage.controls.hand") is None
    context.close()
    assert noted.wrong == []


def test_keyboard_alone_works(page: Page) -> None:
    page.click("#pause")
    page.select_option("#controller", "lqr")
    page.click("#reset")
    page.focus("#cart")
    before = snapshot(page)
    page.keyboard.press("ArrowRight")
    page.evaluate("cartPolePage.simulation.advance(10)")
    assert snapshot(page)["speed_m_s"] > before["speed_m_s"] + 0.1
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("h")
    assert "holds the pole" in page.inner_text("#message")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("h")
    page.keyboard.press(" ")
    assert page.locator("#pause").get_attribute("aria-pressed") == "false"
    page.keyboard.press("Escape")
    page.wait_for_selector("html[data-state=FAULT]", state="attached")
    pass_ms(page, 3000)  # as long as the relay must be seen to open
    pass_ms(page, 1000)  # the supply falls: a relay that does not open would be the next fault
    page.locator("#estop").press("Enter")  # releases it
    assert page.locator("#estop").get_attribute("aria-pressed") == "false"
    pass_ms(page, 3000)  # the supply rises
    page.focus("#cart")
    page.keyboard.press("a")
    pass_ms(page, 40_000)
    assert snapshot(page)["state"] == "ARMED"


def test_every_control_can_be_reached_by_tab_in_order(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.break || ''"))
    order = [
        "theme",
        "pace",
        "pause",
        "cart",
        "estop",
        "arm",
        "reset",
        "controller",
        "host",
        "right-switch",
        "friction",
    ]
    found = [reached.index(name) for name in order]
    assert found == sorted(found)


def test_accessibility_tree_has_names_and_live_regions(page: Page) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas, section")].filter((element) => {
          const label = element.getAttribute("aria-label") || element.labels?.[0]?.textContent ||
            document.getElementById(element.getAttribute("aria-labelledby"))?.textContent || element.textContent;
          return !label.trim();
        }).map((element) => element.outerHTML)"""
    )
    assert unnamed == []
    assert page.get_by_role("status").first.inner_text().startswith("ARMED")
    assert page.get_by_role("button", name="Stop", exact=True).count() == 1
    assert page.get_by_role("combobox", name="Controller").count() == 1
    assert page.get_by_role("slider", name="Supply of the motor").get_attribute("aria-valuetext") == "12.0 V"
    assert page.get_by_role("application", name="The cart and its pole").count() == 1
    page.evaluate("cartPolePage.simulation.sendEstop()")
    alert = page.get_by_role("alert").filter(has_text="ESTOP")
    alert.wait_for()
    assert "release it, press START" in alert.inner_text()


def test_reduced_motion_starts_paused(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(reduced_motion="reduce")
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    noted.wait_for_state("ARMED")
    assert noted.page.inner_text("#pause") == "Run"
    before_s = snapshot(noted.page)["time_s"]
    noted.page.wait_for_timeout(200.0)
    assert snapshot(noted.page)["time_s"] == before_s
    context.close()


@pytest.mark.parametrize("width", [320, 420, 800, 1400])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100.0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_browser_without_webassembly_gets_one_line(context: BrowserContext, page_file: Path) -> None:
    context.add_init_script("delete globalThis.WebAssembly")
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    problem = noted.page.locator("#problem")
    problem.wait_for(state="visible")
    assert problem.inner_text() == (
        "This page needs WebAssembly, which this browser does not have or has switched off."
    )
    assert noted.wrong == []


def test_browser_without_javascript_gets_one_line(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.inner_text("noscript") == "This page needs JavaScript, which is switched off in this browser."
    context.close()


def test_hostile_names_are_shown_as_text(context: BrowserContext, tmp_path: Path) -> None:
    cart = load_cart("diy_arduino")
    contents = page_contents(cart, {HOSTILE: regulating_policy(cart)}, lqr=design_lqr(cart))
    contents["cart"]["name"] = contents["cart"]["description"] = HOSTILE
    path = tmp_path / "page.html"
    path.write_text(offline_page(contents, module_bytes()).text, encoding="utf-8")
    noted = Noted(context)
    noted.page.goto(path.as_uri())
    noted.wait_for_state("ARMED")
    assert noted.page.title() == f"{HOSTILE}: a cart-pole and its firmware"
    assert HOSTILE in noted.page.inner_text(".lead")
    assert noted.page.inner_text("[data-view=controller]") == f"policy {HOSTILE}"
    assert noted.page.locator("b").count() == 0
    assert noted.wrong == []
