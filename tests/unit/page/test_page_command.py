"""`cartpole-robot page`: what it writes and refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.page.offline import write_offline_page
from tests.conftest import Completed
from tests.policy_on_board import regulating_policy

MOST_BYTES = 1_000_000


def test_command_writes_a_page_and_never_overwrites_one(
    policy: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    out = tmp_path / "page.html"
    words = ("page", policy, policy.parent, "--cart", "diy_arduino", "--out", out, "--json")
    done = command_here(*words)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["controllers"] == ["policy:balancing", "policy:balancing (2)", "lqr", "swing-up", "off"]
    assert record["bytes"] == out.stat().st_size < MOST_BYTES
    before = out.read_bytes()
    again = command_here(*words)
    assert again.returncode == 2
    assert "exists already, and nothing is overwritten; choose another --out" in again.stderr
    assert out.read_bytes() == before


def test_every_policy_has_its_own_name(policy: Path, tmp_path: Path) -> None:
    places = []
    for name in ("a (2)", "a", "a.b"):
        places.append(tmp_path / name / "policy.npz")
        places[-1].parent.mkdir()
        places[-1].write_bytes(policy.read_bytes())
    made = write_offline_page([*places, places[1]], tmp_path / "page.html", "diy_arduino")
    names = ["a (2)", "a", "a.b", "a (3)"]
    assert list(made.controllers) == [*(f"policy:{name}" for name in names), "lqr", "swing-up", "off"]


def test_lqr_alone_needs_a_cart(tmp_path: Path, command_here: Callable[..., Completed]) -> None:
    done = command_here("page", "lqr", "--out", tmp_path / "page.html")
    assert done.returncode == 2
    assert "name it with --cart" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_cart_without_firmware_is_refused(tmp_path: Path, command_here: Callable[..., Completed]) -> None:
    done = command_here("page", "lqr", "--cart", "gym", "--out", tmp_path / "page.html")
    assert done.returncode == 2
    assert done.stderr.startswith("cartpole-robot: cart 'gym'")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_policies_of_two_carts_are_refused(policy: Path, tmp_path: Path) -> None:
    cart = load_cart("sensorsini")
    bundle = regulating_policy(cart)
    bundle = dataclasses.replace(bundle, provenance={**bundle.provenance, "cart": cart.as_dict()})
    other = tmp_path / "other.npz"
    bundle.save(other)
    mine = regulating_policy(load_cart("diy_arduino"))
    mine = dataclasses.replace(mine, provenance={**mine.provenance, "cart": load_cart("diy_arduino").as_dict()})
    mine.save(tmp_path / "mine.npz")
    with pytest.raises(UsageError, match=r"a page has one cart, so name it with --cart, or make two pages"):
        write_offline_page([tmp_path / "mine.npz", other], tmp_path / "page.html")
