"""What the serial rig asks a person for, and what it leaves to a virtual cart behind a pseudo-terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import PersonHand, PseudoTerminalHand, hand_at, homing_takes
from cartpole_robot.signals import State


def test_pseudo_terminal_is_no_place_where_a_person_alone_could_raise_the_pole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PtyCart(load_cart("diy_stepper"), link=tmp_path / "port") as cart:
        for port in (cart.path, str(tmp_path / "port")):
            hand = hand_at(port)
            assert type(hand) is PseudoTerminalHand
            hand.raise_pole(State(0.0, 0.0, 0.0, 0.0))
            assert "a virtual cart raises its pole itself" in capsys.readouterr().err


def test_serial_port_is_one_where_a_person_raises_it() -> None:
    assert type(hand_at("/dev/ttyACM0")) is PersonHand
    assert type(hand_at("/dev/ttyS0")) is PersonHand


def test_homing_of_a_stepper_takes_longer() -> None:
    """At 0.08 m/s it crosses its 0.94 m twice, and what lies between its start and the left switch, and the middle."""
    assert homing_takes(load_cart("diy_stepper")) == "30 to 60 s"
    assert homing_takes(load_cart("diy_arduino")) == "10 to 30 s"
