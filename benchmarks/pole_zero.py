"""The firmware's check of the pole's zero: free swings that it must believe, and shifts that it must find.

    python benchmarks/pole_zero.py [--swings 1000]

Each swing: the cart homes once, then a hand carries the pole to an angle drawn from 8 to 175 degrees off hanging and
lets go; for six seconds the motor is off. In the first half of the table the zero is right and POLE_ZERO is false. In
the second half the encoder's coupling has slipped by 2 degrees, either way in turn, and POLE_ZERO must come.
`sensorsini` stands for a light cart: its potentiometer is taken for an encoder.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

import numpy as np

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import PoleSensor
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage

WATCH_S = 6.0
LEAST_DEG, MOST_DEG = 8.0, 175.0
SHIFT_DEG = 2.0


def light_cart() -> CartParams:
    """`sensorsini` with an encoder, the dry friction of its recordings, and `diy_arduino`'s firmware scaled to it."""
    cart, other = load_cart("sensorsini"), load_cart("diy_arduino")
    assert cart.encoders is not None
    assert other.firmware is not None
    return dataclasses.replace(
        cart,
        action_duties=(-0.5, 0.5),
        encoders=dataclasses.replace(cart.encoders, pole_sensor=PoleSensor.ENCODER),
        friction=dataclasses.replace(cart.friction, cart_coulomb_n=0.19, cart_static_n=0.25),
        firmware=dataclasses.replace(
            other.firmware, switch_m=0.19, travel_limit_m=0.18, moving_duty=0.35, homing_duty=0.4, homing_speed_m_s=0.1
        ),
    )


class Homed:
    """A homed virtual cart and its link."""

    def __init__(self, cart: CartParams) -> None:
        self.virtual = VirtualCart(cart)
        self.link = Link(LockstepTransport(self.virtual))
        self.link.open()
        self.link.configure(cfg_message(cart))
        self._states = self.link.protocol.enums["cart_state"]
        self._faults = self.link.protocol.enums["fault"]
        self.home()

    def home(self) -> None:
        """A hand stills the pole."""
        self.pass_s(0.1)
        self.link.mode("CLEAR")
        self.virtual.hang()
        self.link.mode("HOME")
        while self.state() == "HOMING":
            self.pass_s(0.1)
        assert self.state() == "READY", self.fault()

    def pass_s(self, seconds: float) -> None:
        end_s = self.link.clock() + seconds
        while self.link.state(end_s) is not None:
            pass

    def _newest(self) -> StateMessage:
        state = self.link.newest_state(self.link.clock() + 0.5)
        assert state is not None
        return state

    def state(self) -> str:
        return str(self._states(self._newest().state).name)

    def fault(self) -> str:
        return str(self._faults(self._newest().fault).name)

    def swing(self, angle_deg: float) -> float | None:
        """When POLE_ZERO came, in s after a hand let the pole go there; None: it did not."""
        here_m = self.virtual.true_state().cart_position_m
        self.virtual.grab(State(here_m, 0.0, math.pi - math.radians(angle_deg), 0.0))
        while not self.virtual.has_hand_arrived():
            self.pass_s(0.02)
        self.virtual.let_go()
        begun_s = self.link.clock()
        while self.link.clock() < begun_s + WATCH_S:
            if self._newest().fault:
                return self.link.clock() - begun_s
        return None

    def slip(self, angle_deg: float, counts_per_turn: int) -> None:
        """The encoder turns on its shaft."""
        self.virtual._pole_zero += round(angle_deg / 360.0 * counts_per_turn)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swings", type=int, default=1000)
    swings = parser.parse_args().swings
    carts = {
        "diy_arduino": load_cart("diy_arduino"),
        "quanser_ip02": load_cart("quanser_ip02"),
        "sensorsini": light_cart(),
    }
    for name, cart in carts.items():
        rng = np.random.default_rng(21)
        homed = Homed(cart)
        false = 0
        for number in range(swings):
            angle = float(rng.uniform(LEAST_DEG, MOST_DEG)) * (1 if number % 2 else -1)
            if homed.swing(angle) is not None:
                false += 1
                homed.home()
        print(f"{name}: POLE_ZERO in {false} of {swings} swings about the right zero", flush=True)
        assert cart.encoders is not None
        turn = cart.encoders.pole_counts_per_turn
        bands: dict[int, list[float | None]] = {}
        for number in range(swings // 4):
            angle = float(rng.uniform(LEAST_DEG, MOST_DEG))
            homed.slip(SHIFT_DEG if number % 2 else -SHIFT_DEG, turn)
            found = homed.swing(angle)
            bands.setdefault(int(angle // 45), []).append(found)
            if found is None:
                homed.slip(-SHIFT_DEG if number % 2 else SHIFT_DEG, turn)
            else:
                homed.home()
        for band, times in sorted(bands.items()):
            seen = [each for each in times if each is not None]
            worst = f", at the latest after {max(seen):.1f} s" if seen else ""
            print(
                f"{name}: {SHIFT_DEG:g} degrees found in {len(seen)} of {len(times)} swings of {45 * band}° up{worst}",
                flush=True,
            )


if __name__ == "__main__":
    main()
