"""The image with the largest policy: what it takes of the chip's flash, stack and time."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.campaign.figures import figures_of, strain, traced_chip
from cartpole_robot.campaign.onboard import insensible
from cartpole_robot.deployment.firmware_image import policy_header, policy_image_bytes
from cartpole_robot.rigs.avr import ChipRig
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from firmware_bridge import build
from firmware_bridge._host import PolicyImage
from tests.policy_on_board import largest_policy, regulating_policy, with_duties
from tests.virtual_cart_process import quick_cart

ON_BOARD, HOST_MAY_LEAVE = 4, 8


def test_largest_policy_leaves_the_chip_its_flash_stack_and_time(chip_tools: None, tmp_path: Path) -> None:
    """Driven by it, with 40,000 edges a second, half of each encoder, and requests that come at every moment."""
    cart = insensible(with_duties(quick_cart(), 8))
    image = build.build_firmware(tmp_path, policy_header(largest_policy(cart, hidden=256, outputs=8), cart))
    assert image.flash_bytes <= 30_000
    options = FirmwareOptions(arm=ON_BOARD | HOST_MAY_LEAVE)
    with contextlib.closing(ChipRig(cart, lambda: traced_chip(image.elf), options=options)) as rig:
        figures = figures_of(rig, strain(rig), busy_share=0.0)
    print(image.flash_bytes, image.ram_bytes, figures)
    assert figures.stack_free_bytes >= 350
    assert 400 <= figures.longest_tick_us <= 850
    assert figures.missed_ticks == 0
    assert 5.0 <= figures.longest_off_us <= 30.0
    assert figures.longest_interrupt_us <= 30.0


def test_larger_policy_is_refused_by_name() -> None:
    cart = with_duties(quick_cart(), 8)
    with pytest.raises(ValueError, match="257 hidden units, expected 1 to 256"):
        largest_policy(cart, hidden=257, outputs=8)
    with pytest.raises(ValueError, match="the action table has 10 entries, expected 2 to 8"):
        with_duties(cart, 10)


def test_image_carries_as_many_golden_examples_as_an_export_has() -> None:
    """A bundle of another program may have more, and the largest network must still fit."""
    cart = quick_cart()
    bundle = regulating_policy(cart)
    many = {name: np.repeat(value, 9, axis=0) for name, value in dataclasses.asdict(bundle.golden).items()}
    more = dataclasses.replace(bundle, golden=type(bundle.golden)(**many))
    assert PolicyImage(policy_image_bytes(more, cart)).facts["examples"] == 32
