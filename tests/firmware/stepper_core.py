"""The safety core of a stepper for tests: its limits, its inputs, and a cart that counts the steps."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from firmware_bridge.messages import StepperMessage
from tests.firmware.c_core import ACK, FIRMWARE, HERE, STATE, STRICT, Core, Inputs, compile_c, load_library

CHECKS = (
    *("safety", "drive_stepper", "stillness", "plausibility", "pole_zero", "framing", "config", "rail", "ramp"),
    *("homing", "homing_stepper"),
)

# A stepper for tests: 400 steps/s in each millisecond, 18,000 at most. Its numbers are no ceilings of limits.h.
SPEED_MOST, GAIN = 18_000, 400
STEPPER = {
    "flags": 0,
    "speed_most": SPEED_MOST,
    "gain_q4": 16 * GAIN,
    "pulse_counts": 11,
    "setup_us": 7,
    "round_trip_steps": 8,
}
CFG = {
    "flags": 64,
    "travel_limit_counts": 8000,
    "brake_decel_counts_s2": 1000 * GAIN,
    "homing_travel_counts": 20_000,
    "homing_speed_counts_s": 3000,
    "homing_duty_q15": 8192,
    "max_duty_q15": 32767,
    "still_travel_counts": 65_535,
    "moving_duty_q15": 4096,
    "continuous_duty_q15": 32767,
    "reversals_per_s": 500,
}
HALF_TRACK = 9000


class StepRate(ctypes.Structure):
    """step_rate_t."""

    period: int
    share: int
    _fields_ = (("period", ctypes.c_uint16), ("share", ctypes.c_uint16))


class StepperMotor(ctypes.Structure):
    """motor_t of a stepper."""

    rate: StepRate
    is_left: bool
    is_enabled: bool
    is_enable_low: bool
    pulse_counts: int
    _fields_ = (
        ("rate", StepRate),
        ("is_left", ctypes.c_bool),
        ("is_enabled", ctypes.c_bool),
        ("is_enable_low", ctypes.c_bool),
        ("pulse_counts", ctypes.c_uint8),
    )


class StepperInputs(ctypes.Structure):
    """safety_inputs_t of a stepper."""

    _fields_ = (*Inputs._fields_, ("touched_at", ctypes.c_int32), ("is_alarm", ctypes.c_bool))


def compile_stepper(target: Path, options: Sequence[str] = ("-O1",)) -> Path:
    """A stepper's safety core as a shared library, the shim with it."""
    sources = [*(FIRMWARE / f"{name}.c" for name in CHECKS), HERE / "safety_shim.c"]
    return compile_c(target, sources, [*STRICT, *options, "-DFIRMWARE_STEPPER", "-fPIC", "-shared"])


def load_stepper(path: Path) -> ctypes.CDLL:
    """The library with the types of its functions."""
    library = load_library(path, StepperMotor)
    library.shim_look_at_stepper.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.shim_look_at_stepper.restype = None
    library.shim_read.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *([ctypes.c_bool] * 3)]
    library.shim_read.restype = None
    library.shim_find_switches.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32]
    library.shim_find_switches.restype = None
    library.shim_idle.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_bool, ctypes.c_void_p]
    library.shim_idle.restype = None
    library.shim_round_trip.argtypes = [ctypes.c_void_p]
    library.shim_round_trip.restype = ctypes.c_uint16
    library.shim_size_of_homing.restype = ctypes.c_size_t
    library.shim_look_at_homing.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.shim_look_at_homing.restype = None
    library.homing_begin.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint8]
    library.homing_begin.restype = None
    library.homing_tick.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p]
    library.homing_tick.restype = ctypes.c_int16
    library.homing_push.argtypes = [ctypes.c_char_p, ctypes.c_uint16, ctypes.c_int32]
    library.homing_push.restype = ctypes.c_int32
    library.homing_kick.argtypes = [ctypes.c_char_p]
    library.homing_kick.restype = ctypes.c_int16
    library.drive_prepare_homing.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.drive_prepare_homing.restype = None
    library.drive_take_message.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.drive_take_message.restype = ctypes.c_uint8
    for name, result, more in (
        ("ramp_tick", None, (ctypes.c_int16,)),
        ("ramp_stop", ctypes.c_bool, ()),
        ("ramp_can_stop", ctypes.c_bool, (ctypes.c_uint32,)),
    ):
        function = getattr(library, name)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *more]
        function.restype = result
    library.ramp_rate.argtypes = [ctypes.c_void_p]
    library.ramp_rate.restype = StepRate
    return library


