"""A recording as CSV and back, as Minari dataset, as video."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.policy.controllers import PolicyController
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.format import COLUMNS, Recording
from cartpole_robot.recording.metadata import ControllerRecord, Outcome, RecordingMetadata, RolloutEnd
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.loop import StepLog, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import Measurement, State
from tests.conftest import need
from tests.foreign import Convention, driven_swing, write_csv


def metadata(cart: CartParams) -> RecordingMetadata:
    return RecordingMetadata(cart=cart, rig="sim", controller=ControllerRecord(policy="test"), seed=4)


def recorded(path: Path, cart: CartParams, controller: Any, steps: int = 120) -> Recording:
    rig = simulated_rig(cart)
    first = start_rollout(rig, 4)
    with Recorder(path, metadata(cart)) as recorder:
        rollout = run_rollout(rig, SinglePilot(controller), first, max_steps=steps, log=StepLog(recorder=recorder))
        recorder.close(Outcome(end=rollout.end, steps=rollout.steps, reason=rollout.reason))
    rig.close()
    return read_recording(path)


def regulated(path: Path, cart_name: str = "diy_arduino") -> Recording:
    cart = load_cart(cart_name)
    return recorded(path, cart, regulator_of(cart))


def bang_bang(path: Path, cart_name: str = "gym", steps: int = 120) -> Recording:
    """A policy of two actions: it pushes toward where the pole falls."""
    cart = load_cart(cart_name)
    return recorded(
        path, cart, PolicyController(lambda seen: int(seen[2] + 0.3 * seen[3] > 0.0), cart.action_duties), steps
    )


def with_gap(path: Path) -> Recording:
    """A recording in which three ticks are missing."""
    cart = load_cart("diy_arduino")
    with Recorder(path, metadata(cart)) as recorder:
        for tick in [*range(20), *range(23, 50)]:
            position_m = 0.1 * np.sin(0.1 * tick)
            measured = Measurement(tick=tick, mcu_time_us=20_000 * tick, cart_position_m=position_m)
            recorder.append(measured, 0.02 * tick, 0.1, 1.0, 0)
        recorder.close(Outcome(end=RolloutEnd.DURATION, steps=47))
    return read_recording(path)


def converted(recording: Recording, form: str, out: Path, *words: str) -> int:
    return main(["convert", str(recording.path), "--to", form, "--out", str(out), *words])


@pytest.mark.parametrize("cart_name", ["diy_arduino", "sensorsini", "quanser_ip02", "gym"])
def test_csv_and_its_map_give_a_bit_identical_recording(tmp_path: Path, cart_name: str) -> None:
    recording = regulated(tmp_path / "r.parquet", cart_name)
    assert converted(recording, "csv", tmp_path / "r.csv") == 0
    header = (tmp_path / "r.csv").read_text().splitlines()[0]
    assert header.split(",") == [name for name, _, _ in COLUMNS]
    words = ["--map", str(tmp_path / "r.map.toml"), "--out", str(tmp_path / "again.parquet")]
    assert main(["import", str(tmp_path / "r.csv"), *words]) == 0
    again = read_recording(tmp_path / "again.parquet")
    assert again.rows.tobytes() == recording.rows.tobytes()
    assert again.cart == recording.cart


@pytest.mark.parametrize("seed", [0, 5])
def test_pole_that_its_hinge_holds_most_of_the_time_is_no_pole_that_hangs(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "r.parquet"
    assert (
        main(["record", "lqr", "--cart", "diy_arduino", "--rig", "virtual", "--seed", str(seed), "--out", str(path)])
        == 0
    )
    assert converted(read_recording(path), "csv", tmp_path / "r.csv") == 0
    words = ["--map", str(tmp_path / "r.map.toml"), "--out", str(tmp_path / "again.parquet")]
    assert main(["import", str(tmp_path / "r.csv"), *words]) == 0


def test_imported_recording_survives_csv_with_its_gaps(tmp_path: Path) -> None:
    theirs = Convention(angle_sign=-1)
    keep = np.ones(400, bool)
    keep[[50, 51, 200]] = False
    write_csv(tmp_path / "a.csv", {name: column[keep] for name, column in theirs.columns(driven_swing()).items()})
    (tmp_path / "a.toml").write_text(theirs.map_text(angle_sign=-1))
    words = ["--map", str(tmp_path / "a.toml"), "--out", str(tmp_path / "a.parquet")]
    assert main(["import", str(tmp_path / "a.csv"), *words]) == 0
    recording = read_recording(tmp_path / "a.parquet")
    assert converted(recording, "csv", tmp_path / "b.csv") == 0
    words = ["--map", str(tmp_path / "b.map.toml"), "--out", str(tmp_path / "b.parquet")]
    assert main(["import", str(tmp_path / "b.csv"), *words]) == 0
    again = read_recording(tmp_path / "b.parquet")
    assert again.rows.tobytes() == recording.rows.tobytes()
    assert again.cart.timing == recording.cart.timing


@pytest.mark.parametrize("name", ["r.csv", "r.map.toml"])
def test_csv_overwrites_neither_file_and_leaves_none_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    recording = regulated(tmp_path / "r.parquet")
    (tmp_path / name).write_text("precious")
    assert converted(recording, "csv", tmp_path / "r.csv") == 2
    assert f"{tmp_path / name}: exists already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["r.parquet", name])
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize(
    ("form", "out", "words", "message"),
    [
        ("csv", "r.txt", (), "expected a name that ends in .csv"),
        ("video", "r.avi", (), "expected .mp4 or .gif"),
        ("csv", "r.csv", ("--dataset-id", "a-v0"), "--dataset-id names a Minari dataset"),
    ],
)
def test_output_that_does_not_fit_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, out: str, words: tuple[str, ...], message: str
) -> None:
    recording = regulated(tmp_path / "r.parquet")
    assert converted(recording, form, tmp_path / out, *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


def test_gif_plays_at_the_recordings_pace(tmp_path: Path) -> None:
    recording = with_gap(tmp_path / "r.parquet")
    assert converted(recording, "video", tmp_path / "r.gif") == 0
    image = Image.open(tmp_path / "r.gif")
    shown_s = 0.0
    for frame in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(frame)
        shown_s += image.info["duration"] / 1000.0
    assert shown_s == pytest.approx(49 * 0.02, abs=0.04 + 1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.gif", "r.parquet"]


def test_each_picture_shows_the_newest_row_of_its_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = with_gap(tmp_path / "r.parquet")
    shown: list[float] = []

    def drawn(_: CartParams, state: State, **__: object) -> Image.Image:
        shown.append(state.cart_position_m)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("cartpole_robot.datasets.video.draw_cart_pole", drawn)
    assert converted(recording, "video", tmp_path / "r.gif") == 0
    ticks = [19 if tick in (20, 22) else tick for tick in range(0, 50, 2)]  # every 40 ms; 20 to 22 are missing
    assert shown == pytest.approx([0.1 * np.sin(0.1 * tick) for tick in ticks])


def test_video_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = regulated(tmp_path / "r.parquet")

    def fill_the_disk(_: object, path: Path, **__: object) -> None:
        path.write_bytes(b"GIF89a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", fill_the_disk)
    assert converted(recording, "video", tmp_path / "r.gif") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


def test_mp4_plays_at_the_recordings_pace(tmp_path: Path) -> None:
    need(importlib.util.find_spec("imageio_ffmpeg") is not None, "imageio-ffmpeg")
    import imageio_ffmpeg

    recording = with_gap(tmp_path / "r.parquet")
    assert converted(recording, "video", tmp_path / "r.mp4") == 0
    frames, duration_s = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "r.mp4"))
    assert frames == 50
    assert duration_s == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("form", "out", "package"),
    [("video", "r.mp4", "imageio"), ("video", "r.mp4", "imageio_ffmpeg"), ("minari", "d", "minari")],
)
def test_missing_package_names_the_extra(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    out: str,
    package: str,
) -> None:
    recording = regulated(tmp_path / "r.parquet")
    monkeypatch.setitem(sys.modules, package, None)
    assert converted(recording, form, tmp_path / out) == 2
    message = capsys.readouterr().err
    assert f"the package {package} is not installed" in message
    assert "cartpole-robot[datasets]" in message
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


@pytest.fixture
def load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    need(importlib.util.find_spec("minari") is not None, "minari")
    import minari

    def load(name: str) -> Any:
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
        return minari.load_dataset(name)

    return load


def test_policys_recording_is_a_dataset_of_action_indices(
    tmp_path: Path, load_dataset: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = bang_bang(tmp_path / "r.parquet")
    monkeypatch.chdir(tmp_path)
    assert converted(recording, "minari", Path("datasets"), "--dataset-id", "pole/bang-v1") == 0
    dataset = load_dataset("pole/bang-v1")
    (episode,) = list(dataset)
    assert episode.observations.dtype == np.float32
    for place, name in enumerate(("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")):
        assert (episode.observations[:, place] == recording.rows[name].astype(np.float32)).all()
    duties = np.array(recording.cart.action_duties)
    assert (duties[episode.actions] == recording.rows["requested_duty"][:-1]).all()
    assert episode.rewards.tolist() == [1.0] * 120
    assert not episode.terminations.any()
    assert episode.truncations.tolist() == [False] * 119 + [True]
    env = dataset.recover_environment()
    assert env.unwrapped.cart == load_cart("gym")
    assert env.observation_space == dataset.observation_space
    env.close()


def test_fall_terminates_the_episode(tmp_path: Path, load_dataset: Callable[[str], Any]) -> None:
    cart = load_cart("gym")
    recording = recorded(tmp_path / "r.parquet", cart, PolicyController(lambda _: 1, cart.action_duties))
    assert converted(recording, "minari", tmp_path / "datasets") == 0
    (episode,) = list(load_dataset("cartpole_robot/r-v0"))
    assert episode.terminations.tolist() == [False] * (len(recording.rows) - 2) + [True]
    assert not episode.truncations.any()


def test_regulators_recording_is_a_dataset_of_duties(tmp_path: Path, load_dataset: Callable[[str], Any]) -> None:
    recording = regulated(tmp_path / "r.parquet")
    assert converted(recording, "minari", tmp_path / "datasets") == 0
    dataset = load_dataset("cartpole_robot/r-v0")
    assert dataset.action_space.shape == (1,)
    (episode,) = list(dataset)
    assert (episode.actions[:, 0] == recording.rows["requested_duty"][:-1].astype(np.float32)).all()
    assert all(dataset.observation_space.contains(seen) for seen in episode.observations)


def test_gap_ends_an_episode(tmp_path: Path, load_dataset: Callable[[str], Any]) -> None:
    recording = with_gap(tmp_path / "r.parquet")
    assert converted(recording, "minari", tmp_path / "datasets") == 0
    episodes = list(load_dataset("cartpole_robot/r-v0"))
    assert [len(episode.rewards) for episode in episodes] == [19, 26]
    assert [bool(episode.truncations[-1]) for episode in episodes] == [True, True]
    first = recording.rows["cart_position_m"][20].astype(np.float32)
    assert episodes[1].observations[0, 0] == first


def test_dataset_is_never_overwritten_and_a_bad_id_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load_dataset: Callable[[str], Any]
) -> None:
    recording = bang_bang(tmp_path / "r.parquet", steps=20)
    root = tmp_path / "datasets"
    for name in ("swing", "../swing-v0", "a b-v0", ""):
        assert converted(recording, "minari", root, "--dataset-id", name) == (2 if name else 0)
    capsys.readouterr()
    assert not (tmp_path / "swing-v0").exists()
    longer = dataclasses.replace(recording, path=bang_bang(tmp_path / "longer.parquet", steps=30).path)
    assert converted(longer, "minari", root, "--dataset-id", "cartpole_robot/r-v0") == 2
    assert "exists already" in capsys.readouterr().err
    assert len(next(iter(load_dataset("cartpole_robot/r-v0"))).rewards) == 20
