"""The firmware's C as a shared library for tests: built strictly, loaded with ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from firmware_bridge.messages import CfgMessage
from firmware_bridge.protocol import read_protocol

HERE = Path(__file__).parent
FIRMWARE = Path(str(resources.files("firmware_bridge.firmware").joinpath("safety.c"))).parent
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CHECKS = ("safety", "drive_dc", "stillness", "plausibility", "pole_zero", "framing", "config", "rail")
CORE = (*CHECKS, "homing", "homing_dc", "app", "estimator", "policy")

PROTOCOL = read_protocol()
STATE: Any = PROTOCOL.enums["cart_state"]
FAULT: Any = PROTOCOL.enums["fault"]
ACK: Any = PROTOCOL.enums["ack_code"]
MODE: Any = PROTOCOL.enums["mode"]


class CompileError(Exception):
    """gcc failed."""


def compile_c(target: Path, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """`target`, compiled from C. Raises `CompileError` with what gcc says."""
    hash_macro = f"-DPROTOCOL_HASH=0x{PROTOCOL.hash:08x}u"
    words = ["gcc", *options, hash_macro, f"-I{FIRMWARE}", *map(str, sources), "-o", str(target)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=target.parent)
    if done.returncode != 0:
        raise CompileError(done.stderr)
    return target


def compile_library(target: Path, options: Sequence[str] = ("-O1",)) -> Path:
    """The safety core, framing and configuration as a shared library, the shim with them."""
    sources = [FIRMWARE / f"{name}.c" for name in CHECKS]
    return compile_c(target, [*sources, HERE / "safety_shim.c"], [*STRICT, *options, "-fPIC", "-shared"])


class Inputs(ctypes.Structure):
    """safety_inputs_t."""

    cart_counts: int
    pole_counts: int
    cart_speed: int
    pole_speed: int
    cart_moved: int
    pole_moved: int
    cart_illegal: int
    pole_illegal: int
    is_left_closed: bool
    is_right_closed: bool
    is_estop_pressed: bool
    supply_mv: int
    rail_mv: int
    has_pulse_period: bool
    missed_ticks: int
    _fields_ = (
        ("cart_counts", ctypes.c_int32),
        ("pole_counts", ctypes.c_int32),
        ("cart_speed", ctypes.c_int32),
        ("pole_speed", ctypes.c_int32),
        ("cart_moved", ctypes.c_int32),
        ("pole_moved", ctypes.c_int32),
        ("cart_illegal", ctypes.c_uint8),
        ("pole_illegal", ctypes.c_uint8),
        ("is_left_closed", ctypes.c_bool),
        ("is_right_closed", ctypes.c_bool),
        ("is_estop_pressed", ctypes.c_bool),
        ("supply_mv", ctypes.c_uint16),
        ("rail_mv", ctypes.c_uint16),
        ("has_pulse_period", ctypes.c_bool),
        ("missed_ticks", ctypes.c_uint8),
    )


class Motor(ctypes.Structure):
    """motor_t."""

    duty_q15: int
    brake: bool
    _fields_ = (("duty_q15", ctypes.c_int16), ("brake", ctypes.c_bool))


def load_library(path: Path, motor: type[ctypes.Structure] = Motor) -> ctypes.CDLL:
    """The library with the types of its functions; `motor` is its motor_t."""
    library = ctypes.CDLL(str(path))
    library.safety_tick.restype = motor
    library.safety_tick.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int16]
    library.safety_feed.argtypes = [ctypes.c_void_p, ctypes.c_uint16]
    library.safety_feed.restype = None
    library.safety_trip.argtypes = [ctypes.c_void_p, ctypes.c_uint8]
    library.safety_trip.restype = None
    library.safety_arm.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p]
    library.safety_arm.restype = ctypes.c_uint8
    for name in ("safety_begin_homing", "safety_begin_centring", "safety_begin_jogging", "safety_clear"):
        function = getattr(library, name)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        function.restype = ctypes.c_uint8
    library.drive_commanded.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_bool]
    library.drive_commanded.restype = ctypes.c_int16
    if motor is Motor:
        library.drive_warmth.argtypes = [ctypes.c_void_p]
        library.drive_warmth.restype = ctypes.c_uint8
    library.safety_illegal.argtypes = [ctypes.c_uint8, ctypes.c_uint8, ctypes.c_int32, ctypes.c_uint8]
    library.safety_illegal.restype = ctypes.c_uint8
    library.safety_configure.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.safety_configure.restype = ctypes.c_uint8
    library.config_check.argtypes = [ctypes.c_char_p]
    library.config_check.restype = ctypes.c_uint8
    library.config_crc.argtypes = [ctypes.c_char_p]
    library.config_crc.restype = ctypes.c_uint16
    library.safety_homed.argtypes = [ctypes.c_void_p, ctypes.c_uint16]
    library.safety_homed.restype = None
    for name in ("safety_init", "safety_disarm", "safety_hear"):
        function = getattr(library, name)
        function.argtypes = [ctypes.c_void_p]
        function.restype = None
    library.shim_size_of_safety.restype = ctypes.c_size_t
    library.shim_size_of_inputs.restype = ctypes.c_size_t
    library.shim_size_of_decoder.restype = ctypes.c_size_t
    library.shim_errors.argtypes = [ctypes.c_void_p]
    library.shim_errors.restype = ctypes.c_uint16
    library.shim_look.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.shim_look.restype = None
    library.shim_is_pole_speed_due.argtypes = [ctypes.c_void_p]
    library.shim_is_pole_speed_due.restype = ctypes.c_bool
    library.shim_run.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int16,
        ctypes.c_uint16,
        ctypes.c_uint32,
        ctypes.c_int32,
        ctypes.c_void_p,
    ]
    library.shim_run.restype = ctypes.c_uint32
    library.framing_crc.argtypes = [ctypes.c_uint16, ctypes.c_char_p, ctypes.c_size_t]
    library.framing_crc.restype = ctypes.c_uint16
    library.framing_encode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    library.framing_encode.restype = ctypes.c_size_t
    library.frame_decoder_reset.argtypes = [ctypes.c_void_p]
    library.frame_decoder_reset.restype = None
    library.frame_decoder_push.argtypes = [ctypes.c_void_p, ctypes.c_uint8]
    library.frame_decoder_push.restype = ctypes.c_uint8
    return library


class Decoder:
    """One frame_decoder_t."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self._decoder = (ctypes.c_uint8 * library.shim_size_of_decoder())()
        library.frame_decoder_reset(self._decoder)

    def feed(self, received: bytes) -> list[bytes]:
        """The sound messages that end in those bytes."""
        messages = []
        for byte in received:
            length = self.library.frame_decoder_push(self._decoder, byte)
            if length != 0:
                messages.append(bytes(self._decoder[:length]))
        return messages

    @property
    def errors(self) -> int:
        return int(self.library.shim_errors(self._decoder))


