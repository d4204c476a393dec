"""The line a benchmark prints about its machine."""

from __future__ import annotations

from cartpole_robot.files.provenance import machine


def machine_line() -> str:
    """Cores, architecture and the load over the last minute."""
    found = machine()
    return (
        f"machine: {found['cores']} cores, {found['architecture']}, load {found['load_1_min']:.2f} over the last minute"
    )
