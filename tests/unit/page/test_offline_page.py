"""The page as a file, in headless Chromium without a network."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.page.contents import page_contents
from cartpole_robot.page.module import module_bytes
from cartpole_robot.page.offline import offline_page, write_offline_page
from cartpole_robot.policy.lqr_design import design_lqr
from firmware_bridge.faults import FAULTS
from tests.chromium import Noted, chromium
from tests.conftest import Completed
from tests.policy_on_board import regulating_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HOSTILE = "</script><script>document.title='taken'</script><b>&amp;"
MOST_BYTES = 1_000_000
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
RUN = """([deed, most]) => {
  const press = (name) => document.querySelector(`[data-break="${name}"]`).click();
  const push = (part) => document.querySelector(`[data-push="${part}"][data-direction="1"]`).click();
  const slide = (id, end) => {
    const slider = document.getElementById(id);
    slider.value = slider[end];
    slider.dispatchEvent(new Event("input"));
  };
  const { simulation } = cartPolePage;
  if (simulation.snapshot().state !== "ARMED") return ["was not armed", 0];
  const deeds = { DEEDS };
  deeds[deed]();
  for (let ms = 1; ms <= most; ms++) {
    simulation.advance(1);
    const { state, fault } = simulation.snapshot();
    if (state === "FAULT") return [fault, ms];
  }
  return [simulation.snapshot().state, most];
}""".replace("DEEDS", ", ".join(f'"{name}": () => {{ {deed} }}' for name, (deed, _, _) in INTERVENTIONS.items()))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "balancing" / "policy.npz"
    path.parent.mkdir()
    regulating_policy(load_cart("diy_arduino")).save(path)
    return path


@pytest.fixture(scope="module")
def page_file(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    made = write_offline_page([policy], path, "diy_arduino")
    assert made.size == path.stat().st_size
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_offline(True)
    yield context
    context.close()


@pytest.fixture
def noted(context: BrowserContext, page_file: Path) -> Iterator[Noted]:
    noted = Noted(context)
    noted.page.goto(page_file.as_uri())
    noted.wait_for_state("ARMED")
    yield noted
    assert noted.wrong == []
    assert noted.requests == [page_file.as_uri()]


@pytest.fixture
def page(noted: Noted) -> Page:
    return noted.page


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("cartPolePage.simulation.snapshot()")
    return found


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
    page.wait_for_timeout(600.0)
    wanted_rad = page.evaluate("cartPolePage.view.angleAt(cartPolePage.controls.hand.x, cartPolePage.controls.hand.y)")
    assert wanted_rad > 0.3
    assert snapshot(page)["angle_rad"] == pytest.approx(wanted_rad, abs=0.1)
    page.mouse.up()
    page.wait_for_timeout(700.0)
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
    noted.page.wait_for_timeout(600.0)
    moved_m = 40.0 / noted.page.evaluate("cartPolePage.view.scale")
    assert snapshot(noted.page)["position_m"] == pytest.approx(moved_m, abs=0.03)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    noted.page.wait_for_timeout(100.0)
    assert noted.page.evaluate("cartPolePage.controls.hand") is None
    context.close()
    assert noted.wrong == []


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
    """With a coarse policy a wrong wire may first show as a pole that falls, or later, by the course of its swings."""
    page = opened.page
    page.select_option("#controller", "policy:balancing")
    for deed, (_, faults, _) in INTERVENTIONS.items():
        page.click("#reset")
        fault, _ = page.evaluate(RUN, [deed, 5000])
        assert fault in (*faults, "POLE_ANGLE"), deed
        page.evaluate("cartPolePage.simulation.release()")


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
    page.wait_for_selector("[data-view=angle]:text-matches('1[0-9][0-9]\\.')")
    opened.wait_for_state("ARMED")
    page.click("#pause")
    ran = "(() => { cartPolePage.simulation.advance(20000); return cartPolePage.simulation.snapshot(); })()"
    after = page.evaluate(ran)
    assert after["state"] == "ARMED"
    assert abs(after["angle_rad"]) < 0.2


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
    page.locator("#estop").press("Enter")  # releases it
    assert page.locator("#estop").get_attribute("aria-pressed") == "false"
    page.wait_for_timeout(1500.0)  # the supply rises
    page.focus("#cart")
    page.keyboard.press("a")
    page.wait_for_selector("html[data-state=ARMED]", state="attached", timeout=30_000)


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
    assert "release it and reset" in alert.inner_text()


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


def test_command_writes_a_page_and_never_overwrites_one(
    policy: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    out = tmp_path / "page.html"
    words = ("page", policy, policy.parent, "--cart", "diy_arduino", "--out", out, "--json")
    done = command_here(*words)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["controllers"] == ["policy:balancing", "policy:balancing (2)", "lqr", "swing-up", "off"]
    assert record["bytes"] == out.stat().st_size < MOST_BYTES
    before = out.read_bytes()
    again = command_here(*words)
    assert again.returncode == 2
    assert "exists already, and nothing is overwritten; choose another --out" in again.stderr
    assert out.read_bytes() == before


def test_every_policy_has_its_own_name(policy: Path, tmp_path: Path) -> None:
    places = []
    for name in ("a (2)", "a", "a.b"):
        places.append(tmp_path / name / "policy.npz")
        places[-1].parent.mkdir()
        places[-1].write_bytes(policy.read_bytes())
    made = write_offline_page([*places, places[1]], tmp_path / "page.html", "diy_arduino")
    names = ["a (2)", "a", "a.b", "a (3)"]
    assert list(made.controllers) == [*(f"policy:{name}" for name in names), "lqr", "swing-up", "off"]


def test_lqr_alone_needs_a_cart(tmp_path: Path, command_here: Callable[..., Completed]) -> None:
    done = command_here("page", "lqr", "--out", tmp_path / "page.html")
    assert done.returncode == 2
    assert "name it with --cart" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_cart_without_firmware_is_refused(tmp_path: Path, command_here: Callable[..., Completed]) -> None:
    done = command_here("page", "lqr", "--cart", "gym", "--out", tmp_path / "page.html")
    assert done.returncode == 2
    assert done.stderr.startswith("cartpole-robot: cart 'gym'")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_policies_of_two_carts_are_refused(policy: Path, tmp_path: Path) -> None:
    cart = load_cart("sensorsini")
    bundle = regulating_policy(cart)
    bundle = dataclasses.replace(bundle, provenance={**bundle.provenance, "cart": cart.as_dict()})
    other = tmp_path / "other.npz"
    bundle.save(other)
    mine = regulating_policy(load_cart("diy_arduino"))
    mine = dataclasses.replace(mine, provenance={**mine.provenance, "cart": load_cart("diy_arduino").as_dict()})
    mine.save(tmp_path / "mine.npz")
    with pytest.raises(UsageError, match=r"a page has one cart, so name it with --cart, or make two pages"):
        write_offline_page([tmp_path / "mine.npz", other], tmp_path / "page.html")
