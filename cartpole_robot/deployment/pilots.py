"""The pilots of a deployment: two controllers with one of them driving, or a policy in the firmware."""

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
_CALM_S = 0.5  # how long the cart must be calm before the policy drives again


class ShadowPilot:
    """The regulator drives and the policy's duty is only recorded; implements `cartpole_robot.rollout.pilot.Pilot`."""

    flags = handovers = 0

    def __init__(self, regulator: Controller, shadow: PolicyController) -> None:
        self.shadow_duty = math.nan
        self._regulator, self._shadow = regulator, shadow

    def reset(self) -> None:
        self._regulator.reset()
        self._shadow.reset()

    def duty(self, observation: NDArray[Any]) -> float:
        """The regulator's duty, which also enters the policy's history: the policy answers the regulator's motion."""
        self.shadow_duty = self._shadow.duty(observation)
        duty = self._regulator.duty(observation)
        self._shadow.sent(duty)
        return duty


class OnBoardPilot:
    """The policy in the firmware drives, and its twin on the host computes the same duty for the recording.

    Implements `rollout.pilot.Pilot`. The command that carries the duty only shows the firmware that the host is there.
    """

    flags = int(Flag.ON_BOARD)
    handovers = 0
    shadow_duty = math.nan

    def __init__(self, policy: PolicyImage, state: Callable[[], StateMessage]) -> None:
        """`state` gives the newest STATE."""
        self._policy, self._state = policy, state
        self._one = read_protocol().constants["PROTOCOL_DUTY_ONE"]

    def reset(self) -> None:
        """Begin an episode: the twin of a policy with history forgets the steps before, as the firmware does."""
        self._policy.reset()

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty that the microcontroller computes from the same integers, by the same C code."""
        state = self._state()
        action = self._policy.act(state.cart_counts, state.cart_speed, state.pole_counts, state.pole_speed)
        return self._policy.duty_q15(action) / self._one


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """How far each signal may be from 0, shape (4,), for the policy to be on familiar ground."""

    bound: NDArray[np.float32]

    @staticmethod
    def of(bundle: PolicyBundle, cart: CartParams) -> Envelope:
        """1.5 times the farthest state among the policy's golden examples.

        At least 1.5 times the range of an episode's starts, at most 0.8 of the limits that end one.
        """
        limits = cart.limits
        visited = np.abs(bundle.golden.observations[:, : len(bundle.interface.observation)]).max(axis=0)
        known = _MARGIN * np.maximum(visited, cart.start.as_tuple())
        most = (_MOST * limits.cart_position_m, math.inf, _MOST * limits.pole_angle_rad, math.inf)
        return Envelope(bound=np.minimum(known, most).astype(np.float32))

    def share(self, observation: NDArray[Any]) -> float:
        """The largest ratio of a signal to its bound; outside the envelope above 1."""
        return float((np.abs(observation) / self.bound).max())


class FallbackPilot:
    """The policy drives inside its envelope; outside, the regulator takes over until the cart is calm.

    Implements `rollout.pilot.Pilot`: the regulator's steps have `Flag.FALLBACK`; `handovers` counts both directions.
    """

    shadow_duty = math.nan

    def __init__(
        self, policy: PolicyController, regulator: LqrController, envelope: Envelope, control_period_s: float
    ) -> None:
        self._policy, self._regulator, self._envelope = policy, regulator, envelope
        self._calm_steps = max(1, round(_CALM_S / control_period_s))
        self.handovers = 0
        self.flags = 0
        self._calm = 0

    def reset(self) -> None:
        self._policy.reset()
        self._regulator.reset()
        self.flags = self._calm = self.handovers = 0

    def duty(self, observation: NDArray[Any]) -> float:
        """The policy's duty inside the envelope; outside, the regulator's until the cart is calm."""
        share = self._envelope.share(observation)
        if self.flags:
            self._calm = self._calm + 1 if share < _CALM_SHARE else 0
            if self._calm >= self._calm_steps:
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
