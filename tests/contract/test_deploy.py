"""`cartpole-robot deploy` on the virtual cart: what it prints, writes and refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.reader import read_recording
from tests.conftest import Completed, writes_no_bytecode
from tests.policy_on_board import regulating_policy

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "stable_baselines3", "pybullet", "gymnasium", "pyarrow", "scipy", "matplotlib")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.npz"
    regulating_policy(load_cart("diy_arduino")).save(path)
    return path


@pytest.fixture(scope="module")
def driven(
    policy: Path,
    port: str,
    quick_cart_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    new_interpreter: Callable[..., Completed],
) -> dict[str, tuple[Path, Completed]]:
    """By option, the recording and output of the deployments whose cart homes first, all at the same time."""
    folder = tmp_path_factory.mktemp("deployed")
    options: dict[str, tuple[object, ...]] = {
        "--json": ("--duration-s", 3, "--profile", "ideal"),  # a USB chip that waits would change the command's age
        "--on-board": ("--duration-s", 2),
        "--shadow": ("--duration-s", 2, "--rig", f"serial:{port}", "--arm"),
    }

    def run(option: str) -> tuple[Path, Completed]:
        record = folder / option.strip("-") / "r.parquet"
        record.parent.mkdir()
        words = ("deploy", policy, "--cart", quick_cart_file, "--record", record, option, *options[option])
        return record, new_interpreter(*words)

    with ThreadPoolExecutor(len(options)) as pool:
        return dict(zip(options, pool.map(run, options), strict=True))


@pytest.fixture(scope="module")
def deployed(driven: dict[str, tuple[Path, Completed]]) -> dict[str, Any]:
    _, done = driven["--json"]
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_report_has_every_latency_and_setting(deployed: dict[str, Any]) -> None:
    report = deployed["latency_us"]
    assert (deployed["steps"], deployed["end"], deployed["fault"]) == (150, "duration", None)
    assert set(report["figures"]) == {"sensor_to_command", "inference", "loop_lateness", "command_age"}
    for figures in report["figures"].values():
        assert figures["p50"] <= figures["p99"] <= figures["p99.9"] <= figures["max"]
    assert report["figures"]["command_age"]["p50"] == pytest.approx(20_000.0, abs=1000.0)
    assert set(report["settings"].values()) == {"on"} or any(v.startswith("off: ") for v in report["settings"].values())
    assert report["startup_s"] > 0.0
    assert report["line_us"] > 0.0


@pytest.mark.long
def test_the_virtual_cart_asks_no_person_to_raise_its_pole(driven: dict[str, tuple[Path, Completed]]) -> None:
    messages = driven["--json"][1].stderr
    assert "the rig raises the virtual cart's pole" in messages
    assert "hold the pole" not in messages
    assert "keep clear" not in messages


def test_recording_report_and_picture_are_written(deployed: dict[str, Any]) -> None:
    recording = read_recording(Path(deployed["recording"]))
    assert len(recording.rows) == 151
    assert recording.metadata.deployed is not None
    assert recording.metadata.deployed.late == "hold"
    assert (recording.column("lateness_s")[1:] >= 0.0).all()
    assert Path(deployed["picture"]).stat().st_size > 10_000
    assert json.loads(Path(deployed["recording"]).with_name("r.latency.json").read_text())["steps"] == 150


@pytest.mark.parametrize(
    ("more", "flag", "has_shadow"),
    [(("--on-board",), Flag.ON_BOARD, False), (("--shadow",), 0, True), (("--fallback", "lqr"), None, False)],
)
def test_who_drives_is_recorded(
    policy: Path,
    quick_cart_file: Path,
    tmp_path: Path,
    new_interpreter: Callable[..., Completed],
    port: str,
    driven: dict[str, tuple[Path, Completed]],
    more: tuple[str, ...],
    flag: int | None,
    has_shadow: bool,
) -> None:
    if more[0] in driven:
        record, done = driven[more[0]]
    else:
        record = tmp_path / "r.parquet"
        rig = ("--rig", f"serial:{port}", "--arm", "--duration-s", 2)
        done = new_interpreter("deploy", policy, "--cart", quick_cart_file, "--record", record, *rig, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_recording(record).rows
    if flag is not None:
        assert set(rows["flags"][:-1]) == {flag}
    assert (rows["shadow_duty"][:-1] == rows["shadow_duty"][:-1]).all() == has_shadow
    latency = json.loads(record.with_suffix(".latency.json").read_text())["latency_us"]["figures"]
    assert ("inference" in latency) == ("--on-board" not in more)  # there the chip decides, not this host
    assert ("no inference time: the chip decides" in done.stdout) == ("--on-board" in more)
    if "--on-board" in more:  # a requested duty is in force two ticks later
        assert rows["applied_duty"][2:] == pytest.approx(rows["requested_duty"][:-2], abs=1e-6)


@pytest.mark.parametrize("more", [(), ("--shadow",)])
def test_policy_with_history_sees_the_duties_that_were_sent(
    quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed], port: str, more: tuple[str, ...]
) -> None:
    """Replayed on the recording, with the duties that were sent, the policy answers the same in every step."""
    bundle = regulating_policy(load_cart("diy_arduino"), history_length=3)
    bundle.save(tmp_path / "policy.npz")
    words = ("--cart", quick_cart_file, "--rig", f"serial:{port}", "--arm", "--duration-s", 2)
    done = new_interpreter("deploy", tmp_path / "policy.npz", *words, "--record", tmp_path / "r.parquet", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_recording(tmp_path / "r.parquet").rows[:-1]
    assert len(rows) == 100
    states = np.column_stack([rows[name] for name in bundle.interface.observation]).astype(np.float32)
    said = rows["shadow_duty" if more else "requested_duty"]
    controller = policy_controller(bundle)
    for step, (state, sent) in enumerate(zip(states, rows["requested_duty"], strict=True)):
        assert controller.duty(state) == pytest.approx(said[step], abs=1e-6), f"step {step}"
        controller.sent(sent)
    assert len(set(said.tolist())) > 1


def test_only_light_packages_are_loaded_and_little_memory_is_taken(
    policy: Path, port: str, quick_cart_file: Path, tmp_path: Path
) -> None:
    """On a real port: the cart runs in another process."""
    program = f"""
