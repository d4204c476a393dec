"""The page as a file, its buttons and keys in orders that a visitor need not think of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cartpole_robot.page.html import Page as PageText
from cartpole_robot.page.module import module_bytes
from cartpole_robot.page.offline import offline_page
from tests.chromium import Noted, chromium
from tests.page_contents import contents_of, needs_module

pytestmark = needs_module
PASS = "(ms) => { cartPolePage.simulation.advance(ms); cartPolePage.draw(); }"


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Noted]:
    made: PageText = offline_page(contents_of("as shipped"), module_bytes())
    path = Path(tmp_path_factory.mktemp("page")) / "page.html"
    path.write_text(made.text, encoding="utf-8")
    with chromium() as browser:
        noted = Noted(browser.new_context())
        noted.page.goto(path.as_uri())
        noted.wait_for_state("ARMED")
        yield noted
        assert noted.wrong == []


def test_host_that_arming_started_is_not_shown_as_killed(noted: Noted) -> None:
    page = noted.page
    page.click("#reset")
    page.click("[data-break=host]")
    noted.wait_for_state("FAULT")
    page.click("#arm")
    page.wait_for_selector("[data-break=host][aria-pressed=false]")


def test_hand_is_gone_after_a_new_start(noted: Noted) -> None:
    page = noted.page
    page.focus("#cart")
    page.keyboard.press("h")
    page.click("#reset")
    assert page.inner_text("#message") == ""
    page.focus("#cart")
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate("cartPolePage.controls.tilt_rad") is None


def test_controller_that_is_switched_off_while_the_pole_falls_is_not_asked_for(noted: Noted) -> None:
    page = noted.page
    page.click("#reset")
    page.select_option("#controller", "swing-up")
    page.select_option("#controller", "off")
    page.evaluate(PASS, 3000)
    page.wait_for_function("cartPolePage.arms_at_s === null")
    assert page.inner_text("#message") == ""


def test_advice_disappears_when_it_was_taken(noted: Noted) -> None:
    page = noted.page
    page.select_option("#controller", "off")
    page.click("#arm")
    assert page.inner_text("#message") == "Choose a controller first."
    page.select_option("#controller", "lqr")
    page.click("#arm")
    assert page.inner_text("#message") == ""


def test_start_again_next_to_the_fault_repairs_and_leaves_the_focus_on_the_drawing(noted: Noted) -> None:
    page = noted.page
    page.select_option("#controller", "lqr")
    page.click("#reset")
    noted.wait_for_state("ARMED")
    page.click("[data-break=left-switch]")
    noted.wait_for_state("FAULT")
    page.click("#reset-here")
    noted.wait_for_state("ARMED")
    assert not page.is_visible("#reset-here")
    assert page.get_attribute("[data-break=left-switch]", "aria-pressed") == "false"
    assert page.evaluate("document.activeElement.id") == "cart"
