"""Who drives in a deployment: a controller alone, one that a regulator catches, or a regulator that one watches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import Controller, PolicyController
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.recording.format import Flag
from firmware_bridge._host import PolicyImage
from firmware_bridge.messages import StateMessage
from firmware_bridge.protocol import read_protocol

_MARGIN = 1.5  # of the farthest visited state
_MOST = 0.8  # of the limits that end an episode
_CALM_SHARE = 0.6  # of the envelope: inside it the cart is calm
_CALM_S = 0.5  # so long it must have been before it is handed back


class Solo:
    """One controller, nobody beside it; implements `cartpole_robot.deployment.loop.Pilot`."""

    flags = handovers = 0
    shadow_duty = math.nan

    def __init__(self, controller: Controller) -> None:
        self.duty = controller.duty
        self.reset = controller.reset


class Shadowed:
    """The regulator drives, and the policy is asked to no effect; implements `cartpole_robot.deployment.loop.Pilot`."""

    flags = handovers = 0

    def __init__(self, regulator: Controller, shadow: PolicyController) -> None:
        self.shadow_duty = math.nan
        self._regulator, self._shadow = regulator, shadow

    def reset(self) -> None:
        """Both."""
        self._regulator.reset()
        self._shadow.reset()

    def duty(self, observation: NDArray[Any]) -> float:
        """The regulator's, which the policy is told: it judges what it would do from where the regulator has come."""
        self.shadow_duty = self._shadow.duty(observation)
        duty = self._regulator.duty(observation)
        self._shadow.sent(duty)
        return duty


class Watched:
    """The policy in the firmware drives, and its twin here says what it should do.

    Implements `loop.Pilot`: the command that carries its duty only shows that somebody watches.
    """

    flags = int(Flag.ON_BOARD)
    handovers = 0
    shadow_duty = math.nan

    def __init__(self, policy: PolicyImage, state: Callable[[], StateMessage]) -> None:
        """`state` gives the newest STATE."""
        self._policy, self._state = policy, state
        self._one = read_protocol().constants["PROTOCOL_DUTY_ONE"]

    def reset(self) -> None:
        """Nothing: a policy on board has no memory."""

    def duty(self, observation: NDArray[Any]) -> float:
        """What the microcontroller makes of the same integers, by the same C."""
        state = self._state()
        action = self._policy.act(state.cart_counts, state.cart_speed, state.pole_counts, state.pole_speed)
        return self._policy.duty_q15(action) / self._one


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """How far each signal may be from 0, shape (4,), for the policy to know what it does."""

    bound: NDArray[np.float32]

    @staticmethod
    def of(bundle: PolicyBundle, cart: CartParams) -> Envelope:
        """Half as much again as the farthest of the states that the policy's golden examples were visited at.

        At least as far as an episode may start, and less far than where it ends.
        """
        limits = cart.limits
        visited = np.abs(bundle.golden.observations[:, : len(bundle.interface.observation)]).max(axis=0)
        known = _MARGIN * np.maximum(visited, cart.start.as_tuple())
        most = (_MOST * limits.cart_position_m, math.inf, _MOST * limits.pole_angle_rad, math.inf)
        return Envelope(bound=np.minimum(known, most).astype(np.float32))

    def share(self, observation: NDArray[Any]) -> float:
        """The largest share of its bound that a signal takes; beyond 1 it is outside."""
        return float((np.abs(observation) / self.bound).max())


class Caught:
    """The policy drives until it leaves its envelope; the regulator catches the cart, and hands it back when calm.

    Implements `loop.Pilot`: the regulator's turns have `Flag.FALLBACK`; `handovers` counts both ways.
    """

    shadow_duty = math.nan

    def __init__(
        self, policy: PolicyController, regulator: LqrController, envelope: Envelope, control_period_s: float
    ) -> None:
        self._policy, self._regulator, self._envelope = policy, regulator, envelope
        self._calm_turns = max(1, round(_CALM_S / control_period_s))
        self.handovers = 0
        self.flags = 0
        self._calm = 0

    def reset(self) -> None:
        """The policy drives."""
        self._policy.reset()
        self._regulator.reset()
        self.flags = self._calm = self.handovers = 0

    def duty(self, observation: NDArray[Any]) -> float:
        """The policy's inside the envelope, the regulator's from there until the cart is calm."""
        share = self._envelope.share(observation)
        if self.flags:
            self._calm = self._calm + 1 if share < _CALM_SHARE else 0
            if self._calm >= self._calm_turns:
                self.flags, self._calm = 0, 0
                self.handovers += 1
        elif share > 1.0:
            self.flags = int(Flag.FALLBACK)
            self.handovers += 1
        if self.flags:
            duty = self._regulator.duty(observation)
            self._policy.watch(observation, duty)
            return duty
        duty = self._policy.duty(observation)
        self._regulator.remember(duty)
        return duty