import json, sys
from cartpole_robot.deployment import run
before = run._Run.run
def spied(self):
    done = before(self)
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print(json.dumps({{"loaded": loaded, "mb": done.report.resident_mb, "steps": done.rollout.steps}}))
    sys.stdout.flush()
    return done
def sealed(path):
    pass
run._Run.run = spied
import cartpole_robot.recording.recorder as recorder
recorder.seal_journal = sealed
from pathlib import Path
run.deploy(run.DeployRequest(policy=Path({str(policy)!r}), cart={str(quick_cart_file)!r}, rig="serial:" + sys.argv[1],
    duration_s=1.0, record=Path({str(tmp_path / "r.parquet")!r}), is_viewed=False))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, port], cwd=ROOT, capture_output=True, text=True, timeout=60.0, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loaded"] == []
    assert found["mb"] < 80.0
    assert found["steps"] == 50


def test_refusals_name_what_is_wrong(policy: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]) -> None:
    (tmp_path / "there.parquet").write_bytes(b"kept")
    slow = tmp_path / "slow.toml"
    text = (ROOT / "cartpole_robot" / "cart" / "known" / "diy_arduino.toml").read_text()
    slow.write_text(text.replace("control_period_s = 0.02", "control_period_s = 0.01"))
    for words, message in (
        ((policy, "--rig", "serial:/dev/ttyNONE"), "moves a real cart; keep clear of it and add --arm"),
        ((policy, "--cart", slow), "control_period_s is 0.02, the cart 'slow' has 0.01"),
        (
            (policy, "--cart", "diy_arduino", "--record", tmp_path / "there.parquet"),
            "choose another --record",
        ),
        ((policy, "--cart", "diy_arduino", "--rig", "sim"), "use --rig virtual, avr or serial:PORT"),
        ((tmp_path / "none.npz",), "no such policy"),
    ):
        done = new_interpreter("deploy", *words)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "there.parquet").read_bytes() == b"kept"
    done = new_interpreter("deploy", policy, "--cart", "diy_arduino", "--rig", "serial:/dev/ttyNONE", "--arm")
    assert done.returncode == 1
    assert "/dev/ttyNONE: no such port; cartpole-robot ports lists those there are" in done.stderr


