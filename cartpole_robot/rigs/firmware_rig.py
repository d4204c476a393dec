"""A cart behind its firmware, real or simulated: the rig over a link, and the hand that raises the pole."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from cartpole_robot.rigs.plausibility import MotionCheck
from cartpole_robot.rigs.turning_points import TurningPoints
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.motor import electrical_power
from cartpole_robot.task import is_terminated
from cartpole_robot.terminal.interrupts import signals_held
from firmware_bridge.clock import ArrivalClock
from firmware_bridge.constants import HOMING_MOST_S, NO_COMMAND_MS, SPEED_PER_COUNT
from firmware_bridge.errors import BridgeError, LinkError, RefusedError, SessionLostError
from firmware_bridge.faults import FAULTS
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage

HOMING_S = HOMING_MOST_S + 20.0  # the firmware gives up first
RAISE_S = 60.0
SILENCE_S = 0.5  # several control periods: one STATE may be lost
IMPLAUSIBLE = "IMPLAUSIBLE"  # in place of a firmware's fault: measurements that no such cart can give
_ARM_RETRIES_ON = ("NOT_STILL", "POLE_NOT_UPRIGHT", "CART_OUTSIDE")
_SWING_RETRIES_ON = ("NOT_STILL", "POLE_NOT_HANGING", "POLE_NOT_UPRIGHT")
_REST_S = 60.0  # a cart comes to rest in less, and so does a pole that rotates
_SWING_SHARE = 0.8  # of the limit of position: a cart farther out goes to the middle before it swings up


class Hand(Protocol):
    """What raises the pole at the start of an episode: a person or a simulation."""

    brings_cart: bool

    def let_hang(self) -> None:
        """Let the pole hang still for homing, and do not touch it; may return before it hangs still."""

    def raise_pole(self, start: State) -> None:
        """Hold the pole still and upright, near `start`; may return before it is there."""

    def has_arrived(self) -> bool:
        """Whether the pole is where it belongs, as far as the hand knows."""

    def let_go_at(self, time_us: int) -> None:
        """The motor is armed: let go at a control tick after the one at `time_us` of the cart's clock."""

    def let_go(self) -> None:
        """The controller drives: let go, unless that has been done."""


@dataclass(frozen=True, kw_only=True)
class FirmwareOptions:
    """How a rig drives its firmware.

    `arm` holds bits of `enum arm_option`, which every ARM request carries. TRACE messages are appended to `traces`. A
    serial port is polled from `poll_s` before a measurement is due until `poll_s` after that.
    """

    arm: int = 0
    traces: deque[bytes] = field(default_factory=lambda: deque(maxlen=0))
    poll_s: float = 0.0


NO_OPTIONS = FirmwareOptions()


@dataclass(frozen=True, kw_only=True)
class WireScale:
    """SI units for the numbers of a STATE."""

    m_per_count: float
    rad_per_count: float
    m_s_per_unit: float
    rad_s_per_unit: float
    duty_per_unit: float


