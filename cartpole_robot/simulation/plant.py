"""The rigid body in PyBullet: the only module that touches the physics engine.

As set up here, one step is a step of semi-implicit Euler on the cart-pole equations, to floating-point rounding:
inertia from the URDF, the joints' default velocity motors off, every damping zero. Each Plant has its own physics
client, so that several run in one process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.parts import Friction, PoleCart, equivalent_body
from cartpole_robot.cart.urdf import CART_JOINT, POLE_JOINT, urdf_for
from cartpole_robot.errors import RigError
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import refuse_closed


@contextlib.contextmanager
def _engine_chatter_muted() -> Iterator[None]:
    """Inside, PyBullet's C code cannot print build dates and its arguments among a caller's JSON."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    try:
        saved = [os.dup(number) for number in (1, 2)]
    except OSError:  # a process without standard streams has nothing to keep clean
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
        ctypes.CDLL(None).fflush(None)  # else C would print its own buffer when the process ends
    finally:
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


@functools.cache
def _pybullet() -> Any:
    """The engine; its first import prints a build date."""
    with _engine_chatter_muted():
        import pybullet
    return pybullet


_UNLIMITED = 1e9


@contextlib.contextmanager
def _display() -> Iterator[None]:
    """Inside, an X server answers; raises `RigError` if none does: the engine would exit the process.

    The connection that finds out stays open: a server without any client restarts, and refuses the engine meanwhile.
    """
    name = os.environ.get("DISPLAY", "")
    try:
        x11 = ctypes.CDLL("libX11.so.6") if sys.platform.startswith("linux") and name else None
    except OSError:
        x11 = None
    if x11 is not None:
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = x11.XOpenDisplay(None)
        if display is None:
            raise _no_display(f"no display answers at DISPLAY={name}")
        try:
            yield
        finally:
            x11.XCloseDisplay(ctypes.c_void_p(display))
        return
    if sys.platform.startswith("linux") and not name:
        raise _no_display("DISPLAY is not set")
    yield


def _no_display(reason: str) -> RigError:
    return RigError(
        f'PyBullet\'s window needs a display and {reason}; use render_mode="rgb_array", or run under xvfb-run'
    )


def _disconnect(bullet: Any, client: int, *, is_window: bool) -> None:
    """Release a physics client; one whose window the user closed is gone already."""
    if bullet.isConnected(client):
        with _engine_chatter_muted() if is_window else contextlib.nullcontext():
            bullet.disconnect(client)


@dataclass(frozen=True, kw_only=True)
class PlantReadback:
    """What the engine reports that it simulates, to check against the parameters.

    Damping and motors are missing: the engine still reports the URDF's damping after a change, and no force of a joint
    motor before a step. They show only in the motion, where the tests check them.
    """

    cart_mass_kg: float
    pole_mass_kg: float
    pole_half_length_m: float
    pole_inertia_kg_m2: float
    physics_step_s: float
    gravity_m_s2: float


