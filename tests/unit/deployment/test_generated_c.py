"""Nothing from a policy's file becomes code in a generated header."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_header
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import Interface, PolicyBundle, load_policy
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.controllers import choose_controller
from tests.fuzz.targets import _seal_policy
from tests.policy_on_board import regulating_policy

ROOT = Path(__file__).parents[3]
EVIL = "x */ __attribute__((constructor)) static void run(void) { MOTOR = 1; } /*"


@pytest.fixture(scope="module")
def bundle() -> PolicyBundle:
    cart = load_cart("diy_arduino")
    return dataclasses.replace(regulating_policy(cart), provenance={"cart": cart.as_dict()})


def forged(path: Path, bundle: PolicyBundle, change: Any) -> Path:
    """The file of a policy with a changed header and right checksums."""
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    change(header)
    _seal_policy(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "name",
    [
        EVIL,
        "a/../b",
        "a\\",
        'a"b',
        "a\nb",
        "a\x1b[2J",
        "<b>",
        "$HOME",
        "a`id`",
        "??/",
        "",
        "x" * 101,
        "\u202e",
        "\ud800",
    ],
)
def test_cart_of_such_a_name_is_refused_where_it_is_read(bundle: PolicyBundle, tmp_path: Path, name: str) -> None:
    def rename(header: dict[str, Any]) -> None:
        header["provenance"]["cart"]["name"] = name

    path = forged(tmp_path / "policy.npz", bundle, rename)
    with pytest.raises(UsageError, match=r"the cart's name|surrogate"):
        choose_controller(path, None, "c")
    with pytest.raises(ValueError, match=r"the cart's name"):
        dataclasses.replace(load_cart("gym"), name=name)


@pytest.mark.parametrize("name", ["diy_arduino", "my cart (2)", "тележка-3", "A+B=C, no. 4", "कार्ट", "e\u0301"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert dataclasses.replace(load_cart("gym"), name=name).name == name


def test_cart_file_of_such_a_name_is_named(tmp_path: Path) -> None:
    known = Path(__file__).parents[3] / "cartpole_robot" / "cart" / "known" / "gym.toml"
    path = tmp_path / "a*b.toml"
    path.write_bytes(known.read_bytes())
    with pytest.raises(
        UsageError, match=r"the cart's name 'a\*b' has '\*', expected letters, digits and .* rename its file"
    ):
        load_cart(path)


@pytest.mark.parametrize("name", [EVIL, "X", "a b", "\x1b[2J", ""])
def test_observation_of_such_a_name_is_refused_where_it_is_read(
    bundle: PolicyBundle, tmp_path: Path, name: str
) -> None:
    def rename(header: dict[str, Any]) -> None:
        header["interface"]["observation"][0] = name

    path = forged(tmp_path / "policy.npz", bundle, rename)
    with pytest.raises(UsageError, match="observation names"):
        load_policy(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_impossible_control_period_is_refused(bundle: PolicyBundle, value: float) -> None:
    with pytest.raises(ValueError, match="control_period_s"):
        dataclasses.replace(bundle.interface, control_period_s=value)


def test_headers_escape_what_they_are_given_all_the_same(bundle: PolicyBundle) -> None:
    """The second line of defence: a cart that was made past its own checks."""
    cart = load_cart("diy_arduino")
    object.__setattr__(cart, "name", EVIL)
    header = policy_header(bundle, cart)
    assert header.count("*/") == header.count("/*") == 1
    assert header.isascii()
    assert "x ?? __attribute__((constructor)) static void run(void) ? MOTOR = 1? ? ??" in header


def test_header_of_a_cart_with_a_foreign_name_compiles(bundle: PolicyBundle, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    cart = dataclasses.replace(load_cart("diy_arduino"), name="тележка (1), #2")
    text = f"#include <stdint.h>\n#define PROGMEM\n{policy_header(bundle, cart)}\n"
    (tmp_path / "a.c").write_text(f"{text}int size(void) {{ return (int)sizeof policy_bytes; }}\n")
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-c", "a.c"], cwd=tmp_path, check=True)
    assert c_header(bundle).isascii()


def test_interface_offered_by_every_cart_is_valid() -> None:
    for name in ("gym", "diy_arduino"):
        cart: CartParams = load_cart(name)
        assert Interface.of(cart).control_period_s == cart.timing.control_period_s


def test_program_of_the_page_passes_its_golden_examples(bundle: PolicyBundle, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guides" / "policy_in_c.md").read_text(encoding="utf-8")
    program = page.split("```c\n")[1].split("```")[0]
    (tmp_path / "golden.c").write_text(program, encoding="utf-8")
    (tmp_path / "policy_weights.h").write_text(c_header(bundle), encoding="utf-8")
    firmware = ROOT / "firmware_bridge" / "firmware"
    words = ["gcc", "-Wall", "-Wextra", "-Werror", "-I", firmware, "golden.c", firmware / "policy.c", "-o", "golden"]
    subprocess.run(list(map(str, words)), cwd=tmp_path, check=True)
    done = subprocess.run(["./golden"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout in ("action 0\n", "action 1\n")
    changed = program.replace("policy_golden_int16_actions[k])", "policy_golden_int16_actions[k] + 1)")
    (tmp_path / "golden.c").write_text(changed, encoding="utf-8")
    subprocess.run(list(map(str, words)), cwd=tmp_path, check=True)
    assert subprocess.run(["./golden"], cwd=tmp_path, check=False).returncode == 1
