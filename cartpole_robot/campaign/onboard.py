"""The policy on the chip itself: it balances alone, decides as the host's own C does, and meets its deadlines."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from cartpole_robot.campaign.bench import CONTINUES, FELL, Bench, Subject, in_short
from cartpole_robot.campaign.edges import EXACT_PER_S, SPUN_MS, Spin
from cartpole_robot.campaign.trials import Outcome, Trial, silence
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.deployment.on_board import on_board_image, on_board_policy
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import open_policy
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from firmware_bridge.build import CLOCK_HZ
from firmware_bridge.messages import HealthMessage, PolicyMessage, StateMessage
from firmware_bridge.protocol import read_protocol

ON_BOARD = "onboard"
MOST_OWN_MS, MOST_WALL_MS = 3.5, 5.0
LEAST_STACK_FREE = 300
_ON_BOARD, _HOST_MAY_LEAVE = (int(read_protocol().enums["arm_option"][name]) for name in ("ON_BOARD", "HOST_MAY_LEAVE"))
ON_BOARD_ALONE = _ON_BOARD | _HOST_MAY_LEAVE
_TIMED_STEPS = 50
_THOUGHT_MS = 15  # after a STATE: the inference has ended


def on_board_subject(subject: Subject) -> Subject:
    """`subject`, with an image built for its policy unless it names one. Raises `UsageError`, `BridgeError`."""
    if subject.image is not None:
        return subject
    cart, _ = subject.open()
    return dataclasses.replace(subject, image=on_board_image(open_policy(subject.policy)[0], cart))


def on_board_bench(
    subject: Subject,
    change: Callable[[CartParams], CartParams] = lambda cart: cart,
    arm: int = ON_BOARD_ALONE,
) -> Bench:
    """A bench with the policy on the chip, armed with the options `arm`, and a cart changed by `change`.

    Raises `RigError`, `UsageError`, `BridgeError`.
    """
    return Bench(on_board_subject(subject), change, FirmwareOptions(arm=arm))


def on_board_trials() -> list[Trial]:
    """All trials of the policy on board, in order."""
    return [
        Trial(
            group=ON_BOARD,
            name=f"{MAX_EPISODE_STEPS} steps by itself",
            must="survived without a command, no duty late",
            unit="steps",
            count=20,
            short_count=1,
            run=_balance,
            is_more_better=True,
        ),
        Trial(
            group=ON_BOARD,
            name="actions against the host's",
            must=f"all of {MAX_EPISODE_STEPS} steps equal the host's int16 model, and take effect one period later",
            unit="different actions",
            count=20,
            short_count=1,
            run=_compare,
        ),
        Trial(
            group=ON_BOARD,
            name="inference alone",
            must=f"at most {MOST_OWN_MS:g} ms of processor time, without interrupts and safety ticks",
            unit="ms",
            count=20,
            short_count=1,
            run=_own_time,
        ),
        Trial(
            group=ON_BOARD,
            name="decision time",
            must=f"at most {MOST_WALL_MS:g} ms from control tick to action at {EXACT_PER_S:,} edges/s, no tick missed",
            unit="ms",
            count=20,
            short_count=1,
            run=_wall_time,
        ),
        Trial(
            group=ON_BOARD,
            name="unused stack",
            must=f"at least {LEAST_STACK_FREE} bytes, after these trials",
            unit="bytes",
            count=1,
            short_count=1,
            run=_stack,
            is_more_better=True,
        ),
        Trial(
            group=ON_BOARD,
            name="on board: host falls silent",
            must="motor off within the cart's command timeout after the last command",
            unit="ms",
            count=20,
            short_count=1,
            run=_silence,
        ),
    ]


def _follow(bench: Bench, steps: int) -> tuple[list[StateMessage], str | None]:
    """The current STATE and those of `steps` more steps, and what ended the episode early, else None."""
    states = [bench.rig.state]
    for _ in range(steps):
        try:
            bench.rig.measure()
        except RigError as error:
            return states, str(error)
        states.append(bench.rig.state)
        if not bench.rig.is_running:
            return states, FELL
    return states, None


def _balance(bench: Bench, rng: random.Random) -> Outcome:
    bench.begin(rng.randrange(1_000_000))
    late = bench.link.health().late_commands
    states, message = _follow(bench, MAX_EPISODE_STEPS)
    late = bench.link.health().late_commands - late
    return Outcome(is_good=message is None and late == 0, message=in_short(message), figure=float(len(states) - 1))


def _compare(bench: Bench, rng: random.Random) -> Outcome:
    """A decision on STATE k takes effect at control tick k + 1; STATE k + 2 reports the duty that was in force."""
    policy = on_board_policy(open_policy(bench.subject.policy)[0], bench.cart_params)
    bench.begin(rng.randrange(1_000_000))
    states, message = _follow(bench, MAX_EPISODE_STEPS)
    other = 0
    policy.reset()
    for state, later in zip(states, states[2:], strict=False):
        decided = policy.act(state.cart_counts, state.cart_speed, state.pole_counts, state.pole_speed)
        is_next = later.tick == state.tick + 2
        other += not is_next or policy.duty_q15(decided) != later.applied_q15
    return Outcome(is_good=other == 0 and message is None, message=in_short(message), figure=float(other))


def _own_time(bench: Bench, rng: random.Random) -> Outcome:
    """The longest of some inferences by the emulator's cycle count, read only when no inference is running."""
    bench.begin(rng.randrange(1_000_000))
    worst = 0
    for _ in range(_TIMED_STEPS):
        bench.pass_ms(_THOUGHT_MS)
        before = bench.chip.figures()["policy_cycles"]
        bench.rig.measure()
        bench.pass_ms(_THOUGHT_MS)
        worst = max(worst, bench.chip.figures()["policy_cycles"] - before)
        bench.rig.measure()
    own_ms = 1000.0 * worst / CLOCK_HZ
    return Outcome(is_good=0.0 < own_ms <= MOST_OWN_MS, message=CONTINUES, figure=own_ms)