class Plant:
    """One cart-pole in a physics client of its own; with `window=True` in PyBullet's window.

    The client (28 MB) and its window are released with the object, if `close` has not done so before.

    `advance(force_n, steps)` takes that many physics steps with the force on the cart, positive toward +x, and
    returns PyBullet's own joint states ((x, v, ...), (angle, angular speed, ...)), cart first; with 0 steps it only
    reads. It is the hot path and does not convert them.
    """

    advance: Callable[[float, int], Any]

    def __init__(
        self,
        body: PoleCart,
        physics_step_s: float,
        *,
        friction: Friction | None = None,
        end_stop_m: float | None = None,
        window: bool = False,
    ) -> None:
        """Load the URDF with the numbers of `body`, without friction and end stops unless they are given.

        Raises `RigError` for a window without a display, ModuleNotFoundError without PyBullet.
        """
        self._bullet = _pybullet()
        with _display() if window else contextlib.nullcontext(), _engine_chatter_muted():
            options = "--width=960 --height=540" if window else ""
            self._client: int = self._bullet.connect(
                self._bullet.GUI if window else self._bullet.DIRECT, options=options
            )
            if self._client < 0:
                raise RigError("PyBullet opened no physics client; close other environments and try again")
            self._release = weakref.finalize(self, _disconnect, self._bullet, self._client, is_window=window)
            self._release.atexit = False  # the process takes it all with it
            self._body_id = self._load(body)
        joints = {
            self._bullet.getJointInfo(self._body_id, index, self._client)[1].decode(): index
            for index in range(self._bullet.getNumJoints(self._body_id, physicsClientId=self._client))
        }
        self._cart, self._pole = joints[CART_JOINT], joints[POLE_JOINT]
        self._joints = [self._cart, self._pole]
        # Before any joint motor: the engine converts a motor's force to an impulse with the step set at that moment.
        # One solver iteration is exact: the articulated body has no contact and no active constraint to iterate on.
        self._bullet.setPhysicsEngineParameter(
            fixedTimeStep=physics_step_s, numSolverIterations=1, numSubSteps=0, physicsClientId=self._client
        )
        self._set_friction(friction or Friction())
        if end_stop_m is not None:
            self._bullet.changeDynamics(
                self._body_id,
                self._cart,
                jointLowerLimit=-end_stop_m,
                jointUpperLimit=end_stop_m,
                physicsClientId=self._client,
            )
        self._bullet.setGravity(0.0, 0.0, -body.gravity_m_s2, physicsClientId=self._client)
        self._loaded = body
        self._is_open = True
        self.advance = self._stepper()

    def _stepper(self) -> Callable[[float, int], Any]:
        """The method `advance`, with everything it needs bound once: the lookups would cost a tenth of a step."""
        set_motor, step, joint_states = (
            self._bullet.setJointMotorControl2,
            self._bullet.stepSimulation,
            self._bullet.getJointStates,
        )
        body_id, cart, joints, client = self._body_id, self._cart, self._joints, self._client
        torque_control = self._bullet.TORQUE_CONTROL

        def advance(force_n: float, steps: int) -> Any:
            for _ in range(steps):
                # By position: body, joint, mode, target position and velocity, force, two gains, speed limit, client.
                set_motor(body_id, cart, torque_control, 0.0, 0.0, force_n, 0.0, 0.0, 0.0, client)
                step(client)
            return joint_states(body_id, joints, client)

        return advance

    def _load(self, body: PoleCart) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "cartpole.urdf")
            path.write_text(urdf_for(body), encoding="utf-8")
            flags = self._bullet.URDF_USE_INERTIA_FROM_FILE
            return int(self._bullet.loadURDF(str(path), useFixedBase=1, flags=flags, physicsClientId=self._client))

    def _set_friction(self, friction: Friction) -> None:
        """Set dry friction as a joint motor with target speed 0, viscous friction as joint damping.

        The first is solved inside the step: it stops a joint without chattering and holds it up to its force. The
        second acts on the speed at the step's beginning.
        """
        self._friction = friction
        self._is_stuck = False
        for joint, dry, viscous in (
            (self._cart, friction.cart_coulomb_n, friction.cart_viscous_n_s_m),
            (self._pole, friction.pole_coulomb_n_m, friction.pole_viscous_n_m_s),
        ):
            self._set_dry_friction(joint, dry)
            # The engine would hold every joint to 100 m/s or rad/s. A call of its own: with this in it, the other
            # silently ignores jointDamping.
            self._bullet.changeDynamics(self._body_id, joint, maxJointVelocity=_UNLIMITED, physicsClientId=self._client)
            # All in one call: linearDamping given alone is silently ignored (bullet3 issue 3314). Without it every link
            # is damped by 0.04.
            self._bullet.changeDynamics(
                self._body_id,
                joint,
                linearDamping=0.0,
                angularDamping=0.0,
                jointDamping=viscous,
                physicsClientId=self._client,
            )

    def change(self, body: PoleCart, friction: Friction) -> None:
        """Change masses, pole and friction, exactly as if the plant had been made with them.

        The URDF is not loaded again (bullet3 issue 3285). Raises ValueError as `equivalent_body` does.
        """
        same = equivalent_body(body, self._loaded)
        self._bullet.changeDynamics(self._body_id, self._cart, mass=same.cart_mass_kg, physicsClientId=self._client)
        self._bullet.changeDynamics(
            self._body_id,
            self._pole,
            mass=same.pole_mass_kg,
            localInertiaDiagonal=[same.pole_inertia_kg_m2, same.pole_inertia_kg_m2, 0.0],
            physicsClientId=self._client,
        )
        self._bullet.setGravity(0.0, 0.0, -body.gravity_m_s2, physicsClientId=self._client)
        self._set_friction(friction)

    def _set_dry_friction(self, joint: int, largest: float) -> None:
        # Even without friction: every joint starts with a motor of its own that holds it at speed 0.
        self._bullet.setJointMotorControl2(
            self._body_id,
            joint,
            self._bullet.VELOCITY_CONTROL,
            targetVelocity=0.0,
            force=largest,
            physicsClientId=self._client,
        )

    def hold_or_release(self, is_stuck: bool) -> None:
        """Use static friction for a standing cart, Coulomb friction for a sliding one; only a change costs time."""
        if is_stuck != self._is_stuck:
            self._is_stuck = is_stuck
            friction = self._friction
            self._set_dry_friction(self._cart, friction.cart_static_n if is_stuck else friction.cart_coulomb_n)

    def drive_cart(self, speed_m_s: float, force_n: float) -> None:
        """In the steps from here on, bring the cart to that speed by at most that force, in place of dry friction."""
        self._bullet.setJointMotorControl2(
            self._body_id,
            self._cart,
            self._bullet.VELOCITY_CONTROL,
            targetVelocity=speed_m_s,
            force=force_n,
            physicsClientId=self._client,
        )

    def place(self, state: State) -> None:
        """Put the cart and the pole where `state` says, moving as it says."""
        x, v, angle, rate = state
        self._bullet.resetJointState(self._body_id, self._cart, x, v, physicsClientId=self._client)
        self._bullet.resetJointState(self._body_id, self._pole, angle, rate, physicsClientId=self._client)

    def state(self) -> State:
        """The exact state, in float64."""
        (x, v, *_), (angle, rate, *_) = self.advance(0.0, 0)
        return State(x, v, angle, rate)

    def readback(self) -> PlantReadback:
        """The numbers that the engine reports."""
        cart, pole = (
            self._bullet.getDynamicsInfo(self._body_id, joint, physicsClientId=self._client) for joint in self._joints
        )
        engine = self._bullet.getPhysicsEngineParameters(physicsClientId=self._client)
        return PlantReadback(
            cart_mass_kg=cart[0],
            pole_mass_kg=pole[0],
            pole_half_length_m=pole[3][2],
            pole_inertia_kg_m2=pole[2][1],
            physics_step_s=engine["fixedTimeStep"],
            gravity_m_s2=-engine["gravityAccelerationZ"],
        )

    def __deepcopy__(self, memo: object) -> Plant:
        raise TypeError("a Plant cannot be copied, it would move the same cart; make another one")

    def __reduce__(self) -> str:
        raise TypeError("a Plant cannot be pickled; make one in the other process")

    def look_at_track(self, distance_m: float) -> None:
        """Point the window's camera squarely at the track, from `distance_m`."""
        self._bullet.configureDebugVisualizer(self._bullet.COV_ENABLE_GUI, 0, physicsClientId=self._client)
        self._bullet.resetDebugVisualizerCamera(distance_m, 0.0, -12.0, [0.0, 0.0, 0.15], physicsClientId=self._client)

    def is_connected(self) -> bool:
        """Whether the engine still answers (the user may close its window)."""
        return self._is_open and bool(self._bullet.isConnected(self._client))

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        if self._is_open:
            self._is_open = False
            # The engine reuses a client's number: a closed plant must not move the next one's cart.
            self.advance = refuse_closed
            for name in ("place", "change", "hold_or_release", "drive_cart"):
                setattr(self, name, refuse_closed)
            self._release()
