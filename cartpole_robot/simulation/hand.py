"""The hands of someone who has built a virtual cart: they press, push and turn, and hold a voltmeter."""

from __future__ import annotations

import enum
import math
from collections import deque

from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.protocol import read_protocol

_LEFT, _RIGHT = (int(read_protocol().enums["input_flag"][name]) for name in ("LEFT_SWITCH", "RIGHT_SWITCH"))
_PUSH_M, _SWING_RAD = 0.03, 0.5
_PAST_M = 0.002  # a switch
_RAIL_V = 5.0  # of a board that does not tell
_PUSH_S, _TURN_S, _HANG_S = 0.5, 1.5, 0.4


class Deed(enum.StrEnum):
    """What a hand does; the values are the words that `virtual-cart` reads."""

    PRESS_ESTOP = "press estop"
    RELEASE_ESTOP = "release estop"
    PRESS_LEFT = "press left"
    RELEASE_LEFT = "release left"
    PRESS_RIGHT = "press right"
    RELEASE_RIGHT = "release right"
    CENTRE_CART = "centre cart"
    PUSH_TO_LEFT = "push to left"  # the cart, until it closes the left switch
    PUSH_RIGHT = "push right"  # the cart, a few centimetres
    SWING_LEFT = "swing left"  # the tip of the hanging pole, and back
    HANG = "hang"  # stop the pole's swing
    TURN = "turn"  # the hanging pole once around, clockwise
    TURN_BACK = "turn back"
    STAND_CLEAR = "stand clear"
    READ_SUPPLY = "read supply"  # the voltmeter at the bridge
    READ_RAIL = "read rail"  # the voltmeter at the microcontroller's 5 V


class BuildersHand:
    """Does deeds at `cart`, one after the other; `act` is to be called each time that time has passed."""

    def __init__(self, cart: VirtualCart) -> None:
        self._cart = cart
        self._motions: deque[tuple[State, float]] = deque()
        self._holds = False

    def do(self, deed: Deed) -> str:
        """Begin; returns what the voltmeter shows where it is read, else nothing."""
        cart = self._cart
        at = cart.true_state()
        hanging_rad = math.pi * (2.0 * math.floor(at.pole_angle_rad / (2.0 * math.pi)) + 1.0)
        hanging = State(at.cart_position_m, 0.0, hanging_rad, 0.0)
        match deed:
            case Deed.PRESS_ESTOP | Deed.RELEASE_ESTOP:
                cart.is_estop_pressed = deed is Deed.PRESS_ESTOP
            case Deed.PRESS_LEFT:
                cart.inputs_set |= _LEFT
            case Deed.RELEASE_LEFT:
                cart.inputs_set &= ~_LEFT
            case Deed.PRESS_RIGHT:
                cart.inputs_set |= _RIGHT
            case Deed.RELEASE_RIGHT:
                cart.inputs_set &= ~_RIGHT
            case Deed.CENTRE_CART:
                self._move((hanging._replace(cart_position_m=0.0), 2.0 * _PUSH_S))
            case Deed.PUSH_TO_LEFT:
                goal_m = cart.left_switch_m - _PAST_M
                self._move(
                    (hanging._replace(cart_position_m=goal_m), 2.0 * _PUSH_S),
                    (hanging._replace(cart_position_m=goal_m), _PUSH_S),
                )
            case Deed.PUSH_RIGHT:
                self._move((hanging._replace(cart_position_m=at.cart_position_m + _PUSH_M), _PUSH_S))
            case Deed.SWING_LEFT:
                aside = hanging._replace(pole_angle_rad=hanging_rad + _SWING_RAD)
                self._move((aside, _PUSH_S), (hanging, _PUSH_S))
            case Deed.HANG:
                self._move((hanging, _HANG_S))
            case Deed.TURN | Deed.TURN_BACK:
                angle_rad = hanging_rad + (2.0 * math.pi if deed is Deed.TURN else -2.0 * math.pi)
                self._move((hanging, _HANG_S), (hanging._replace(pole_angle_rad=angle_rad), _TURN_S))
            case Deed.STAND_CLEAR:
                self._motions.clear()
                self._let_go()
            case Deed.READ_SUPPLY:
                return f"{cart.bridge_mv / 1000.0:.2f}"
            case Deed.READ_RAIL:
                return f"{getattr(cart.board, 'rail_v', _RAIL_V):.3f}"
        return ""

    def _move(self, *motions: tuple[State, float]) -> None:
        """Go on from where the hand is; what it was doing is dropped."""
        self._motions = deque(motions)
        self._next()

    def _next(self) -> None:
        self._cart.carry(*self._motions.popleft())
        self._holds = True

    def act(self) -> None:
        """Go on with a motion, and let go of cart and pole after the last."""
        if not self._holds or not self._cart.has_hand_arrived():
            return
        if self._motions:
            self._next()
        else:
            self._let_go()

    def _let_go(self) -> None:
        if self._holds:
            self._cart.let_go()
            self._holds = False

    @property
    def is_done(self) -> bool:
        """Whether the last deed is done."""
        return not self._holds
