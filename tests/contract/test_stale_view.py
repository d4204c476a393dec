"""A live view whose server, cart or connection fails: the page reports it, and the e-stop button does not pretend."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import Noted, chromium
from tests.contract.test_browser_view import Command, running

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.realtime
CONNECTION, ANSWER = "#connection:text-is('{}')", "#estop-answer:text-is('{}')"


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as browser:
        yield browser.new_context()


@pytest.fixture
def cart(quick_cart_file: Path) -> Iterator[Command]:
    with running("virtual-cart", "--cart", quick_cart_file, "--browser", "--profile", "ideal") as cart:
        yield cart


@pytest.fixture
def noted(context: BrowserContext, cart: Command) -> Iterator[Noted]:
    noted = Noted(context)
    noted.page.goto(cart.address)
    noted.page.wait_for_selector(CONNECTION.format("Live"))
    yield noted
    noted.page.close()


def test_server_that_hangs_is_reported_and_its_stop_too(cart: Command, noted: Noted) -> None:
    server = cart.server_pid()
    os.kill(server, signal.SIGSTOP)
    try:
        noted.page.click("#estop")
        answer = "The server does not answer: the stop may not have been sent. Use the wired emergency stop."
        noted.page.wait_for_selector(ANSWER.format(answer), timeout=5000.0)
        noted.page.wait_for_selector(CONNECTION.format("No connection; what is shown is old"), timeout=8000.0)
    finally:
        os.kill(server, signal.SIGCONT)
    noted.page.wait_for_selector(CONNECTION.format("Live"))


def test_cart_whose_process_hangs_is_reported(cart: Command, noted: Noted) -> None:
    cart.process.send_signal(signal.SIGSTOP)
    try:
        noted.page.wait_for_selector(CONNECTION.format("The cart is silent; what is shown is old"), timeout=5000.0)
        noted.page.click("#estop")
        unsent = "It was not sent within a second. Use the wired emergency stop."
        noted.page.wait_for_selector(ANSWER.format(unsent), timeout=5000.0)
    finally:
        cart.process.send_signal(signal.SIGCONT)
    noted.page.wait_for_selector(CONNECTION.format("Live"))


def test_loop_that_is_killed_takes_its_server_with_it(cart: Command, noted: Noted) -> None:
    server = cart.server_pid()
    cart.process.kill()
    noted.page.wait_for_selector(CONNECTION.format("No connection; what is shown is old"), timeout=5000.0)
    deadline_s = time.monotonic() + 5.0
    while Path(f"/proc/{server}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not Path(f"/proc/{server}").exists()


def test_stop_works_in_each_of_many_tabs(cart: Command, noted: Noted, context: BrowserContext) -> None:
    tabs = [noted, *(Noted(context) for _ in range(7))]
    for tab in tabs[1:]:
        tab.page.goto(cart.address)
        tab.page.wait_for_selector(CONNECTION.format("Live"))
    noted.page.wait_for_selector(CONNECTION.format("Newer tabs show the cart; reload this one to see it here"))
    for tab in (tabs[0], tabs[-1]):
        tab.page.click("#estop")
        tab.page.wait_for_selector(ANSWER.format("The emergency stop was sent to the cart."), timeout=5000.0)
    for tab in tabs[1:]:
        tab.page.close()
