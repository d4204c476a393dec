"""The constants that the host takes from the C headers, in literals: changing one takes an edit here too."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge import constants, protocol


def test_host_has_the_firmwares_numbers() -> None:
    assert (constants.TICK_S, constants.TICK_US, constants.HOMING_MOST_S) == (0.001, 1000, 180.0)
    assert (constants.SPEED_PER_COUNT, constants.ESTIMATOR_LAG_S) == (16, 0.0075)
    assert pytest.approx(0.0106, abs=5e-5) == constants.ESTIMATOR_COUNT_S
    assert (constants.MAX_INPUTS, constants.MAX_HIDDEN, constants.MAX_OUTPUTS) == (32, 256, 8)
    assert constants.CRC_START == 0xFFFF


def test_reader_takes_integers_with_suffixes_and_leaves_out_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """#define GUARD_H
/* #define IN_A_COMMENT 1 */
#define PLAIN 12 /* twelve,
                    in two lines */
#define UNSIGNED 800u
#define LONG 180000UL
#define HEX 0xFFFFu
#define SUM (PLAIN + 2)
#define CALLED(x) 3
"""
    monkeypatch.setattr(protocol, "header_text", lambda _name: text)
    found = protocol.read_constants.__wrapped__("made_up.h")
    assert found == {"PLAIN": 12, "UNSIGNED": 800, "LONG": 180_000, "HEX": 0xFFFF}


def test_no_header_of_that_name_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"made_up\.h"):
        protocol.read_constants("made_up.h")


def test_every_constant_of_limits_h_is_read() -> None:
    header = Path(protocol.__file__).parent / "firmware" / "limits.h"
    defined = [line.split()[1] for line in header.read_text().splitlines() if line.startswith("#define ")]
    assert list(protocol.read_constants("limits.h")) == defined[1:]  # but the guard
