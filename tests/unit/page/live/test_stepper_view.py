"""The live view of a stepper's cart: its duty is an acceleration, in what is fed and in what the page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.deployment.browser_feed import DRIVERS
from cartpole_robot.page.live.ring import Ring, Snapshot
from cartpole_robot.page.live.view import Shown, live_page
from cartpole_robot.page.live.virtual_cart import VirtualCartFeed
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand
from cartpole_robot.signals import State
from cartpole_robot.task import observation
from firmware_bridge.link import Link
from tests.chromium import chromium
from tests.unit.page.live.fed_view import fed_view

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CART = load_cart("diy_stepper")
SHOWN = Shown(cart=CART, title="diy_stepper", lead="A cart.", drivers=("LQR", *DRIVERS), has_lateness=True)
ADDRESS = "http://view.invalid/"


class ShownTransport(LockstepTransport):
    """A line to a virtual cart whose view sees what it sends, and which is fed each time it has sent something."""

    def __init__(self, pty_cart: PtyCart, feed: VirtualCartFeed) -> None:
        super().__init__(pty_cart.cart)
        self._sent: Callable[[bytes], object] | None = pty_cart.on_sent
        self._feed = feed

    def read(self, deadline_s: float) -> bytes:
        data = super().read(deadline_s)
        assert self._sent is not None
        self._sent(data)
        self._feed()
        return data


@pytest.fixture
def snapshots() -> Iterator[list[Snapshot]]:
    """A virtual cart that has homed and balanced for two seconds, as its view was fed."""
    ring = Ring()
    with PtyCart(CART, has_hand=False) as pty_cart:
        transport = ShownTransport(pty_cart, VirtualCartFeed(ring, pty_cart))
        rig = FirmwareRig(CART, Link(transport), SimulatedHand(pty_cart.cart, 20, brings_cart=False))
        controller = LqrController(design_lqr(CART), CART.commanded_motor)
        measured = rig.reset(State(0.0, 0.0, 0.02, 0.0), np.random.default_rng(0))
        for _ in range(100):
            measured = rig.step(controller.duty(observation(measured)))
        _, found = ring.read(0, 1_000_000)
        yield found


def test_virtual_cart_feeds_shares_of_the_acceleration(snapshots: list[Snapshot]) -> None:
    duties = [each.applied_duty for each in snapshots]
    assert all(abs(duty) <= 1.0 for duty in duties)  # not a count of steps
    assert max(abs(each.position_m) for each in snapshots) > 0.4
    balanced = duties[-80:]
    assert max(balanced) > 0.01
    assert min(balanced) < -0.01
    assert snapshots[-1].supply_v == 24.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_page_shows_an_acceleration(browser: Browser) -> None:
    row = [1.0, 0.1, 0.2, 0.01, 0.0, -0.5, 0.5, 24.0, 40.0, 4, 0, 0]
    context = browser.new_context()
    noted = fed_view(context, ADDRESS, SHOWN, [("frame", {"rows": [row]})])
    noted.wait_for_state("ARMED")
    assert noted.page.inner_text("[data-view=duty-label]") == "Acceleration"
    assert noted.page.inner_text("[data-view=duty]") == "+7.5 m/s²"
    assert noted.page.inner_text("[data-view=supply]") == "24.0 V"
    context.close()


def test_live_page_names_the_drive() -> None:
    text = live_page(SHOWN).text
    assert '"drive":"stepper","full_acceleration_m_s2":15.0' in text
