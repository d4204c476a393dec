"""Headless Chromium for tests of pages."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.conftest import need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A started browser; the test is skipped without one."""
    need(importlib.util.find_spec("playwright") is not None, "playwright")
    path = shutil.which("chromium")
    need(path is not None, "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Noted:
    """A page of `context`, and in `wrong` everything that it prints to the console and every error in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def wait_for_state(self, state: str, timeout_s: float = 30.0) -> None:
        """Wait until the page shows that state of the firmware."""
        self.page.wait_for_selector(f"html[data-state={state}]", state="attached", timeout=1000.0 * timeout_s)
