from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Timing
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network


@pytest.fixture
def bundle(random_network: Network, gym_cart: CartParams) -> PolicyBundle:
    visited = np.random.default_rng(2).normal(scale=0.3, size=(500, 4)).astype(np.float32)
    return bundle_of(random_network, gym_cart, visited, {"seed": 7, "cart": gym_cart.as_dict()})


def test_bundle_comes_back_as_it_was_written(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    again = load_policy(path)
    assert again.interface == bundle.interface
    assert again.policy_hash() == bundle.policy_hash()
    assert again.provenance == json.loads(json.dumps(bundle.provenance))
    assert (again.golden.observations == bundle.golden.observations).all()
    assert list(tmp_path.iterdir()) == [path]


def test_path_may_be_text(bundle: PolicyBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "policy.npz")
    assert load_policy(f"{tmp_path}/policy.npz").policy_hash() == bundle.policy_hash()
    with pytest.raises(UsageError, match=r"none\.npz: no such policy"):
        load_policy(f"{tmp_path}/none.npz")


def test_regulator_of_the_cart_travels_in_the_bundle(
    bundle: PolicyBundle, gym_cart: CartParams, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "policy.npz")
    lqr = load_policy(tmp_path / "policy.npz").lqr
    expected = design_lqr(gym_cart)
    assert lqr is not None
    assert lqr.state_gain.tolist() == expected.state_gain.tolist()
    assert lqr.duty_gain.tolist() == expected.duty_gain.tolist()
    dataclasses.replace(bundle, lqr=None).save(tmp_path / "without.npz")
    assert load_policy(tmp_path / "without.npz").lqr is None


def test_same_policy_writes_the_same_bytes(bundle: PolicyBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "a.npz")
    bundle.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_golden_examples_hold_for_every_backend(bundle: PolicyBundle) -> None:
    golden = bundle.golden
    assert len(golden.actions) == 32
    for backend, expected in (
        (Backend.C, golden.actions),
        (Backend.NUMPY, golden.actions),
        (Backend.INT16, golden.int16_actions),
    ):
        act = bundle.action_function(backend)
        assert [act(row) for row in golden.observations] == expected.tolist()


def test_hash_follows_weights_and_interface_and_not_provenance(bundle: PolicyBundle) -> None:
    reseeded = dataclasses.replace(bundle, provenance={"seed": 8})
    slower = dataclasses.replace(bundle, interface=dataclasses.replace(bundle.interface, control_period_s=0.04))
    nudged = dataclasses.replace(
        bundle,
        network=dataclasses.replace(
            bundle.network, output_bias=np.nextafter(bundle.network.output_bias, np.float32(9.0))
        ),
    )
    assert reseeded.policy_hash() == bundle.policy_hash()
    assert slower.policy_hash() != bundle.policy_hash()
    assert nudged.policy_hash() != bundle.policy_hash()


def test_bundle_fits_the_cart_it_was_made_for(bundle: PolicyBundle, gym_cart: CartParams) -> None:
    bundle.check_fits(gym_cart, name="policy.npz")


def test_misfit_names_both_values(bundle: PolicyBundle, gym_cart: CartParams) -> None:
    slow = dataclasses.replace(gym_cart, timing=Timing(physics_step_s=0.02, control_period_s=0.04))
    with pytest.raises(UsageError, match=r"p\.npz: the policy's control_period_s is 0\.02, the cart 'gym' has 0\.04"):
        bundle.check_fits(slow, name="p.npz")
    weak = dataclasses.replace(gym_cart, action_duties=(-0.5, 0.5))
    with pytest.raises(UsageError, match=r"action_duties is \[-1, 1\], the cart 'gym' has \[-0\.5, 0\.5\]"):
        bundle.check_fits(weak, name="p.npz")
    stepper = load_cart("diy_stepper")
    with pytest.raises(UsageError, match=r"p\.npz: the policy's drive is dc, the cart 'diy_stepper' has stepper"):
        bundle.check_fits(stepper, name="p.npz")
    narrow = dataclasses.replace(
        gym_cart, observation_scale=dataclasses.replace(gym_cart.observation_scale, cart_speed_m_s=1.0)
    )
    with pytest.raises(UsageError, match="observation_scale"):
        bundle.check_fits(narrow, name="p.npz")


def test_file_truncated_anywhere_is_refused_in_one_line(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    whole = path.read_bytes()
    for kept in [0, 1, 3, 4, 30, *range(100, len(whole) - 1, max(1, len(whole) // 60)), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        with pytest.raises(UsageError, match=r"policy\.npz: ") as caught:
            load_policy(path)
        assert "\n" not in str(caught.value), f"{kept} bytes"


def test_any_flipped_bit_is_refused_or_without_effect(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(200):
        place, bit = int(rng.integers(len(whole))), int(rng.integers(8))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            found = load_policy(path)
        except UsageError:
            refused += 1
        else:
            assert found.policy_hash() == bundle.policy_hash(), f"byte {place} bit {bit}"
    assert refused > 150


@pytest.mark.parametrize("name", ["golden_actions", "golden_observations", "golden_values", "golden_int16_actions"])
def test_altered_golden_examples_are_refused(bundle: PolicyBundle, tmp_path: Path, name: str) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[name] = arrays[name] + arrays[name].dtype.type(1)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="the file was altered"):
        load_policy(path)


def test_altered_provenance_is_refused(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["provenance"]["cart"]["pole_cart"]["pole_mass_kg"] = 99.0
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="the file was altered"):
        load_policy(path)


@pytest.mark.long
def test_every_bit_of_the_archives_structure_is_refused_or_without_effect(bundle: PolicyBundle, tmp_path: Path) -> None:
    """All bits of the zip's and NumPy's headers, for which zipfile and NumPy raise many kinds of errors."""
    path = tmp_path / "policy.npz"
    bundle.save(path)
    whole = path.read_bytes()
    places = {*range(len(whole) - 22, len(whole))}
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        begin = whole.find(mark)
        places |= set(range(begin, begin + 46))
    begin = whole.find(b"\x93NUMPY")
    places |= set(range(begin, begin + 80))
    for place in sorted(places):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = load_policy(path)
            except UsageError:
                continue
            assert found.policy_hash() == bundle.policy_hash(), f"byte {place} bit {bit}"


def test_altered_weights_under_an_honest_checksum_are_refused(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["output_bias"] = arrays["output_bias"] + np.float32(1.0)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="the file was altered"):
        load_policy(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npz", None, "no such policy"),
        ("text.npz", b"not a zip", "is not a readable policy bundle"),
        ("empty.npz", b"", "is not a readable policy bundle"),
    ],
)
def test_what_is_no_bundle_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_policy(tmp_path / name)


def test_other_arrays_and_other_formats_are_refused(bundle: PolicyBundle, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(UsageError, match="holds no header, expected a policy bundle"):
        load_policy(path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(UsageError, match="is not a readable policy bundle"):
        load_policy(path.with_suffix(".npy"))
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["format"] = 1
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="has bundle format 1, this version reads 2; train it again, or open it with"):
        load_policy(path)


@pytest.mark.parametrize("header", [b"[]", b"1", b'"text"', b"null", b'{"format": 2, "provenance": 3}'])
def test_header_of_another_kind_is_refused(bundle: PolicyBundle, tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "policy.npz"
    bundle.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["header"] = np.frombuffer(header, np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="is not a valid policy bundle"):
        load_policy(path)


def test_folder_that_cannot_be_written_to_is_named(bundle: PolicyBundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        bundle.save(tmp_path / "missing" / "policy.npz")
