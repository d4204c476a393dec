"""What a bring-up did, in plain words: for the terminal, `summary.txt` and the report."""

from __future__ import annotations

from cartpole_robot.bring_up.folder import RECORD_FILE, REPORT_FILE, SUMMARY_FILE
from cartpole_robot.bring_up.run import BringUp, Failure
from cartpole_robot.bring_up.stage import CART_STAGES, StageName, StageResult

_BEFORE_BALANCE = (StageName.HOME, StageName.BRAKE, StageName.ACCELERATION, StageName.EXCITE, StageName.SWING_UP)
_TIME_ENDS = 21  # column of a stage's line


def verdict(done: BringUp) -> str:
    """One sentence: how far it came."""
    failure, results = done.failure, done.folder.results
    if failure is not None:
        return f"{failure.stage} failed: {failure.message}"
    if StageName.BALANCE in results:
        return f"{results[StageName.BALANCE].line}."
    last = done.results[-1].name if done.results else "nothing"
    return f"done up to {last}; the same command continues."


def cart_time_text(done: BringUp) -> str | None:
    """The motor's time before the minute that was balanced; None before there is one."""
    results = done.folder.results
    if StageName.BALANCE not in results:
        return None
    armed_s, homing_s = cart_time_s(done)
    wall_s = sum(result.wall_s for result in done.results)
    simulated = "" if done.work.line.is_real else " of this computer's time; the cart's time is simulated"
    return (
        f"Before that minute the motor was armed for {armed_s:.0f} s, and the cart homed for {homing_s:.0f} s. "
        f"All stages took {wall_s:.0f} s{simulated}."
    )


def cart_time_s(done: BringUp) -> tuple[float, float]:
    """How long the motor was armed before the balanced minute, and how long the cart homed; s."""
    results = done.folder.results
    before = [results[name] for name in _BEFORE_BALANCE if name in results]
    armed_s = sum(result.armed_s for result in before)
    homing_s = sum(result.homing_s for result in results.values() if result.name in CART_STAGES)
    return armed_s + float(results[StageName.BALANCE].figures["armed_before_s"]), homing_s


def stage_line(result: StageResult, *, is_old: bool = False) -> str:
    """A stage's line for the terminal."""
    time = "done before" if is_old else f"{result.wall_s:.1f} s"
    return f"  {result.name}{time:>{_TIME_ENDS - len(result.name)}}  {result.line}"


def failure_lines(failure: Failure) -> list[str]:
    """What happened, with its figure, and what to do."""
    lines = [f"  {failure.stage}{'FAILED':>{_TIME_ENDS - len(failure.stage)}}  {failure.message}"]
    return [*lines, f"{'':24}-> {failure.remedy}"] if failure.remedy else lines


def summary_text(done: BringUp) -> str:
    """All of it as plain text."""
    identity = done.folder.identity
    lines = [f"bring-up of the cart {identity.cart} on {identity.rig}", ""]
    lines += [stage_line(result) for result in done.results]
    return "\n".join(lines) + f"\n{closing_text(done)}\n"


def closing_text(done: BringUp) -> str:
    """What a terminal still needs after the lines of the stages: how it ended, notes, and files."""
    lines = failure_lines(done.failure) if done.failure is not None else ["", _capital(verdict(done))]
    time = cart_time_text(done)
    lines += [time] if time is not None else []
    notes = [(result.name, note) for result in done.results for note in result.notes]
    lines += ["", "notes", *(f"  {name}: {note}" for name, note in notes)] if notes else []
    lines += ["", "files", *(f"  {name:<20} {what}" for name, what in files_of(done))]
    return "\n".join(lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def files_of(done: BringUp) -> list[tuple[str, str]]:
    """The files of the finished stages for the user, and what they are."""
    results = done.folder.results
    found = []
    if StageName.EXCITE in results:
        found.append(("excited.parquet", "recording of the motion with the pole hanging"))
    if StageName.IDENTIFY in results:
        found.append(("identified.toml", "the identified cart, a cart file"))
    if StageName.TRAIN in results:
        found.append((str(results[StageName.TRAIN].figures["policy"]), "run folder of the policy"))
    if StageName.BALANCE in results:
        found.append(("balanced.parquet", "recording of the balanced minute"))
    return [
        *found,
        (SUMMARY_FILE, "this summary as text"),
        (REPORT_FILE, f"this summary as a page{', with the comparison' if StageName.COMPARE in results else ''}"),
        (RECORD_FILE, "every figure"),
    ]
