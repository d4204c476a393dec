"""The whole way in one go: train in simulation, export, and run on a cart with its real firmware, virtual as it is."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.compare.comparison import CompareRequest, compare
from cartpole_robot.compare.html_report import write_report
from cartpole_robot.compare.words import summary
from cartpole_robot.drawing.animation import save_animation
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.recording.plot import draw_recording
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.summary import recording_summary, recording_text
from cartpole_robot.rollout.episode import episode
from cartpole_robot.rollout.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.run import start_training, summary_text

CART = "diy_arduino"
EPISODES = 20


def demo(out: Path | None) -> int:
    """Train for a cart one can build, run the policy on the virtual one, record it; returns the exit code."""
    folder = out or next(path for n in itertools.count(1) if not (path := Path("runs", f"demo-{n}")).exists())
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another --out")
    cart = load_cart(CART)
    config = load_preset("recommended")
    print(f"1. Training a DQN on the cart {cart.name!r} in PyBullet, {config.steps} turns, and judging it.")
    job = TrainingJob(config=config, cart=cart, rig="sim", seed=0, folder=folder, tensorboard=True)
    outcome = start_training(job)
    if outcome.summary is None:
        print(f"Stopped. Go on with: cartpole-robot train --resume {folder}")
        return 1
    print(summary_text(outcome.summary))

    print(
        "2. The exported policy on the virtual cart: the firmware's C, its protocol and safety before the same plant."
    )
    act = load_policy(folder / "policy.npz").action_function()
    with balancing_env(cart, "virtual", 500, history_length=config.history_length) as env:
        result = evaluate(act, env, episodes=EPISODES, first_seed=VERDICT_SEED, max_turns=500)
        survived = result.turns.count(500)
        print(f"  {result.mean_turns:.1f} mean turns over {EPISODES} episodes, {survived} survived all 500")
        for fault in result.faults[:5]:
            print(f"  {fault}")
        steps = episode(env, act, seed=VERDICT_SEED, max_steps=round(10.0 / cart.timing.control_period_s))
        save_animation(((step.state, step.duty) for step in steps), cart, folder / "balancing.gif")

    print(
        "3. Ten seconds of it in real time: that cart behind a pseudo-terminal, driven as a real one is, and recorded."
    )
    sys.stdout.flush()
    deployed = subprocess.run(  # a process of its own, as on the board beside a cart: nothing of the training in it
        [
            *(sys.executable, "-m", "cartpole_robot", "deploy", str(folder), "--rig", "virtual", "--no-view"),
            *("--duration-s", "10", "--seed", str(VERDICT_SEED), "--record", str(folder / "virtual.parquet")),
        ],
        check=False,
    )
    recording = read_recording(folder / "virtual.parquet")
    draw_recording(recording, folder / "virtual.png")
    print(recording_text(recording_summary(recording)))

    print("4. The same ten seconds in simulation, and how far it is from the cart that was recorded.")
    record_rollout(
        RolloutRequest(
            policy=folder,
            rig="sim",
            cart=None,
            backend="c",
            seed=VERDICT_SEED,
            duration_s=10.0,
            out=folder / "simulated.parquet",
        )
    )
    request = CompareRequest(simulated=str(folder / "simulated.parquet"), recorded=recording.path)
    with progress_bar(100, "comparing", "%") as bar:
        compared = compare(request, progress=lambda share: bar.update(round(100 * share) - bar.n))
    write_report(compared, folder / "report.html")
    for sentence in summary(compared):
        print(f"  {sentence}")
    print(f"  the report: {folder / 'report.html'}")

    print(f"Everything is in {folder}:")
    for name, what in (
        ("learning_curve.png", "turns survived while training"),
        ("balancing.gif", "the policy at work on the virtual cart"),
        ("virtual.parquet", "its recording; virtual.png shows it, pandas.read_parquet opens it"),
        ("virtual.latency.png", "how punctual it was; virtual.latency.json has the figures"),
        ("report.html", "simulated and virtual cart compared; opens in a browser, without a network"),
        ("policy.npz", "the policy bundle; policy.onnx and policy_weights.h hold the same"),
        ("summary.json", "every figure of the training"),
    ):
        print(f"  {name:<20} {what}")
    return 0 if survived == EPISODES and deployed.returncode == 0 else 1