def insensible(cart: CartParams) -> CartParams:
    """`cart` with firmware that accepts a hand moving it differently from its motor."""
    _, firmware = encoders_and_settings(cart)
    return dataclasses.replace(cart, firmware=dataclasses.replace(firmware, moving_duty=1.0))


def _spin(subject: Subject, seed: int) -> tuple[str, PolicyMessage, HealthMessage]:
    """Spin both encoders of a newly armed chip for a second; returns its fault or `CONTINUES`, POLICY, HEALTH."""
    with on_board_bench(subject, insensible) as bench:
        bench.begin(seed)
        bench.cart.grab(bench.cart.true_state()._replace(cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.0))
        bench.board.spin = Spin(EXACT_PER_S // 2000)
        message = _armed_for(bench, SPUN_MS)
        return message, bench.link.policy(), bench.link.health()


def _wall_time(bench: Bench, rng: random.Random) -> Outcome:
    message, policy, health = _spin(bench.subject, rng.randrange(1_000_000))
    wall_ms = policy.longest_us / 1000.0
    is_good = message == CONTINUES and health.missed_ticks == 0 and 0.0 < wall_ms <= MOST_WALL_MS
    return Outcome(is_good=is_good, message=message, figure=wall_ms)


def _stack(bench: Bench, rng: random.Random) -> Outcome:
    message, _, health = _spin(bench.subject, rng.randrange(1_000_000))
    free = health.stack_free
    return Outcome(is_good=message == CONTINUES and free >= LEAST_STACK_FREE, message=message, figure=float(free))


def _armed_for(bench: Bench, milliseconds: int) -> str:
    """The fault that ended it or `CONTINUES`, however far the pole turns meanwhile."""
    protocol = bench.link.protocol
    end_ms = bench.cart.time_ms + milliseconds
    while bench.cart.time_ms < end_ms:
        state = bench.link.newest_state(bench.link.clock() + 0.1)
        if state is None:
            return "silent"
        if state.state != protocol.enums["cart_state"]["ARMED"]:
            return protocol.enums["fault"](state.fault).name
    return CONTINUES


def _silence(bench: Bench, rng: random.Random) -> Outcome:
    with on_board_bench(bench.subject, arm=_ON_BOARD) as on_board:
        return silence(on_board, rng)
