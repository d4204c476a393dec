"""What a traced emulated chip keeps: the instructions that ran, how each went on, and how long interrupts were off."""

from __future__ import annotations

import mmap
import os
import struct

_HEAD = struct.Struct("<II")  # trace_t of simavr/trace.h
TRACE_WORDS = 16_384
NEXT, ELSEWHERE = 1, 2  # enum trace_way


class ChipTrace:
    """The memory that the emulator writes its trace into; `file` is for the emulator, which inherits it."""

    def __init__(self) -> None:
        self.file = os.memfd_create("cartpole-robot-trace")
        os.ftruncate(self.file, _HEAD.size + TRACE_WORDS)
        self._memory = mmap.mmap(self.file, _HEAD.size + TRACE_WORDS)

    @property
    def longest_off_cycles(self) -> int:
        """The longest time in which no interrupt could begin, once the program had switched them on."""
        return int(_HEAD.unpack_from(self._memory)[0])

    @property
    def off_from(self) -> int:
        """The byte address in flash at which that time began: an instruction, or an interrupt's vector."""
        return int(_HEAD.unpack_from(self._memory)[1])

    @property
    def ways(self) -> bytes:
        """For each word of flash: 0 if nothing there ran, else where it went on: `NEXT`, `ELSEWHERE`, or both."""
        return self._memory[_HEAD.size :]

    def close(self) -> None:
        """Close the file; what was traced stays. May be called twice."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
