"""Checks whether a rig is ready to drive: one yes or no per check, and what to do about each no."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.firmware_rig import HOMING_S
from cartpole_robot.terminal.interrupts import signals_held
from firmware_bridge.errors import BridgeError
from firmware_bridge.faults import FAULTS
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from firmware_bridge.transport import SerialTransport

PINGS = 50
HAND_S = 20.0
_HAND_MOVE_M = 0.01
_HAND_TURN_RAD = 0.3


@dataclass(frozen=True)
class Step:
    """One check: `is_fine` is None if it was skipped, `message` says what was found or what to do."""

    name: str
    is_fine: bool | None
    message: str


@dataclass(frozen=True)
class RigCheck:
    """What to check: with `may_move` homing too, with `has_person` the encoders by hand."""

    cart: CartParams
    port: str
    may_move: bool
    has_person: bool
    on_step: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    def run(self) -> bool:
        """Whether every check passed; stops where the remaining checks would be pointless. Leaves the motor off."""
        try:
            transport = SerialTransport(self.port)
        except BridgeError as error:
            self._say("port", False, str(error))
            return False
        low = "low-latency mode on" if transport.has_low_latency else "the port has no low-latency mode: a few ms more"
        self._say("port", True, f"{self.port} opens, {low}")
        link = Link(transport)
        try:
            self._look(link)
        except BridgeError as error:
            self._say("link", False, str(error))
        finally:
            self._stand_down(link)
        return all(step.is_fine is not False for step in self.steps)

    def _stand_down(self, link: Link) -> None:
        """Motor off, line released; a cart that does not confirm it is not fit to be driven."""
        try:
            if link.session is None:
                return
            with signals_held():
                link.disarm()
        except BridgeError as error:
            self._say("motor off", False, str(error))
        finally:
            link.close()

    def _look(self, link: Link) -> None:
        hello = link.open()
        self._say(
            "firmware",
            True,
            f"protocol {hello.protocol_hash & 0xFFFF:04x}, build {hello.firmware_id:08x}, session {hello.session}",
        )
        trips_ms = sorted(link.ping() * 1000.0 for _ in range(PINGS))
        self._say("round trip", True, f"{trips_ms[PINGS // 2]:.2f} ms median, {trips_ms[-1]:.2f} ms worst of {PINGS}")
        link.mode("CLEAR")
        link.configure(cfg_message(self.cart))
        self._say("limits", True, "the firmware holds this cart's")
        if not self._inputs(link):
            return
        self._by_hand(link)
        self._home(link)
        health = link.health()
        bad = {name: getattr(health, name) for name in ("frame_errors", "missed_ticks", "cart_illegal", "pole_illegal")}
        counts = ", ".join(f"{name} {number}" for name, number in bad.items())
        self._say("counters", not any(bad.values()), counts if any(bad.values()) else "no errors, no missed tick")

    def _inputs(self, link: Link) -> bool:
        state = self._state(link)
        flag = link.protocol.enums["input_flag"]
        _, settings = encoders_and_settings(self.cart)
        is_pressed = bool(state.inputs & flag["ESTOP"])
        self._say(
            "emergency stop", not is_pressed, "pressed, or its wire is cut; release it" if is_pressed else "released"
        )
        both = flag["LEFT_SWITCH"] | flag["RIGHT_SWITCH"]
        are_both = state.inputs & both == both
        self._say(
            "end switches", not are_both, "both closed; check their wires" if are_both else "at most one is closed"
        )
        volts = state.supply_mv / 1000.0
        in_range = settings.supply_min_v <= volts <= settings.supply_max_v
        expected = f"expected {settings.supply_min_v:g} to {settings.supply_max_v:g} V"
        self._say("supply", in_range, f"{volts:.1f} V" if in_range else f"{volts:.1f} V, {expected}; check the supply")
        return not is_pressed and not are_both and in_range

    def _by_hand(self, link: Link) -> None:
        encoders, _ = encoders_and_settings(self.cart)
        moves: tuple[tuple[str, Callable[[StateMessage], int], str, float], ...] = (
            (
                "cart encoder",
                lambda state: state.cart_counts,
                "push the cart a few cm to the RIGHT",
                _HAND_MOVE_M * encoders.cart_counts_per_m,
            ),
            (
                "pole encoder",
                lambda state: state.pole_counts,
                "swing the hanging pole to the LEFT",
                _HAND_TURN_RAD * encoders.pole_counts_per_rad,
            ),
        )
        for name, counts_of, wish, least in moves:
            if not self.has_person:
                self._say(name, None, "not checked by hand (no operator at the terminal); homing checks it")
                continue
            print(f"        {wish} ...", file=sys.stderr, flush=True)
            moved = self._moved(link, counts_of, least)
            if abs(moved) < least:
                self._say(name, False, f"{moved} counts in {HAND_S:g} s; check its wires and its coupling")
            elif moved < 0:
                key = "is_cart_reversed" if name == "cart encoder" else "is_pole_reversed"
                self._say(name, False, f"counts the wrong way; set firmware.{key} in the cart file, or swap A and B")
            else:
                self._say(name, True, f"counts the right way ({moved:+d})")

    def _moved(self, link: Link, counts_of: Callable[[StateMessage], int], least: float) -> int:
        """How many counts the operator has moved it, returned once that is at least `least` or time is up."""
        begin = counts_of(self._state(link))
        deadline_s = link.clock() + HAND_S
        moved = 0
        while abs(moved) < least and link.clock() < deadline_s:
            moved = counts_of(self._state(link)) - begin
        return moved

    def _home(self, link: Link) -> None:
        name = "homing: motor, switches, pole's swing"
        if not self.may_move:
            self._say(name, None, "not checked: it moves the cart, which needs --arm")
            return
        print("        homing: let the pole hang still, and keep clear of the cart ...", file=sys.stderr, flush=True)
        link.mode("HOME")
        states = link.protocol.enums["cart_state"]
        deadline_s = link.clock() + HOMING_S
        state = self._state(link)
        while state.state == states["HOMING"] and link.clock() < deadline_s:
            state = self._state(link)
        if state.state == states["READY"]:
            self._say(name, True, "both zeros are known")
        else:
            fault = link.protocol.enums["fault"](state.fault).name
            self._say(name, False, f"{fault}: {FAULTS.get(fault, 'it did not end')}")

    def _state(self, link: Link) -> StateMessage:
        link.forget_states()
        state = link.newest_state(link.clock() + 1.0)
        if state is None:
            raise BridgeError("no measurement for 1 s; check the cable")
        return state

    def _say(self, name: str, is_fine: bool | None, message: str) -> None:
        step = Step(name, is_fine, message)
        self.steps.append(step)
        self.on_step(step)


def step_text(step: Step) -> str:
    """One line: yes, NO or a dash, the name of the check, its message."""
    answer = {True: "yes", False: "NO", None: "-"}[step.is_fine]
    return f"  {answer:<4}{step.name:<38} {step.message}"
