"""A target for every reader of files and frames: valid files to begin with, and what reads them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.errors import RunError, UsageError
from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol import ProtocolError
from tests.fuzz.edits import (
    Edit,
    edited_bytes,
    edited_csv,
    edited_journal,
    edited_npz,
    edited_parquet,
    edited_tree,
    json_bytes,
    toml_bytes,
    xml_bytes,
    xml_tree,
)
from tests.fuzz.host_policy import host_policies, models, read_host_policy, read_sb3_model, seal_host_policy

OWN_ERRORS = (UsageError, RunError, BridgeError, ProtocolError)
Files = Mapping[str, bytes]
Seal = Callable[[dict[str, Any], dict[str, Any]], None]
CART, IDEAL = "diy_arduino", "gym"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader: `corpus` makes valid sets of files, by name; `read` reads the set in a folder.

    It returns or raises one of `OWN_ERRORS`. `needs_torch` marks one that runs in a process of its own for that reason.
    """

    name: str
    corpus: Callable[[], list[Files]]
    read: Callable[[Path], object]
    seal: Seal | None = None
    needs_torch: bool = False
    fixed: frozenset[str] = field(default_factory=frozenset)  # files that are not edited

    def edited(self, files: Files, changes: list[Edit], which: int) -> Files:
        """The set with one of its files edited."""
        names = sorted(name for name in files if name not in self.fixed)
        name = names[which % len(names)]
        return {**files, name: _edited(name, files[name], changes, self.seal)}


def _edited(name: str, content: bytes, changes: list[Edit], seal: Seal | None) -> bytes:
    kind = name.rpartition(".")[2]
    try:
        if all(edit.is_raw for edit in changes):
            edited = content
        elif kind == "json":
            edited = json_bytes(edited_tree(json.loads(content), changes))
        elif kind == "toml":
            import tomllib

            edited = toml_bytes(edited_tree(tomllib.loads(content.decode()), changes))
        elif kind == "urdf":
            edited = xml_bytes(edited_tree(xml_tree(content.decode()), changes))
        elif kind == "npz":
            edited = edited_npz(content, changes, seal)
        elif kind == "parquet":
            edited = edited_parquet(content, changes)
        elif kind == "journal":
            edited = edited_journal(content, changes)
        elif kind == "csv":
            edited = edited_csv(content, changes)
        else:
            edited = content
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, RecursionError, MemoryError):
        edited = content  # edits that this form of file, or a worker's memory, cannot hold
    return edited_bytes(edited, changes)


# --- carts and the other TOML files ----------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cartpole_robot"


