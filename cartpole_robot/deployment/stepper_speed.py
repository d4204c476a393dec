"""How fast a stepper's cart moves where a black box begins, which the box does not say."""

from __future__ import annotations

import numpy as np

from cartpole_robot.deployment.black_box import BlackBox
from cartpole_robot.rigs.cfg_message import stepper_message
from firmware_bridge.protocol import read_constants, read_protocol

_FITTED_MS = 200


def first_speed(box: BlackBox) -> float:
    """A stepper's speed before the first sample, in steps a second; 0 with a DC motor, or where the box begins armed.

    The counts of the first 200 ms follow from it and from the duties: the speed of a tick is in force from the next one
    on.
    """
    limits = stepper_message(box.cart)
    samples = box.samples[:_FITTED_MS]
    gaps = np.flatnonzero(np.diff(samples["time_ms"]) != 1)
    samples = samples[: int(gaps[0]) + 1] if len(gaps) else samples
    if limits is None or box.since_armed_ms == 0 or len(samples) < 2:
        return 0.0
    gain = (
        limits.gain_q4 / read_constants("ramp.h")["RAMP_GAIN_PER_STEP"] / read_protocol().constants["PROTOCOL_DUTY_ONE"]
    )
    gained = np.cumsum(samples["duty_q15"] * gain)  # steps a second, by each tick
    by_duties = 1e-3 * np.concatenate(([0.0, 0.0], np.cumsum(gained)))[: len(samples)]
    moved = samples["cart_counts"].astype(float) - by_duties
    speed = 1e3 * np.polyfit(np.arange(len(samples)), moved, 1)[0]
    return float(np.clip(speed, -limits.speed_most, limits.speed_most))
