"""Signs, zero and units of an import, settled between what the user states and what the motion shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.angle_sign import AngleVerdict
from cartpole_robot.datasets.duty_sign import DutyVerdict
from cartpole_robot.datasets.row_clock import RowClock
from cartpole_robot.datasets.signal_columns import AngleColumn, AngleZero, DutyColumn
from cartpole_robot.errors import UsageError

Confirm = Callable[[str], bool]

_OTHER_UNIT = 3.0  # two lengths that differ by this factor have different units
_OTHER_POLE = 1.3  # by this factor: a warning
_WELL_EXPLAINED = 0.7
_HALF_TURN_RAD = math.radians(5.0)  # within which a zero is at the other end itself
_LEAST_DUTY = 0.02  # of one side: less does not count as driving
_LISTED = 3


@dataclass(kw_only=True)
class Settlement:
    """Settles one import. `confirm` asks the user, None where no user can answer; `warnings` are for the report."""

    where: str
    confirm: Confirm | None
    warnings: list[str] = field(default_factory=list)

    def sign(
        self, signal: str, in_map: int | None, on_command_line: int | None, verdict: AngleVerdict | DutyVerdict
    ) -> int:
        """The sign to read `signal` ("angle", "duty") with; the command line overrides the map.

        Raises `UsageError` where no source gives it, the motion contradicts the map, or the column is no angle at all.
        """
        if not verdict.is_needed:
            return 1
        found, evidence, option = verdict.sign, verdict.evidence(), f"--{signal}-sign"
        stated = in_map if on_command_line is None else on_command_line
        is_other_motion = isinstance(verdict, AngleVerdict) and verdict.is_other_motion
        if in_map is not None and on_command_line is None and is_other_motion:
            raise UsageError(
                f"{self.where}: the column of [angle] moves, and not as the angle of a free pole ({verdict.why}): a "
                "cosine, another column, a pole moved by hand? correct column or unit in [angle], or insist with "
                f"{option} {in_map}"
            )
        if stated is not None and found is None:
            self.warnings.append(f"{signal} sign: the motion does not show it ({verdict.why}); using {stated} as given")
            return stated
        if stated is not None:
            if stated != found and on_command_line is None:
                raise UsageError(
                    f"{self.where}: the map says {signal} sign {stated}, the motion says {found}: {evidence}; "
                    f"correct the map, or insist with {option} {stated}"
                )
            if stated != found:
                self.warnings.append(f"{signal} sign {stated} against the motion, which says {found}: {evidence}")
            return stated
        if found is None:
            raise UsageError(
                f"{self.where}: the map gives no {signal} sign, and the motion does not show it: {verdict.why}; "
                f"look at the cart and give it with {option} 1 or {option} -1"
            )
        question = f"{signal} sign {found} by the motion: {evidence}"
        if self.confirm is None:
            raise UsageError(f"{self.where}: {question}; confirm with {option} {found}")
        if not self.confirm(f"{question}. Is it {found}?"):
            raise UsageError(f"{self.where}: the {signal} sign was not confirmed; give it with {option}")
        return found

    def check_zero(self, angle: AngleColumn, verdict: AngleVerdict) -> None:
        """Warn of a zero that the motion puts elsewhere, however well it is explained.

        Raises `UsageError` where gravity contradicts the map's zero: it is nearer to the other end of the turn.
        """
        shift_rad = verdict.zero_shift_rad
        is_at_other_end = verdict.is_zero_right is False
        if is_at_other_end and (shift_rad is None or math.pi - abs(shift_rad) < _HALF_TURN_RAD):
            other = AngleZero.HANGING if angle.zero is AngleZero.UPRIGHT else AngleZero.UPRIGHT
            raise UsageError(
                f"{self.where}: the map says the angle's zero is {angle.zero.value}, and gravity pulls the pole as "
                f"if it were {other.value} (a fit that explains {100.0 * _explained(verdict):.0f} % of its motion); "
                "correct zero in [angle], or offset by half a turn"
            )
        if shift_rad is None:
            return
        offset = f"{angle.offset - shift_rad * angle.per_rad:.6g}"
        message = (
            f"the angle's zero is off by {abs(math.degrees(shift_rad)):.1f} degrees: the pole moves as if it were "
            f"{angle.zero.value} where {angle.column!r} reads {offset}, and the map says {angle.offset:g}; set offset "
            f"= {offset} in [angle]"
        )
        if is_at_other_end:
            raise UsageError(f"{self.where}: {message}")
        self.warnings.append(message)

    def check_sides(self, command: DutyColumn, duty: NDArray[np.float64]) -> None:
        """Warn of a command that drives the cart to one side only; `duty` has shape (rows,)."""
        low, high = float(np.nanmin(duty, initial=0.0)), float(np.nanmax(duty, initial=0.0))
        if command.column is not None and max(high, -low) >= _LEAST_DUTY and min(high, -low) < _LEAST_DUTY:
            self.warnings.append(
                f"the duty never changes sign, it goes from {np.nanmin(duty):.3g} to {np.nanmax(duty):.3g}; if the "
                "motor is off at another reading than 0 give that as offset in [duty], if a column says which way it "
                "drives give that as direction"
            )

    def tell_parts(self, clock: RowClock, paths: list[Path]) -> None:
        """Warn where the file becomes several recordings."""
        parts = clock.parts()
        if len(parts) > 1:
            begins = [
                f"{path.name} from line {part.first_line} ({part.why})" for path, part in zip(paths, parts, strict=True)
            ]
            more = f", and {len(parts) - 1 - _LISTED} more" if len(parts) - 1 > _LISTED else ""
            self.warnings.append(
                f"the file becomes {len(parts)} recordings: {paths[0].name}, {', '.join(begins[1 : 1 + _LISTED])}{more}"
            )

    def check_lengths(self, verdict: AngleVerdict) -> None:
        """Compare the pole's length by gravity, by the cart's acceleration and in the cart file.

        Raises `UsageError` where two differ as only units do; warns where the cart's pole seems to be another one.
        """
        gravity_m, cart_m = verdict.gravity_length_m, verdict.cart_length_m
        if gravity_m is None or cart_m is None or _explained(verdict) < _WELL_EXPLAINED:
            return
        lengths = f"its effective length is {gravity_m:.4g} m by its swing, the cart file says {cart_m:.4g} m"
        if _factor(gravity_m, cart_m) > _OTHER_UNIT:
            raise UsageError(f"{self.where}: the pole: {lengths}; correct the unit in [time], or name the right --cart")
        push_m = verdict.acceleration_length_m if verdict.sign is not None else None
        # while a pole balances its lean is what the cart's acceleration is: neither figure alone shows another pole
        if all(_factor(found_m, cart_m) > _OTHER_POLE for found_m in (gravity_m, push_m or gravity_m)):
            push = "" if push_m is None else f" and {push_m:.4g} m by the cart's acceleration"
            self.warnings.append(
                f"another pole? its effective length is {gravity_m:.4g} m by its swing{push}, the cart file says "
                f"{cart_m:.4g} m; --cart names the cart"
            )
        if push_m is not None and _factor(gravity_m, push_m) > _OTHER_UNIT:
            raise UsageError(
                f"{self.where}: the pole: its effective length is {gravity_m:.4g} m by its swing and {push_m:.4g} m "
                "by the cart's acceleration; correct the unit of the position or of the angle"
            )


def _explained(verdict: AngleVerdict) -> float:
    residuals = (verdict.residual_plus_rad_s2, verdict.residual_minus_rad_s2)
    return max(verdict.explained(residual) for residual in residuals if residual is not None)


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)
