"""The page as one file that works offline: a simulated cart with its firmware, driven by policies and regulators."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.files.new_file import check_is_new, new_file
from cartpole_robot.page.contents import page_contents
from cartpole_robot.page.html import Page, page
from cartpole_robot.page.module import module_bytes
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import Chosen, choose_controller
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up

_LONGEST_NAME = 60
_HEADING = "A cart-pole and its real firmware"
_LEAD = (
    "The firmware below is the C that is flashed to the microcontroller. It ticks a thousand times a second in front "
    "of a simulated cart, {name}. Drag the pole, {deed}, cut a wire: the firmware decides whether the motor may "
    "turn, and names the fault."
)
_DEEDS = {Drive.DC: "push the cart", Drive.STEPPER: "pull the cart off its steps"}


@dataclass(frozen=True, kw_only=True)
class OfflinePage:
    """What was written: the file, its size, the controllers that can be chosen in it, and what is missing, and why."""

    path: Path
    size: int
    cart: str
    controllers: Sequence[str]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "page": str(self.path),
            "bytes": self.size,
            "cart": self.cart,
            "controllers": list(self.controllers),
            "notes": list(self.notes),
        }


def write_offline_page(policies: Sequence[Path], out: Path, cart: str | None = None) -> OfflinePage:
    """Write a page with these policies, the regulator and the swing-up controller of their cart.

    `cart` is a name or a file; by default it is the cart of the first policy. "lqr" among the policies adds nothing.
    Raises `UsageError` for an existing file, a policy that a page cannot run or that does not fit the cart, and where
    the compiled module is missing; `RunError` where the disk fails.
    """
    check_is_new(out)
    chosen = _chosen(policies, cart)
    first = chosen[0]
    bundles = dict(zip(_names(chosen), (each.bundle for each in chosen if each.bundle is not None), strict=True))
    notes = [each.note for each in chosen if each.note is not None]
    swing_up = _swing_up(first, notes)
    contents = page_contents(first.cart, bundles, lqr=_lqr(first), swing_up=swing_up)
    if first.cart.stepper is not None and first.cart.stepper.alarm_is_low is None:
        notes.append(
            "the page's driver has its alarm output wired; the cart file has it unwired (stepper.alarm_is_low)"
        )
    text = offline_page(contents, module_bytes(first.cart.drive)).text.encode()
    with new_file(out) as partial:
        partial.write_bytes(text)
    return OfflinePage(path=out, size=len(text), cart=first.cart.name, controllers=contents["controllers"], notes=notes)


def offline_page(contents: Mapping[str, Any], module: bytes) -> Page:
    """The page of `contents`, as `page_contents` returns them, with the compiled module."""
    encoded = base64.b64encode(module).decode()
    texts = {"title": f"{contents['cart']['name']}: a cart-pole and its firmware", "heading": _HEADING}
    texts["lead"] = _LEAD.format(name=contents["cart"]["name"], deed=_DEEDS[Drive(contents["cart"]["drive"])])
    return page(
        "simulation.html",
        "main.js",
        contents,
        texts,
        module=f'<script type="application/octet-stream" id="module">{encoded}</script>',
    )


def _chosen(policies: Sequence[Path], cart: str | None) -> list[Chosen]:
    """The controllers, all for the same cart; a regulator alone where no policy is named."""
    named = [policy for policy in policies if str(policy) != LQR]
    if not named:
        return [choose_controller(Path(LQR), cart, Backend.C.value)]
    first = choose_controller(named[0], cart, Backend.C.value)
    others = [choose_controller(policy, None, Backend.C.value) for policy in named[1:]] if cart is None else []
    for policy, other in zip(named[1:], others, strict=False):
        if other.cart.name != first.cart.name:
            raise UsageError(
                f"{policy}: is for the cart {other.cart.name!r}, and {named[0]} for {first.cart.name!r}; a page has "
                "one cart, so name it with --cart, or make two pages"
            )
    if cart is not None:
        others = [choose_controller(policy, cart, Backend.C.value) for policy in named[1:]]
    return [first, *others]


def _names(chosen: Sequence[Chosen]) -> list[str]:
    """A short name for each policy: its run folder's or its file's, with a number where two have the same."""
    names: list[str] = []
    for each in chosen:
        if each.bundle is None:
            continue
        path = Path(str(each.record["policy"]))
        name = path.resolve().parent.name if path.name == "policy.npz" else path.stem
        name = (name or "policy")[:_LONGEST_NAME]
        numbered = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        names.append(next(each for each in numbered if each not in names))
    return names


def _lqr(chosen: Chosen) -> Lqr:
    """The regulator of the cart: the bundle's where it was designed for this cart."""
    bundle = _bundle_of_this_cart(chosen)
    return bundle.lqr if bundle is not None and bundle.lqr is not None else design_lqr(chosen.cart)


def _swing_up(chosen: Chosen, notes: list[str]) -> SwingUpDesign | None:
    """The design of a swing-up, None with a note where the cart has none."""
    settings = chosen.cart.firmware
    if settings is not None and not settings.swing_timeout_s:
        notes.append("no swing-up: the cart file forbids it (firmware.swing_timeout_s = 0)")
        return None
    try:
        return chosen.swing_up or design_swing_up(chosen.cart)
    except UsageError as error:
        notes.append(f"no swing-up: {error}")
        return None


def _bundle_of_this_cart(chosen: Chosen) -> PolicyBundle | None:
    """The bundle, if the cart is the one that it was trained on, as `choose_controller` compares them."""
    return chosen.bundle if chosen.swing_up is not None else None
