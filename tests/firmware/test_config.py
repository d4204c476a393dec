"""Every field of CFG at, inside and outside its bounds, in literals: loosening limits.h breaks this table."""

from __future__ import annotations

from binascii import crc_hqx

import pytest

from firmware_bridge.protocol import ProtocolError
from tests.firmware.c_core import ACK, LIMITS, STATE, Core, cfg_message

ACCEPTED = (ACK.DONE, 0xFF)

# Field, its number in CFG after seq, accepted values, refused values.
TABLE: list[tuple[str, int, list[int], list[int]]] = [
    ("flags", 0, [0, 1, 2, 4, 8, 16, 32, 63], [64, 128, 255]),
    ("control_period_ms", 1, [1, 2, 20, 99, 100], [0, 101, 255]),
    ("command_timeout_ms", 2, [1, 2, 80, 199, 200], [0, 201, 65535]),
    ("max_duty_q15", 3, [1, 2, 32766, 32767], [0, -1, -32767, -32768]),
    ("travel_limit_counts", 4, [1, 2, 999_999, 1_000_000], [0, 1_000_001, 2**31, 2**32 - 1]),
    ("brake_decel_counts_s2", 5, [8, 9, 2**31, 2**32 - 1], [0, 1, 7]),
    ("pole_limit_counts", 6, [90, 91, 1023, 1024], [0, 1025, 65535]),
    ("arming_angle_counts", 7, [1, 2, 699, 700], [0, 701, 65535]),
    ("pole_counts_per_turn", 8, [2800, 4096, 19_999, 20_000], [20_001, 65535]),
    ("pole_half_period_ms", 9, [100, 101, 4999, 5000], [0, 99, 5001, 65535]),
    ("homing_travel_counts", 10, [1, 2, 1_999_999, 2_000_000], [0, 2_000_001, 2**31, 2**32 - 1]),
    ("homing_speed_counts_s", 11, [1, 2, 65534, 65535], [0]),
    ("homing_duty_q15", 12, [1, 2, 16383, 16384], [0, 16385, 32767, -1, -16384, -32768]),
    ("moving_duty_q15", 13, [1, 2, 32766, 32767], [0, -1, -32768]),
    ("still_travel_counts", 14, [1, 2, 65534, 65535], [0]),
    ("dead_zone_left_q15", 15, [0, 1, 16382, 16383], [16384, 32767, -1, -32768]),
    ("dead_zone_right_q15", 16, [0, 1, 16382, 16383], [16384, 32767, -1, -32768]),
    ("continuous_duty_q15", 17, [1, 2, 32766, 32767], [0, -1, -32768]),
    ("reversals_per_s", 18, [1, 2, 499, 500], [0, 501, 65535]),
    ("supply_min_mv", 19, [4000, 4001, 14_999, 15_000], [0, 3999, 30_001, 65535]),
    ("supply_max_mv", 20, [9000, 9001, 29_999, 30_000], [0, 8999, 30_001, 65535]),
    ("illegal_most", 21, [1, 2, 7, 8], [0, 9, 255]),
    ("bandgap_mv", 22, [0, 1000, 1001, 1199, 1200], [1, 999, 1201, 65535]),
    ("swing_timeout_ms", 23, [0, 1, 59_999, 60_000], [60_001, 65535]),
    ("upright_ms", 24, [100, 101, 1999, 2000], [0, 99, 2001, 65535]),
]
ROWS = [(name, number, value, True) for name, number, fits, _ in TABLE for value in fits] + [
    (name, number, value, False) for name, number, _, unfit in TABLE for value in unfit
]


def test_table_names_every_field_in_order() -> None:
    assert [row[0] for row in TABLE] == list(LIMITS)
    assert [row[1] for row in TABLE] == list(range(25))


@pytest.mark.parametrize(("name", "number", "value", "fits"), ROWS)
def test_field_is_accepted_within_its_bounds_only(core: Core, name: str, number: int, value: int, fits: bool) -> None:
    core.tick()
    assert core.configure(**{name: value}) == (ACCEPTED if fits else (ACK.OUT_OF_RANGE, number))
    assert core.is_configured == fits


