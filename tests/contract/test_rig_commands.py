"""The verbs for a cart on a port, on the virtual cart behind a pseudo-terminal and on devices that are no cart."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cartpole_robot.bring_up.check import STEP_NAMES, STEPPER_STEPS
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.pty_cart import clear_link
from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.errors import LinkError
from firmware_bridge.link import Link
from firmware_bridge.messages import HelloAckMessage, HelloMessage
from firmware_bridge.ports import probed
from firmware_bridge.protocol import Protocol, header_text, read_protocol
from firmware_bridge.transport import SerialTransport

pytestmark = pytest.mark.realtime

Completed = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def virtual_cart(quick_cart_file: Path, folder: Path, *more: str) -> Iterator[Path]:
    """The port of `cartpole-robot virtual-cart` in its own process."""
    link = folder / "cart"
    words = ["virtual-cart", "--cart", str(quick_cart_file), "--link", str(link), *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert f"is at {link}" in process.stdout.readline()
    yield link
    process.send_signal(signal.SIGINT)
    assert process.wait(10.0) == 0
    assert not link.is_symlink(), "the link is removed with the cart"


def test_link_of_a_killed_cart_is_made_anew_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    left, file, elsewhere = tmp_path / "left", tmp_path / "file", tmp_path / "elsewhere"
    left.symlink_to("/dev/pts/no-longer")
    clear_link(left)
    assert not left.is_symlink()
    file.write_text("data")
    elsewhere.symlink_to(tmp_path / "missing")
    for taken in (file, elsewhere, tmp_path):
        with pytest.raises(UsageError, match="exists already; remove it, or choose another --link"):
            clear_link(taken)
    assert file.read_text() == "data"
    assert elsewhere.is_symlink()
    with pytest.raises(UsageError, match=r"there is no folder .*missing; make it"):
        clear_link(tmp_path / "missing" / "cart")


@pytest.fixture(scope="module")
def port(quick_cart_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cart for all tests."""
    with virtual_cart(quick_cart_file, tmp_path_factory.mktemp("port")) as link:
        yield link


