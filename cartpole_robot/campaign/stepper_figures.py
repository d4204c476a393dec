"""How much of its chip's time and stack a stepper's firmware uses, at 20,000 steps and 40,000 edges a second."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from pathlib import Path

from cartpole_robot.campaign.edges import Spin
from cartpole_robot.campaign.figures import ChipFigures, figures_of
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.avr import ChipRig, driver_wiring
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.task import observation
from firmware_bridge._host import encode_frame
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.messages import HealthMessage, HealthRequestMessage, PingMessage, PolicyRequestMessage

_EDGES_PER_MS = 20  # of each encoder
_DUTY = 0.12  # below what the pole must be seen to follow
_TURN_M = 0.1  # from where on it brakes: 1 m/s end 0.28 m later
_REQUESTS = (HealthRequestMessage(), PolicyRequestMessage(), PingMessage(host_us=0))
_MOMENTS = range(0, 46, 2)  # bytes of 20 us each before a request
_PERIODS_BETWEEN = 3  # control periods of each request: at every speed
_PATIENCE_S = 0.1


class _Edges:
    """A board whose encoders both turn back and forth, the cart's, wired and not read, about where it stands."""

    def __init__(self, chip: EmulatedChip, cart_counts: int) -> None:
        self.feed, self.take, self.has_sent, self.restart = chip.feed, chip.take, chip.has_sent, chip.restart
        self._chip, self._spin = chip, Spin(_EDGES_PER_MS)
        self._cart_counts = cart_counts

    @property
    def time_us(self) -> int:
        return self._chip.time_us

    def tick(self, _: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        spun = self._spin()
        return self._chip.tick(self._cart_counts + spun, pole_counts + spun, inputs, supply_mv)


def loaded_chip(cart: CartParams, image: Path | None) -> EmulatedChip:
    """A chip that keeps its trace, with an encoder at the cart that the firmware does not read."""
    driver = driver_wiring(cart)
    assert driver is not None
    return EmulatedChip(image, is_traced=True, driver=dataclasses.replace(driver, has_cart_encoder=True))


def stepper_figures(
    image: Path | None = None, cart: CartParams | None = None, options: FirmwareOptions = NO_OPTIONS
) -> tuple[ChipFigures, dict[str, int | None]]:
    """Run the image (an ELF file; None: this package's firmware) and read its figures and its chip's `step_figures`.

    `cart` is the known stepper's where it is None. Raises `RigError`.
    """
    driven = load_cart("diy_stepper") if cart is None else cart
    regulator = regulator_of(driven)
    with contextlib.closing(ChipRig(driven, lambda: loaded_chip(driven, image), options=options)) as rig:
        assert isinstance(rig.chip, EmulatedChip)
        measured = start_rollout(rig, 0)
        before = rig.chip.figures()
        for _ in range(MAX_EPISODE_STEPS):
            measured = rig.step(regulator.duty(observation(measured)))
        after = rig.chip.figures()
        busy_share = (after["awake_cycles"] - before["awake_cycles"]) / (after["cycles"] - before["cycles"])
        return figures_of(rig, strain(rig), busy_share=busy_share), rig.chip.step_figures()


def strain(rig: ChipRig) -> HealthMessage:
    """Drive back and forth at up to full speed while both encoders turn, and ask all a host asks at every moment.

    Returns HEALTH after it; a hand holds the pole. Raises `RigError` if the cart is not armed at the end.
    """
    start_rollout(rig, 0)
    cart, link = rig.virtual_cart, rig.link
    protocol = link.protocol
    armed, one = protocol.enums["cart_state"]["ARMED"], protocol.constants["PROTOCOL_DUTY_ONE"]
    assert isinstance(rig.chip, EmulatedChip)
    cart.board, before = _Edges(rig.chip, cart.raw_counts()[0]), cart.board
    cart.grab(cart.true_state()._replace(cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.0))
    asked = [bytes(moment) + encode_frame(request.pack()) for request in _REQUESTS for moment in _MOMENTS]
    side = 1
    for request, _ in itertools.product(asked, range(_PERIODS_BETWEEN)):
        cart.board.feed(request)
        state = link.newest_state(link.clock() + _PATIENCE_S)
        if cart.true_state().cart_position_m * side > _TURN_M:
            side = -side
        if state is None or state.state != armed:
            reason = "no STATE" if state is None else protocol.enums["fault"](state.fault).name
            raise RigError(f"{reason} under strain")
        link.command(state.tick, round(side * _DUTY * one), 60)
    link.health()  # the next one has what this one took
    health = link.health()
    cart.board = before
    return health
