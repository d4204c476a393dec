"""Make the README's pictures again: both presets trained with seed 0, and the recommended policy balancing.

python -m benchmarks.readme_pictures
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cartpole_robot.animation import save_animation
from cartpole_robot.cart_files import load_cart
from cartpole_robot.evaluation import VERDICT_SEED
from cartpole_robot.policy import load_policy
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.run import TrainingJob, start_training, summary_text

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Write into `docs/` and print the two summaries."""
    DOCS.mkdir(exist_ok=True)
    cart = load_cart("gym")
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("recommended", "blog"):
            folder = Path(temporary, name)
            job = TrainingJob(config=load_preset(name), cart=cart, rig="sim", seed=0, folder=folder, tensorboard=False)
            outcome = start_training(job)
            if outcome.summary is None:
                return
            print(summary_text(outcome.summary))
            shutil.copyfile(folder / "learning_curve.png", DOCS / f"learning_curve_{name}.png")
        act = load_policy(Path(temporary, "recommended", "policy.npz")).action_function()
        with balancing_env(cart, "sim", 500) as env:
            save_animation(act, env, cart, DOCS / "balancing.gif", duration_s=6.0, seed=VERDICT_SEED)


if __name__ == "__main__":
    main()