def encode(library: ctypes.CDLL, message: bytes) -> bytes:
    """The frame that framing.c makes of a message; empty where it refuses."""
    frame = ctypes.create_string_buffer(b"\xa5" * 80, 80)
    length = library.framing_encode(message, len(message), frame)
    assert frame.raw[length:] == b"\xa5" * (80 - length), "nothing is written behind the frame"
    return frame.raw[:length]


# A cart for tests; every number differs from every ceiling in limits.h.
LIMITS = {
    "flags": 0,
    "control_period_ms": 20,
    "command_timeout_ms": 80,
    "max_duty_q15": 20000,
    "travel_limit_counts": 5000,
    "brake_decel_counts_s2": 80000,
    "pole_limit_counts": 700,
    "arming_angle_counts": 90,
    "pole_counts_per_turn": 4096,
    "pole_half_period_ms": 600,
    "homing_travel_counts": 15000,
    "homing_speed_counts_s": 2000,
    "homing_duty_q15": 8000,
    "moving_duty_q15": 6000,
    "still_travel_counts": 1500,
    "dead_zone_left_q15": 0,
    "dead_zone_right_q15": 0,
    "continuous_duty_q15": 12000,
    "reversals_per_s": 40,
    "supply_min_mv": 9000,
    "supply_max_mv": 15000,
    "illegal_most": 7,
    "bandgap_mv": 1090,
    "swing_timeout_ms": 9000,
    "upright_ms": 300,
}


def cfg_message(**changes: int) -> bytes:
    """A CFG message of the test cart with changes; session and sequence number 0 unless given."""
    return CfgMessage(**{"session": 0, "seq": 0, **LIMITS, **changes}).pack()


