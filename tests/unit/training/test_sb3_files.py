"""Model files of Stable-Baselines3 are data: no pickle in them runs, and damage is one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import PPO

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.training import sb3_model
from cartpole_robot.training.sb3_export import export_model_file
from cartpole_robot.training.sb3_model import ModelRefusedError
from tests.conftest import Completed
from tests.host_policies import balancing_model

CART = load_cart("gym")


def two_layers(**more: Any) -> Any:
    return balancing_model(PPO, CART, commands_duty=False, **more)


def edited(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the zip with changed members."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.zip"
    two_layers().save(path)
    return path


class Runs:
    """Unpickled it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "code of the file ran")


def saved(value: Any, **options: Any) -> bytes:
    import io

    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def test_no_pickle_of_a_file_runs(model_file: Path, tmp_path: Path) -> None:
    import base64
    import pickle

    trap = tmp_path / "trap"
    evil = pickle.dumps(Runs(trap))

    def in_data(members: dict[str, bytes]) -> None:
        data = json.loads(members["data"])
        for value in data.values():
            if isinstance(value, dict) and ":serialized:" in value:
                value[":serialized:"] = base64.b64encode(evil).decode()
        members["data"] = json.dumps(data).encode()
        members["policy.optimizer.pth"] = members["pytorch_variables.pth"] = evil

    done = export_model_file(edited(model_file, tmp_path / "a.zip", in_data), cart="gym", out=tmp_path / "out")
    assert done.tried.trials.is_passed, "the readable parts are all it takes"
    for content in (saved({"x": Runs(trap)}), saved({"x": Runs(trap)}, _use_new_zipfile_serialization=False), evil):
        file = edited(model_file, tmp_path / "b.zip", lambda members, new=content: members.update({"policy.pth": new}))
        with pytest.raises(ModelRefusedError, match="cannot be read without running code of it"):
            export_model_file(file, cart="gym", out=tmp_path / "other")
    assert not trap.exists()


def test_damaged_files_are_reported_in_one_line(model_file: Path, tmp_path: Path) -> None:
    whole = model_file.read_bytes()
    cases: dict[str, bytes] = {"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}
    for name, content in cases.items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is not a readable model file of Stable-Baselines3"):
            export_model_file(path, cart="gym", out=tmp_path / "out")
    changes: dict[str, Callable[[dict[str, bytes]], None]] = {
        "no weights": lambda members: members.pop("policy.pth") and None,
        "no data": lambda members: members.pop("data") and None,
    }
    for change in changes.values():
        with pytest.raises(UsageError, match="is not a readable model file"):
            export_model_file(edited(model_file, tmp_path / "x.zip", change), cart="gym", out=tmp_path / "out")
    texts = (b"{", b"[]", b"{}", b'{"policy_kwargs": 3}', b"\xff", b"[" * 100_000)
    for text in texts:
        file = edited(model_file, tmp_path / "x.zip", lambda members, new=text: members.update({"data": new}))
        with pytest.raises(ModelRefusedError, match="cannot be read without running code of it"):
            export_model_file(file, cart="gym", out=tmp_path / "out")
    with pytest.raises(UsageError, match="no such model file"):
        export_model_file(tmp_path / "none.zip", cart="gym", out=tmp_path / "out")
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export_model_file(tmp_path / "folder.zip", cart="gym", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "holds no table of tensors"),
        ({"action_net.weight": 3}, "is no plain tensor"),
        ({"action_net.weight": torch.zeros(2, 6, dtype=torch.float64)}, "float64, expected float32"),
        ({"action_net.weight": torch.zeros(1).expand(1 << 23)}, "has 8388608 numbers"),
        ({"action_net.weight": torch.zeros(2, 6).to_sparse()}, "is no plain tensor"),
        ({"action_net.weight": torch.zeros(2, 6, device="meta")}, "is no plain tensor"),
        ({}, "has 0 hidden layers"),
        ({"noise.weight": torch.zeros(2)}, "has the tensor 'noise.weight', which is not known here"),
    ],
)
def test_weights_of_another_kind_are_refused(model_file: Path, tmp_path: Path, value: Any, message: str) -> None:
    file = edited(model_file, tmp_path / "x.zip", lambda members: members.update({"policy.pth": saved(value)}))
    with pytest.raises(ModelRefusedError, match=message):
        export_model_file(file, cart="gym", out=tmp_path / "out")


def test_compressed_weights_are_not_expanded(model_file: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        inner = tmp_path / "policy.pth"
        inner.write_bytes(members["policy.pth"])
        with zipfile.ZipFile(inner) as archive, zipfile.ZipFile(tmp_path / "small", "w", zipfile.ZIP_DEFLATED) as new:
            for name in archive.namelist():
                new.writestr(name, archive.read(name))
        members["policy.pth"] = (tmp_path / "small").read_bytes()

    with pytest.raises(ModelRefusedError, match=r"policy\.pth is compressed"):
        export_model_file(edited(model_file, tmp_path / "x.zip", change), cart="gym", out=tmp_path / "out")


def test_old_pytorch_reads_no_file_of_others(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sb3_model.torch, "__version__", "2.5.1")
    with pytest.raises(UsageError, match=r"may run code of a model file; install 2\.6 or later"):
        export_model_file(model_file, cart="gym", out=tmp_path / "out")


def test_command_exports_a_model_file(model_file: Path, tmp_path: Path, command_here: Callable[..., Completed]) -> None:
    done = command_here("export", model_file, "--cart", "gym", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "header         none: its network has two hidden layers, tanh; the int16 form takes" in done.stdout
    assert "survived 100 of 100 fresh episodes of 500 steps" in done.stdout
    assert "trials         passed all 105" in done.stdout
    record = json.loads(command_here("evaluate", tmp_path / "out", "--episodes", 5, "--json").stdout)
    assert record["episodes_survived"] == 5


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--cart", "diy_arduino"), 1, "observations up to"),
        ((), 2, "a model does not say which cart it was trained on; name it with --cart"),
        (("--cart", "gym", "--trust"), 2, "--trust is for a run folder"),
        (("--cart", "gym", "--model", "last"), 2, "--model is for a run folder"),
        (("--cart", "nowhere"), 2, "nowhere"),
    ],
)
def test_command_reports_what_does_not_fit(
    model_file: Path, tmp_path: Path, command_here: Callable[..., Completed], words: Any, status: int, message: str
) -> None:
    done = command_here("export", model_file, *words, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_command_keeps_what_exists_and_the_options_of_a_run_apart(
    model_file: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    (tmp_path / "out").mkdir()
    done = command_here("export", model_file, "--cart", "gym", "--out", tmp_path / "out")
    assert (done.returncode, list((tmp_path / "out").iterdir())) == (2, [])
    assert "exists already" in done.stderr
    done = command_here("export", tmp_path, "--cart", "gym", "--out", tmp_path / "other")
    assert done.returncode == 2
    assert "--cart is for a model file" in done.stderr