def test_emulated_chip_behind_a_port_passes_for_a_cart(
    chip_tools: None, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    with virtual_cart(quick_cart_file, tmp_path, "--rig", "avr") as link:
        done = new_interpreter(
            *("check-rig", "--port", link, "--cart", quick_cart_file, "--arm"),
            *("--only", "firmware,chip,fuses,bootloader,motor,homing,counters"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing wrong was found (13 steps left out)\n")


def test_check_without_arm_reads_and_moves_nothing(
    port: Path, quick_cart_file: Path, new_interpreter: Callable[..., Completed]
) -> None:
    done = new_interpreter("check-rig", "--port", port, "--cart", quick_cart_file)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    fine = {"firmware", "chip", "fuses", "bootloader", "round-trip", "limits", "counters"}
    assert {name for name, answer in answers.items() if answer == "ok"} == fine
    assert set(answers.values()) == {"ok", "-"}
    assert "which needs --arm" in done.stdout
    assert "nothing wrong was found (not checked: usb, " in done.stdout.splitlines()[-1]


def test_check_with_arm_homes_the_cart_and_reports(
    port: Path, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    report = tmp_path / "report.md"
    words = ("check-rig", "--port", port, "--cart", quick_cart_file, "--arm", "--json", "--report", report)
    done = new_interpreter(*words, "--only", "homing,counters")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)}
    assert steps["homing"]["verdict"] == steps["counters"]["verdict"] == "ok"
    text = report.read_text()
    record = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert record["steps"] == json.loads(done.stdout)
    assert "| homing | ok | both zeros are known |" in text
    again = new_interpreter(*words)
    assert again.returncode == 2
    assert "exists already, and nothing is overwritten; choose another --report" in again.stderr
    assert report.read_text() == text


def test_rail_by_voltmeter_is_written_into_a_copy_of_the_cart_file(
    port: Path, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    before, copy = quick_cart_file.read_text(), tmp_path / "measured.toml"
    words = ("check-rig", "--port", port, "--cart", quick_cart_file, "--only", "rail")
    done = new_interpreter(*words, "--rail-v", "4.9", "--write", copy)
    assert done.returncode == 0, done.stdout + done.stderr
    written = load_cart(str(copy))
    assert written.firmware is not None
    assert written.firmware.bandgap_v == pytest.approx(1.1, abs=0.05), "1.1 V, by a rail of 4.75 to 5 V"
    assert written.sources["firmware.bandgap_v"].startswith("measured: check-rig 20")
    assert quick_cart_file.read_text() == before
    assert "firmware.bandgap_v = 1." in done.stderr
    same = new_interpreter(*words, "--rail-v", "4.9", "--report", tmp_path / "one", "--write", tmp_path / "one")
    assert same.returncode == 2
    assert "is for --report and --write alike" in same.stderr


def test_check_names_a_wrong_polarity(
    port: Path, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        quick_cart_file.read_text().replace("reversals_per_s", "is_motor_reversed = true\nreversals_per_s")
    )
    done = new_interpreter("check-rig", "--port", port, "--cart", wrong, "--arm", "--only", "motor,homing")
    assert done.returncode == 1
    assert "NO  motor           asked to the right, the cart's encoder counted the other way" in done.stdout
    assert "homing          not checked: first put right what motor found" in done.stdout
    assert "check these again: cartpole-robot check-rig --only motor,homing --port " in done.stdout


def test_steps_are_listed_without_a_port(command_here: Callable[..., Completed]) -> None:
    done = command_here("check-rig", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(STEP_NAMES)
    done = command_here("check-rig", "--list", "--cart", "diy_stepper")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [step.name for step in STEPPER_STEPS]


# What a person does when `check-rig` asks for it: the words for the virtual cart, and the Enter for `check-rig`.
ANSWERS = {
    "between 5V and GND": ("read rail", True),
    "B+ and B-": ("read supply", True),
    "press the e-stop": ("press estop", False),
    "release the e-stop": ("release estop", False),
    "cart a few cm to the RIGHT": ("push right", True),
}


def test_person_at_a_virtual_cart_finds_its_mistake(quick_cart_file: Path, tmp_path: Path) -> None:
    link = tmp_path / "cart"
    words = ["virtual-cart", "--cart", str(quick_cart_file), "--link", str(link), "--by-hand"]
    cart = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words, "--mistake", "cart-encoder-swapped"],
        **{"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True},
    )
    assert cart.stdin is not None
    assert cart.stdout is not None
    assert "press estop, " in cart.stdout.readline()
    assert "is at" in cart.stdout.readline()
    master, slave = pty.openpty()
    words = ["check-rig", "--port", str(link), "--cart", str(quick_cart_file), "--arm"]
    check = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words, "--only", "supply,e-stop,cart-encoder,motor"],
        **{"cwd": ROOT, "stdin": slave, "stdout": slave, "stderr": slave},
    )
    os.close(slave)
    screen = ""
    with contextlib.suppress(OSError):  # the terminal is gone with its last process
        while select.select([master], [], [], 20.0)[0]:
            data = os.read(master, 4096).decode()
            screen += data
            for prompt, (deed, is_confirmed) in ANSWERS.items():
                if prompt not in data:
                    continue
                cart.stdin.write(f"{deed}\n")
                cart.stdin.flush()
                answer = cart.stdout.readline() if deed.startswith("read") else "\n"
                if is_confirmed:
                    time.sleep(0.0 if deed.startswith("read") else 0.8)
                    os.write(master, answer.encode())
    assert check.wait(10.0) == 1, screen
    os.close(master)
    cart.send_signal(signal.SIGINT)
    assert cart.wait(10.0) == 0
    assert re.search(r"ok  supply +1[12]\.\d\d V by the firmware, 12\.00 V by the voltmeter", screen), screen
    assert re.search(r"ok  e-stop +seen when it is pressed", screen), screen
    assert re.search(r"NO  cart-encoder +it counts the wrong way", screen), screen
    assert re.search(r"-   motor +not checked: first put right what cart-encoder found", screen), screen


def test_check_whose_terminal_is_closed_leaves_its_report(port: Path, quick_cart_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    master, slave = pty.openpty()
    words = ["check-rig", "--port", str(port), "--cart", str(quick_cart_file), "--report", str(report)]
    check = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words, "--only", "firmware,rail,e-stop"],
        **{"cwd": ROOT, "stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    screen = ""
    while "between 5V and GND" not in screen and select.select([master], [], [], 60.0)[0]:
        screen += os.read(master, 4096).decode()
    os.close(master)  # the kernel sends SIGHUP
    assert check.wait(60.0) == 1, screen
    text = report.read_text()
    assert "| firmware | ok |" in text, text
    # the end of its input, or a line that it cannot print, may reach it before the signal does
    ended = ("it was stopped", "the answer was the end of the input", "the terminal is gone")
    assert any(f"not checked: {reason}" in text for reason in ended), text


def test_port_with_a_cart_is_reported(port: Path) -> None:
    found = probed(str(port))
    assert found.has_cart is True
    assert found.message.startswith("a cart: ")


def test_port_in_use_is_reported(port: Path, quick_cart_file: Path, new_interpreter: Callable[..., Completed]) -> None:
    transport = SerialTransport(str(port))
    done = new_interpreter("check-rig", "--port", port, "--cart", quick_cart_file)
    assert done.returncode == 1
    assert f"{port}: another program has this port; close it" in done.stdout
    with pytest.raises(RigError, match="another program has this port"):
        CartPoleEnv(rig=f"serial:{port}", cart=quick_cart_file)
    transport.close()
    transport.close()


def test_keys_move_the_cart_and_letting_go_stops_it(port: Path, quick_cart_file: Path) -> None:
    master, slave = pty.openpty()
    words = ["jog", "--port", str(port), "--cart", str(quick_cart_file), "--arm"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave
    )
    screen = ""

    def watch(seconds: float, key: bytes = b"") -> None:
        nonlocal screen
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            if key:
                os.write(master, key)
            if select.select([master], [], [], 0.05)[0]:
                screen += os.read(master, 4096).decode()

    def position_mm() -> float:
        return float(re.findall(r"cart +([-+][\d.]+) mm", screen)[-1])

    watch(2.0)
    begin = position_mm()
    watch(1.5, b"\x1b[C")
    moved = position_mm()
    for _ in range(6):  # a busy machine draws late
        watch(0.5)
        rested = position_mm()
        watch(0.5)
        if position_mm() == rested:
            break
    assert moved - begin > 30.0, screen[-400:]
    assert position_mm() == rested, "it stands"
    assert rested - moved < 150.0
    os.write(master, b"q")
    assert process.wait(10.0) == 0
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check-rig", "--port", "/dev/does-not-exist"), "no such port; cartpole-robot ports lists"),
        (("check-rig", "--port", "/dev/null"), "not a serial port"),
        (("check-rig", "--port", str(ROOT)), "not a serial port"),
    ],
)
def test_path_that_is_no_port_is_reported(
    words: tuple[str, ...], message: str, command_here: Callable[..., Completed]
) -> None:
    done = command_here(*words)
    assert done.returncode == 1
    assert message in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("jog", "--port", "/dev/null"), "add --arm"),
        (("jog", "--port", "/dev/null", "--arm"), "needs a terminal"),
        (("record", "lqr", "--cart", "diy_arduino", "--rig", "serial:/dev/null", "--out", "x.parquet"), "add --arm"),
        (("evaluate", "lqr", "--cart", "diy_arduino", "--rig", "serial:/dev/null"), "add --arm"),
        (("train", "--cart", "diy_arduino", "--rig", "serial:/dev/null"), "add --arm"),
        (("virtual-cart", "--cart", "gym"), "no [encoders] section"),
        (
            ("virtual-cart", "--cart", "diy_stepper", "--mistake", "brake-weak"),
            "brake-weak is one of a DC motor, and the",
        ),
        (
            ("virtual-cart", "--mistake", "driver-off"),
            "driver-off is one of a stepper, and the cart 'diy_arduino' has a",
        ),
        (
            ("check-rig", "--port", "/dev/null", "--acceleration-m-s2", "20"),
            "--acceleration-m-s2 20 is for a stepper, and the cart 'diy_arduino' has a DC motor",
        ),
        (
            ("check-rig", "--port", "/dev/null", "--cart", "diy_stepper", "--only", "dead-zone"),
            "the step dead-zone of check-rig is for a DC motor, and the cart 'diy_stepper' has a stepper",
        ),
        (
            ("bring-up", "--cart", "diy_stepper", "--out", "new", "--until", "brake"),
            "--until brake: the cart 'diy_stepper' has a stepper, whose bring-up has the stages check, home,",
        ),
        (("virtual-cart", "--profile", "nice"), "'nice' is not known; expected one of ftdi, ftdi_slow, ideal,"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    done = command_here(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


class Stranger:
    """A device at the other end of a pseudo-terminal that is no cart: answers bytes with bytes."""

    def __init__(self, answer: Callable[[bytes], bytes], *, talks: bool = False) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._answer = answer
        self._talks = talks
        self._is_over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over:
            data = os.read(self._master, 4096) if select.select([self._master], [], [], 0.02)[0] else b""
            if data or self._talks:
                os.write(self._master, self._answer(data))

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)


def opened(stranger: Stranger, timeout_s: float = 0.6) -> str:
    link = Link(SerialTransport(stranger.path))
    with pytest.raises(LinkError) as failure:
        link.open(timeout_s)
    link.close()
    return str(failure.value)


def test_silent_device_is_reported() -> None:
    with Stranger(lambda data: b"") as stranger:
        assert opened(stranger).startswith("nothing answered in 0.6 s")


def test_device_with_another_protocol_is_reported() -> None:
    with Stranger(lambda data: b"$GPGGA,,,,\r\n", talks=True) as stranger:
        assert "but no cart of this protocol" in opened(stranger)
    with Stranger(lambda data: data) as echo:
        assert "but no cart of this protocol" in opened(echo)


def test_old_firmware_is_reported_with_both_hashes() -> None:
    protocol = read_protocol()
    old = Protocol(header_text().replace("uint16_t valid_ms;", "uint8_t valid_ms;"))
    assert old.hash != protocol.hash
    decoder = FrameDecoder()

    def answer(data: bytes) -> bytes:
        frames = b""
        for message in decoder.feed(data):
            fields = dict.fromkeys(HelloAckMessage.FIELDS, 0)
            fields.update(nonce=HelloMessage.unpack(message).nonce, protocol_hash=old.hash, session=7)
            frames += encode_frame(HelloAckMessage(**fields).pack())
        return frames

    with Stranger(answer) as stranger:
        message = opened(stranger)
    assert message.startswith(f"cart speaks {old.hash & 0xFFFF:04x}, host {protocol.hash & 0xFFFF:04x}: reflash")


def test_comments_and_spacing_do_not_change_the_hash() -> None:
    text = header_text()
    other = re.sub(r"/\*.*?\*/", "/* another word */", text, flags=re.S).replace(
        "    uint8_t type;", "  uint8_t   type;"
    )
    assert other != text
    assert Protocol(other).hash == Protocol(text).hash
    for change in (("STATE = 4", "STATE = 14"), ("32767", "32766"), ("int32_t pole_counts;", "uint32_t pole_counts;")):
        assert Protocol(text.replace(*change)).hash != Protocol(text).hash, change
