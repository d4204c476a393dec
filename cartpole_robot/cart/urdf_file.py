"""A URDF of others: the numbers of its cart-pole, found by its structure, and checked.

A cart-pole is a link that slides on one prismatic joint and carries one revolute or continuous joint; links behind
fixed joints belong to the body that they are fixed to.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.physical import physical_fault
from cartpole_robot.errors import UsageError
from cartpole_robot.files.regular_file import open_regular

_MOST_BYTES = 1 << 20
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_ENDLESS_M = 100.0  # a longer track is one without ends, as in this package's own URDF
_STRAIGHT = 1e-3  # the largest cosine of an angle that counts as a right one
_SLIDES, _TURNS, _FIXED = ("prismatic",), ("revolute", "continuous"), "fixed"

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class UrdfBody:
    """The cart-pole in a URDF, in SI units; `end_stop_m` is None for a track without ends.

    The inertia is about the pole's centre of mass and the axis of its hinge; the angle is that of the pole from upright
    where its joint is at zero.
    """

    path: Path
    cart_link: str
    pole_link: str
    cart_joint: str
    pole_joint: str
    cart_mass_kg: float
    pole_mass_kg: float
    pole_half_length_m: float
    pole_inertia_kg_m2: float
    pole_zero_rad: float
    end_stop_m: float | None
    friction: Mapping[str, float]
    tensors: Mapping[str, Matrix]

    def numbers(self) -> dict[str, float]:
        """The fields of `PoleCart` that a URDF holds."""
        names = ("cart_mass_kg", "pole_mass_kg", "pole_half_length_m", "pole_inertia_kg_m2")
        return {name: getattr(self, name) for name in names}

    def sources(self) -> dict[str, str]:
        """Where each number is from, by "section.key"."""
        pole = f"{self.path.name}: link {self.pole_link!r}"
        found = {f"pole_cart.{name}": pole for name in self.numbers()}
        found["pole_cart.cart_mass_kg"] = f"{self.path.name}: link {self.cart_link!r}"
        found["limits.end_stop_m"] = f"{self.path.name}: joint {self.cart_joint!r}"
        for name in self.friction:
            joint = self.cart_joint if name.startswith("cart") else self.pole_joint
            found[f"friction.{name}"] = f"{self.path.name}: joint {joint!r}"
        return found

    def fault(self) -> str | None:
        """Why no such body exists; None if one may."""
        for link, tensor in self.tensors.items():
            least, middle, most = np.linalg.eigvalsh(tensor).tolist()
            if least < -1e-9 * most or most > (least + middle) * (1.0 + 1e-6):
                return (
                    f"link {link!r} has the principal inertias {least:g}, {middle:g} and {most:g} kg m², which no body "
                    "has: none is negative, and none is larger than the sum of the others; correct them"
                )
        return physical_fault(**self.numbers())


def read_urdf_file(path: Path) -> UrdfBody:
    """The cart-pole in the URDF at `path`, whose numbers `check_urdf` checks. Raises `UsageError`."""
    robot = _parsed(path)
    try:
        return _body(path, robot)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def check_urdf(body: UrdfBody) -> None:
    """Raise `UsageError` for numbers that no body has."""
    fault = body.fault()
    if fault is not None:
        raise UsageError(f"{body.path}: {fault}")


def urdf_text(body: UrdfBody) -> str:
    """The numbers of a URDF as lines for a person."""
    pole = f"link {body.pole_link!r}"
    rows: list[tuple[str, float | str, str, str]] = [
        ("cart_mass_kg", body.cart_mass_kg, "kg", f"link {body.cart_link!r}"),
        ("pole_mass_kg", body.pole_mass_kg, "kg", pole),
        ("pole_half_length_m", body.pole_half_length_m, "m", f"{pole}, centre of mass from the hinge"),
        ("pole_inertia_kg_m2", body.pole_inertia_kg_m2, "kg m²", f"{pole}, about its centre of mass"),
        ("pole at zero", math.degrees(body.pole_zero_rad), "degrees", f"joint {body.pole_joint!r}, from upright"),
        ("end_stop_m", "none" if body.end_stop_m is None else body.end_stop_m, "m", f"joint {body.cart_joint!r}"),
    ]
    for name, value in body.friction.items():
        joint = body.cart_joint if name.startswith("cart") else body.pole_joint
        rows.append((name, value, "", f"joint {joint!r}"))
    lines = [f"{body.path}: a cart-pole"]
    for name, number, unit, source in rows:
        shown = number if isinstance(number, str) else f"{number:.6g}"
        lines.append(f"  {name:<22}{shown:>12} {unit:<12} {source}")
    return "\n".join(lines)


def _parsed(path: Path) -> ET.Element:
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such URDF; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a URDF; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: this URDF cannot be read ({error.strerror}); check its permissions") from None
    except ValueError as error:  # also for a path with a zero byte
        raise UsageError(f"{str(path)!r}: {error}, expected the path of a URDF; correct it") from None
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{path}: is larger than {_MOST_BYTES >> 20} MB, expected the URDF of a cart-pole")
    if b"\0" in content:  # in UTF-16 the next check would not find what it looks for
        raise UsageError(f"{path}: is not text in UTF-8, expected a URDF; save it as UTF-8, or choose another file")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise UsageError(f"{path}: declares a document type, which no URDF needs; remove it")
    try:
        robot = ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise UsageError(f"{path}: is not XML ({error}); choose another file") from None
    if robot.tag != "robot":
        raise UsageError(f"{path}: begins with <{robot.tag[:40]}>, expected <robot>; choose a URDF")
    return robot


def _body(path: Path, robot: ET.Element) -> UrdfBody:
    """Raises ValueError for what is no cart-pole."""
    joints = _by_name(robot, "joint")
    moving = {name: joint for name, joint in joints.items() if joint.get("type") != _FIXED}
    slides = [name for name, joint in moving.items() if joint.get("type") in _SLIDES]
    turns = [name for name, joint in moving.items() if joint.get("type") in _TURNS]
    if len(moving) != 2 or len(slides) != 1 or len(turns) != 1:
        found = ", ".join(f"{name!r} ({joint.get('type')})" for name, joint in list(moving.items())[:6]) or "none"
        raise ValueError(f"moves on the joints {found}; a cart-pole has one prismatic and one revolute or continuous")
    (slide,), (hinge,) = slides, turns
    cart_link, pole_link = _end(joints[slide], "child"), _end(joints[hinge], "child")
    fixed = [joint for joint in joints.values() if joint.get("type") == _FIXED]
    cart, pole = _attached(cart_link, fixed), _attached(pole_link, fixed)
    carrier = _end(joints[hinge], "parent")
    if carrier not in cart:
        raise ValueError(
            f"joint {hinge!r} is on link {carrier!r}, expected it on the cart, which joint {slide!r} moves"
        )
    links = _by_name(robot, "link")
    cart_mass_kg, _, _ = _merged(cart, links)
    pole_mass_kg, centre, inertia = _merged(pole, links)
    to_slide = _from_root(_end(joints[slide], "parent"), fixed) @ _placed(
        joints[slide].find("origin"), f"joint {slide!r}"
    )
    on_cart = cart[carrier] @ _placed(joints[hinge].find("origin"), f"joint {hinge!r}")
    to_hinge = to_slide @ on_cart
    axis = _axis(joints[hinge], hinge)
    track, around = to_slide[:3, :3] @ _axis(joints[slide], slide), to_hinge[:3, :3] @ axis
    if abs(track[2]) > _STRAIGHT:
        raise ValueError(f"joint {slide!r} slides along {_shown(track)}, expected a level track")
    if abs(around @ track) > _STRAIGHT or abs(around[2]) > _STRAIGHT:
        raise ValueError(f"joint {hinge!r} turns about {_shown(around)}, expected level and across the track")
    lever = centre - (centre @ axis) * axis
    half_m = float(np.linalg.norm(lever))
    up = float((to_hinge[:3, :3] @ lever)[2])
    return UrdfBody(
        path=path,
        cart_link=cart_link,
        pole_link=pole_link,
        cart_joint=slide,
        pole_joint=hinge,
        cart_mass_kg=cart_mass_kg,
        pole_mass_kg=pole_mass_kg,
        pole_half_length_m=half_m,
        pole_inertia_kg_m2=float(axis @ inertia @ axis),
        pole_zero_rad=math.acos(max(-1.0, min(1.0, up / half_m))) if half_m > 0.0 else 0.0,
        end_stop_m=_end_stop_m(joints[slide], slide),
        friction={**_friction(joints[slide], slide, "cart"), **_friction(joints[hinge], hinge, "pole")},
        tensors={name: _inertial(links[name], name)[2] for name in (*cart, *pole) if name in links},
    )


def _by_name(robot: ET.Element, kind: str) -> dict[str, ET.Element]:
    found: dict[str, ET.Element] = {}
    for element in robot.iterfind(kind):
        if found.setdefault(_name(element), element) is not element:
            raise ValueError(f"has two {kind}s called {_name(element)!r}; rename one")
    return found


def _attached(link: str, fixed: list[ET.Element]) -> dict[str, Matrix]:
    """The links that are fixed to `link`, itself included, each with its frame as seen from that of `link`."""
    on: dict[str, list[ET.Element]] = {}
    for joint in fixed:
        on.setdefault(_end(joint, "parent"), []).append(joint)
    found = {link: np.eye(4)}
    waiting = [link]
    while waiting:
        parent = waiting.pop()
        for joint in on.get(parent, ()):
            child = _end(joint, "child")
            if child not in found:
                found[child] = found[parent] @ _placed(joint.find("origin"), f"joint {_name(joint)!r}")
                waiting.append(child)
    return found


def _from_root(link: str, fixed: list[ET.Element]) -> Matrix:
    """The frame of a link that fixed joints connect to the root, as seen from there."""
    under = {_end(joint, "child"): joint for joint in reversed(fixed)}
    frame, seen = np.eye(4), {link}
    while (joint := under.get(link)) is not None:
        frame = _placed(joint.find("origin"), f"joint {_name(joint)!r}") @ frame
        link = _end(joint, "parent")
        if link in seen:
            raise ValueError(f"link {link!r} is fixed to itself; a URDF is a tree")
        seen.add(link)
    return frame


def _merged(parts: Mapping[str, Matrix], links: Mapping[str, ET.Element]) -> tuple[float, Matrix, Matrix]:
    """Mass, centre and inertia about that centre of a body made of links, in the frame of its first."""
    found = []
    for name, frame in parts.items():
        if name not in links:
            raise ValueError(f"a joint names the link {name!r}, which does not exist")
        mass_kg, place, tensor = _inertial(links[name], name)
        turned, whole = (frame @ place)[:3, :3], frame @ place
        found.append((mass_kg, whole[:3, 3], turned @ tensor @ turned.T))
    total_kg = sum(mass for mass, _, _ in found)
    if not total_kg > 0.0:
        raise ValueError(f"link {next(iter(parts))!r} has no mass; give it an <inertial> with mass, origin and inertia")
    centre = sum((mass * at for mass, at, _ in found), np.zeros(3)) / total_kg
    inertia = np.zeros((3, 3))
    for mass_kg, at, tensor in found:
        off = at - centre
        inertia += tensor + mass_kg * (off @ off * np.eye(3) - np.outer(off, off))
    return total_kg, centre, inertia


def _inertial(link: ET.Element, name: str) -> tuple[float, Matrix, Matrix]:
    """Mass, frame and inertia tensor of a link; all zero where it has none."""
    inertial = link.find("inertial")
    if inertial is None:
        return 0.0, np.eye(4), np.zeros((3, 3))
    where = f"link {name!r}"
    mass_kg = _number(inertial.find("mass"), "value", where, default=0.0)
    if mass_kg < 0.0:
        raise ValueError(f"{where} has a mass of {mass_kg:g} kg, expected at least 0; correct it")
    keys = (("ixx", "ixy", "ixz"), ("ixy", "iyy", "iyz"), ("ixz", "iyz", "izz"))
    tensor = inertial.find("inertia")
    rows = [[_number(tensor, key, where, default=0.0) for key in row] for row in keys]
    return mass_kg, _placed(inertial.find("origin"), where), np.array(rows)


def _placed(origin: ET.Element | None, where: str) -> Matrix:
    """The frame at an <origin>, turned by roll, pitch and yaw about fixed axes."""
    frame = np.eye(4)
    if origin is not None:
        frame[:3, 3] = _three(origin, "xyz", where)
        roll, pitch, yaw = _three(origin, "rpy", where)
        (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a), math.sin(a)) for a in (roll, pitch, yaw))
        frame[:3, :3] = [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    return frame


def _axis(joint: ET.Element, name: str) -> Matrix:
    element = joint.find("axis")
    axis = np.array((1.0, 0.0, 0.0) if element is None else _three(element, "xyz", f"joint {name!r}"))
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        raise ValueError(f"joint {name!r} has an axis of length 0; correct it")
    return axis / length


def _end_stop_m(joint: ET.Element, name: str) -> float | None:
    where = f"joint {name!r}"
    limit = joint.find("limit")
    lower, upper = (_number(limit, key, where, default=0.0) for key in ("lower", "upper"))
    if lower >= upper or upper - lower > 2.0 * _ENDLESS_M:
        return None
    if not math.isclose(-lower, upper, rel_tol=1e-3):
        raise ValueError(
            f"{where} slides from {lower:g} m to {upper:g} m, expected as far to both sides; move its origin"
        )
    return min(-lower, upper)


def _friction(joint: ET.Element, name: str, body: str) -> dict[str, float]:
    """What the joint's <dynamics> has other than 0, as fields of `Friction`."""
    fields = {
        "damping": {"cart": "cart_viscous_n_s_m", "pole": "pole_viscous_n_m_s"}[body],
        "friction": {"cart": "cart_coulomb_n", "pole": "pole_coulomb_n_m"}[body],
    }
    found = {fields[key]: _number(joint.find("dynamics"), key, f"joint {name!r}", default=0.0) for key in fields}
    return {key: value for key, value in found.items() if value != 0.0}


def _name(element: ET.Element) -> str:
    return element.get("name") or "without a name"


def _end(joint: ET.Element, side: str) -> str:
    element = joint.find(side)
    link = None if element is None else element.get("link")
    if link is None:
        raise ValueError(f"joint {_name(joint)!r} has no {side}; give it <{side} link=.../>")
    return link


def _number(element: ET.Element | None, key: str, where: str, *, default: float) -> float:
    text = None if element is None else element.get(key)
    return default if text is None else _parsed_number(text, key, where)


def _three(element: ET.Element, key: str, where: str) -> tuple[float, float, float]:
    words = element.get(key, "0 0 0").split()
    if len(words) != 3:
        raise ValueError(f"{where} has {key} = {element.get(key, '')[:60]!r}, expected three numbers; correct it")
    x, y, z = (_parsed_number(word, key, where) for word in words)
    return x, y, z


def _parsed_number(text: str, key: str, where: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not abs(number) <= 1e12:
        more = "; expand the xacro file first" if "${" in text else "; correct it"
        raise ValueError(f"{where} has {key} = {text[:60]!r}, expected a number{more}")
    return number


def _shown(vector: Matrix) -> str:
    return "({:.3g}, {:.3g}, {:.3g})".format(*vector)
