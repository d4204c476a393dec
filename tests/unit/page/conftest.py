"""A page with a policy, and headless Chromium without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.page.offline import write_offline_page
from tests.chromium import Noted, chromium
from tests.policy_on_board import regulating_policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


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
