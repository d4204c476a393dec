"""Profiles of imperfections: TOML files, of which the package has some by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.cart.parts import Motor
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import check_keys, read_toml, record_from_table
from cartpole_robot.files.sourced import plain_numbers
from cartpole_robot.simulation.imperfections.belt import Belt
from cartpole_robot.simulation.imperfections.boot import Boot
from cartpole_robot.simulation.imperfections.bridge import Bridge
from cartpole_robot.simulation.imperfections.contacts import Contacts
from cartpole_robot.simulation.imperfections.encoders import Chatter
from cartpole_robot.simulation.imperfections.supply import Rail, Supply
from cartpole_robot.simulation.imperfections.usb import Usb

PROFILE_FORMAT = 1
WORKBENCH = "workbench"  # what a virtual cart behind a port has unless asked otherwise
_SHIPPED = "cartpole_robot.simulation.imperfections.profiles"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is imperfect about a cart, by section of its file; None is ideal."""

    name: str = "ideal"
    usb: Usb | None = None
    contacts: Contacts | None = None
    encoders: Chatter | None = None
    bridge: Bridge | None = None
    supply: Supply | None = None
    rail: Rail | None = None
    boot: Boot | None = None
    belt: Belt | None = None

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that are not ideal."""
        return tuple(name for name in SECTIONS if getattr(self, name) is not None)


SECTIONS = tuple(field.name for field in dataclasses.fields(Profile) if field.name != "name")
IDEAL = Profile()


def profile_names() -> tuple[str, ...]:
    """The profiles that come with the package, sorted."""
    folder = resources.files(_SHIPPED)
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_profile(profile: str | Path) -> Profile:
    """The profile of that name, or of that file (a path ends in ".toml" or has a folder in it).

    Raises `UsageError` naming file, key, value and what was expected.
    """
    path = Path(profile)
    if path.suffix == ".toml" or path.name != str(profile):
        return _parsed(path)
    if str(profile) not in profile_names():
        raise UsageError(
            f"profile {str(profile)!r} is not known; expected one of {', '.join(profile_names())}, or the path of a "
            ".toml file"
        )
    with resources.as_file(resources.files(_SHIPPED).joinpath(f"{profile}.toml")) as file:
        return _parsed(file)


def fitting(profile: Profile, motor: Motor, *, has_stepper: bool = False) -> tuple[Profile, str | None]:
    """`profile` without what the cart file of that motor says too little for, and a note on what is left out.

    With `has_stepper` the motor stands for a stepper, whose current no cart file gives.
    """
    if profile.supply is None or (motor.supply_voltage_v is not None and motor.stall_current_a is not None):
        return profile, None
    if has_stepper:
        return dataclasses.replace(profile, supply=None), (
            f"profile {profile.name}: the supply stands still, because the current of a stepper's driver is not "
            "simulated"
        )
    return dataclasses.replace(profile, supply=None), (
        f"profile {profile.name}: the supply stands still, because the cart file has no motor.supply_voltage_v and "
        "motor.stall_current_a to compute its current from"
    )


def _parsed(path: Path) -> Profile:
    tables = read_toml(path, purpose="profile", expected_format=PROFILE_FORMAT)
    check_keys(tables, ["description", "source", "based_on", *SECTIONS], where=str(path))
    base: dict[str, Any] = {}
    if "based_on" in tables:
        shipped = profile_names()
        if tables["based_on"] not in shipped or tables["based_on"] == path.stem:
            raise UsageError(f"{path}: based_on = {tables['based_on']!r}, expected one of {', '.join(shipped)}")
        other = load_profile(tables["based_on"])
        base = {name: getattr(other, name) for name in other.sections}
    file_source = str(tables.get("source", ""))
    plain = {name: plain_numbers(tables[name], name, {}, file_source, path) for name in SECTIONS if name in tables}
    return record_from_table(Profile, {"name": path.stem, **base, **plain}, where=str(path))
