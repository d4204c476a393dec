"""The policy: its bundle, and everything else that decides a duty."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartpole_robot.policy.bundle import load_policy as load_policy


def __getattr__(name: str) -> object:
    """`load_policy`, imported on first use: importing this package loads nothing heavy."""
    if name == "load_policy":
        from cartpole_robot.policy.bundle import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
