"""Make the pictures in docs/: both presets trained with seed 0, policies balancing, a recording, latencies and a
comparison. Pictures of a study, a stability map, a campaign and a real cart, which take longer, are copied from
`runs/`; where one is missing, the commands that make it are printed.

python -m benchmarks.readme_pictures
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.compare.comparison import CompareRequest, Comparison, compare
from cartpole_robot.compare.picture import draw_comparison
from cartpole_robot.compare.words import report_text
from cartpole_robot.deployment.latency_report import draw_latency
from cartpole_robot.deployment.run import DeployRequest, deploy
from cartpole_robot.drawing.animation import save_animation
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.plot import draw_recording
from cartpole_robot.rollout.episode import episode
from cartpole_robot.rollout.evaluation import VERDICT_SEED
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.run import start_training

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REAL_CART = "python -m benchmarks.real_cart FOLDER --picture runs/real_cart.png"
# The picture, its source under runs/, and the command that makes the source.
KEPT = (
    ("study_replay_memory.png", "study-replay-memory/figure.png", "cartpole-robot study replay-memory"),
    (
        "stability_map.png",
        "stability-diy_arduino/figure.png",
        "cartpole-robot train --cart diy_arduino --out runs/recommended && "
        "cartpole-robot train --preset robust --cart diy_arduino --actions=-0.4,-0.2,0.2,0.4 "
        "--randomize diy_arduino --out runs/robust && "
        "cartpole-robot stability-map runs/recommended runs/robust lqr lqr-true",
    ),
    ("campaign_curves.png", "campaign/curves.png", "make campaign"),
    ("imperfections.png", "imperfections.png", "python -m benchmarks.imperfections RUN"),
    ("real_cart.png", "real_cart.png", REAL_CART),
    ("real_cart_steps.png", "real_cart_steps.png", REAL_CART),
)


def train(preset: str, cart: CartParams, folder: Path) -> Path:
    """The run folder of that preset's training with seed 0; its summary is printed."""
    config = load_preset(preset)
    outcome = start_training(TrainingJob(config=config, cart=cart, rig="sim", seed=0, folder=folder, tensorboard=False))
    if outcome.summary is None:
        raise SystemExit("stopped")
    print(outcome.summary.text())
    return folder


def record(policy: Path, out: Path, *, rig: str = "sim", cart: Path | None = None) -> Recording:
    """Ten seconds of a policy, on the cart it was trained on if no file names another."""
    request = RolloutRequest(
        policy=policy,
        rig=rig,
        cart=None if cart is None else str(cart),
        backend="c",
        seed=VERDICT_SEED,
        duration_s=10.0,
        out=out,
    )
    return record_rollout(request)


def compare_with_later(policy: Path, folder: Path) -> None:
    """The simulation against a virtual cart that differs in one thing: commands take effect 33 ms after measurement."""
    cart = load_cart("diy_arduino")
    late = dataclasses.replace(cart, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.033))
    write_cart(folder / "late.toml", late)
    simulated = record(policy, folder / "simulated.parquet")
    recorded = record(policy, folder / "late.parquet", rig="virtual", cart=folder / "late.toml")
    found = compare(CompareRequest(simulated=str(simulated.path), recorded=recorded.path))
    print(report_text(found))
    replace_picture(found, DOCS / "comparison.png")


def replace_picture(found: Comparison, path: Path) -> None:
    """Replace the comparison's picture."""
    path.unlink(missing_ok=True)
    draw_comparison(found, path)


def take_kept(runs: Path, docs: Path) -> list[str]:
    """Copy the pictures of finished studies and maps from `runs` to `docs`; one line each on what was done."""
    lines = []
    for name, source, command in KEPT:
        figure = runs / source
        if figure.exists():
            shutil.copyfile(figure, docs / name)
            lines.append(f"docs/{name}: taken from {figure}")
        else:
            lines.append(f"docs/{name}: left as it is, {figure} is missing; make it with: {command}")
    return lines


def main() -> None:
    """Write the pictures to `docs/` and print the summaries."""
    DOCS.mkdir(exist_ok=True)
    print("\n".join(take_kept(ROOT / "runs", DOCS)))
    cart = load_cart("gym")
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("recommended", "blog"):
            folder = train(name, cart, Path(temporary, name))
            shutil.copyfile(folder / "learning_curve.png", DOCS / f"learning_curve_{name}.png")
        folder = train("recommended", load_cart("diy_arduino"), Path(temporary, "diy_arduino"))
        plot = Path(temporary, "recording_diy_arduino.png")  # draw_recording overwrites no file
        draw_recording(record(folder, Path(temporary, "rollout.parquet")), plot)
        shutil.copyfile(plot, DOCS / plot.name)
        record_to = Path(temporary, "deployed.parquet")
        request = DeployRequest(policy=folder, record=record_to, is_viewed=False, profile="ideal")  # no USB chip waits
        done = deploy(request)
        print(done.report.text())
        title = f"diy_arduino behind a pseudo-terminal, {done.times.steps} steps of 20 ms"
        draw_latency(done.times, DOCS / "deploy_latency.png", title)
        compare_with_later(folder, Path(temporary))
        bundle = load_policy(Path(temporary, "recommended", "policy.npz"))
        act = bundle.action_function()
        with balancing_env(cart, "sim", 500, history_length=bundle.interface.history_length) as env:
            steps = episode(env, act, seed=VERDICT_SEED, max_steps=round(6.0 / cart.timing.control_period_s))
            save_animation(((step.state, step.duty) for step in steps), cart, DOCS / "balancing.gif")


if __name__ == "__main__":
    main()