@pytest.mark.parametrize("name", list(LIMITS))
def test_value_that_the_field_cannot_hold_never_leaves_the_host(name: str) -> None:
    for value in (2**32, -(2**31) - 1):
        with pytest.raises(ProtocolError):
            cfg_message(**{name: value})


@pytest.mark.parametrize("state", ["armed", "homing"])
def test_every_field_is_refused_while_driving(core: Core, state: str) -> None:
    getattr(core, f"to_{state}")()
    before = core.state
    for name, _, value, _ in ROWS:
        assert core.configure(**{name: value}) == (ACK.NOT_NOW, 0), name
    assert core.state == before


@pytest.mark.parametrize(("name", "number", "value", "fits"), [row for row in ROWS if row[2] != LIMITS[row[0]]])
def test_every_changed_field_takes_the_zeros(core: Core, name: str, number: int, value: int, fits: bool) -> None:
    core.to_ready()
    core.configure(**{name: value})
    assert core.is_homed != fits
    assert core.state == (STATE.DISARMED if fits else STATE.READY)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        # The pole's limit is a quarter turn at most: 50 of 200 counts, 5000 of 20,000; an odd turn is rounded down.
        ({"pole_counts_per_turn": 200, "pole_limit_counts": 50, "arming_angle_counts": 50}, 0xFF),
        ({"pole_counts_per_turn": 200, "pole_limit_counts": 51, "arming_angle_counts": 50}, 6),
        ({"pole_counts_per_turn": 199, "pole_limit_counts": 49, "arming_angle_counts": 1}, 8),
        ({"pole_counts_per_turn": 0, "pole_limit_counts": 1, "arming_angle_counts": 1}, 6),
        ({"pole_counts_per_turn": 2803, "pole_limit_counts": 700}, 0xFF),
        ({"pole_counts_per_turn": 2799, "pole_limit_counts": 700}, 6),
        ({"pole_counts_per_turn": 20_000, "pole_limit_counts": 5000}, 0xFF),
        ({"pole_counts_per_turn": 20_000, "pole_limit_counts": 5001}, 6),
        # The arming angle is the pole's limit at most.
        ({"pole_limit_counts": 1, "arming_angle_counts": 1}, 0xFF),
        ({"pole_limit_counts": 89}, 7),
        # The supply's limits may meet, not cross.
        ({"supply_min_mv": 30_000, "supply_max_mv": 30_000}, 0xFF),
        ({"supply_min_mv": 4000, "supply_max_mv": 4000}, 0xFF),
        ({"supply_min_mv": 15_001}, 20),
        ({"supply_min_mv": 30_000, "supply_max_mv": 29_999}, 20),
        # The first wrong field is reported.
        ({"flags": 64, "supply_max_mv": 0}, 0),
        ({"dead_zone_left_q15": -1, "reversals_per_s": 0}, 15),
        ({"dead_zone_right_q15": -1, "reversals_per_s": 0}, 16),
    ],
)
def test_fields_that_bound_each_other(core: Core, changes: dict[str, int], detail: int) -> None:
    assert core.configure(**changes) == (ACK.DONE if detail == 0xFF else ACK.OUT_OF_RANGE, detail)


def test_limits_crc_is_of_the_limits_alone(core: Core) -> None:
    expected = crc_hqx(cfg_message()[4:], 0xFFFF)
    core.configure()
    assert core.limits_crc == expected
    core.configure(session=77, seq=9)
    assert core.limits_crc == expected


@pytest.mark.parametrize(("travel_limit_counts", "supply_max_mv"), [(4014, 15135), (4016, 25240)])
def test_limits_crc_is_never_zero(core: Core, travel_limit_counts: int, supply_max_mv: int) -> None:
    """0 means no limits."""
    changes = {"travel_limit_counts": travel_limit_counts, "supply_max_mv": supply_max_mv}
    assert crc_hqx(cfg_message(**changes)[4:], 0xFFFF) == 0
    assert core.configure(**changes) == ACCEPTED
    assert core.limits_crc == 1
