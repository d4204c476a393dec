"""Stage `compare`: how far the identified cart in simulation is from the minute on the cart."""

from __future__ import annotations

from cartpole_robot.bring_up.stage import StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.compare.comparison import CompareRequest, Comparison, compare
from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.terminal.progress import progress_bar

_HORIZON_S = 0.2  # an upright pole falls by itself: over a second its errors grow a hundredfold


def comparison_of(work: Work) -> Comparison:
    """The comparison of the identified cart with the balanced minute. Raises as `compare`."""
    request = CompareRequest(
        simulated=str(work.path(StageName.IDENTIFY)), recorded=work.path(StageName.BALANCE), attributes=False
    )
    with progress_bar(100, "comparing", "%", quiet=True) as bar:
        return compare(request, progress=lambda share: bar.update(round(100 * share) - bar.n))


def compare_cart(work: Work) -> StageResult:
    """The errors of the identified cart under the commands of the balanced minute."""
    found = comparison_of(work)
    horizon = next((each for each in found.open_loop.horizons if each.windows and each.horizon_s >= _HORIZON_S), None)
    figures = {} if horizon is None else {"horizon_s": horizon.horizon_s}
    line = "the recording has no stretch that is long enough to simulate"
    if horizon is not None:
        errors = [rmse.scaled(signal.factor) for signal, rmse in zip(SIGNALS, horizon.rmse, strict=True)]
        texts = [f"{signal.label} {rmse.value:.3g} {signal.unit}" for signal, rmse in zip(SIGNALS, errors, strict=True)]
        line = f"open loop over {horizon.horizon_s:g} s: {', '.join(texts[:1] + texts[2:3])}"
        figures |= {signal.name: rmse.value for signal, rmse in zip(SIGNALS, horizon.rmse, strict=True)}
    return StageResult(name=StageName.COMPARE, line=line, figures=figures)
