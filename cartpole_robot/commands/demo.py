"""Every stage at once: train in simulation, export, and run on a virtual cart with the real firmware."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.commands.options import DIY_CART
from cartpole_robot.commands.output import DONE, FAILED, command_line, print_error, print_text, report_stop, rows_text
from cartpole_robot.compare.comparison import CompareRequest, compare
from cartpole_robot.compare.html_report import write_report
from cartpole_robot.compare.words import summary
from cartpole_robot.drawing.animation import save_animation
from cartpole_robot.errors import UsageError
from cartpole_robot.files.run_folder import read_json, unused_folder
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.recording.plot import draw_recording
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.summary import recording_summary, recording_text
from cartpole_robot.rigs.engine_choice import chosen_engine
from cartpole_robot.rollout.episode import episode
from cartpole_robot.rollout.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.run import start_training
from cartpole_robot.training.summary import TrainingOutcome

EPISODES = 20
DURATION_S = 10.0
ATTEMPTS = 3  # at the part in real time
_LATE = ("COMMAND_TIMEOUT", "no measurement")  # how a deployment ends whose host does not get its processor in time
_RECORDING = "virtual.parquet"
_CART = "virtual_cart.toml"
_FILES = {
    "learning_curve.png": "steps survived while training",
    "balancing.gif": "the policy at work on the virtual cart",
    _CART: "the virtual cart, which homes quickly",
    "virtual.parquet": "its recording; virtual.png shows it, pandas.read_parquet opens it",
    "virtual.latency.png": "how punctual it was; virtual.latency.json has the figures",
    "report.html": "simulated and virtual cart compared; opens in a browser, without a network",
    "policy.npz": "the policy bundle; policy.onnx and policy_weights.h hold the same",
    "summary.json": "every figure of the training",
}


def demo(out: Path | None) -> int:
    """Run every stage for the DIY cart, simulated in place of a real one; returns the exit code."""
    folder = out or unused_folder("demo")
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another --out")
    outcome = _train(folder)
    if outcome.no_policy is not None:
        print_error(f"no network passed every trial; try on with: {command_line('train', '--resume', folder)}")
        return FAILED
    if outcome.summary is None:
        return report_stop(f"the training so far is in {folder}", command_line("train", "--resume", folder))
    survives = _survives(folder)
    with ThreadPoolExecutor(1) as pool:
        animation = pool.submit(_animate, folder)  # while the cart homes, which this process only waits for
        drives = _drives(folder)
        pictures = [animation]
        if (folder / _RECORDING).exists():
            pictures.append(pool.submit(_draw, folder))
            _compare(folder)
    for picture in pictures:
        picture.result()
    made = {name: text for name, text in _FILES.items() if (folder / name).exists()}
    everything = "Everything" if survives and drives else "What was made before something failed"
    print(f"{everything} is in {folder}:\n{rows_text(made, 20)}")
    gc.freeze()  # or the interpreter's end goes through every object of PyTorch again, for half a second
    return DONE if survives and drives else FAILED


def _train(folder: Path) -> TrainingOutcome:
    """Train, and print how that ended."""
    config = load_preset("recommended")
    print(f"1. Training a DQN on the cart {DIY_CART!r} in simulation, {config.steps} steps, and judging it.")
    cart = load_cart(DIY_CART)
    engine, note = chosen_engine(cart)
    if note is not None:
        say(note)
    job = TrainingJob(config=config, cart=cart, rig="sim", engine=engine, seed=0, folder=folder, tensorboard=True)
    outcome = start_training(job)
    found = outcome.summary or outcome.no_policy
    if found is not None:
        print(found.text())
    return outcome


def _survives(folder: Path) -> bool:
    """Whether the policy survives every episode on the virtual cart."""
    print("2. The exported policy on the virtual cart: the firmware's C, its protocol and safety drive the same plant.")
    cart, bundle = load_cart(DIY_CART), load_policy(folder / "policy.npz")
    act = bundle.action_function()
    with balancing_env(cart, "virtual", MAX_EPISODE_STEPS, history_length=bundle.interface.history_length) as env:
        result = evaluate(act, env, episodes=EPISODES, first_seed=VERDICT_SEED, max_steps=MAX_EPISODE_STEPS)
        survived = result.steps.count(MAX_EPISODE_STEPS)
        lasted = f"mean {result.mean_steps:.1f} of {MAX_EPISODE_STEPS} steps"
        print(f"  {lasted}; {survived} of {EPISODES} episodes survived to the end")
        for fault in result.faults[:5]:
            print_text(f"  {fault}")
    return survived == EPISODES


def _animate(folder: Path) -> None:
    """Write the animation of ten seconds on the virtual cart, and load the packages that the report will need."""
    cart, bundle = load_cart(DIY_CART), load_policy(folder / "policy.npz")
    with balancing_env(cart, "virtual", MAX_EPISODE_STEPS, history_length=bundle.interface.history_length) as env:
        most = round(DURATION_S / cart.timing.control_period_s)
        steps = episode(env, bundle.action_function(), seed=VERDICT_SEED, max_steps=most)
        save_animation(((step.state, step.duty) for step in steps), cart, folder / "balancing.gif")
    for package in ("pandas", "plotly.graph_objects"):
        importlib.import_module(package)


def _drives(folder: Path) -> bool:
    """Whether the policy drives the virtual cart in real time to the end, or only the machine's lateness stopped it."""
    print(
        "3. Ten seconds of it in real time: that cart behind a pseudo-terminal, driven like a real one, and recorded.\n"
        "   It has what a workbench has: a USB chip that waits, belt play, a bridge that shortens pulses, and more.\n"
        "   (It homes in a few seconds, four times as fast as a cart of metal.)"
    )
    for attempt in range(1, ATTEMPTS + 1):
        sys.stdout.flush()
        is_whole = deploy_to_virtual(folder) == 0
        lateness = None if is_whole else _lateness(folder)
        if lateness is None:
            break
        print(f"  This machine is too busy for real time: {lateness}.")
        if attempt < ATTEMPTS:
            print(f"  Trying again ({attempt + 1} of {ATTEMPTS}).")
            for left in folder.glob(f"{Path(_RECORDING).stem}.*"):
                left.unlink()
        else:
            print("  The demo continues with what was recorded; run it again on a machine that is less busy.")
    recording = folder / _RECORDING
    if not recording.exists():
        return False
    found = read_recording(recording)
    print_text(recording_text(recording_summary(found)))
    return is_whole or lateness is not None