def _each(*patterns: str, name: str) -> Callable[[], list[Files]]:
    """A corpus of the files that match the patterns, each read under `name`."""
    return lambda: [{name: path.read_bytes()} for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def _read_cart(folder: Path) -> None:
    from cartpole_robot.cart.listing import key_figures, list_text, show_text
    from cartpole_robot.identify.cart_file import cart_as_toml

    cart = load_cart(folder / "cart.toml")
    json.dumps(key_figures(cart))
    list_text([cart])
    show_text(cart)
    again = folder / "again.toml"
    again.write_text(cart_as_toml(cart), encoding="utf-8")
    found = load_cart(again)
    assert found.fingerprint() == cart.fingerprint(), "a cart changes when it is written and read again"


_ANSWERS = b"""format = 1
motor = "own"
stall_torque_n_m = 0.3
no_load_speed_rpm = 1500
stall_current_a = 4
rated_voltage_v = 24.0
gear_ratio = 4
pulley_radius_mm = 11.5
cart_encoder_on = "pulley"
cart_encoder_counts_per_turn = 1200
pole_mass_kg = 0.15
track_m = 0.9
estop_cuts_supply = false
"""
_STEPPER_ANSWERS = b"""format = 1
drive = "stepper"
holding_torque_n_m = 1.9
rated_current_a = 4.2
phase_inductance_mh = 3.8
rotor_inertia_g_cm2 = 460
full_steps_per_turn = 200
pulses_per_turn = 800
least_pulse_us = 1.5
least_setup_us = 5
enable_is_low = false
alarm_level = "low"
pulley_teeth = 40
cart_mass_kg = 0.8
track_m = 1.2
"""


def _read_answers(folder: Path) -> None:
    from cartpole_robot.cart.new_cart.answers import answered, read_answers
    from cartpole_robot.cart.new_cart.file_text import cart_file_text

    path = folder / "answers.toml"
    text, _ = cart_file_text(answered(read_answers(path), where=str(path)))
    written = folder / "built.toml"
    written.write_text(text, encoding="utf-8")
    load_cart(written)


_ROBOT = b"""<robot name="maker's">
  <link name="world"/>
  <link name="rail"><inertial><mass value="9"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
  <joint name="floor" type="fixed"><parent link="world"/><child link="rail"/><origin xyz="0 0 1" rpy="0 0 0.5"/></joint>
  <link name="wagon"><inertial><mass value="0.5"/><inertia ixx="0.01" iyy="0.01" izz="0.01"/></inertial></link>
  <joint name="slide" type="prismatic"><parent link="rail"/><child link="wagon"/><axis xyz="2 0 0"/>
    <limit lower="-0.4" upper="0.4"/><dynamics damping="0" friction="0"/></joint>
  <link name="motor"><inertial><mass value="0.2"/><inertia ixx="0.01" iyy="0.01" izz="0.01"/></inertial></link>
  <joint name="bolts" type="fixed"><parent link="wagon"/><child link="motor"/><origin xyz="0 0.1 0"/></joint>
  <link name="rod"><inertial><origin xyz="0 0.3 0.02" rpy="0 0 0"/><mass value="0.3"/>
    <inertia ixx="0.009" iyy="0.00001" izz="0.009" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="hinge" type="revolute"><parent link="motor"/><child link="rod"/>
    <origin xyz="0 0 0" rpy="1.5707963267948966 0 0"/><axis xyz="0 0 1"/><limit lower="-9" upper="9"/></joint>
  <link name="bob"><inertial><mass value="0.1"/><inertia ixx="0" iyy="0" izz="0"/></inertial></link>
  <joint name="screw" type="fixed"><parent link="rod"/><child link="bob"/>
    <origin xyz="0 0.6 0.02" rpy="0.3 0.4 0.5"/></joint>
</robot>
"""


def _urdfs() -> list[Files]:
    """URDFs by different makers, each with a cart file that takes its numbers from it."""
    text = (PACKAGE / "cart" / "known" / f"{IDEAL}.toml").read_text(encoding="utf-8")
    numbers = text.replace("format = 1", 'format = 1\nurdf = "robot.urdf"').replace(
        "position_m = 2.4", "position_m = 0.3"
    )
    ours = (ROOT / "urdf" / "cartpole.urdf").read_bytes()
    return [{"robot.urdf": each, "cart.toml": numbers.encode()} for each in (ours, _ROBOT)]


def _read_urdf(folder: Path) -> None:
    from cartpole_robot.cart.urdf_file import check_urdf, read_urdf_file, urdf_text

    body = read_urdf_file(folder / "robot.urdf")
    urdf_text(body)
    json.dumps([body.numbers(), body.sources()])
    check_urdf(body)
    assert all(math.isfinite(number) for number in body.numbers().values()), "a number that is not finite"
    load_cart(folder / "cart.toml").fingerprint()


def _strong_cart() -> Any:
    """The cart with actions that balance it wherever the shipped ranges draw it."""
    return with_actions(load_cart(CART), (-1.0, -0.3, 0.3, 1.0), given="test")


def _read_profile(folder: Path) -> None:
    """Reads the profile and lets a cart with it stand for 50 ms."""
    from cartpole_robot.simulation.imperfections.imperfect import spoil
    from cartpole_robot.simulation.imperfections.profile import load_profile
    from cartpole_robot.simulation.virtual_cart import VirtualCart

    cart = load_cart(CART)
    virtual = VirtualCart(cart)
    spoil(virtual, cart, load_profile(folder / "profile.toml"))
    for _ in range(50):
        virtual.pass_ms()


def _read_ranges(folder: Path) -> None:
    from cartpole_robot.cart.randomization import load_randomization

    drawn = load_randomization(folder / "ranges.toml", _strong_cart())
    drawn.draw(np.random.default_rng(0))
    json.dumps(drawn.as_dict())


def _read_preset(folder: Path) -> None:
    from cartpole_robot.training.config import load_preset

    load_preset(folder / "preset.toml")


def _read_map(folder: Path) -> None:
    from cartpole_robot.datasets.column_map import load_map

    json.dumps(load_map(folder / "map.toml").as_dict())


_STUDY = b"""format = 1
title = "Memory"
presets = ["recommended"]
carts = ["gym"]
seeds = 3
scale = "log"
[grid]
replay_memory = [100, 1000]
"""


def _read_study(folder: Path) -> None:
    from cartpole_robot.experiments.study.findings import study_text
    from cartpole_robot.experiments.study.study_file import load_study

    study = load_study(folder / "study.toml")
    json.dumps(study.record)
    if len(study.cells) < 200:
        from cartpole_robot.experiments.study.findings import groups_of

        study_text(study, groups_of(study, {}))


def _read_grid(folder: Path) -> None:
    from cartpole_robot.experiments.stability.grid import load_grids

    for grid in load_grids(folder / "grid.toml", load_cart(CART)):
        json.dumps(grid.as_dict())


# --- recordings and logs ---------------------------------------------------------------------------------------------


@functools.cache
def _rollout(cart: str, seconds: float = 2.0) -> Path:
    """The folder with a short recording of that cart as Parquet, as a journal and as CSV with its map."""
    from cartpole_robot.datasets.csv_export import export_csv
    from cartpole_robot.recording.journal import whole_journal
    from cartpole_robot.rollout.record import RolloutRequest, record_rollout

    folder = Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    recording = record_rollout(
        RolloutRequest(
            policy=Path("lqr"),
            rig="sim",
            cart=cart,
            backend="c",
            seed=3,
            duration_s=seconds,
            out=folder / "rollout.parquet",
        )
    )
    (folder / "rollout.journal").write_bytes(whole_journal(recording))
    export_csv(recording, folder / "log.csv")
    return folder


def _parquets() -> list[Files]:
    return [{"rollout.parquet": (_rollout(cart) / "rollout.parquet").read_bytes()} for cart in (CART, IDEAL)]


def _journals() -> list[Files]:
    return [{"rollout.parquet.journal": (_rollout(cart) / "rollout.journal").read_bytes()} for cart in (CART, IDEAL)]


def _read_recording(folder: Path) -> None:
    from cartpole_robot.open_loop.series import series_of
    from cartpole_robot.recording.reader import read_recording
    from cartpole_robot.recording.summary import recording_summary, recording_text

    recording = read_recording(folder / "rollout.parquet")
    recording_text(recording_summary(recording))
    series_of(recording)


def _logs() -> list[Files]:
    folder = _rollout(CART, 8.0)
    return [{"log.csv": (folder / "log.csv").read_bytes(), "map.toml": (folder / "log.map.toml").read_bytes()}]


def _read_csv(folder: Path) -> None:
    from cartpole_robot.datasets.foreign_recording import ImportRequest, import_recording
    from cartpole_robot.datasets.import_report import import_text

    imported = import_recording(
        ImportRequest(source=folder / "log.csv", column_map=folder / "map.toml", out=folder / "imported.parquet")
    )
    import_text(imported)


# --- policies and trainings ------------------------------------------------------------------------------------------


@functools.cache
def _bundle(cart_name: str) -> Any:
    from cartpole_robot.policy.export import bundle_of
    from tests.conftest import make_network

    cart = load_cart(cart_name)
    visited = np.random.default_rng(2).normal(scale=0.1, size=(200, 4)).astype(np.float32)
    network = make_network(seed=5, hidden=8, outputs=len(cart.action_duties))
    return bundle_of(network, cart, visited, {"cart": cart.as_dict(), "cart_sources": dict(cart.sources), "seed": 7})


def _policies() -> list[Files]:
    found: list[Files] = []
    for cart in (CART, IDEAL):
        with tempfile.TemporaryDirectory() as name:
            _bundle(cart).save(Path(name, "policy.npz"))
            found.append({"policy.npz": Path(name, "policy.npz").read_bytes()})
    return found


def _seal_policy(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Make the checksums right, as far as there is something to sum up: a forger does so, too."""
    from cartpole_robot.files.records import record_from_table
    from cartpole_robot.policy.bundle import _FLOAT_ARRAYS, Interface, _digest
    from cartpole_robot.policy.network import arrays_digest

    try:
        interface = record_from_table(Interface, header["interface"], where="")
        text = json.dumps(interface.as_dict(), sort_keys=True).encode()
        weights = [arrays[f"{form}{name}"] for form in ("", "int16_") for name in _FLOAT_ARRAYS]
        shift = np.array([header["int16_hidden_shift"]])
        header["policy_hash"] = arrays_digest(np.frombuffer(text, np.uint8), *weights, shift).hex()
        header.pop("digest", None)
        header["digest"] = _digest(header, arrays)
    except (UsageError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return


def _read_policy(folder: Path) -> None:
    from cartpole_robot.deployment.firmware_image import policy_header
    from cartpole_robot.policy.backend import Backend
    from cartpole_robot.policy.bundle import load_policy
    from cartpole_robot.policy.c_header import c_header
    from cartpole_robot.policy.controllers import own_cart, policy_controller

    path = folder / "policy.npz"
    bundle = load_policy(path)
    _check_comments(c_header(bundle))
    policy_controller(bundle, Backend.INT16).duty(np.zeros(4, np.float32))
    cart = own_cart(bundle, path)
    if cart is not None:
        bundle.check_fits(cart, name=str(path))
    if cart is not None and cart.encoders is not None:
        _check_comments(policy_header(bundle, cart))


def _check_comments(c: str) -> None:
    assert c.count("/*") == c.count("*/") == 1, "a name ends the comment of generated C"
    assert c.isascii()


def _read_network(folder: Path) -> None:
    from cartpole_robot.policy.network_file import read_network

    try:
        read_network(folder / "model.npz")
    except ValueError as error:  # what its callers turn into one line
        raise UsageError(str(error)) from None


def _networks() -> list[Files]:
    import io

    from cartpole_robot.policy.network_file import write_network

    file = io.BytesIO()
    write_network(file, _bundle(CART).network)
    return [{"model.npz": file.getvalue()}]


@functools.cache
def _learner() -> Any:
    from cartpole_robot.training.config import load_preset
    from cartpole_robot.training.dqn.learner import new_learner
    from cartpole_robot.training.environment import training_env

    config = dataclasses.replace(load_preset("recommended"), replay_memory=500, hidden_units=8)
    cart = load_cart(IDEAL)
    return new_learner(config, cart, training_env(cart, "sim", config), seed=3, tensorboard=None)


def _checkpoints() -> list[Files]:
    from cartpole_robot.training.cart_progress import CartEvaluation, CartProgress
    from cartpole_robot.training.checkpoint import Selected, TrainingState, save_checkpoint
    from cartpole_robot.training.dqn.learner import network_of
    from cartpole_robot.training.log import EpisodeRow, EvaluationRow, GuardEvent, GuardRow, LearningLog

    model = _learner()
    model.learn(300)
    row = EvaluationRow(200, 123.0, 0.5)
    log = LearningLog([EpisodeRow(20, 20, 0.9)], [row], [GuardRow(100, GuardEvent.DRIFT, 1.5)])
    best = CartEvaluation(step=1, steps=(5, 6), survived=1, planned=2, rms_position_m=0.1)
    progress = CartProgress(faults=["LINK"], initial=best, best=best)
    progress.visited.extend(np.zeros((5, 4), np.float32))
    state = TrainingState(model, log, Selected(network_of(model), row), 1.5, progress)
    with tempfile.TemporaryDirectory() as name:
        path = save_checkpoint(Path(name), state)
        return [{file.name: file.read_bytes() for file in path.iterdir()}]


def _read_checkpoint(folder: Path) -> None:
    from cartpole_robot.training.checkpoint import load_checkpoint

    load_checkpoint(folder, _learner())


def _runs() -> list[Files]:
    from cartpole_robot.cart.randomization import load_randomization
    from cartpole_robot.files.run_folder import RUN_FORMAT
    from cartpole_robot.training.config import load_preset
    from cartpole_robot.training.job import InitialPolicy, TrainingJob

    cart = _strong_cart()
    job = TrainingJob(
        config=load_preset("recommended"), cart=cart, rig="sim", seed=1, folder=Path("run"), tensorboard=False
    )
    jobs = (
        job,
        dataclasses.replace(job, randomization=load_randomization(Path(CART), cart)),
        dataclasses.replace(job, init=InitialPolicy(path="policy.npz", policy_hash="00")),
    )
    return [{"run.json": json_bytes({"format": RUN_FORMAT, **each.as_dict()})} for each in jobs]


def _read_run(folder: Path) -> None:
    from cartpole_robot.training.job import job_from_folder

    json.dumps(job_from_folder(folder).as_dict())


# --- folders of experiments ------------------------------------------------------------------------------------------


@functools.cache
def _study_folder() -> Files:
    from cartpole_robot.experiments.cells.folder import CellFolder
    from cartpole_robot.experiments.study.study_file import load_study

    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "study.toml")
        file.write_bytes(_STUDY)
        study = load_study(file)
        with CellFolder.opened(Path(name, "out"), study) as folder:
            for cell in study.cells:
                steps: dict[str, Any] = {"last_mean_steps": 480.0, "selected_mean_steps": 500.0, "first_500_step": 200}
                curves = {"episode_steps": [10, 20], "evaluations": [[200, 500.0, 0.1]], "training_s": 1.0}
                record = {"key": cell.key, "error": None, "wall_s": 2.0, "host": "here", "seed": cell.seed}
                folder.keep({**record, **steps, **curves}, None)
        return _files_below(Path(name, "out"))


def _files_below(folder: Path) -> Files:
    found = {}
    for path in sorted(folder.rglob("*.json")):
        found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def _read_study_folder(folder: Path) -> None:
    from cartpole_robot.experiments.study.findings import cell_row, study_text
    from cartpole_robot.experiments.study.run import shown_study

    found = shown_study(folder)
    study_text(found.study, found.groups)
    json.dumps([group.as_dict() for group in found.groups])
    for cell in found.study.cells:
        if cell.key in found.records:
            cell_row(cell, found.records[cell.key])


@functools.cache
def _map() -> Any:
    from cartpole_robot.experiments.stability.grid import load_grids
    from cartpole_robot.experiments.stability.stability_map import Conditions, entered, planned_map
    from cartpole_robot.simulation.engine import Engine

    cart = load_cart(CART)
    conditions = Conditions(episodes=2, engine=Engine.NATIVE)
    known, entrants = entered(["lqr"], cart, conditions)
    with tempfile.TemporaryDirectory() as name:
        grid = Path(name, "grid.toml")
        grid.write_bytes(_GRID)
        return planned_map(known, entrants, load_grids(grid, known), conditions)


_GRID = b"""format = 1
[[map]]
title = "Small"
x = { axis = "delay.latency_s", values = [0.0, 0.03] }
y = { axis = "motor.stall_force_n", factors = [0.5, 1.0] }
"""


def _map_folders() -> list[Files]:
    from cartpole_robot.experiments.cells.folder import CellFolder

    with tempfile.TemporaryDirectory() as name:
        with CellFolder.opened(Path(name, "out"), _map()) as folder:
            for cell in _map().cells:
                record: dict[str, Any] = {"key": cell.key, "error": None, "wall_s": 1.0, "host": "here"}
                found = {"steps": [500, 12], "rms_position_m": 0.01, "rms_angle_rad": 0.02, "refused": None}
                folder.keep({**record, **found, "faults": ["LINK at 3 mm: x"]}, None)
        return [_files_below(Path(name, "out"))]


def _read_map_folder(folder: Path) -> None:
    from cartpole_robot.experiments.cells.folder import CellFolder
    from cartpole_robot.experiments.stability.findings import findings_of, map_text, rows_of

    with CellFolder.opened(folder, _map()) as opened:
        records = opened.finished()
        opened.of_other_code(records, None)
    map_text(_map(), findings_of(_map(), records), records)
    rows_of(_map(), records)


def _campaigns() -> list[Files]:
    from cartpole_robot.campaign.report import CurveResult, Point, Row, to_record

    figures: dict[str, Any] = {"good": 2, "count": 2, "worst": 1.5, "median": 1.0, "took_s": 3.0}
    row = Row(
        group="wires", name="cut", must="stop", unit="ms", messages={"LINK": 2}, speeds_m_s=(0.0, 0.1, 0.2), **figures
    )
    point = Point(size=-0.1, good=1, count=2, steps=[500, 3], messages={"it fell": 1})
    curve = CurveResult(name="push", unit="N", must_bear=0.2, points=[point])
    return [{"campaign.json": json_bytes({"of": {"seed": 0}, **to_record([row], [curve])})}]


def _read_campaign(folder: Path) -> None:
    from cartpole_robot.campaign.report import curve_text, from_record, row_text
    from cartpole_robot.files.run_folder import read_json

    rows, curves = from_record(read_json(folder / "campaign.json", "it is damaged"), "campaign.json")
    for row in rows:
        row_text(row)
    for curve in curves:
        curve_text(curve)


# --- black boxes, firmware, the wire ---------------------------------------------------------------------------------


def _black_boxes() -> list[Files]:
    from cartpole_robot.deployment.black_box import SAMPLE, BlackBox

    samples = np.zeros(50, SAMPLE)
    samples["time_ms"] = np.arange(50)
    samples["supply_mv"] = 12_000
    samples["flags"][::20] = 8
    box = BlackBox(
        samples=samples,
        cart=load_cart(CART),
        fault="ESTOP",
        message="stopped",
        warmth=3,
        options=0,
        since_armed_ms=0,
        counts_before=(0, 0),
        provenance={"versions": {"cartpole-robot": "1"}},
    )
    with tempfile.TemporaryDirectory() as name:
        box.save(Path(name, "box.npz"))
        return [{"box.npz": Path(name, "box.npz").read_bytes()}]


def _read_black_box(folder: Path) -> None:
    from cartpole_robot.deployment.black_box import load_black_box
    from cartpole_robot.deployment.replay import _as_kept

    box = load_black_box(folder / "box.npz")
    _as_kept(box.cart)
    times_ms = box.samples["time_ms"]
    assert not len(times_ms) or times_ms[-1] <= 600_000, "a replay would not end"


def _images() -> list[Files]:
    import struct

    from firmware_bridge.build import _AVR, _ELF_MACHINE_AT, _MARK
    from firmware_bridge.protocol import read_protocol

    head = bytearray(b"\x7fELF" + bytes(60))
    struct.pack_into("<H", head, _ELF_MACHINE_AT, _AVR)
    elf = bytes(head) + _MARK + struct.pack("<II", read_protocol().hash, 1) + b"\0atmega328p\0"
    lines = [b":%02X%04X00%sFF" % (16, at, elf[at : at + 16].hex().upper().encode()) for at in range(0, len(elf), 16)]
    return [{"firmware.elf": elf, "firmware.hex": b"\n".join(lines) + b"\n:00000001FF\n"}]


def _read_image(folder: Path) -> None:
    from firmware_bridge.build import image_drive
    from firmware_bridge.emulator import check_image

    image_drive(folder / "firmware.hex")
    image_drive(folder / "firmware.elf")
    check_image(folder / "firmware.elf")


def _frames() -> list[Files]:
    from firmware_bridge._host import encode_frame
    from firmware_bridge.protocol import read_protocol

    found = b"".join(
        encode_frame(bytes([kind.TYPE]) + bytes(range(1, kind.LAYOUT.size)))
        for kind in read_protocol().messages.values()
    )
    return [{"frames.bin": found}, {"frames.bin": found * 3}]


def _read_frames(folder: Path) -> None:
    from cartpole_robot.deployment.black_box import samples_of
    from firmware_bridge._host import FrameDecoder
    from firmware_bridge.protocol import read_protocol

    content = (folder / "frames.bin").read_bytes()
    decoder = FrameDecoder()
    frames = [frame for at in range(0, len(content), 7) for frame in decoder.feed(content[at : at + 7])]
    kinds = {kind.TYPE: kind for kind in read_protocol().messages.values()}
    for frame in itertools.chain(frames, [content, content[:8]]):
        if frame and frame[0] in kinds:
            try:
                repr(kinds[frame[0]].unpack(frame))
            except ProtocolError:
                continue
    samples_of(frames)


TARGETS = (
    Target(name="cart", corpus=_each("cartpole_robot/cart/known/*.toml", name="cart.toml"), read=_read_cart),
    Target(
        name="answers",
        corpus=lambda: [{"answers.toml": answers} for answers in (_ANSWERS, _STEPPER_ANSWERS)],
        read=_read_answers,
    ),
    Target(
        name="profile",
        corpus=_each("cartpole_robot/simulation/imperfections/profiles/*.toml", name="profile.toml"),
        read=_read_profile,
    ),
    Target(
        name="ranges", corpus=_each(f"cartpole_robot/cart/ranges/{CART}.toml", name="ranges.toml"), read=_read_ranges
    ),
    Target(
        name="preset", corpus=_each("cartpole_robot/training/presets/*.toml", name="preset.toml"), read=_read_preset
    ),
    Target(name="map", corpus=_each("cartpole_robot/datasets/maps/*.toml", name="map.toml"), read=_read_map),
    Target(name="urdf", corpus=_urdfs, read=_read_urdf, fixed=frozenset({"cart.toml"})),
    Target(name="study", corpus=lambda: [{"study.toml": _STUDY}], read=_read_study),
    Target(name="grid", corpus=lambda: [{"grid.toml": _GRID}], read=_read_grid),
    Target(name="csv", corpus=_logs, read=_read_csv, fixed=frozenset({"map.toml"})),
    Target(name="parquet", corpus=_parquets, read=_read_recording),
    Target(name="journal", corpus=_journals, read=_read_recording),
    Target(name="policy", corpus=_policies, read=_read_policy, seal=_seal_policy),
    Target(name="host policy", corpus=host_policies, read=read_host_policy, seal=seal_host_policy),
    Target(name="model", corpus=models, read=read_sb3_model, needs_torch=True),
    Target(name="network", corpus=_networks, read=_read_network),
    Target(name="checkpoint", corpus=_checkpoints, read=_read_checkpoint, needs_torch=True),
    Target(name="run", corpus=_runs, read=_read_run),
    Target(name="study folder", corpus=lambda: [_study_folder()], read=_read_study_folder),
    Target(name="map folder", corpus=_map_folders, read=_read_map_folder),
    Target(name="campaign", corpus=_campaigns, read=_read_campaign),
    Target(name="black box", corpus=_black_boxes, read=_read_black_box),
    Target(name="firmware", corpus=_images, read=_read_image),
    Target(name="frames", corpus=_frames, read=_read_frames),
)


def write_files(files: Files, folder: Path) -> None:
    """Write the set into `folder`, and remove every other file there."""
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)  # noqa: PTH118 - twice as fast, for each input
            if os.path.relpath(path, folder) not in files:
                os.unlink(path)  # noqa: PTH108
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
