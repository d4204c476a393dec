"""The numbers of a cart file that an identification leaves as they were, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply

_NEVER_DRIVEN = "the motor was never driven"


@dataclass(frozen=True, kw_only=True)
class NotShown:
    """Keys of a cart file that recordings do not reveal, and why."""

    keys: tuple[str, ...]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"keys": list(self.keys), "reason": self.reason}

    def text(self) -> str:
        return f"{', '.join(self.keys)}: {self.reason}"


def not_shown(
    cart: CartParams, names: Collection[str], alike: Collection[str], *, is_driven: bool, are_chosen: bool
) -> tuple[NotShown, ...]:
    """What recordings of `cart` do not show, where terms called `names` were searched for.

    Of these, `alike` differ between right and left by nothing certain. `are_chosen` states that the user named the
    terms, so that a missing one may well show.
    """
    if not is_driven:
        cart_keys = ("friction.cart_coulomb_n", "friction.cart_viscous_n_s_m", "pole_cart.cart_mass_kg")
        return (NotShown(keys=("motor", "delay", *cart_keys), reason=_NEVER_DRIVEN),)
    found = list(_always(cart, names))
    for term, keys, reason in _SELDOM:
        if term in alike:
            found.append(NotShown(keys=keys, reason="both sides are alike, as far as these recordings can tell"))
        elif term not in names:
            found.append(NotShown(keys=keys, reason="not among --terms" if are_chosen else reason))
    return tuple(found)


_SELDOM: Sequence[tuple[str, tuple[str, ...], str]] = (
    ("saturation", ("motor.saturation",), "the motor was hardly driven past half of its duty"),
    ("gain_asymmetry", ("motor.gain_asymmetry",), "right and left did not get the same duties"),
    ("dead_zone_asymmetry", ("motor.dead_zone_asymmetry_duty",), "right and left did not get the same range of duties"),
    (
        "cart_mass",
        ("pole_cart.cart_mass_kg",),
        "the pole never hung while the motor drove, so it hardly moved the cart; forces are as accurate as this mass",
    ),
)


def _always(cart: CartParams, names: Collection[str]) -> Sequence[NotShown]:
    found = []
    if "cart_mass" in names:
        found.append(
            NotShown(
                keys=("pole_cart.pole_mass_kg",),
                reason="a cart whose masses and forces are all larger by a factor moves alike; weigh the pole",
            )
        )
    if "damping" in names:
        found.append(
            NotShown(
                keys=("friction.cart_viscous_n_s_m",),
                reason="the bridge brakes at duty 0, so only its sum with motor.back_emf_n_s_m shows",
            )
        )
    if cart.delay.apply is Apply.NEXT_TICK and "delay" in names:
        found.append(
            NotShown(
                keys=("delay.latency_s",),
                reason="commands wait for the control tick, so only the tick at which they take effect shows",
            )
        )
    found.append(NotShown(keys=("friction.cart_static_n",), reason="kept in proportion to friction.cart_coulomb_n"))
    if "motor_lag" not in names:
        found.append(NotShown(keys=("motor.lag_s",), reason="it looks like delay; --terms ... motor_lag searches it"))
    found.append(NotShown(keys=("delay.jitter_s", "delay.drop_probability"), reason="only the mean delay is searched"))
    return found
