"""What a benchmark says of the machine it ran on."""

from __future__ import annotations

from cartpole_robot.files.provenance import machine


def machine_line() -> str:
    """Cores, architecture, and the load of the last minute, for the last line of a benchmark."""
    found = machine()
    return (
        f"machine: {found['cores']} cores, {found['architecture']}, load {found['load_1_min']:.2f} over the last minute"
    )
