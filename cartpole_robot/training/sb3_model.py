"""What a Stable-Baselines3 model is, read from its zip file or from the living object, without running anything of it.

The zip holds pickles. They stay closed: read are the plain values and the readable texts next to each pickle in `data`,
and the tensors of `policy.pth`, with PyTorch's reader of plain tensors.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.plain_data import LARGEST_TEXT_BYTES, parse_json
from cartpole_robot.files.regular_file import open_regular
from cartpole_robot.training.dqn.learner import MODEL_FILE_ERRORS

SAFE_TORCH = (2, 6)  # before it, a file could run code through weights_only=True (CVE-2025-32434)
_LARGEST_BYTES = 1 << 28  # of the zip; a network of 256 units with its critics takes 3 MB
_LARGEST_WEIGHTS = 1 << 26
_MOST_NUMBERS = 1 << 22  # in one tensor
_LONGEST = 200  # characters of a text from a file that a message repeats


class ModelRefusedError(RunError):
    """A model that cannot become a policy; the message says what was found, what is supported and what to do."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A Gymnasium space as text: its class, and its attributes as they print."""

    kind: str
    attributes: Mapping[str, str]

    @property
    def name(self) -> str:
        """The class alone, such as "Box"."""
        return self.kind.rpartition(".")[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a Box; () where none is readable."""
        return tuple(int(number) for number in re.findall(r"\d{1,9}", self.attributes.get("_shape", "")))

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """The numbers of a one-dimensional attribute; None where it is no such thing."""
        text = self.attributes.get(name, "").strip()
        if not (text.startswith("[") and text.endswith("]")):
            return None
        try:
            return tuple(float(word) for word in text[1:-1].replace(",", " ").split())
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class Sb3Model:
    """A model as it describes itself. `settings` are the names and plain values of its constructor and progress.

    `policy_class` is "module.Name" of a living model and the module alone of a file, which does not tell the name;
    `tensors` are all of the policy's, float32, by PyTorch's names.
    """

    name: str
    policy_class: str
    policy_options: Mapping[str, str]
    observation_space: Space
    action_space: Space
    settings: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.float32]]
    version: str | None = None


def read_model(path: Path) -> Sb3Model:
    """The model in Stable-Baselines3's zip file.

    Raises `UsageError` for a file that is missing or no such zip, `ModelRefusedError` for one whose parts cannot be
    read as plain data.
    """
    release = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if release < SAFE_TORCH:
        raise UsageError(f"{path}: PyTorch {torch.__version__} may run code of a model file; install 2.6 or later")
    try:
        with open_regular(path) as file:
            if file.seek(0, io.SEEK_END) > _LARGEST_BYTES:
                raise ValueError(f"is larger than {_LARGEST_BYTES} bytes")
            with zipfile.ZipFile(file) as archive:
                text = _member(archive, "data", LARGEST_TEXT_BYTES)
                weights = _member(archive, "policy.pth", _LARGEST_WEIGHTS)
                version = _version(archive)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a model file of Stable-Baselines3 (.zip)") from None
    except (*MODEL_FILE_ERRORS, NotImplementedError) as error:
        raise UsageError(
            f"{path}: is not a readable model file of Stable-Baselines3 ({_shown(error)}); save the model again with "
            "model.save()"
        ) from None
    try:
        return _described(str(path), parse_json(text), _tensors(weights), version)
    except (*MODEL_FILE_ERRORS, OverflowError) as error:
        raise ModelRefusedError(
            f"{path}: cannot be read without running code of it ({_shown(error)}); save the model again with "
            "model.save(), or export the living model with cartpole_robot.training.sb3_export.export_model"
        ) from None


def living_model(model: Any, name: str = "the model") -> Sb3Model:
    """The description of a living model of Stable-Baselines3. Raises `ModelRefusedError` for another object."""
    policy = getattr(model, "policy", None)
    if not isinstance(policy, torch.nn.Module) or not isinstance(getattr(model, "policy_kwargs", None), dict):
        raise ModelRefusedError(f"{name}: is a {type(model).__name__}, expected a model of Stable-Baselines3")
    settings = {key: value for key, value in vars(model).items() if isinstance(value, bool | int | float | str)}
    settings |= {key: str(value) for key, value in vars(model).items() if key not in settings}
    return Sb3Model(
        name=name,
        policy_class=f"{type(policy).__module__}.{type(policy).__name__}",
        policy_options={str(key): str(value) for key, value in model.policy_kwargs.items()},
        observation_space=_living_space(model.observation_space),
        action_space=_living_space(model.action_space),
        settings={"algorithm": type(model).__name__, "algorithm_module": type(model).__module__, **settings},
        tensors={key: _numbers(key, value) for key, value in policy.state_dict().items()},
        version=_installed_version(),
    )


def _living_space(space: Any) -> Space:
    kind = f"{type(space).__module__}.{type(space).__name__}"
    return Space(kind=kind, attributes={key: str(value) for key, value in vars(space).items()})


def _installed_version() -> str:
    import stable_baselines3

    return str(stable_baselines3.__version__)


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most_bytes:
        raise ValueError(f"{name} takes {size} bytes, expected at most {most_bytes}")
    with archive.open(name) as member:
        content = member.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} claims {size} bytes and has others")
    return content


def _version(archive: zipfile.ZipFile) -> str | None:
    if "_stable_baselines3_version" not in archive.namelist():
        return None
    return _member(archive, "_stable_baselines3_version", _LONGEST).decode("ascii", "replace").strip()


def _tensors(content: bytes) -> dict[str, NDArray[np.float32]]:
    """The tensors in a PyTorch archive, whose parts must be stored as they are: nothing is expanded."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            raise ValueError("policy.pth is compressed")
    found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise TypeError("policy.pth holds no table of tensors")
    return {key: _numbers(key, value) for key, value in found.items()}


def _numbers(key: str, value: Any) -> NDArray[np.float32]:
    """A tensor as an array of its own. Raises `ValueError` for anything else, and for a huge one."""
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.is_meta:
        raise ValueError(f"{key[:_LONGEST]} is no plain tensor")
    if value.dtype is not torch.float32 or value.numel() > _MOST_NUMBERS:
        raise ValueError(f"{key[:_LONGEST]} has {value.numel()} numbers of type {value.dtype}, expected float32")
    return np.array(value.detach().cpu().numpy(), np.float32, order="C")


def _described(name: str, data: Any, tensors: dict[str, NDArray[np.float32]], version: str | None) -> Sb3Model:
    """Raises `ValueError` and KeyError for a `data` that is not as Stable-Baselines3 writes it."""
    if not isinstance(data, dict):
        raise TypeError("data is no table")
    options = _table(data, "policy_kwargs")
    return Sb3Model(
        name=name,
        policy_class=str(_table(data, "policy_class")["__module__"]),
        policy_options={key: str(value) for key, value in options.items() if not key.startswith(":")},
        observation_space=_space(_table(data, "observation_space")),
        action_space=_space(_table(data, "action_space")),
        settings={key: value for key, value in data.items() if not isinstance(value, dict)}
        | {key: None for key, value in data.items() if isinstance(value, dict)},
        tensors=tensors,
        version=version,
    )


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is no table")
    return value


def _space(table: dict[str, Any]) -> Space:
    kind = re.fullmatch(r"<class '([A-Za-z0-9_.]{1,200})'>", str(table[":type:"]))
    if kind is None:
        raise ValueError("a space does not name its class")
    return Space(kind=kind[1], attributes={key: str(value) for key, value in table.items() if key != ":serialized:"})


def _shown(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
