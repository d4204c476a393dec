"""The cart in the frame of the site's front page: the frame is as high as what is in it, on every screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartpole_robot.page.offline import write_offline_page
from docs.extension.fill import DOCS, LIVE_PAGE, live_frame
from tests.chromium import Noted, chromium
from tests.page_contents import needs_module

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame

pytestmark = needs_module
# The widths of the frame's place on the front page on screens of 1400, 1024, 390 and 320 pixels.
PLACES = (736, 690, 358, 288)
MOST_HEIGHT = {736: 760, 690: 760, 358: 700}  # drawing and buttons fit on one screen
PAGE = """<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="_static/site.css"><body data-theme="auto" style="margin: 0">FRAME"""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("front")
    (folder / "_static").mkdir()
    shutil.copy(DOCS / "_static" / "site.css", folder / "_static")
    write_offline_page([Path("lqr")], folder / "_static" / LIVE_PAGE, "diy_arduino")
    (folder / "index.html").write_text(PAGE.replace("FRAME", live_frame()), encoding="utf-8")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def noted(browser: Browser, front: Path) -> Iterator[Noted]:
    context = browser.new_context(viewport={"width": 736, "height": 900})
    noted = Noted(context)
    noted.page.goto(front.as_uri())
    yield noted
    context.close()
    assert noted.wrong == []


def frame_of(noted: Noted) -> Frame:
    """The frame, once its cart is armed."""
    noted.page.frame_locator(".live-page").locator("html[data-state=ARMED]").wait_for(state="attached")
    return noted.page.frames[1]


def scrolled_px(frame: Frame) -> list[int]:
    """By how much the page in the frame is wider and higher than the frame."""
    return frame.evaluate(
        """() => {
          const { scrollWidth, scrollHeight } = document.documentElement;
          return [Math.max(scrollWidth, innerWidth) - document.documentElement.clientWidth, scrollHeight - innerHeight];
        }"""
    )


@pytest.mark.parametrize("width", PLACES)
def test_frame_has_no_scroll_bar_and_shows_drawing_and_buttons(noted: Noted, width: int) -> None:
    noted.page.set_viewport_size({"width": width, "height": 900})
    frame = frame_of(noted)
    noted.page.wait_for_timeout(300.0)
    assert scrolled_px(frame) == [0, 0]
    place = noted.page.locator(".live-page").bounding_box()
    assert place is not None
    assert noted.page.evaluate("document.documentElement.scrollWidth") == width
    assert place["height"] <= MOST_HEIGHT.get(width, 900)
    assert not frame.is_visible(".lead")
    buttons = frame.locator("[data-break]")
    for button in (buttons.first, buttons.last, frame.locator("#cart")):
        box = button.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= place["y"] + place["height"]


def test_frame_grows_with_a_message(noted: Noted) -> None:
    frame = frame_of(noted)
    before = noted.page.locator(".live-page").bounding_box()
    frame.select_option("#controller", "off")
    frame.click("#arm")
    assert frame.inner_text("#message") == "Choose a controller first."
    noted.page.wait_for_timeout(300.0)
    after = noted.page.locator(".live-page").bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > before["height"]
    assert scrolled_px(frame) == [0, 0]


def test_fault_in_the_frame_moves_nothing(noted: Noted) -> None:
    frame = frame_of(noted)
    before = noted.page.locator(".live-page").bounding_box()
    frame.click("[data-break=right-switch]")
    frame.wait_for_selector("[data-view=fault]:text-is('END_SWITCH')")
    noted.page.wait_for_timeout(300.0)
    assert noted.page.locator(".live-page").bounding_box() == before


def test_frame_has_the_theme_of_the_site(noted: Noted) -> None:
    frame = frame_of(noted)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = frame.evaluate(colour)
    noted.page.evaluate("document.body.dataset.theme = 'dark'")
    frame.wait_for_selector("html[data-theme=dark]", state="attached")
    assert frame.evaluate(colour) != light
    noted.page.evaluate("document.body.dataset.theme = 'auto'")
    frame.wait_for_selector("html[data-theme=auto]", state="attached")
    assert frame.evaluate(colour) == light
