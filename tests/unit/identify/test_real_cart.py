"""A short identification of a real cart; needs its recordings next to this checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_cart import CART, STEPS, errors_on, imported, published, swing_ups
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.identify.identification import IdentifyRequest, default_terms, identify
from cartpole_robot.open_loop.model import TERMS, Model, model_of

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "real_cart_recordings"

real_recordings = pytest.mark.skipif(not REAL.is_dir(), reason="no recordings of a real cart next to this checkout")


def test_benchmark_without_the_recordings_is_skipped(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks.real_cart", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"skipped: {tmp_path} holds no {STEPS}.csv" in done.stdout


def test_picture_that_is_there_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    (tmp_path / f"{STEPS}.csv").touch()
    (tmp_path / "found_steps.png").touch()
    words = [sys.executable, "-m", "benchmarks.real_cart", str(tmp_path), "--picture", str(tmp_path / "found.png")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "found_steps.png: exists already" in done.stderr
    assert "Traceback" not in done.stderr


def test_published_parameters_keep_what_is_the_recordings() -> None:
    found = Model(cart=load_cart(CART), delay_s=0.005, angle_zero_rad=0.01)
    model = published(found)
    assert (model.delay_s, model.angle_zero_rad) == (0.005, 0.01)
    assert TERMS["motor_gain"].read(model) == pytest.approx(2.655)
    assert TERMS["damping"].read(model) == pytest.approx(3.22)


@real_recordings
def test_few_seconds_of_the_real_cart_tell_more_than_its_published_parameters(tmp_path: Path) -> None:
    steps = imported(STEPS, REAL, tmp_path)
    run = imported(*(swing_ups([12])), REAL, tmp_path)
    known = steps.part(0.4, 0.6).series
    cart = load_cart(CART)
    names = default_terms([known], cart)
    assert {"cart_mass", "saturation", "back_emf", "viscous"} <= set(names)
    terms = ("delay", "motor_gain", "back_emf", "coulomb", "cart_mass")
    found = identify([known], cart, IdentifyRequest(terms=terms, window_s=0.5, held_out=0.0))
    by_name = {e.term.name: e.value for e in found.estimates}
    assert by_name["cart_mass"] > 3.0 * TERMS["cart_mass"].read(model_of(cart))
    for part in (steps.part(0.6, 0.7), run):
        errors = errors_on(part, found.model)
        assert errors["identified"].position_m < 0.5 * errors["published"].position_m
        assert errors["identified"].angle_rad < errors["published"].angle_rad
        assert np.isfinite(errors["published"].angle_rad)
