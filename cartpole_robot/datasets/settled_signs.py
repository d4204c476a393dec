"""Signs and units of an import, settled between what the user states and what the motion shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cartpole_robot.datasets.angle_sign import AngleVerdict
from cartpole_robot.datasets.column_map import AngleZero
from cartpole_robot.datasets.duty_sign import DutyVerdict
from cartpole_robot.errors import UsageError

Confirm = Callable[[str], bool]

_OTHER_UNIT = 3.0  # two lengths that differ by this factor have different units
_OTHER_POLE = 1.3  # by this factor: a warning
_WELL_EXPLAINED = 0.7


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

        Raises `UsageError` where no source gives it, or the motion contradicts the map.
        """
        found, evidence, option = verdict.sign, verdict.evidence(), f"--{signal}-sign"
        stated = in_map if on_command_line is None else on_command_line
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

    def check_zero(self, zero: AngleZero, verdict: AngleVerdict) -> None:
        """Raises `UsageError` where the sign of the gravity term contradicts the map's zero."""
        if verdict.is_zero_right is False:
            other = AngleZero.HANGING if zero is AngleZero.UPRIGHT else AngleZero.UPRIGHT
            raise UsageError(
                f"{self.where}: the map says the angle's zero is {zero.value}, and gravity pulls the pole as if it "
                f"were {other.value} (a fit that explains {100.0 * _explained(verdict):.0f} % of its motion); correct "
                "zero in [angle], or offset by half a turn"
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
        if _factor(gravity_m, cart_m) > _OTHER_POLE:
            self.warnings.append(f"another pole? {lengths}; --cart names the cart")
        push_m = verdict.acceleration_length_m
        if push_m is not None and verdict.sign is not None and _factor(gravity_m, push_m) > _OTHER_UNIT:
            raise UsageError(
                f"{self.where}: the pole: its effective length is {gravity_m:.4g} m by its swing and {push_m:.4g} m "
                "by the cart's acceleration; correct the unit of the position or of the angle"
            )


def _explained(verdict: AngleVerdict) -> float:
    residuals = (verdict.residual_plus_rad_s2, verdict.residual_minus_rad_s2)
    return max(verdict.explained(residual) for residual in residuals if residual is not None)


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)