def deploy_to_virtual(folder: Path) -> int:
    """The exit code of `deploy`, in a process without the training's packages, as on the computer at a cart."""
    cart = folder / _CART
    if not cart.exists():
        write_cart(cart, quickly_homing(load_cart(DIY_CART)))
    return subprocess.run(
        [
            *(sys.executable, "-m", "cartpole_robot", "deploy", str(folder), "--rig", "virtual", "--no-view"),
            *("--cart", str(cart), "--duration-s", f"{DURATION_S:g}", "--seed", str(VERDICT_SEED)),
            *("--record", str(folder / _RECORDING)),
        ],
        check=False,
    ).returncode


def _draw(folder: Path) -> None:
    draw_recording(read_recording(folder / _RECORDING), folder / "virtual.png")


def _lateness(folder: Path) -> str | None:
    """How late the host was, where that ended the deployment; None if something else did."""
    recording = folder / _RECORDING
    if not recording.exists():
        return None
    outcome = read_recording(recording).outcome
    if outcome is None or outcome.end is not RolloutEnd.FAULT or not (outcome.reason or "").startswith(_LATE):
        return None
    report = read_json(recording.with_suffix(".latency.json"), "the latencies are missing")
    latency = report["latency_us"]
    late_us = latency["figures"].get("loop_lateness", {}).get("max", 0.0)
    fault = str(outcome.reason).partition(" ")[0]
    return (
        f"{fault} after {outcome.steps} steps, measurements up to {late_us / 1000.0:.0f} ms late, "
        f"{latency['missed']} control ticks without a new command in time"
    )


def _compare(folder: Path) -> None:
    print("4. The same ten seconds in simulation, and how far it is from the cart that was recorded.")
    record_rollout(
        RolloutRequest(
            policy=folder,
            rig="sim",
            cart=None,
            backend="c",
            seed=VERDICT_SEED,
            duration_s=DURATION_S,
            out=folder / "simulated.parquet",
        )
    )
    request = CompareRequest(simulated=str(folder / "simulated.parquet"), recorded=folder / _RECORDING)
    with progress_bar(100, "comparing", "%") as bar:
        compared = compare(request, progress=lambda share: bar.update(round(100 * share) - bar.n))
    write_report(compared, folder / "report.html")
    for sentence in summary(compared):
        print_text(f"  {sentence}")
    print(f"  the report: {folder / 'report.html'}")