class FirmwareRig:
    """The cart at the other end of `link`; implements `cartpole_robot.rig.Rig`."""

    def __init__(
        self,
        cart: CartParams,
        link: Link,
        hand: Hand,
        *,
        options: FirmwareOptions = NO_OPTIONS,
        arrivals: ArrivalClock | None = None,
    ) -> None:
        """Open the session and give the firmware the cart's limits. Raises `RigError`, `UsageError`.

        `arrivals` measures by how much each measurement is late, on a link in real time.
        """
        self._link = link
        self._hand = hand
        self._options = options
        self._arrivals = arrivals
        self._lateness_s = math.nan
        self._states = link.protocol.enums["cart_state"]
        self._inputs = link.protocol.enums["input_flag"]
        self._armed = int(self._states["ARMED"])
        self._homing = int(self._states["HOMING"])
        self._stuck = int(link.protocol.enums["fault"]["CART_STUCK"])
        self._one = link.protocol.constants["PROTOCOL_DUTY_ONE"]
        self.on_state: Callable[[StateMessage], object] | None = None
        """Gets every STATE that this rig reads, such as those of homing."""
        self.requested_duty = math.nan
        """Of the newest command."""
        self._take(cart)
        self._measurement = Measurement()
        self._tick = 0
        self._state: StateMessage | None = None
        self._first_tick = 0
        self._is_running = False
        self._is_swinging = False  # armed for a swing-up, and the pole has not been upright yet
        self._pole_may_fall = False  # the firmware alone judges the pole: in a swing-up, until it is handed over
        self._is_closed = False
        self._is_off = True  # the cart has confirmed it, and has not been asked to move since
        self._was_reported = False  # that it has not confirmed it
        self._is_stopped = False  # by the host's e-stop, since the cart was last to be made ready
        self.fault: str | None = None  # the firmware's, by name, or IMPLAUSIBLE, that ended the episode
        self.takes_any_pole_period = False
        """Whether homing accepts a pole whose period differs from the cart file, and only measures it."""
        try:
            self._open_session()
        except BridgeError as error:
            self.close()
            raise RigError(str(error)) from None

    def _take(self, cart: CartParams) -> None:
        """Drive as `cart` from now on. Raises `UsageError` for a cart that no firmware can drive."""
        encoders, _ = encoders_and_settings(cart)
        self._limits = cfg_message(cart)
        self._stepper_limits = stepper_message(cart)
        self._cart = cart
        self._motion = MotionCheck(cart, self._limits)
        self._m_per_count = 1.0 / encoders.cart_counts_per_m
        self._rad_per_count = 1.0 / encoders.pole_counts_per_rad
        self._m_s_per_unit = self._m_per_count / SPEED_PER_COUNT
        self._rad_s_per_unit = self._rad_per_count / SPEED_PER_COUNT
        self.scale = WireScale(
            m_per_count=self._m_per_count,
            rad_per_count=self._rad_per_count,
            m_s_per_unit=self._m_s_per_unit,
            rad_s_per_unit=self._rad_s_per_unit,
            duty_per_unit=1.0 / self._one,
        )
        """Of the cart as configured."""
        self._power_w = electrical_power(cart.motor)
        self._period_s = cart.timing.control_period_s
        # As long as the firmware would wait anyway: the host may give up earlier, and this host does not.
        self._valid_ms = self._limits.command_timeout_ms

    def change_cart(self, cart: CartParams) -> None:
        """Take the cart on the line for `cart` from now on, motor off; with other limits it homes again.

        Raises `RigError`, and `UsageError` for a cart that no firmware can drive.
        """
        self._check_is_open()
        self.disarm()
        self._take(cart)
        try:
            self._open_session()
        except BridgeError as error:
            self._fail(error)

    @property
    def cart(self) -> CartParams:
        """The cart as configured."""
        return self._cart

    @property
    def episode_cart(self) -> CartParams:
        """The cart as configured: nothing more is known of a real one."""
        return self._cart

    @property
    def is_running(self) -> bool:
        """Whether the cart is armed and driving, as far as the host knows."""
        return self._is_running

    @property
    def control_tick(self) -> int:
        """The cart's own number of the newest measurement, since it was switched on."""
        return self._tick

    @property
    def link(self) -> Link:
        """The session with the cart."""
        return self._link

    @property
    def options(self) -> FirmwareOptions:
        return self._options

    @property
    def state(self) -> StateMessage:
        """The newest STATE. Raises `RigError` before the first."""
        if self._state is None:
            raise RigError("no measurement has come from the cart yet; call reset() first")
        return self._state

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of an episode: homed, centred, pole raised near `start`, armed.

        Raises `RigError`, motor off, if the cart refuses or the pole is not raised.
        """
        self.make_ready()
        return self.start_episode(start)

    def make_ready(self) -> None:
        """Disarm the cart, clear its fault, home it, and centre it unless the hand brings it. Raises `RigError`."""
        self._check_is_open()
        self._is_running = self._was_reported = self._is_stopped = False
        self.fault = None
        try:
            self._home()
        except BridgeError as error:
            self._fail(error)

    def start_episode(self, start: State) -> Measurement:
        """The first measurement of an episode of a ready cart: pole raised near `start`, armed. Raises as `reset`."""
        try:
            self._hand.raise_pole(start)
            self._hand.let_go_at(self._arm())
            state = self._next_state()
        except BridgeError as error:
            self._fail(error)
        self._hand.let_go()
        self._is_swinging = self._pole_may_fall = False
        return self._begin(state)

    @property
    def is_swinging(self) -> bool:
        """Whether the cart is armed for a swing-up and its pole has not been upright yet."""
        return self._is_swinging

    def begin_swing(
        self, rng: np.random.Generator, *, checks_zero: bool = False, may_be_held: bool = True
    ) -> Measurement:
        """The first measurement of a swing-up: homed, cart at rest, armed; the pole hangs in whatever motion it has.

        No hand helps. A pole that is held upright and still is armed as it is, unless `may_be_held` is False:
        then the rig waits a minute for it to hang. With `checks_zero` a swinging pole first shows the firmware its
        turning points, which takes seconds. Raises `RigError`, motor off, and `UsageError` for a cart file that forbids
        a swing-up.
        """
        return self._swing_begun(checks_zero=checks_zero, may_be_held=may_be_held)

    def begin_hanging(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of the swing-up task: as `begin_swing`, and always with the pole below the horizontal.

        Until the next episode the host ends this one only past the cart's limit; a pole that was up and falls is the
        firmware's to stop. `start` has no effect on a real cart. Raises as `begin_swing`, also for a pole that stands.
        """
        return self._swing_begun(checks_zero=False, may_be_held=False)

    def _swing_begun(self, *, checks_zero: bool, may_be_held: bool) -> Measurement:
        self._check_is_open()
        if not self._limits.swing_timeout_ms:
            raise UsageError(
                f"cart {self._cart.name!r}: firmware.swing_timeout_s = 0 forbids a swing-up; set it, or start by hand"
            )
        self._pole_may_fall = True
        was_homed = self.make_ready_to_swing()
        try:
            if checks_zero and was_homed:  # else homing has just found it
                self._show_turning_points()
            self._arm_to_swing(may_be_held=may_be_held)
            state = self._next_state()
        except BridgeError as error:
            self._fail(error)
        self._is_swinging = bool(state.inputs & self._inputs["SWINGING"])
        return self._begin(state)

    def pole_half_period_s(self) -> float | None:
        """Half of the pole's period as homing measured it, None before. Raises `RigError`."""
        self._check_is_open()
        try:
            measured_ms = self._link.health().pole_half_period_ms
        except BridgeError as error:
            self._fail(error)
        return measured_ms / 1000.0 if measured_ms else None

    def make_ready_to_swing(self) -> bool:
        """As `make_ready`, without a hand, and centred only if far out; whether it was homed. Raises `RigError`."""
        self._check_is_open()
        self._is_running = self._was_reported = self._is_stopped = False
        self.fault = None
        try:
            return self._ready_to_swing()
        except BridgeError as error:
            self._fail(error)

    def begin_episode(self) -> Measurement:
        """The newest measurement as the first of an episode, at tick 0. Raises `RigError` before there is one."""
        self._pole_may_fall = self._is_swinging = False
        self._first_tick = self.state.tick
        return self._measure(self.state)

    def _begin(self, state: StateMessage) -> Measurement:
        """The first measurement of an armed cart."""
        self._first_tick = state.tick
        self._is_running = True
        self._motion.begin()
        self._check_motion(state)
        return self._measure(state)

    def hold(self, start: State) -> Measurement:
        """A ready cart with its pole held near `start`, still and upright enough to be armed. Raises `RigError`."""
        self.make_ready()
        try:
            self._hand.raise_pole(start)
            deadline_s = self._link.clock() + RAISE_S
            state = self._next_state()
            while not self._may_arm(state):
                self._check_raised(state, deadline_s)
                state = self._next_state()
        except BridgeError as error:
            self._fail(error)
        return self._measure(state)

    def command(self, duty: float) -> None:
        """Answer the last measurement with `duty`, without waiting. Raises `RigError`, motor off."""
        if not self._is_running:
            raise RigError("the rig is not armed; call reset() before step()")
        if not -1.0 <= duty <= 1.0:
            duty = math.copysign(1.0, duty)
        self.requested_duty = duty
        try:
            self._link.command(self._tick, round(duty * self._one), self._valid_ms)
        except BridgeError as error:
            self._fail(error)

    def emergency_stop(self) -> None:
        """Send the e-stop, at any time and without waiting: the cart's next measurements have the fault ESTOP.

        Raises `RigError` for a line that is gone.
        """
        self._check_is_open()
        self._is_stopped = True
        try:
            self._link.post_mode("ESTOP")
        except BridgeError as error:
            self._fail(error)

    def _fail(self, error: BridgeError) -> NoReturn:
        """Motor off, then raise `RigError`, which also reports a motor that may still run."""
        problem = self._stand_down()
        reason = str(error)
        if isinstance(error, SessionLostError):
            reason = self._link.restart_problem() or reason  # a silent cart may say so in its answer to DISARM
        raise RigError(reason if problem is None else f"{reason}; {problem}") from None

    def _stand_down(self) -> str | None:
        """Motor off; returns None once the cart has confirmed it, else what to tell the operator."""
        self._is_running = False
        with signals_held():  # a second Ctrl-C does not cut it short: it takes about a second at most
            try:
                self._link.disarm()
            except BridgeError as error:
                self._was_reported = True
                return str(error)
            self._is_off = True
        return None

    def _check_motion(self, state: StateMessage) -> None:
        problem = self._motion.problem(state)
        if problem is not None:
            self.fault = IMPLAUSIBLE
            self._fail(LinkError(f"implausible measurement: {problem}"))

    def step(self, duty: float) -> Measurement:
        """The measurement one control period later. Raises `RigError` with the firmware's fault or the link's."""
        self.command(duty)
        return self.measure()

    def measure(self) -> Measurement:
        """The next measurement; a cart driven by its on-board policy needs no command first. Raises as `step`."""
        if not self._is_running:
            raise RigError("the rig is not armed; call reset() before measure()")
        try:
            state = self._next_state()
        except BridgeError as error:
            self._fail(error)
        if state.state != self._armed:
            if state.state == self._homing:
                self._fail(LinkError(self._fault_message(state)))
            self._is_running = False
            self._is_off = state.applied_q15 == 0
            self.fault = self._fault_of(state)
            raise RigError(self._fault_message(state))
        self._check_motion(state)
        measurement = self._measure(state)
        if self._is_swinging:
            self._is_swinging = bool(state.inputs & self._inputs["SWINGING"])
        if self._is_over(measurement):
            # The episode is over, even if the caller does not check: stop driving.
            self._is_running = False
            try:
                self._link.post_mode("DISARM")
            except BridgeError as error:
                self._fail(error)
        return measurement

    def _is_over(self, measurement: Measurement) -> bool:
        if self._pole_may_fall:
            return abs(measurement.cart_position_m) > self._cart.limits.cart_position_m
        return is_terminated(measurement, self._cart.limits)

    def disarm(self) -> None:
        """Motor off until the next `reset`: acknowledged, and seen in a STATE that came after. Raises `RigError`."""
        self._check_is_open()
        problem = self._stand_down()
        if problem is not None:
            raise RigError(problem)

    def watch(self) -> Measurement:
        """The next measurement of a cart that `disarm` left to itself. Raises `RigError`."""
        if self._is_closed or self._is_running:
            raise RigError("watch() needs a disarmed cart; call disarm() first")
        try:
            state = self._next_state()
        except BridgeError as error:
            self._fail(error)
        if state.state in (self._armed, self._homing):
            self._fail(LinkError(f"the cart is {self._states(state.state).name} after DISARM"))
        if state.inputs & self._inputs["HOMED"]:
            self._check_motion(state)
        else:
            self._motion.begin()  # a fault may take the zeros, and the pole then counts from anywhere
        return self._measure(state)

    def close(self) -> None:
        """Motor off, line released. May be called twice.

        Raises `RigError`, the line released, if the cart has not confirmed that its motor is off and no error has
        reported that yet.
        """
        if self._is_closed:
            return
        self._is_closed = True
        was_reported, problem = self._was_reported, None
        try:
            if self._is_off:
                self._is_running = False
                with contextlib.suppress(BridgeError):  # it is off; this only says goodbye
                    self._link.post_mode("DISARM")
            else:
                problem = self._stand_down()
        finally:
            self._link.close()
        if problem is not None and not was_reported:
            raise RigError(problem)

    def _check_is_open(self) -> None:
        if self._is_closed:
            raise RigError("this rig is closed; make a new environment")

    def _open_session(self) -> None:
        self._link.open()
        if self._arrivals is not None:
            self._arrivals.restart()
        try:
            self._link.configure(self._limits, self._stepper_limits)
        except RefusedError as error:
            if error.code != "NOT_NOW":
                raise
            if self._stepper_limits is None:
                self._link.mode("DISARM")
            else:
                self._link.disarm()  # and wait for the end of the ramp
            self._link.configure(self._limits, self._stepper_limits)

    def _home(self) -> None:
        """Home the cart if necessary, and centre it, while the hand does its part."""
        state = self._cleared()
        if state.state != self._states["READY"]:
            self._hand.let_hang()
            state = self._homed()
        middle = self._cart.start.cart_position_m / self._m_per_count
        if not self._hand.brings_cart and abs(state.cart_counts) > middle:
            self._centre()

    def _ready_to_swing(self) -> bool:
        """Home the cart if necessary, and centre it if it is far out, without a hand; whether it was homed before."""
        state = self._cleared()
        was_homed = state.state == self._states["READY"]
        if not was_homed:
            state = self._homed()
        if abs(state.cart_counts) * self._m_per_count > _SWING_SHARE * self._cart.limits.cart_position_m:
            try:
                self._centre()
            except RefusedError:
                if self.state.fault != self._stuck:
                    raise
                # A rotating pole may pull harder than the cart creeps: homing brakes it first.
                self._cleared()
                self._homed()
        return was_homed

    def _cleared(self) -> StateMessage:
        """The cart with its motor off and no fault that can be cleared."""
        link = self._link
        try:
            link.mode("DISARM")
        except RefusedError as error:
            if error.code != "BAD_SESSION":
                raise
            self._open_session()  # the cart has restarted: it is not homed, and homes again
        link.forget_states()
        state = self._next_state()  # what the cart sees now, not at the end of the last episode
        if state.state in (self._armed, self._homing):
            raise LinkError(f"the cart is {self._states(state.state).name} after DISARM")
        if self._is_stopped:  # meanwhile: to clear an older fault would clear this one too
            raise RefusedError("the emergency stop was sent while the cart was made ready; the motor stays off", "")
        if state.state == self._states["FAULT"]:
            link.mode("CLEAR")
            link.forget_states()
            state = self._next_state()
        return state

    def _homed(self) -> StateMessage:
        self._is_off = False
        any_period = int(self._link.protocol.enums["home_option"]["ANY_PERIOD"])
        self._link.mode("HOME", any_period if self.takes_any_pole_period else 0)
        return self._wait_ready(HOMING_S)

    def _centre(self) -> None:
        self._is_off = False
        self._link.mode("CENTRE")
        self._wait_ready(HOMING_S)

    def _wait_ready(self, timeout_s: float) -> StateMessage:
        deadline_s = self._link.clock() + timeout_s
        self._link.forget_states()
        while self._link.clock() < deadline_s:
            state = self._next_state()
            if state.state == self._states["READY"]:
                self._is_off = True
                return state
            if state.state != self._states["HOMING"]:
                raise RefusedError(self._fault_message(state), "FAULT")
        raise RefusedError(
            f"homing did not end within {timeout_s:g} s; is the pole swinging freely, and let alone?", ""
        )

    def _arm(self) -> int:
        """The cart's time_us at the last control tick before it was armed."""
        deadline_s = self._link.clock() + RAISE_S
        while True:
            state = self._next_state()
            if state.state == self._states["FAULT"]:
                raise RefusedError(self._fault_message(state), "FAULT")
            if self._may_arm(state):
                self._is_off = False
                try:
                    self._link.mode("ARM", self._options.arm)
                except RefusedError as error:
                    if error.code not in _ARM_RETRIES_ON and not self._is_self_testing(error):
                        raise
                else:
                    self._link.forget_states()
                    return state.time_us
            self._check_raised(state, deadline_s)

    def _arm_to_swing(self, *, may_be_held: bool) -> None:
        deadline_s = self._link.clock() + _REST_S
        while True:
            state = self._next_state()
            if state.state == self._states["FAULT"]:
                raise RefusedError(self._fault_message(state), "FAULT")
            is_upright = abs(state.pole_counts) <= self._limits.arming_angle_counts
            is_held = may_be_held and is_upright and state.inputs & self._inputs["STILL"]
            if is_held or 4 * abs(state.pole_counts) > self._limits.pole_counts_per_turn:
                option = 0 if is_held else int(self._link.protocol.enums["arm_option"]["SWING_UP"])
                self._is_off = False
                try:
                    self._link.mode("ARM", self._options.arm | option)
                except RefusedError as error:
                    if error.code == "CART_OUTSIDE":
                        self._centre()
                    elif error.code not in _SWING_RETRIES_ON:
                        raise
                else:
                    self._link.forget_states()
                    return
            if self._link.clock() > deadline_s:
                raise RefusedError(
                    f"the cart did not come to rest with its pole below the horizontal within {_REST_S:g} s; "
                    "is something moving it, or holding the pole?",
                    "NOT_STILL",
                )

    def _show_turning_points(self) -> None:
        """Let a swinging pole show the firmware, which raises the fault itself, where it would come to rest."""
        points = TurningPoints(self._cart)
        while not points.are_enough(self._next_state()):
            pass

    def _check_raised(self, state: StateMessage, deadline_s: float) -> None:
        if self._link.clock() > deadline_s:
            angle_rad = state.pole_counts * self._rad_per_count
            raise RefusedError(
                f"the pole was not held upright and still within {RAISE_S:g} s: it stands at {angle_rad:.2f} rad, "
                f"expected at most {self._cart.limits.arming_angle_rad:g}; the motor stays off",
                "POLE_NOT_UPRIGHT",
            )

    def _may_arm(self, state: StateMessage) -> bool:
        return bool(
            self._hand.has_arrived()
            and state.inputs & self._inputs["STILL"]
            and abs(state.pole_counts) <= self._limits.arming_angle_counts
        )

    def _is_self_testing(self, refused: RefusedError) -> bool:
        """Whether the policy in the image may yet pass its self-test."""
        failed = self._link.protocol.enums["self_test"]["TEST_FAILED"]
        return refused.code == "SELF_TEST" and self._link.policy().self_test != failed

    def _next_state(self) -> StateMessage:
        """The next STATE. The firmware has long stopped the motor when this gives up."""
        state = self._link.newest_state(self._link.clock() + SILENCE_S)
        if state is None:
            raise SessionLostError(f"no measurement for {SILENCE_S:g} s: the link is lost; check cable and power")
        self._tick = state.tick
        self._state = state
        if self.on_state is not None:
            self.on_state(state)
        if self._arrivals is not None:
            self._lateness_s = self._arrivals.lateness_s(state.time_us, self._link.received_s)
            self._link.expect(self._arrivals.due_s(self._period_s))
        return state

    def _measure(self, state: StateMessage) -> Measurement:
        measurement = self._measurement
        measurement.tick = state.tick - self._first_tick
        measurement.mcu_time_us = state.time_us
        measurement.cart_counts = state.cart_counts
        measurement.pole_counts = state.pole_counts
        measurement.cart_position_m = state.cart_counts * self._m_per_count
        measurement.cart_speed_m_s = state.cart_speed * self._m_s_per_unit
        measurement.pole_angle_rad = state.pole_counts * self._rad_per_count
        measurement.pole_speed_rad_s = state.pole_speed * self._rad_s_per_unit
        measurement.applied_duty = state.applied_q15 / self._one
        measurement.motor_power_w = self._power_w(measurement.applied_duty, measurement.cart_speed_m_s)
        age_ms = state.command_age_ms
        measurement.command_age_s = math.nan if age_ms == NO_COMMAND_MS else age_ms / 1000.0
        measurement.lateness_s = self._lateness_s
        return measurement

    def _fault_of(self, state: StateMessage) -> str | None:
        fault = self._link.protocol.enums["fault"](state.fault).name
        return None if fault == "NONE" else fault

    def _fault_message(self, state: StateMessage) -> str:
        fault = self._fault_of(state)
        if fault is None:
            return f"the cart is {self._states(state.state).name}, expected ARMED; reset the environment"
        place_mm = state.cart_counts * self._m_per_count * 1000.0
        return f"{fault} at {place_mm:.0f} mm: {FAULTS[fault]}"