class StepperCore(Core):
    """One safety_t of a stepper; `tick` moves the cart by the steps of the millisecond that passes."""

    INPUTS: ClassVar[type[ctypes.Structure]] = StepperInputs

    def __init__(self, library: ctypes.CDLL) -> None:
        super().__init__(library)
        self._look_at = (ctypes.c_int32 * 3)()
        self.motor = StepperMotor()
        self._in_force = 0.0  # steps a second, from the last tick on
        self._steps = 0.0
        self.moves = True

    def _stepper(self) -> Sequence[int]:
        self.library.shim_look_at_stepper(self._safety, self._look_at)
        return list(self._look_at)

    @property
    def speed(self) -> float:
        """What the last tick chose, in steps a second."""
        return self._stepper()[0] / 256

    @property
    def applied_q15(self) -> int:
        return self._stepper()[1]

    @property
    def is_enabled(self) -> bool:
        assert self.motor.is_enabled == bool(self._stepper()[2])
        return bool(self._stepper()[2])

    def configure(self, **changes: int) -> tuple[int, int]:
        """CFG; `stepper_limits` come after it."""
        return super().configure(**{**CFG, **changes})

    def stepper_limits(self, **changes: int) -> tuple[int, int]:
        """STEPPER: the acknowledgement's code and its detail."""
        self._detail.value = 0
        message = StepperMessage(**{"session": 0, "seq": 0, **STEPPER, **changes}).pack()
        code = self.library.drive_take_message(self._safety, message, ctypes.byref(self._detail))
        return int(code), self._detail.value

    def see_alarm(self, *, is_high: bool) -> bool:
        """Whether the inputs have an alarm, once the board has read that level."""
        self.library.shim_read(self._safety, ctypes.byref(self.inputs), is_high, False, False)
        return bool(self.inputs.is_alarm)

    def see_switches(self, counts: int, *, left: bool = False, right: bool = False) -> int:
        """Where the inputs have a switch touched, once the board has read both with the cart there."""
        self.inputs.cart_counts = counts
        self.library.shim_read(self._safety, ctypes.byref(self.inputs), False, left, right)
        return int(self.inputs.touched_at)

    def prepare_homing(self, homing: object) -> None:
        """Give a homing_t what it needs of STEPPER."""
        self.library.drive_prepare_homing(self._safety, homing)

    @property
    def round_trip_steps(self) -> int:
        return int(self.library.shim_round_trip(self._safety))

    def put(self, counts: int) -> None:
        """The cart is there."""
        self._steps = float(counts)
        self.inputs.cart_counts = counts

    def tick(self, want: int = 0, **inputs: int) -> tuple[int, bool]:
        """One safety tick, a millisecond after the last; the acceleration, and whether the driver is enabled."""
        if self.moves:
            before = int(self._steps // 1)
            self._steps += self._in_force / 1000.0
            self.inputs.cart_counts = int(self._steps // 1)
            self.inputs.cart_moved = self.inputs.cart_counts - before
            self.inputs.cart_speed = round(16 * self._in_force)
        self._in_force = self.speed  # what the tick before has chosen
        was_open = not (self.inputs.is_left_closed or self.inputs.is_right_closed)
        for name, value in inputs.items():
            setattr(self.inputs, name, value)
        if was_open and "touched_at" not in inputs:
            self.inputs.touched_at = self.inputs.cart_counts
        self.motor = self.library.safety_tick(self._safety, ctypes.byref(self.inputs), want)
        for name in ("cart_moved", "pole_moved", "cart_illegal", "pole_illegal", "missed_ticks"):
            setattr(self.inputs, name, 0)
        return self.applied_q15, self.is_enabled

    def run(self, ticks: int, want_q15: int = 0, *, valid_ms: int = 1000, sway: int = 0) -> int:
        """As `Core.run`, with a cart that moves."""
        before = self.state
        for done in range(1, ticks + 1):
            self.hear()
            if valid_ms:
                self.feed(valid_ms)
            self.tick(want_q15)
            if self.state != before:
                return done
        return ticks

    def idle(self, ticks: int, *, is_heard: bool = False) -> None:
        """Run `ticks` ticks of a cart at rest, each after a frame if `is_heard`."""
        assert self.speed == 0
        self.library.shim_idle(self._safety, ctypes.byref(self.inputs), ticks, is_heard, ctypes.byref(self.motor))

    def fast_to(self, speed: float) -> None:
        """Armed, accelerate to about `speed` steps a second."""
        while abs(self.speed) < abs(speed):
            self.fed_tick(32767 if speed > 0 else -32767)
        assert self.state == STATE.ARMED

    def rest(self) -> int:
        """Ticks without a word until the cart rests."""
        ticks = 0
        while self.speed != 0 or self._in_force != 0:
            self.tick()
            ticks += 1
            assert ticks < 1000
        return ticks

    # ---- real paths to a state ----

    def to_disarmed(self, **changes: int) -> None:
        of_cfg = {name: value for name, value in changes.items() if name not in STEPPER or name == "flags"}
        of_stepper = {name: value for name, value in changes.items() if name in STEPPER and name != "flags"}
        assert self.configure(**of_cfg) == (ACK.DONE, 0xFF)
        assert self.stepper_limits(**of_stepper) == (ACK.DONE, 0xFF)
        self.tick()
        assert self.state == STATE.DISARMED

    def homed(self, half_period_ms: int = 600) -> None:
        self.library.shim_find_switches(self._safety, 100 - HALF_TRACK, 100 + HALF_TRACK)
        super().homed(half_period_ms)

    def to_armed(self, **changes: int) -> None:
        """Armed, and the driver awake."""
        self.to_ready(**changes)
        assert self.arm() == (ACK.DONE, 0)
        for _ in range(200):
            self.fed_tick()
        assert self.state == STATE.ARMED
