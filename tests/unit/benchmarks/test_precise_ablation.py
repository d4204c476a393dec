"""The variants of an ablation: each is a configuration that trains, and differs from the preset."""

from __future__ import annotations

from benchmarks.precise_ablation import VARIANTS, variants
from cartpole_robot.training.config import load_preset


def test_every_variant_of_the_preset_is_a_valid_configuration() -> None:
    found = variants(load_preset("precise"))
    assert list(found) == ["preset", *(name for name, _ in VARIANTS)]
    assert len({repr(config) for config in found.values()}) == len(found)
