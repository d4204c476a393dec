"""A board that takes its time to start again: until then its bridge is open, and the cart rolls on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cartpole_robot.files.records import require, require_not_negative
from cartpole_robot.simulation.virtual_cart import Board
from firmware_bridge.protocol import read_protocol

_EXTERNAL = int(read_protocol().enums["reset_cause"]["EXTERNAL"])
_WRAP_US = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What a reset costs: `start_s` until the oscillator runs, after an external one also `loader_s` in the loader.

    Meanwhile the chip's pins are inputs: the pull-downs at the module open the bridge, and the cart coasts. Bytes from
    the host are lost.
    """

    start_s: float = 0.0
    loader_s: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "start_s", "loader_s")
        for name in ("start_s", "loader_s"):
            require(getattr(self, name) <= 60.0, f"{name} = {getattr(self, name):g}, expected at most 60 s")


class BootingBoard:
    """`board` with the start-up of `boot` after each reset, its own included. Implements `Board`.

    Its other attributes are those of `board`.
    """

    def __init__(self, board: Board, boot: Boot) -> None:
        self._board = board
        self._boot = boot
        self._seen_us = board.time_us
        self._left_ms = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("mailbox", "_board"):  # the way in C would pass by this board
            raise AttributeError(name)
        return getattr(self._board, name)

    @property
    def time_us(self) -> int:
        return self._board.time_us

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        """As `Board.tick`; None while the board starts."""
        if self._left_ms == 0:
            driven = self._board.tick(cart_counts, pole_counts, inputs, supply_mv)
            passed_us = (self._board.time_us - self._seen_us) % _WRAP_US
            self._seen_us = self._board.time_us
            if passed_us < _WRAP_US // 2:
                return driven
            self._start_again(0)  # it has reset itself, or was reset past this board
        else:
            self._left_ms -= 1
        return None

    def feed(self, received: bytes, /) -> None:
        """As `Board.feed`; lost while the board starts."""
        if self._left_ms == 0:
            self._board.feed(received)

    def take(self) -> bytes:
        return self._board.take()

    def has_sent(self) -> bool:
        return self._board.has_sent()

    def restart(self, cause: int, /) -> None:
        """Reset for that `enum reset_cause`; an external reset starts the boot loader too."""
        self._board.restart(cause)
        self._start_again(cause)

    def _start_again(self, cause: int) -> None:
        boot = self._boot
        self._seen_us = self._board.time_us
        self._left_ms = round(1000.0 * (boot.start_s + (boot.loader_s if cause == _EXTERNAL else 0.0)))
