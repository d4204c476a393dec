"""Signs and units of an import, settled between what a person says and what the motion says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cartpole_robot.datasets.angle_sign import AngleVerdict
from cartpole_robot.datasets.column_map import AngleZero
from cartpole_robot.datasets.duty_sign import DutyVerdict
from cartpole_robot.errors import UsageError

Confirm = Callable[[str], bool]

_OTHER_UNIT = 3.0  # two lengths that differ by this factor are no matter of accuracy
_OTHER_POLE = 1.3  # and this is worth a word
_WELL_EXPLAINED = 0.7


@dataclass(kw_only=True)
class Settlement:
    """Settles one import. `confirm` asks a person, None where there is nobody; `warnings` are for the report."""

    where: str
    confirm: Confirm | None
    warnings: list[str] = field(default_factory=list)

    def sign(
        self, signal: str, in_map: int | None, on_command_line: int | None, verdict: AngleVerdict | DutyVerdict
    ) -> int:
        """The sign to read `signal` ("angle", "duty") with; the command line counts more than the map.

        Raises `UsageError` where nobody says it, or the motion says the contrary of the map.
        """
        found, evidence, option = verdict.sign, verdict.evidence(), f"--{signal}-sign"
        said = in_map if on_command_line is None else on_command_line
        if said is not None and found is None:
            self.warnings.append(f"{signal} sign: the motion cannot tell ({verdict.why}); {said} is what was said")
            return said
        if said is not None:
            if said != found and on_command_line is None:
                raise UsageError(
                    f"{self.where}: the map says {signal} sign {said}, the motion says {found}: {evidence}; "
                    f"correct the map, or insist with {option} {said}"
                )
            if said != found:
                self.warnings.append(f"{signal} sign {said} against the motion, which says {found}: {evidence}")
            return said
        if found is None:
            raise UsageError(
                f"{self.where}: the map gives no {signal} sign, and the motion cannot tell: {verdict.why}; "
                f"look at the cart and say it with {option} 1 or {option} -1"
            )
        question = f"{signal} sign {found} by the motion: {evidence}"
        if self.confirm is None:
            raise UsageError(f"{self.where}: {question}; confirm with {option} {found}")
        if not self.confirm(f"{question}. Is it {found}?"):
            raise UsageError(f"{self.where}: the {signal} sign was not confirmed; say it with {option}")
        return found

    def check_zero(self, zero: AngleZero, verdict: AngleVerdict) -> None:
        """Nothing, unless the gravity term has the other sign than the map's zero asks for: then `UsageError`."""
        if verdict.is_zero_right is False:
            other = AngleZero.HANGING if zero is AngleZero.UPRIGHT else AngleZero.UPRIGHT
            raise UsageError(
                f"{self.where}: the map says the angle's zero is {zero.value}, and gravity pulls the pole as if it "
                f"were {other.value} (a fit that explains {100.0 * _explained(verdict):.0f} % of its motion); correct "
                "zero in [angle], or offset by half a turn"
            )

    def check_lengths(self, verdict: AngleVerdict) -> None:
        """Nothing where the pole's length by gravity, by the cart's acceleration and of the cart file agree.

        Raises `UsageError` where two differ as only units do; warns where the cart's pole seems to be another.
        """
        gravity_m, cart_m = verdict.gravity_length_m, verdict.cart_length_m
        if gravity_m is None or cart_m is None or _explained(verdict) < _WELL_EXPLAINED:
            return
        lengths = f"its swinging says its effective length is {gravity_m:.4g} m, the cart file says {cart_m:.4g} m"
        if _factor(gravity_m, cart_m) > _OTHER_UNIT:
            raise UsageError(f"{self.where}: the pole: {lengths}; correct the unit in [time], or name the right --cart")
        if _factor(gravity_m, cart_m) > _OTHER_POLE:
            self.warnings.append(f"another pole? {lengths}; --cart names the cart")
        push_m = verdict.acceleration_length_m
        if push_m is not None and verdict.sign is not None and _factor(gravity_m, push_m) > _OTHER_UNIT:
            raise UsageError(
                f"{self.where}: the pole: its swinging says its effective length is {gravity_m:.4g} m, what the cart's "
                f"acceleration does to it says {push_m:.4g} m; correct the unit of the position or of the angle"
            )


def _explained(verdict: AngleVerdict) -> float:
    residuals = (verdict.residual_plus_rad_s2, verdict.residual_minus_rad_s2)
    return max(verdict.explained(residual) for residual in residuals if residual is not None)


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)