class Core:
    """One safety_t, the inputs of its next tick, and what app.c sees of it."""

    INPUTS: type[ctypes.Structure] = Inputs

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        size = library.shim_size_of_safety()
        assert library.shim_size_of_inputs() == ctypes.sizeof(self.INPUTS)
        self._safety = (ctypes.c_uint8 * size)(*[0xA5] * size)
        self._seen = (ctypes.c_int32 * 9)()
        self._detail = ctypes.c_uint8(0)
        self.inputs: Any = self.INPUTS(supply_mv=12000, rail_mv=5000, has_pulse_period=True)
        library.safety_init(self._safety)

    def _look(self) -> Sequence[int]:
        self.library.shim_look(self._safety, self._seen)
        return list(self._seen)

    @property
    def state(self) -> int:
        return self._look()[0]

    @property
    def fault(self) -> int:
        return self._look()[1]

    @property
    def is_homed(self) -> bool:
        return bool(self._look()[2])

    @property
    def was_clipped(self) -> bool:
        return bool(self._look()[3])

    @property
    def is_still(self) -> bool:
        return bool(self._look()[4])

    @property
    def limits_crc(self) -> int:
        return self._look()[5]

    @property
    def is_configured(self) -> bool:
        return bool(self._look()[6])

    @property
    def is_swinging(self) -> bool:
        return bool(self._look()[8])

    @property
    def command_age_ms(self) -> int:
        return self._look()[7]

    @property
    def warmth(self) -> int:
        return int(self.library.drive_warmth(self._safety))

    def commanded(self, duty_q15: int, *, is_there: bool = True) -> int:
        """What app asks for where that is the command, or where none is there."""
        return int(self.library.drive_commanded(self._safety, duty_q15, is_there))

    @property
    def is_pole_speed_due(self) -> bool:
        """Whether the next tick looks at `inputs.pole_speed`."""
        return bool(self.library.shim_is_pole_speed_due(self._safety))

    def _ask(self, name: str) -> tuple[int, int]:
        self._detail.value = 0
        function = getattr(self.library, name)
        code = function(self._safety, ctypes.byref(self.inputs), ctypes.byref(self._detail))
        return code, self._detail.value

    def arm(self) -> tuple[int, int]:
        """Acknowledgement code and detail, as of the other requests."""
        return self._arm(is_swing_up=False)

    def arm_to_swing_up(self) -> tuple[int, int]:
        return self._arm(is_swing_up=True)

    def _arm(self, *, is_swing_up: bool) -> tuple[int, int]:
        self._detail.value = 0
        inputs, detail = ctypes.byref(self.inputs), ctypes.byref(self._detail)
        return self.library.safety_arm(self._safety, inputs, is_swing_up, detail), self._detail.value

    def home(self) -> tuple[int, int]:
        return self._ask("safety_begin_homing")

    def centre(self) -> tuple[int, int]:
        return self._ask("safety_begin_centring")

    def jog(self) -> tuple[int, int]:
        return self._ask("safety_begin_jogging")

    def clear(self) -> tuple[int, int]:
        return self._ask("safety_clear")

    def configure(self, **changes: int) -> tuple[int, int]:
        self._detail.value = 0
        message = cfg_message(**changes)
        return self.library.safety_configure(self._safety, message, ctypes.byref(self._detail)), self._detail.value

    def disarm(self) -> None:
        self.library.safety_disarm(self._safety)

    def homed(self, half_period_ms: int = 600) -> None:
        self.library.safety_homed(self._safety, half_period_ms)

    def illegal(self, illegal: int, edges: int, moved: int, missed_ticks: int = 0) -> int:
        """How many of a tick's transitions no encoder makes."""
        found = self.library.safety_illegal(illegal, edges & 0xFF, moved, missed_ticks)
        assert isinstance(found, int)
        return found

    def hear(self) -> None:
        """A frame comes from the host."""
        self.library.safety_hear(self._safety)

    def trip(self, fault: int) -> None:
        self.library.safety_trip(self._safety, fault)

    def feed(self, valid_ms: int = 1000) -> None:
        self.library.safety_feed(self._safety, valid_ms)

    def tick(self, want_q15: int = 0, **inputs: int) -> tuple[int, bool]:
        """One safety tick; duty and brake. Lasting inputs stay for later ticks, one-tick inputs do not."""
        for name, value in inputs.items():
            setattr(self.inputs, name, value)
        motor = self.library.safety_tick(self._safety, ctypes.byref(self.inputs), want_q15)
        for name in ("cart_moved", "pole_moved", "cart_illegal", "pole_illegal", "missed_ticks"):
            setattr(self.inputs, name, 0)
        return motor.duty_q15, motor.brake

    def fed_tick(self, want_q15: int = 0, **inputs: int) -> tuple[int, bool]:
        """One safety tick, a command just before it."""
        self.feed()
        return self.tick(want_q15, **inputs)

    def run(self, ticks: int, want_q15: int = 0, *, valid_ms: int = 1000, sway: int = 0) -> int:
        """The number of ticks with the same inputs until the state changed, at most `ticks`.

        A frame from the host precedes each tick, a command valid for `valid_ms` unless that is 0. The cart sways by
        `sway` counts.
        """
        motor = Motor()
        done = self.library.shim_run(
            self._safety, ctypes.byref(self.inputs), want_q15, valid_ms, ticks, sway, ctypes.byref(motor)
        )
        return int(done)

    # ---- real paths to a state ----

    def to_disarmed(self, **changes: int) -> None:
        assert self.configure(**changes) == (ACK.DONE, 0xFF)
        self.tick()
        assert self.state == STATE.DISARMED

    def to_homing(self, **changes: int) -> None:
        self.to_disarmed(**changes)
        assert self.home() == (ACK.DONE, 0)
        assert self.state == STATE.HOMING

    def to_ready(self, **changes: int) -> None:
        """Homed, still, the brake released."""
        self.to_homing(**changes)
        self.homed()
        self.run(600, valid_ms=0)
        assert self.state == STATE.READY

    def to_armed(self, **changes: int) -> None:
        self.to_ready(**changes)
        assert self.arm() == (ACK.DONE, 0)
        assert self.state == STATE.ARMED

    def to_swinging(self, **changes: int) -> None:
        """Armed for a swing-up, the pole hanging."""
        self.to_ready(**changes)
        self.inputs.pole_counts = changes.get("pole_counts_per_turn", LIMITS["pole_counts_per_turn"]) // 2
        self.tick()
        assert self.arm_to_swing_up() == (ACK.DONE, 0)
        assert self.state == STATE.ARMED