def test_image_without_the_policy_is_refused(
    policy: Path, port: str, quick_cart_file: Path, new_interpreter: Callable[..., Completed]
) -> None:
    done = new_interpreter(
        "deploy", policy, "--cart", quick_cart_file, "--rig", f"serial:{port}", "--arm", "--on-board"
    )
    assert done.returncode == 2
    assert f"cartpole-robot firmware flash --port {port} --policy {policy}" in done.stderr


def test_ctrl_c_ends_it_with_the_motor_off_and_the_file_whole(
    policy: Path, port: str, quick_cart_file: Path, tmp_path: Path
) -> None:
    rig = ("--rig", f"serial:{port}", "--arm")
    words = [
        "deploy",
        policy,
        "--cart",
        quick_cart_file,
        *rig,
        "--duration-s",
        "60",
        "--record",
        tmp_path / "r.parquet",
    ]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    screen, until_s = "", time.monotonic() + 30.0
    while not re.search(r"([5-9]\d|\d{3,}) steps", screen) and time.monotonic() < until_s:
        if select.select([master], [], [], 0.1)[0]:
            screen += os.read(master, 4096).decode()
    for seen in ("pole", "cart", "duty", "late", "measured to sent"):
        assert seen in screen
    process.send_signal(signal.SIGINT)
    deadline_s = time.monotonic() + 20.0
    while process.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):  # its end of the terminal is closed
            if select.select([master], [], [], 0.1)[0]:
                screen += os.read(master, 4096).decode()
    assert process.returncode == 1
    assert "was stopped" in screen
    assert len(read_recording(tmp_path / "r.parquet").rows) > 50


def test_disk_that_fills_up_ends_the_run_safely(policy: Path, port: str, quick_cart_file: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for a full disk: writing fails the same way."""
    record = tmp_path / "r.parquet"
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
        "from cartpole_robot.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    rig = ("--rig", f"serial:{port}", "--arm", "--no-view")
    words = ["deploy", policy, "--cart", quick_cart_file, *rig, "--duration-s", "20", "--record", record]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90.0,
        check=False,
        env=writes_no_bytecode(),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the run ended: " in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_recording(record).rows) > 20


def test_files_that_it_names_exist_where_pyarrow_and_matplotlib_are_missing(
    port: str, quick_cart_file: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('pyarrow', 'matplotlib')))\n"
        "from cartpole_robot.commands.cli import main\n"
        f"words = ['deploy', 'lqr', '--cart', {str(quick_cart_file)!r}, '--rig', 'serial:{port}', '--arm']\n"
        "words += ['--duration-s', '1', '--no-view']\n"
        "sys.exit(main([*words, '--record', 'run.parquet', *sys.argv[1:]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    named = re.findall(r"^  (?:recording|report|picture) +(\S+)$", done.stdout, re.MULTILINE)
    assert named == ["run.parquet.journal", "run.latency.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(named)


@pytest.mark.long
def test_cart_that_differs_from_its_file_is_driven(
    policy: Path, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    """As `record --rig virtual:CART` does; the recording carries the cart that the driver assumes."""
    heavy = tmp_path / "heavy.toml"
    cart = load_cart(str(quick_cart_file))
    pole_cart = dataclasses.replace(cart.pole_cart, pole_mass_kg=1.3 * cart.pole_cart.pole_mass_kg)
    write_cart(heavy, dataclasses.replace(cart, name="heavy", pole_cart=pole_cart))
    words = ("--rig", f"virtual:{heavy}", "--duration-s", 2, "--no-view", "--record", tmp_path / "r.parquet")
    done = new_interpreter("deploy", policy, "--cart", quick_cart_file, *words)
    assert done.returncode == 0, done.stderr
    recording = read_recording(tmp_path / "r.parquet")
    assert recording.metadata.cart.name == cart.name
    assert recording.metadata.rig == f"virtual:{heavy}"


def test_cart_with_another_drive_is_refused_before_anything_starts(
    policy: Path, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    record = ("--record", tmp_path / "r.parquet")
    done = command_line("deploy", policy, "--cart", "diy_arduino", "--rig", "virtual:diy_stepper", *record)
    assert (done.returncode, done.stderr) == (
        2,
        "cartpole-robot: rig 'virtual:diy_stepper': its cart has another drive than 'diy_arduino', and needs another "
        "firmware; give a cart with the same drive\n",
    )
    assert list(tmp_path.iterdir()) == []
