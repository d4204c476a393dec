"""The messages of protocol.h, written by `python -m firmware_bridge.messages_stub`; do not edit."""

from typing import NamedTuple

from firmware_bridge.protocol import Message

class _Hello(NamedTuple):
    nonce: int
    protocol_hash: int

class HelloMessage(_Hello, Message): ...

class _HelloAck(NamedTuple):
    nonce: int
    protocol_hash: int
    session: int
    version: int
    state: int
    fault: int
    reset_cause: int
    time_us: int
    firmware_id: int
    limits_crc: int
    drive: int

class HelloAckMessage(_HelloAck, Message): ...

class _Cmd(NamedTuple):
    session: int
    tick: int
    duty_q15: int
    valid_ms: int

class CmdMessage(_Cmd, Message): ...

class _State(NamedTuple):
    session: int
    tick: int
    time_us: int
    cart_counts: int
    pole_counts: int
    cart_speed: int
    pole_speed: int
    applied_q15: int
    supply_mv: int
    command_age_ms: int
    state: int
    fault: int
    inputs: int

class StateMessage(_State, Message): ...

class _Cfg(NamedTuple):
    session: int
    seq: int
    flags: int
    control_period_ms: int
    command_timeout_ms: int
    max_duty_q15: int
    travel_limit_counts: int
    brake_decel_counts_s2: int
    pole_limit_counts: int
    arming_angle_counts: int
    pole_counts_per_turn: int
    pole_half_period_ms: int
    homing_travel_counts: int
    homing_speed_counts_s: int
    homing_duty_q15: int
    moving_duty_q15: int
    still_travel_counts: int
    dead_zone_left_q15: int
    dead_zone_right_q15: int
    continuous_duty_q15: int
    reversals_per_s: int
    supply_min_mv: int
    supply_max_mv: int
    illegal_most: int
    bandgap_mv: int
    swing_timeout_ms: int
    upright_ms: int

class CfgMessage(_Cfg, Message): ...

class _Stepper(NamedTuple):
    session: int
    seq: int
    flags: int
    speed_most: int
    gain_q4: int
    pulse_counts: int
    setup_us: int
    round_trip_steps: int

class StepperMessage(_Stepper, Message): ...

class _Mode(NamedTuple):
    session: int
    seq: int
    mode: int
    options: int

class ModeMessage(_Mode, Message): ...

class _Ack(NamedTuple):
    seq: int
    code: int
    detail: int
    limits_crc: int

class AckMessage(_Ack, Message): ...

class _Ping(NamedTuple):
    host_us: int

class PingMessage(_Ping, Message): ...

class _Pong(NamedTuple):
    host_us: int
    time_us: int

class PongMessage(_Pong, Message): ...

class _Event(NamedTuple):
    time_us: int
    state: int
    fault: int
    cart_counts: int

class EventMessage(_Event, Message): ...
class HealthRequestMessage(Message): ...

class _Health(NamedTuple):
    frame_errors: int
    refused: int
    receive_overruns: int
    send_overruns: int
    missed_ticks: int
    longest_tick_us: int
    longest_interrupt_us: int
    stack_free: int
    cart_illegal: int
    pole_illegal: int
    late_commands: int
    rail_mv: int
    bandgap_steps: int
    pulse_top: int
    fuse_low: int
    fuse_high: int
    fuse_extended: int
    bootloader: int
    chip: int
    pole_half_period_ms: int

class HealthMessage(_Health, Message): ...
class PolicyRequestMessage(Message): ...

class _Trace(NamedTuple):
    count: int  # type: ignore[assignment]
    time_us: int
    cart_counts: int
    pole_counts: int
    supply_mv: int
    heat: int
    missed: int
    samples: bytes

class TraceMessage(_Trace, Message): ...

class _Policy(NamedTuple):
    self_test: int
    hash_high: int
    hash_low: int
    fit_crc: int
    control_period_ms: int
    longest_us: int

class PolicyMessage(_Policy, Message): ...
